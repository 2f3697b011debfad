"""Logs events: one structured line for each, named by its type, with its ids and fields."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from tickdeck.application.bus import EventBus, type_name
from tickdeck.domain.events import DomainEvent

__all__ = ["ALWAYS_LOGGED", "log_events"]

ALWAYS_LOGGED = ("order.*", "position.*", "risk.*", "trading.*")
"""What happens to orders (their trades are ``order.filled`` and ``order.partially_filled``), to positions, and what
risk says."""
_AFTER_ALL_OTHERS = -(1 << 30)

log = logging.getLogger("tickdeck.events")


def log_events(bus: EventBus, topics: Sequence[str] = ()) -> None:
    """Log each event of ``ALWAYS_LOGGED`` and of ``topics`` (types with wildcards) on ``bus``, at level ``info``.

    The line's message is the event's type; its fields are ``event_id``, ``correlation_id``, ``causation_id`` and the
    event's own, without empty ones. These are subscriptions: an event that is not logged costs nothing, and nothing is
    subscribed where nobody listens to ``info`` lines of the logger ``tickdeck.events``.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    patterns: list[str] = []
    for topic in dict.fromkeys((*ALWAYS_LOGGED, *topics)):
        bus.subscribe(
            topic,
            _log,
            where=_not_matched_by(tuple(patterns)) if topic not in ALWAYS_LOGGED else None,
            priority=_AFTER_ALL_OTHERS,
            name="event-log",
        )
        patterns.append(topic)


def _not_matched_by(patterns: tuple[str, ...]) -> Callable[[DomainEvent], bool]:
    """Each event is logged once, even if several topics match it."""

    def is_new(event: DomainEvent) -> bool:
        name = type_name(event)
        return not any(fnmatchcase(name, pattern) for pattern in patterns)

    return is_new


def _log(event: DomainEvent) -> None:
    fields = {
        "event_id": event.event_id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        **event.payload,
    }
    shown = {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}
    log.info("%s", type_name(event), extra={"fields": shown})
