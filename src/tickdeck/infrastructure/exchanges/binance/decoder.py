"""From a frame of a live feed to events: the mappers of ``mappers.market``, chosen by the frame's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.domain.events import DomainEvent, FeedConnected, FeedDisconnected, SystemWarning
from tickdeck.errors import EventError, ProtocolError
from tickdeck.infrastructure.exchanges.binance.mappers.market import (
    MESSAGES,
    SPOT,
    Build,
    Wrapped,
    decode_head,
    event_builders,
    kind_of_bare,
    kind_of_stream,
)

__all__ = ["CONNECTION", "UNREADABLE", "FrameDecoder", "connection_frame"]

CONNECTION = "!connection"
"""The stream of frames that we write ourselves, when the connection to the venue is made or lost."""

UNREADABLE = (msgspec.MsgspecError, EventError, ValueError, ArithmeticError, RecursionError)
"""What decoding raises for a message that is not what its stream says."""

_WRAPPED = b'{"stream":"'
_FIRST_MS, _LAST_MS = 1_230_768_000_000, 4_102_444_800_000  # 2009 to 2100: the same on every day, as a proof needs it

_Reading: TypeAlias = tuple[Callable[[bytes], Any], Build, str]


class _Times:
    """Times of a live feed: ms, or us where the connection was asked for them."""

    first_ms, last_ms = _FIRST_MS, _LAST_MS

    def from_int(self, number: int, what: str = "the time") -> int:
        for factor in (1_000_000, 1_000):
            if _FIRST_MS * 1_000_000 <= number * factor <= _LAST_MS * 1_000_000:
                return number * factor
        raise ValueError(f"{what} is {number}, neither ms nor us of a time between 2009 and 2100")


class _Connection(msgspec.Struct, omit_defaults=True):
    """What a frame of the stream ``CONNECTION`` says: the symbols, and the reason where the connection was lost."""

    symbols: tuple[str, ...] = ()
    lost: str | None = None


class _Bare(msgspec.Struct, gc=False):
    """What tells an answer to a subscription from market data."""

    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


def connection_frame(received: int, symbols: tuple[str, ...], lost: str | None = None) -> Frame:
    """A frame that tells that the connection was made, or why it was ``lost``."""
    said = msgspec.json.encode(Wrapped(_Connection(symbols, lost)))
    return Frame(received, b'{"stream":"%b",%b' % (CONNECTION.encode(), said[1:]))


class FrameDecoder:
    """The events of frames, in order. They depend on the frames alone, so a proof gets the same ones again.

    ``skipped`` counts messages without an event by their kind, ``faults`` the messages that cannot be read.
    """

    def __init__(self, name: str = SPOT, symbols: tuple[str, ...] = ()) -> None:
        self.name = name
        self.skipped: dict[str, int] = {}
        self.faults = 0
        self._only_symbol = symbols[0] if len(symbols) == 1 else ""
        self._builders = event_builders(SPOT, _Times(), self._skip)
        self._streams: dict[bytes, _Reading] = {}
        self._bare: dict[tuple[str, str, str], _Reading] = {}

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        """The events of a frame. A message that cannot be read becomes a ``system.warning``; nothing is raised."""
        received, data = frame
        event: DomainEvent | None
        try:  # as ``event`` does it: a call less for each message of a known stream
            decode, build, symbol = self._streams[data[11 : data.index(b'"', 11)]]
            event = build(decode(data).data, symbol, received)
        except (KeyError, *UNREADABLE):
            try:
                event = self.event(frame)
            except ProtocolError as error:
                self.faults += 1
                warning = SystemWarning(component=self.name, message=str(error), ts_ingress=received, source=self.name)
                return (warning,)
        return () if event is None else (event,)

    def event(self, frame: Frame) -> DomainEvent | None:
        """The event of a frame, ``None`` where it has none. Raises ``ProtocolError`` where it cannot be read."""
        received, data = frame
        try:
            if data.startswith(_WRAPPED):
                stream = data[11 : data.index(b'"', 11)]
                known = self._streams.get(stream)
                if known is None:
                    if stream == CONNECTION.encode():
                        return self._connection(data, received)
                    known = self._add(stream)
                decode, build, symbol = known
                return build(decode(data).data, symbol, received)
            return self._other(data, received)
        except UNREADABLE as error:
            shown = data[:80].decode(errors="replace")
            raise ProtocolError(f"{self.name}: a message cannot be read ({error}); it begins with {shown!r}") from None

    def _skip(self, label: str) -> None:
        self.skipped[label] = self.skipped.get(label, 0) + 1

    def _add(self, stream: bytes) -> _Reading:
        known = self._reading(*kind_of_stream(stream.decode()), wrapped=True)
        if len(self._streams) < 10_000:  # a broken venue may send ever new names
            self._streams[stream] = known
        return known

    def _other(self, data: bytes, received: int) -> DomainEvent | None:
        """The event of a message without its stream, or with its fields in another order."""
        head = decode_head(data)
        if head.stream is not None:
            decode, build, symbol = self._add(head.stream.encode())
            return build(decode(data).data, symbol, received)
        kind, symbol, label = kind_of_bare(head)
        if kind == "snapshot":
            symbol = symbol or self._only_symbol
            if not symbol:
                raise ValueError("a snapshot does not say its symbol")
        if not kind:
            bare = msgspec.json.decode(data, type=_Bare)
            if bare.error:
                raise ValueError(f"the venue reports an error: {bytes(bare.error)[:200].decode(errors='replace')}")
            self._skip("answer" if bare.result or bare.id else label)
            return None
        decode, build, symbol = self._reading(kind, symbol, label, wrapped=False)
        return build(decode(data), symbol, received)

    def _reading(self, kind: str, symbol: str, label: str, *, wrapped: bool) -> _Reading:
        key = kind, symbol, label
        if not wrapped and key in self._bare:
            return self._bare[key]
        if not kind:
            skip = self._skip
            decoder = msgspec.json.Decoder(Wrapped[msgspec.Raw])
            return decoder.decode, lambda data, symbol, received: skip(label), symbol
        shape: Any = MESSAGES[kind]
        reading = msgspec.json.Decoder(Wrapped[shape] if wrapped else shape).decode, self._builders[kind], symbol
        if not wrapped and len(self._bare) < 10_000:
            self._bare[key] = reading
        return reading

    def _connection(self, data: bytes, received: int) -> DomainEvent:
        said = msgspec.json.decode(data, type=Wrapped[_Connection]).data
        if said.lost is None:
            return FeedConnected(feed=self.name, symbols=said.symbols, ts_ingress=received, source=self.name)
        return FeedDisconnected(
            feed=self.name, symbols=said.symbols, reason=said.lost, ts_ingress=received, source=self.name
        )
