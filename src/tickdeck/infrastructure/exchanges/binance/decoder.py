"""Decodes the frames of a live feed to events, with the mapper for the frame's stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    SystemWarning,
    VenueCircuitChanged,
)
from tickdeck.errors import ConfigError, EventError, ProtocolError
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import (
    ListedSymbol,
    instrument_event,
    listed_instrument,
    trimmed,
)
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

__all__ = [
    "UNREADABLE",
    "FrameDecoder",
    "circuit_frame",
    "connection_frame",
    "instrument_frame",
    "missing_frame",
    "overload_frame",
    "overload_key",
]

# The streams of frames that we create ourselves. They are recorded like all others, so that a proof gets the
# same events.
_CONNECTION = b"!connection"
_INSTRUMENT = b"!instrument"
_CIRCUIT = b"!circuit"
_OVERLOAD = b"!overload"
_MISSING = b"!missing"

UNREADABLE = (msgspec.MsgspecError, EventError, ValueError, ArithmeticError, RecursionError)
"""The errors that decoding raises for a message that does not match its stream."""

_WRAPPED = b'{"stream":"'
_FIRST_MS, _LAST_MS = 1_230_768_000_000, 4_102_444_800_000  # 2009 to 2100: the same on every day, as a proof needs it

_Reading: TypeAlias = tuple[Callable[[bytes], Any], Build, str]


class _Times:
    """The times of a live feed: ms, or us if the connection asked for them."""

    first_ms, last_ms = _FIRST_MS, _LAST_MS

    def from_int(self, number: int, what: str = "the time") -> int:
        for factor in (1_000_000, 1_000):
            if _FIRST_MS * 1_000_000 <= number * factor <= _LAST_MS * 1_000_000:
                return number * factor
        raise ValueError(f"{what} is {number}, neither ms nor us of a time between 2009 and 2100")


class _Connection(msgspec.Struct, omit_defaults=True):
    """The symbols, and the reason if the connection was lost."""

    symbols: tuple[str, ...] = ()
    lost: str | None = None


class _Circuit(msgspec.Struct):
    name: str
    before: str
    after: str
    reason: str = ""


class _Overload(msgspec.Struct):
    dropped: int
    conflated: int


class _Missing(msgspec.Struct):
    streams: tuple[str, ...]
    again: bool


class _Bare(msgspec.Struct, gc=False):
    """The fields by which a response to a subscription differs from market data."""

    id: msgspec.Raw = msgspec.Raw()
    result: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


def connection_frame(received: int, symbols: tuple[str, ...], lost: str | None = None) -> Frame:
    """The connection was made, or was ``lost`` for this reason."""
    return _own_frame(received, _CONNECTION, _Connection(symbols, lost))


def instrument_frame(received: int, listed: ListedSymbol) -> Frame:
    """The venue now describes the instrument like this."""
    return _own_frame(received, _INSTRUMENT, trimmed(listed))


def circuit_frame(received: int, name: str, before: str, after: str, reason: str) -> Frame:
    """The state of the circuit breaker ``name`` changed."""
    return _own_frame(received, _CIRCUIT, _Circuit(name, before, after, reason))


def overload_frame(received: int, dropped: int, conflated: int) -> Frame:
    """Frames arrived faster than they were processed. Says how many were dropped and how many were replaced by newer
    ones.
    """
    return _own_frame(received, _OVERLOAD, _Overload(dropped, conflated))


def missing_frame(received: int, streams: tuple[str, ...], again: bool) -> Frame:
    """The venue does not list these streams as subscribed. ``again``: they were subscribed again."""
    return _own_frame(received, _MISSING, _Missing(streams, again))


def overload_key(data: bytes) -> str | None:
    """What may happen to a message under overload; see ``OverloadableFeed.overload_key``.

    Best prices and full snapshots are replaced by newer ones. Trades and book updates may be dropped, because the gap
    shows in their ids. All other messages are rare and kept.
    """
    if not data.startswith(_WRAPPED):
        return _quoted(data) if data.startswith(b'{"symbol":"') else None
    stream = _quoted(data)
    kind = kind_of_stream(stream)[0]
    if kind in ("bookTicker", "partial"):
        return stream
    return "" if kind in ("trade", "aggTrade", "depth") else None


def _quoted(data: bytes) -> str:
    """The text from the twelfth character to the next quote: a stream, or the symbol of a snapshot."""
    return data[11 : data.find(b'"', 11)].decode(errors="replace")


def _own_frame(received: int, stream: bytes, data: msgspec.Struct) -> Frame:
    return Frame(received, b'{"stream":"%b","data":%b}' % (stream, msgspec.json.encode(data)))


class FrameDecoder:
    """The events of frames, in order. They depend only on the frames, so a proof gets the same events.

    ``skipped`` counts messages without an event by kind, ``faults`` counts unreadable messages.
    """

    def __init__(self, name: str = SPOT, symbols: tuple[str, ...] = ()) -> None:
        self.name = name
        self.skipped: dict[str, int] = {}
        self.faults = 0
        self._only_symbol = symbols[0] if len(symbols) == 1 else ""
        self._builders = event_builders(SPOT, _Times(), self._skip)
        self._streams: dict[bytes, _Reading] = {}
        self._bare: dict[tuple[str, str, str], _Reading] = {}
        self._own: dict[bytes, Callable[[bytes, int], DomainEvent]] = {
            _CONNECTION: self._connection,
            _INSTRUMENT: self._instrument,
            _CIRCUIT: self._circuit,
            _OVERLOAD: self._overload,
            _MISSING: self._missing,
        }

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        """The events of a frame. An unreadable message becomes a ``system.warning``; nothing is raised."""
        received, data = frame
        event: DomainEvent | None
        try:  # the same as in ``event``, with one call less for each message of a known stream
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
        """The event of a frame; ``None`` if it has none. Raises ``ProtocolError`` if it cannot be read."""
        received, data = frame
        try:
            if data.startswith(_WRAPPED):
                stream = data[11 : data.index(b'"', 11)]
                known = self._streams.get(stream)
                if known is None:
                    if stream[:1] == b"!" and (own := self._own.get(stream)) is not None:
                        return own(data, received)
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
        if len(self._streams) < 10_000:  # a broken venue may keep sending new names
            self._streams[stream] = known
        return known

    def _other(self, data: bytes, received: int) -> DomainEvent | None:
        """The event of a message that has no stream, or has its fields in another order."""
        head = decode_head(data)
        if head.stream is not None:
            decode, build, symbol = self._add(head.stream.encode())
            return build(decode(data).data, symbol, received)
        kind, symbol, label = kind_of_bare(head)
        if kind == "snapshot":
            symbol = symbol or self._only_symbol
            if not symbol:
                raise ValueError("a snapshot does not name its symbol")
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
        found = msgspec.json.decode(data, type=Wrapped[_Connection]).data
        if found.lost is None:
            return FeedConnected(feed=self.name, symbols=found.symbols, ts_ingress=received, source=self.name)
        return FeedDisconnected(
            feed=self.name, symbols=found.symbols, reason=found.lost, ts_ingress=received, source=self.name
        )

    def _instrument(self, data: bytes, received: int) -> DomainEvent:
        listed = msgspec.json.decode(data, type=Wrapped[ListedSymbol]).data
        try:
            return instrument_event(listed_instrument(listed), received)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    def _circuit(self, data: bytes, received: int) -> DomainEvent:
        found = msgspec.json.decode(data, type=Wrapped[_Circuit]).data
        return VenueCircuitChanged(
            name=found.name,
            before=found.before,
            after=found.after,
            reason=found.reason,
            ts_ingress=received,
            source=self.name,
        )

    def _overload(self, data: bytes, received: int) -> DomainEvent:
        found = msgspec.json.decode(data, type=Wrapped[_Overload]).data
        return SystemWarning(
            component=self.name,
            message=f"overload: {found.dropped:,} messages of trades and books were dropped, and {found.conflated:,} "
            "messages of best prices were replaced by newer ones",
            ts_ingress=received,
            source=self.name,
        )

    def _missing(self, data: bytes, received: int) -> DomainEvent:
        found = msgspec.json.decode(data, type=Wrapped[_Missing]).data
        names = ", ".join(found.streams[:5]) + (f" and {len(found.streams) - 5:,} more" if found.streams[5:] else "")
        return SystemWarning(
            component=self.name,
            message=f"the venue does not send {names}; "
            + ("subscribed again" if found.again else "it ignored three subscriptions"),
            ts_ingress=received,
            source=self.name,
        )
