"""Stamps events that were created without a kernel and appended to a store directly."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import force_setattr

from tickdeck.application.bus import not_an_event
from tickdeck.domain.events import DomainEvent, check_fields
from tickdeck.errors import ConfigError

__all__ = ["check_events", "stamped"]


def check_events(events: object) -> None:
    """Raise ``ConfigError`` if ``events`` is not a list or a tuple of events."""
    if type(events) is not list and not isinstance(events, Sequence):  # asking the abstract class takes a microsecond
        raise ConfigError(f"append: {events!r} is not a list of events; give append([event])")
    for event in events:
        if not isinstance(event, DomainEvent):
            raise not_an_event(event, "append")


def stamped(events: Sequence[DomainEvent], last: DomainEvent | None, now: int) -> list[DomainEvent]:
    """Return copies of ``events``, stamped as inputs that follow ``last`` and arrive at ``now`` (ns UTC).

    Fields that are set keep their values. The others are filled in: ``seq`` with the next number, ``event_id`` with the
    next input number (as a kernel would), ``ts_ingress`` with ``now`` or the time of the previous event, whichever is
    later, ``ts`` with ``ts_ingress``, and ``correlation_id`` with the event's own id. A ``ts_ingress`` in the future is
    replaced too, as on a bus, unless the event already has a ``seq``. Raises ``EventValidationError`` if code changed a
    field behind the checks of the event.
    """
    seq = last.seq if last is not None else 0
    number = _input_number(last)
    made: list[DomainEvent] = []
    for given in events:
        check_fields(given)
        event = given.__copy__()
        seq = event.seq or seq + 1
        force_setattr(event, "seq", seq)
        if not event.event_id:
            force_setattr(event, "event_id", str(number + 1))
        number = max(number, _input_number(event)) if event.event_id.isdecimal() else number + 1
        if not event.ts_ingress or (not given.seq and event.ts_ingress > now):  # all later events would get that time
            force_setattr(event, "ts_ingress", max(now, last.ts_ingress if last is not None else 0))
        if not event.ts:
            force_setattr(event, "ts", event.ts_ingress)
        if not event.correlation_id:
            force_setattr(event, "correlation_id", event.event_id)
        made.append(event)
        last = event
    return made


def _input_number(event: DomainEvent | None) -> int:
    """The number of the input that the event is or derives from. If its id has another form, this is its ``seq``,
    because input numbers never exceed it."""
    if event is None:
        return 0
    number = event.event_id.split("-", 1)[0]
    return int(number) if number.isascii() and number.isdecimal() else event.seq
