"""From events to rows of the tape: types get numbers, streams get versions, the event becomes JSON."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, TypeAlias

import msgspec

from tickdeck.domain.events import DomainEvent, RawEvent, encode_payload
from tickdeck.errors import TapeError

__all__ = ["RowEncoder", "StreamVersions"]

_Kind: TypeAlias = tuple[int, Callable[[Any], bytes], Callable[[Any], Any] | None, bool, bool]
"""Of a class of events: type id, encoder, getter of the symbol, may have a stream, is market data."""

_INT64 = 1 << 63
_ENVELOPE = DomainEvent.__struct_fields__
_KEPT_STREAMS = 16_384


class StreamVersions:
    """How many events each stream has, as far as appended. The tape is asked for what memory does not hold.

    Memory holds every stream that has an event which is not durable yet (the tape cannot tell its version), and
    besides these the ``kept`` that were used last.
    """

    def __init__(self, look_up: Callable[[str], int] | None, kept: int = _KEPT_STREAMS) -> None:
        self._look_up = look_up
        """``None``: the tape is new, so that a stream not in memory has no event."""
        self._kept = kept
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()  # stream -> (version, seq of its last event)

    def last(self, stream: str) -> int:
        """The version of the stream's last event, 0 where it has none."""
        known = self._known.get(stream)
        if known is not None:
            return known[0]
        return 0 if self._look_up is None else self._look_up(stream)

    def put(self, stream: str, version: int, seq: int) -> None:
        self._known[stream] = (version, seq)
        self._known.move_to_end(stream)

    def forget(self, durable_seq: int, look_up: Callable[[str], int]) -> None:
        """Let go of the streams that were used longest ago, as far as they are durable."""
        while len(self._known) > self._kept:
            stream, (version, seq) = self._known.popitem(last=False)
            if seq > durable_seq:
                self._known[stream] = (version, seq)
                self._known.move_to_end(stream, last=False)
                return
            self._look_up = look_up


class RowEncoder:
    """Numbers types and turns cascades into rows. ``new_types`` are those that the tape does not have yet: the writer
    takes them with the rows that need them."""

    def __init__(self, connection: sqlite3.Connection, versions: StreamVersions) -> None:
        self.versions = versions
        self.new_types: list[tuple[int, str, int]] = []
        self._type_ids = {
            (name, version): type_id
            for type_id, name, version in connection.execute("SELECT id, name, version FROM types")
        }
        self._kinds: dict[type[DomainEvent], _Kind] = {}

    def encode(self, cascade: Sequence[DomainEvent], last_seq: int) -> list[Any]:
        """The rows' values one after the other, ``COLUMNS`` an event, in the order of the table's columns.

        Raises ``TapeError`` where an event cannot be stored; then nothing of the cascade counts.
        """
        values: list[Any] = []
        grown: dict[str, tuple[int, int]] = {}
        kinds = self._kinds
        for event in cascade:
            seq = event.seq
            if seq <= last_seq:
                raise TapeError(f"tape: seq {seq} after seq {last_seq}; seq must increase, and the kernel stamps it")
            last_seq = seq
            ts = event.ts_ingress
            if not (seq < _INT64 and -_INT64 <= ts < _INT64):
                raise TapeError(f"tape: event seq {seq}: seq and ts_ingress ({ts}) must fit in 64 bits")
            type_id, encode, symbol_of, has_stream, is_market_data = kinds.get(type(event)) or self._kind(event)
            try:
                payload = encode(event).decode()
            except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
                raise TapeError(f"tape: event seq {seq} ({event.event_type}) cannot be encoded: {error}") from error
            stream = event.stream if has_stream else None
            version = None
            if stream is not None:
                version = (grown[stream][0] if stream in grown else self.versions.last(stream)) + 1
                grown[stream] = (version, seq)
            correlation: str | None = event.correlation_id
            if not correlation or (is_market_data and correlation == event.event_id):
                correlation = None
            values += (
                seq,
                type_id,
                ts,
                symbol_of(event) if symbol_of is not None else None,
                stream,
                version,
                correlation,
                payload,
            )
        for stream, (version, seq) in grown.items():
            self.versions.put(stream, version, seq)
        return values

    def _kind(self, event: DomainEvent) -> _Kind:
        if isinstance(event, RawEvent):  # not kept: each may be of another type
            return self._type_id(event.raw_type, event.raw_version), _encode_raw, _raw_symbol, False, False
        cls = type(event)
        if not cls.event_type:
            raise TapeError(f"tape: {cls.__name__} has no event_type; only concrete events are stored")
        symbol_of = None
        for field in msgspec.structs.fields(cls):
            if field.name == "symbol" and field.type in (str, str | None):
                symbol_of = attrgetter("symbol")
        has_stream = cls.stream is not DomainEvent.stream
        type_id = self._type_id(cls.event_type, cls.version)
        kind = self._kinds[cls] = (type_id, encode_payload, symbol_of, has_stream, cls.is_market_data)
        return kind

    def _type_id(self, name: str, version: int) -> int:
        type_id = self._type_ids.get((name, version))
        if type_id is None:
            type_id = self._type_ids[name, version] = len(self._type_ids) + 1
            self.new_types.append((type_id, name, version))
        return type_id


def _encode_raw(event: RawEvent) -> bytes:
    """What the event's own process would have written, with the envelope that it has now."""
    fields = dict(event.raw)
    for name in _ENVELOPE:
        value = getattr(event, name)
        if value:
            fields[name] = value
        else:
            fields.pop(name, None)
    return msgspec.json.encode(fields)


def _raw_symbol(event: RawEvent) -> str | None:
    symbol = event.raw.get("symbol")
    return symbol if isinstance(symbol, str) else None
