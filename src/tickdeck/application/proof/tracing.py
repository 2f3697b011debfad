"""Why did this happen, and what followed? The chain of causes of an event, and the tree of its effects."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from tickdeck.domain.events import DomainEvent
from tickdeck.errors import RunError

__all__ = ["Effect", "Trace", "trace"]


class Effect(msgspec.Struct, frozen=True):
    """An event and what it caused, in order of ``seq``."""

    event: DomainEvent
    effects: tuple[Effect, ...]


class Trace(msgspec.Struct, frozen=True):
    """``causes`` from the direct cause back to the first input; ``effects`` of the event."""

    event: DomainEvent
    causes: tuple[DomainEvent, ...]
    effects: tuple[Effect, ...]


def trace(record: Callable[[], Iterable[DomainEvent]], event_id: str) -> Trace:
    """The causes and effects of one event of a run. ``record()`` returns the complete record and is called twice.

    Causes extend across inputs: from a fill via the venue's report and the order to the tick. Raises ``RunError`` if
    there is no such event.
    """
    wanted = next((event for event in record() if event.event_id == event_id), None)
    if wanted is None:
        raise RunError(f"no event {event_id!r} in this run; `tickdeck events` lists them with their ids")
    story = {event.event_id: event for event in record() if event.correlation_id == wanted.correlation_id}
    causes = []
    cause = story.get(wanted.causation_id)
    while cause is not None:
        causes.append(cause)
        cause = story.get(cause.causation_id)
    return Trace(wanted, tuple(causes), _effects(wanted, story))


def _effects(wanted: DomainEvent, story: dict[str, DomainEvent]) -> tuple[Effect, ...]:
    """Built from the end backwards, because effects come after their causes. Without recursion, because a chain may
    have thousands of steps (a timer that sets itself again)."""
    made: dict[str, list[Effect]] = {}
    for event in reversed(story.values()):
        effects = tuple(reversed(made.pop(event.event_id, ())))
        if event is wanted or event.event_id == wanted.event_id:
            return effects
        made.setdefault(event.causation_id, []).append(Effect(event, effects))
    return ()
