"""Raw Binance captures: each line is our time of receipt, a space, and the JSON as it was received.

Spot and USD-M futures. The time of receipt is ns since the epoch as a rule; s, ms and us are told by their size.
Messages of streams come wrapped, as ``{"stream":"btcusdt@trade","data":{...}}``, or bare; the JSON may be formatted in
any way. An order book snapshot is the body of the REST answer, which on spot does not name its symbol. Field names are
those of Binance's documentation ("WebSocket Streams"; for futures "Websocket Market Streams").

Where a capture has several streams of one kind for a symbol, the best is read and the others are passed over: ``trade``
before ``aggTrade`` before ``kline``, and ``depth`` before ``depth20`` and the like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec

from tickdeck.domain.events import MarketEvent
from tickdeck.errors import InputError
from tickdeck.infrastructure.exchanges.binance.mappers.market import (
    BOOKS,
    MESSAGES,
    SPOT,
    TRADES,
    USD_M,
    Build,
    Nothing,
    Wrapped,
    decode_head,
    event_builders,
    kind_of_bare,
    kind_of_stream,
)
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, fault, open_binary, peek_lines
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["CaptureSurvey", "read_binance_raw", "survey_capture"]

_WRAPPED = b'{"stream":"'
_BOM = b"\xef\xbb\xbf"
_WANTED = "a line is a receive time in ns, a space, and one message of the venue as JSON"
_STAMP = re.compile(r"[0-9][0-9.eE+]*")

Decode: TypeAlias = Callable[[bytes], Any]
Stream: TypeAlias = tuple[Decode, Decode, Build, str]
"""How a stream is read: strictly; leniently, where numbers are written in another way; what it becomes; its symbol."""


# -- looking before reading --------------------------------------------------------------------------------------------


class CaptureSurvey(NamedTuple):
    """What the first ``PEEK_LINES`` lines hold: ``symbols`` in order of appearance, the ``venue``, and by symbol the
    names of its streams by kind, the best ones alone."""

    symbols: list[str]
    venue: str
    streams: dict[str, dict[str, str]]


def survey_capture(path: Path) -> CaptureSurvey:
    """Look into a capture. The venue is ``binance-usdm`` where a message has a field that futures alone have: the
    predecessor of a depth diff, the kind of a trade, the time of best prices or of a snapshot.

    Raises ``InputError`` where not a line can be read; a line that is none is left for the reader.
    """
    streams: dict[str, dict[str, str]] = {}
    futures = False
    for line in peek_lines(path, PEEK_LINES):
        try:
            head = decode_head(line.partition(" ")[2])
            stream = head.stream
            if stream is not None:
                kind, symbol, label = kind_of_stream(stream)
                head = decode_head(head.data) if head.data else head
            else:
                kind, symbol, label = kind_of_bare(head)
        except (msgspec.MsgspecError, AttributeError):
            continue
        timed = head.event_time and (head.last_update_id or head.event == "bookTicker")
        kind_of_trade = head.event == "trade" and head.trade_kind
        futures = futures or bool(head.previous or timed or kind_of_trade)
        if symbol:
            streams.setdefault(symbol, {}).setdefault(kind, label)
    for kinds in streams.values():
        for group in (TRADES, BOOKS):
            best = next((kind for kind in group if kind in kinds), None)
            for kind in group:
                if kind != best:
                    kinds.pop(kind, None)
    return CaptureSurvey(list(streams), USD_M if futures else SPOT, streams)


# -- reading -----------------------------------------------------------------------------------------------------------


def read_binance_raw(path: Path, *, symbol: str | None, times: Times, notes: ReadNotes) -> Iterator[MarketEvent]:
    """The capture's events in the order of its lines.

    ``ts_ingress`` is the line's receive time. ``ts`` is the venue's: of a trade its trade time, of a candle its end, of
    the rest the transaction time or else the event time; the receive time where the venue tells none (best prices and
    snapshots on spot). Venue clocks may be ahead of ours. ``source`` is ``binance`` or, of USD-M futures,
    ``binance-usdm``.

    With ``symbol`` only that symbol's events. A snapshot that names no symbol is of ``symbol``, or of the one symbol
    that the streams name. Messages without an event here (other streams, answers to subscriptions, candles that are
    not closed, best prices that are crossed) are counted in ``notes`` by their kind.

    Raises ``InputError`` at the first line that is not as described or was received long before the one above it, and
    at the end where there was no event at all.
    """
    capture = _Capture(path, symbol, times, notes)
    earliest, last_time = times.earliest, times.latest
    number, events, latest, line, factor = 0, 0, 0, b"", 1
    streams = capture.streams
    with open_binary(path) as lines:
        try:
            for line in lines:
                number += 1
                stamp, _, message = line.partition(b" ")
                try:
                    received = int(stamp) * factor
                except ValueError:
                    if not line.strip():
                        continue
                    received = 0
                if not earliest <= received <= last_time:
                    received = _received(stamp, number, times)
                    factor = times.factor_of(stamp.removeprefix(_BOM).decode(), received) or 1
                if received >= latest:
                    latest = received
                else:
                    check_step_back(path, number, received, latest)
                if message.startswith(_WRAPPED):
                    stream = message[11 : message.index(b'"', 11)]
                    known = streams.get(stream)
                    if known is None:
                        known = capture.add(stream)
                    decode, lax, build, of = known
                    try:
                        data = decode(message).data
                    except msgspec.ValidationError:
                        data = lax(message).data
                    event = build(data, of, received)
                else:
                    event = capture.other(message, received, number)
                if event is not None:
                    events += 1
                    yield event
        except FAULTS as error:
            if events and not line.endswith(b"\n") and isinstance(error, (msgspec.MsgspecError, ValueError)):
                notes.warn("its last line is cut off, as where a recorder was killed; it is not read")
                return
            if type(error) is ValueError and not str(error).startswith("the "):  # int's own words help nobody
                error = ValueError(f"it reads {line[:40].decode(errors='replace')!r}")
            raise fault(path, number, error, _WANTED) from None
    if not events:
        which = f" of {symbol}" if symbol else ""
        found = ", ".join(capture.survey.symbols) or "none"
        passed = ", ".join(f"{n:,} x {kind}" for kind, n in notes.skipped.items())
        passed = f"; passed over: {passed}" if passed else ""
        raise InputError(f"{path}: contains no market data{which}; symbols that its streams name: {found}{passed}")


def _received(stamp: bytes, number: int, times: Times) -> int:
    """A receive time that is not in the unit of the line above. Raises ``ValueError``."""
    if number == 1:
        stamp = stamp.removeprefix(_BOM)
    text = stamp.decode(errors="replace")
    if not _STAMP.fullmatch(text):
        raise ValueError(text)  # the caller shows the line
    return times.from_text(text, "the receive time")


class _Capture:
    """One capture while it is read: which of its streams are read, and how."""

    def __init__(self, path: Path, symbol: str | None, times: Times, notes: ReadNotes) -> None:
        self.survey = survey_capture(path)
        self.streams: dict[bytes, Stream] = {}
        self._path, self._wanted, self._notes = path, symbol, notes
        symbols = self.survey.symbols
        self._snapshot_symbol = symbol or (symbols[0] if len(symbols) == 1 else None)
        self._builders = event_builders(self.survey.venue, times, notes.skip)
        self._bare: dict[tuple[str, str, str], Stream] = {}

    def add(self, stream: bytes) -> Stream:
        """How messages are read that name ``stream``, as JSON writes it."""
        name = msgspec.json.decode(b'"' + stream + b'"', type=str) if b"\\" in stream else stream.decode()
        self.streams[stream] = known = self._stream(*kind_of_stream(name), wrapped=True)
        return known

    def other(self, message: bytes, received: int, number: int) -> MarketEvent | None:
        """The event of a message that is formatted in another way than the exchange does, or came without a stream."""
        start = message.lstrip()[:1]
        if start == b"[":
            self._notes.skip("list of messages")
            return None
        if start != b"{":
            msgspec.json.decode(message)
            self._notes.skip("message that is no object")
            return None
        head = decode_head(message)
        if head.stream is not None:
            stream = head.stream.encode()
            decode, lax, build, symbol = self.streams.get(stream) or self.add(stream)
            return build(_read(message, decode, lax).data, symbol, received)
        kind, symbol, label = key = kind_of_bare(head)
        if kind == "snapshot" and not symbol:
            if self._snapshot_symbol is None:
                raise InputError(
                    f"{self._path}, line {number}: a snapshot does not say its symbol, and the streams name none or"
                    " several; give the symbol"
                )
            key = kind, self._snapshot_symbol, label
        known = self._bare.get(key)
        if known is None:
            known = self._bare[key] = self._stream(*key, wrapped=False)
        decode, lax, build, symbol = known
        return build(_read(message, decode, lax), symbol, received)

    def _stream(self, kind: str, symbol: str, label: str, *, wrapped: bool) -> Stream:
        if self._wanted is not None and symbol and symbol != self._wanted:
            return _pass_over, _pass_over, lambda data, symbol, received: None, symbol
        if not kind or not self._is_best(kind, symbol, label):
            skip = self._notes.skip
            return _pass_over, _pass_over, lambda data, symbol, received: skip(label), symbol
        shape: Any = MESSAGES[kind]
        shape = Wrapped[shape] if wrapped else shape
        strict, lax = msgspec.json.Decoder(shape).decode, msgspec.json.Decoder(shape, strict=False).decode
        return strict, lax, self._builders[kind], symbol

    def _is_best(self, kind: str, symbol: str, label: str) -> bool:
        """Whether a symbol's stream is read, of several of one kind the best: one that appears late changes nothing."""
        chosen = self.survey.streams.setdefault(symbol, {})
        for group in (TRADES, BOOKS):
            if kind in group:
                best = next((kind for kind in group if kind in chosen), None)
                if best not in (None, kind):
                    return False
                # A bare message does not say its stream: it may be of any of its kind.
                known = chosen.setdefault(kind, label)
                return known == label or known.startswith("message ") or label.startswith("message ")
        return True


def _read(message: bytes, decode: Decode, lax: Decode) -> Any:
    try:
        return decode(message)
    except msgspec.ValidationError:
        return lax(message)


def _pass_over(message: bytes) -> Nothing:
    return _NOTHING


_NOTHING = Nothing()
