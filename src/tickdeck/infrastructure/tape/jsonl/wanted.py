"""The conditions of a query, as far as they can be checked before an event is decoded."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.tape.jsonl.lines import split_event
from tickdeck.infrastructure.tape.jsonl.segment_index import SegmentIndex
from tickdeck.infrastructure.tape.records import decode_head

__all__ = ["Wanted"]


class Wanted:
    """The conditions of a query, except for its range. ``needles``: bytes that a line must contain. ``matches``: a
    further condition for the event, or ``None``."""

    def __init__(self, query: TapeQuery, moved: tuple[str, ...] = ()) -> None:
        """``moved``: the streams in which the first events of the query's stream are stored."""
        self._query = query
        self._streams = (query.stream, *moved)
        self._types: dict[str, bool] = {}
        self.needles: list[bytes] = []
        if moved:
            self.needles.append(b',"stream":"')
        elif query.stream is not None:
            self.needles.append(b',"stream":%b,"stream_version":' % msgspec.json.encode(query.stream))
        if query.correlation_id is not None:
            self.needles.append(b'"correlation_id":' + msgspec.json.encode(query.correlation_id))
        if query.symbol is not None:
            self.needles.append(msgspec.json.encode(query.symbol))
        self.matches = None if query.first_ts is None and query.last_ts is None and not moved else self._matches

    @property
    def is_narrow(self) -> bool:
        """True if an index may say that a segment has no such event."""
        return self._query.stream is not None or bool(self._query.patterns)

    def bounds_in(self, index: SegmentIndex | None, first: int, last: int) -> tuple[int, int]:
        """Between which ``seq``, at most from ``first`` to ``last``, a segment can have such events, by its index; (1,
        0) if it has none."""
        if index is None:
            return first, last
        if self._query.stream is not None and not any(stream in index.streams for stream in self._streams):
            return 1, 0
        if index.types is not None and self._query.patterns:
            bounds = [of for name, of in index.types.items() if self.takes(name)]
            if not bounds:
                return 1, 0
            return max(first, min(low for low, _ in bounds)), min(last, max(high for _, high in bounds))
        return first, last

    def may_take(self, line: bytes) -> bool:
        """True if the line contains the needles in the right fields. This looks at the stored values, which an upcast
        may change."""
        if any(needle not in line for needle in self.needles):
            return False
        query = self._query
        if query.stream is not None and split_event(line)[0] not in self._streams:
            return False
        if query.correlation_id is None and query.symbol is None:
            return True
        head = decode_head(line)
        return (query.correlation_id is None or head.correlation_id == query.correlation_id) and (
            query.symbol is None or head.symbol == query.symbol
        )

    def takes(self, event_type: str) -> bool:
        taken = self._types.get(event_type)
        if taken is None:
            patterns = self._query.patterns
            taken = not patterns or any(fnmatchcase(event_type, pattern) for pattern in patterns)
            self._types[event_type] = taken
        return taken

    def _matches(self, event: DomainEvent) -> bool:
        query, ts = self._query, event.ts_ingress
        if query.stream is not None and event.stream != query.stream and len(self._streams) > 1:
            return False
        return (query.first_ts is None or ts >= query.first_ts) and (query.last_ts is None or ts <= query.last_ts)
