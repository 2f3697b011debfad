"""Encodes events for a tape: checks the order of ``seq``, counts stream versions, and writes the event as JSON.

This is the common part of both formats. Each format's ``_stored`` turns the result into a row or a line.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from tickdeck.application.arguments import check_whole
from tickdeck.application.ports import check_expected, check_versions
from tickdeck.domain.events import DomainEvent, RawEvent, encode_payload, fault_of
from tickdeck.errors import ConfigError, TapeError
from tickdeck.infrastructure.tape.records import Head, Record, decode_head

__all__ = ["EventEncoder", "Kind", "StreamVersions", "expected_versions", "order_fault"]

_INT64 = 1 << 63
_MIN_TS = -_INT64
_KEPT_STREAMS = 16_384

S = TypeVar("S")


class StreamVersions:
    """The number of appended events in each stream. Versions that are not in memory are read from the tape.

    Memory holds every stream with an event that is not durable yet, because the tape does not know its version. It also
    holds the ``kept`` streams that were used last.
    """

    def __init__(self, look_up: Callable[[str], int] | None, kept: int = _KEPT_STREAMS) -> None:
        self._look_up = look_up
        """``None``: all streams are in memory, so a stream that is not there has no events."""
        self._kept = kept
        self._known: OrderedDict[str, tuple[int, int]] = OrderedDict()  # stream -> (version, seq of its last event)

    def last(self, stream: str) -> int:
        """The version of the stream's last event, 0 if it has none."""
        known = self._known.get(stream)
        if known is not None:
            return known[0]
        return 0 if self._look_up is None else self._look_up(stream)

    def last_seq(self, stream: str) -> int:
        """``seq`` of the stream's last event, as far as it is in memory; 0 means that all its events are durable."""
        return self._known.get(stream, (0, 0))[1]

    def put(self, stream: str, version: int, seq: int) -> None:
        self._known[stream] = (version, seq)
        self._known.move_to_end(stream)

    def forget(self, durable_seq: int, look_up: Callable[[str], int]) -> None:
        """Remove the least recently used streams from memory, if their events are durable."""
        while len(self._known) > self._kept:
            stream, (version, seq) = self._known.popitem(last=False)
            if seq > durable_seq:
                self._known[stream] = (version, seq)
                self._known.move_to_end(stream, last=False)
                return
            self._look_up = look_up


class Kind(NamedTuple, Generic[S]):
    """What all events of a class have in common. ``stored``: the tape's own representation of the type."""

    stored: S
    encode: Callable[[Any], bytes]
    has_stream: bool
    symbol_of: Callable[[Any], Any] | None
    is_market_data: bool


