"""Stamps for events that were made by hand and given to a store without a kernel."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import force_setattr

from tickdeck.application.bus import not_an_event
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["check_events", "stamped"]


def check_events(events: object) -> None:
    """Raise ``ConfigError`` if ``events`` is not a list or a tuple of events."""
    if not isinstance(events, Sequence):
        raise ConfigError(f"append: {events!r} is not a list of events; give append([event])")
    for event in events:
        if not isinstance(event, DomainEvent):
            raise not_an_event(event, "append")


def stamped(events: Sequence[DomainEvent], last: DomainEvent | None, now: int) -> list[DomainEvent]:
    """Copies of ``events`` as inputs that follow ``last``, taken at ``now`` (ns UTC).

    What a field has stays. An event without a ``seq`` gets the next one; one without an id the next number of an input,
    as a kernel would give it; ``ts_ingress`` is ``now``, never before that of the event before, also where it is in the
    future, as on a bus; ``ts`` is ``ts_ingress``; the correlation id is the event's own id.
    """
    seq = last.seq if last is not None else 0
    number = _number(last)
    made: list[DomainEvent] = []
    for given in events:
        event = given.__copy__()
        seq = event.seq or seq + 1
        force_setattr(event, "seq", seq)
        if not event.event_id:
            force_setattr(event, "event_id", str(number + 1))
        number = max(number, _number(event)) if event.event_id.isdecimal() else number + 1
        if not event.ts_ingress or (not given.seq and event.ts_ingress > now):  # later than now would stay the latest
            force_setattr(event, "ts_ingress", max(now, last.ts_ingress if last is not None else 0))
        if not event.ts:
            force_setattr(event, "ts", event.ts_ingress)
        if not event.correlation_id:
            force_setattr(event, "correlation_id", event.event_id)
        made.append(event)
        last = event
    return made


def _number(event: DomainEvent | None) -> int:
    """The number of the input that an event is or came from. Where its id was given by hand it is the ``seq``, which no
    number of an input exceeds."""
    if event is None:
        return 0
    number = event.event_id.split("-", 1)[0]
    return int(number) if number.isascii() and number.isdecimal() else event.seq
