"""Selects a part of a run's record, by the same rules as a part of a tape."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import DomainEvent, RawEvent, iter_event_classes
from tickdeck.errors import RunError

__all__ = ["after_id", "select", "takes_market_data", "type_name"]


def type_name(event: DomainEvent) -> str:
    """The dotted type, even if this process does not know it."""
    return event.raw_type if isinstance(event, RawEvent) else event.event_type


def takes_market_data(types: tuple[str, ...]) -> bool:
    """True if events of input files may match, so that the tape alone is not enough."""
    if not types:
        return True
    names = [cls.event_type for cls in iter_event_classes() if cls.is_market_data]
    return any(fnmatchcase(name, pattern) for name in names for pattern in types)


def select(record: Iterator[DomainEvent], query: TapeQuery) -> Iterator[DomainEvent]:
    """The events of a complete record, in order of ``seq``, that match ``query``. Ends when no more can follow."""
    return islice(_matching(record, query), query.limit)


def _matching(record: Iterator[DomainEvent], query: TapeQuery) -> Iterator[DomainEvent]:
    if query.from_id is not None:
        record = after_id(record, query.from_id)
    for event in record:
        if query.last_seq is not None and event.seq > query.last_seq:
            return
        if query.last_ts is not None and event.ts_ingress > query.last_ts:
            return  # our receive time never decreases within a run
        if (
            event.seq >= query.first_seq
            and (query.first_ts is None or event.ts_ingress >= query.first_ts)
            and (query.symbol is None or _symbol(event) == query.symbol)
            and (query.correlation_id is None or event.correlation_id == query.correlation_id)
            and (query.stream is None or event.stream == query.stream)
            and (not query.patterns or any(fnmatchcase(type_name(event), pattern) for pattern in query.patterns))
        ):
            yield event


def after_id(record: Iterator[DomainEvent], event_id: str) -> Iterator[DomainEvent]:
    """The events after the event with this id. Raises ``RunError`` if there is none."""
    for event in record:
        if event.event_id == event_id:
            yield from record
            return
    raise RunError(f"there is no event {event_id!r} in the record; `tickdeck events` lists the ids")


def _symbol(event: DomainEvent) -> object:
    return event.raw.get("symbol") if isinstance(event, RawEvent) else getattr(event, "symbol", None)
