"""Raw Binance captures: each line is our receive time, a space, and the JSON as it was received.

Spot and USD-M futures. The receive time is usually in ns since the epoch; s, ms and us are recognized by their size.
Stream messages may be wrapped, as in ``{"stream":"btcusdt@trade","data":{...}}``, or bare, and the JSON may be
formatted in any way. An order book snapshot is the body of the REST response, which does not name its symbol on spot.
Field names are those of Binance's documentation ("WebSocket Streams"; for futures "Websocket Market Streams").

If a capture has several streams of one kind for a symbol, the best one is read and the others are skipped: ``trade``
before ``aggTrade`` before ``kline``, and ``depth`` before ``depth20`` and the like.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
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
"""How to read one stream: the strict decoder, the lenient decoder (numbers in another notation), the builder of events,
and the symbol.
"""


# -- looking before reading --------------------------------------------------------------------------------------------


class CaptureSurvey(NamedTuple):
    """What a capture holds: ``symbols`` in order of appearance, the ``venue``, and by symbol the names of its streams
    by kind, the best ones alone. The venue, and the streams of the symbols that are there, are those of the first
    ``PEEK_LINES`` lines."""

    symbols: list[str]
    venue: str
    streams: dict[str, dict[str, str]]


def survey_capture(path: Path) -> CaptureSurvey:
    """Look into a capture. The venue is ``binance-usdm`` if a message has a field that only futures have: the previous
    update id of a depth update, the type of a trade, or the time of a best price or a snapshot.

    The symbols are those of the whole file, which is read for it once. Raises ``InputError`` where not a
    line can be read; a line that is none, and a damaged end, are left for the reader.
    """
    state = path.stat()
    venue, symbols, streams = _survey(path, state.st_mtime_ns, state.st_size)
    return CaptureSurvey(list(symbols), venue, {symbol: dict(kinds) for symbol, kinds in streams.items()})


@lru_cache(maxsize=64)
def _survey(path: Path, modified: int, size: int) -> tuple[str, tuple[str, ...], dict[str, dict[str, str]]]:
    del modified, size  # they only tell a changed file from what is remembered
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
    early = frozenset(streams)
    for kind, symbol, label in _streams_in(path):
        if symbol and kind and symbol not in early:
            streams.setdefault(symbol, {}).setdefault(kind, label)
    for kinds in streams.values():
        for group in (TRADES, BOOKS):
            best = next((kind for kind in group if kind in kinds), None)
            for kind in group:
                if kind != best:
                    kinds.pop(kind, None)
    return USD_M if futures else SPOT, tuple(streams), streams


def _streams_in(path: Path) -> Iterator[tuple[str, str, str]]:
    """(kind, symbol, label) of each stream in a whole capture, some of them more than once."""
    seen: set[bytes] = set()
    with contextlib.suppress(*FAULTS, InputError), open_binary(path) as lines:
        for line in lines:
            _, _, message = line.partition(b" ")
            if message.startswith(_WRAPPED):
                stream = message[11 : message.find(b'"', 11)]
                if stream in seen:
                    continue
                seen.add(stream)
            with contextlib.suppress(msgspec.MsgspecError, AttributeError):
                head = decode_head(message)
                yield kind_of_stream(head.stream) if head.stream is not None else kind_of_bare(head)


# -- reading -----------------------------------------------------------------------------------------------------------


def read_binance_raw(path: Path, *, symbol: str | None, times: Times, notes: ReadNotes) -> Iterator[MarketEvent]:
    """The events of the capture, in the order of its lines.

    ``ts_ingress`` is the receive time of the line. ``ts`` is the venue's time: the trade time of a trade, the end of a
    candle, otherwise the transaction time or the event time. If the venue sends none (best prices and snapshots on
    spot), it is the receive time. Venue clocks may be ahead of ours. ``source`` is ``binance`` or ``binance-usdm``.

    With ``symbol``, only the events of that symbol are returned. A snapshot without a symbol belongs to ``symbol``, or
    to the only symbol that the streams name. Messages without an event (other streams, responses to subscriptions, open
    candles, crossed best prices) are counted in ``notes`` by kind.

    Raises ``InputError`` at the first line that is wrong or was received long before the previous line, and at the end
    if there was no event.
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
                notes.warn("its last line is cut off, as if the recorder was killed; it was skipped")
                return
            if type(error) is ValueError and not str(error).startswith("the "):  # the message of int() is no help
                error = ValueError(f"the line is {line[:40].decode(errors='replace')!r}")
            raise fault(path, number, error, _WANTED) from None
    if not events:
        which = f" of {symbol}" if symbol else ""
        found = ", ".join(capture.survey.symbols) or "none"
        passed = ", ".join(f"{n:,} x {kind}" for kind, n in notes.skipped.items())
        passed = f"; skipped: {passed}" if passed else ""
        raise InputError(f"{path}: contains no market data{which}; symbols that its streams name: {found}{passed}")


def _received(stamp: bytes, number: int, times: Times) -> int:
    """The receive time of a line that has another unit than the previous line. Raises ``ValueError``."""
    if number == 1:
        stamp = stamp.removeprefix(_BOM)
    text = stamp.decode(errors="replace")
    if not _STAMP.fullmatch(text):
        raise ValueError(text)  # the caller shows the line
    return times.from_text(text, "the receive time")


class _Capture:
    """A capture that is being read: which of its streams are read, and how."""

    def __init__(self, path: Path, symbol: str | None, times: Times, notes: ReadNotes) -> None:
        self.survey = survey_capture(path)
        self.streams: dict[bytes, Stream] = {}
        self._path, self._wanted, self._notes = path, symbol, notes
        symbols = self.survey.symbols
        self._snapshot_symbol = symbol or (symbols[0] if len(symbols) == 1 else None)
        self._builders = event_builders(self.survey.venue, times, notes.skip)
        self._bare: dict[tuple[str, str, str], Stream] = {}

    def add(self, stream: bytes) -> Stream:
        """How to read the messages of ``stream``, a name as JSON writes it."""
        name = msgspec.json.decode(b'"' + stream + b'"', type=str) if b"\\" in stream else stream.decode()
        self.streams[stream] = known = self._stream(*kind_of_stream(name), wrapped=True)
        return known

    def other(self, message: bytes, received: int, number: int) -> MarketEvent | None:
        """The event of a message in unusual formatting or without a stream."""
        start = message.lstrip()[:1]
        if start == b"[":
            self._notes.skip("list of messages")
            return None
        if start != b"{":
            msgspec.json.decode(message)
            self._notes.skip("message that is not an object")
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
                    f"{self._path}, line {number}: a snapshot does not name its symbol, and the streams name none or"
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
        """Whether to read this stream. Of several streams of one kind, only the best one is read; one that appears late
        changes nothing.
        """
        chosen = self.survey.streams.setdefault(symbol, {})
        for group in (TRADES, BOOKS):
            if kind in group:
                best = next((kind for kind in group if kind in chosen), None)
                if best not in (None, kind):
                    return False
                # A bare message does not name its stream, so it may belong to any stream of its kind.
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