class EventEncoder(ABC, Generic[S]):
    """Turns cascades into the values that a tape stores, a few per event, and counts stream versions."""

    def __init__(self, versions: StreamVersions) -> None:
        self.versions = versions
        self._kinds: dict[type[DomainEvent], Kind[S]] = {}

    def encode(
        self,
        events: Sequence[DomainEvent],
        last_seq: int,
        expected_version: int | None = None,
        expected: Mapping[str, int] | None = None,
    ) -> list[Any]:
        """Return the values to store, event by event.

        Raises ``TapeError`` if an event cannot be stored, and ``ConcurrencyError`` if a stream is not at its expected
        version. Then no event of the cascade counts.
        """
        if expected_version is not None or expected is not None:
            check_versions(self.versions.last, expected_versions(events, expected_version, expected))
        values: list[Any] = []
        grown: dict[str, tuple[int, int]] | None = None
        kinds, stored = self._kinds, self._stored
        for event in events:
            seq, ts = event.seq, event.ts_ingress
            if not (last_seq < seq < _INT64 and _MIN_TS <= ts < _INT64):
                raise order_fault(seq, last_seq, ts) or _out_of_range(seq, ts)
            last_seq = seq
            kind = kinds.get(type(event)) or self._kind(event)
            try:
                payload = kind[1](event)
            except (TypeError, ValueError, OverflowError, msgspec.MsgspecError) as error:
                what = fault_of(event) or str(error)
                raise TapeError(f"tape: event seq {seq} ({event.event_type}) cannot be encoded: {what}") from error
            stream = version = None
            if kind[2]:
                stream = event.stream
                if stream is not None:
                    grown = {} if grown is None else grown
                    version = (grown[stream][0] if stream in grown else self.versions.last(stream)) + 1
                    grown[stream] = (version, seq)
            values += stored(event, kind, payload, stream, version)
        if grown is not None:
            for stream, (version, seq) in grown.items():
                self.versions.put(stream, version, seq)
        return values

    def encode_records(self, records: Sequence[Record], last_seq: int) -> tuple[list[Any], int]:
        """Like ``encode``, for events from another tape; also return the last ``seq``. The events keep their stream
        versions. Raises ``TapeError`` if one cannot be stored."""
        values: list[Any] = []
        for record in records:
            try:
                head = decode_head(record.payload)
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise TapeError(f"tape: {record.where}: not an event: {error}") from None
            if not (last_seq < head.seq < _INT64 and _MIN_TS <= head.ts_ingress < _INT64):
                raise order_fault(head.seq, last_seq, head.ts_ingress) or _out_of_range(head.seq, head.ts_ingress)
            last_seq = head.seq
            values += self._stored_record(record, head)
            if record.stream is not None and record.stream_version is not None:
                self.versions.put(record.stream, record.stream_version, last_seq)
        return values, last_seq

    def _kind(self, event: DomainEvent) -> Kind[S]:
        if isinstance(event, RawEvent):  # not cached: each event may have another type
            return Kind(self._type(event.raw_type, event.raw_version), RawEvent.to_payload, True, _raw_symbol, False)
        cls = type(event)
        if not cls.event_type:
            raise TapeError(f"tape: {cls.__name__} has no event_type; only concrete events are stored")
        kind = self._kinds[cls] = Kind(
            self._type(cls.event_type, cls.version),
            encode_payload,
            cls.stream is not DomainEvent.stream,
            attrgetter("symbol") if _has_symbol(cls) else None,
            cls.is_market_data,
        )
        return kind

    @abstractmethod
    def _type(self, name: str, version: int) -> S:
        """The representation of a type that the tape stores with each event."""

    @abstractmethod
    def _stored(
        self, event: DomainEvent, kind: Kind[S], payload: bytes, stream: str | None, version: int | None
    ) -> tuple[Any, ...]:
        """The values that the tape stores for an event, the same number for each."""

    @abstractmethod
    def _stored_record(self, record: Record, head: Head) -> tuple[Any, ...]:
        """The same for an event from another tape."""


@lru_cache(maxsize=1_000)  # reading a class takes half a millisecond, and a program may open many tapes
def _has_symbol(cls: type[DomainEvent]) -> bool:
    return any(f.name == "symbol" and f.type in (str, str | None) for f in msgspec.structs.fields(cls))


def expected_versions(
    events: Sequence[DomainEvent], expected_version: int | None, expected: Mapping[str, int] | None
) -> dict[str, int]:
    """The version that each stream must have. Raises ``TapeError`` if ``expected_version`` is given and the events do
    not all belong to one stream."""
    check_expected(expected)
    wanted = dict(expected or {})
    if expected_version is not None:
        check_whole("append", "expected_version", expected_version, least=0)
        streams = {event.stream for event in events}
        (stream,) = streams if len(streams) == 1 else (None,)
        if stream is None:
            raise TapeError(
                "tape: expected_version is for events of one stream; for several, pass expected={stream: version}"
            )
        if wanted.setdefault(stream, expected_version) != expected_version:
            raise ConfigError(f"append: expected_version and expected give {stream!r} two versions; give one of them")
    return wanted


def order_fault(seq: int, last_seq: int, ts: int) -> TapeError | None:
    """The reason why an event with this ``seq`` and time cannot follow ``last_seq``; ``None`` if it can."""
    if seq <= last_seq:
        return TapeError(
            f"tape: seq {seq} follows seq {last_seq}, but seq must increase; let the kernel stamp your events"
        )
    if not (seq < _INT64 and _MIN_TS <= ts < _INT64):
        return _out_of_range(seq, ts)
    return None


def _out_of_range(seq: int, ts: int) -> TapeError:
    return TapeError(f"tape: event seq {seq}: seq and ts_ingress ({ts}) must fit in 64 bits")


def _raw_symbol(event: RawEvent) -> str | None:
    symbol = event.raw.get("symbol")
    return symbol if isinstance(symbol, str) else None
