"""Raw Binance captures: each line is our receive time (ns since the epoch), a space, and the JSON as it was received.

Spot and USD-M futures. Messages of streams come wrapped, as ``{"stream":"btcusdt@trade","data":{...}}``; an order book
snapshot is the bare body of the REST answer, which does not name its symbol. Field names are those of Binance's
documentation ("WebSocket Streams"; for futures "Websocket Market Streams").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

import msgspec

from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.domain.values import Level, Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, fault, open_binary, peek_lines

__all__ = ["binance_raw_symbols", "binance_raw_venue", "read_binance_raw"]

SPOT, USD_M = "binance", "binance-usdm"

_WRAPPED = b'{"stream":"'
_WANTED = "a line is a receive time in ns, a space, and one message of the venue as JSON"
_MS = 1_000_000  # ns in a millisecond

Decode: TypeAlias = Callable[[bytes, int], MarketEvent | None]
"""(message, receive time in ns) -> its event, ``None`` where it has none."""


def read_binance_raw(
    path: Path, *, symbol: str | None = None, skipped: dict[str, int] | None = None
) -> Iterator[MarketEvent]:
    """The capture's events in the order of its lines.

    ``ts_ingress`` is the line's receive time. ``ts`` is the venue's: of a trade its trade time, of the rest the
    transaction time or else the event time; the receive time where the venue tells none (best prices and snapshots on
    spot). Venue clocks may be ahead of ours. ``source`` is ``binance`` or, of USD-M futures, ``binance-usdm``.

    With ``symbol`` only that symbol's events. A snapshot is of ``symbol``, or of the one symbol that the streams name.
    Messages without an event here (other streams, answers to subscriptions) are counted in ``skipped`` by their kind.

    Raises ``InputError`` at the first line that is not as described or was received long before the one above it, and
    at the end where there was no event at all.
    """
    skips: dict[str, int] = {} if skipped is None else skipped
    snapshot_symbol = symbol or _only_symbol(path)
    venue = binance_raw_venue(path)
    decoders: dict[bytes, Decode] = {}
    number, events, latest, line = 0, 0, 0, b""
    with open_binary(path) as lines:
        try:
            for line in lines:
                number += 1
                stamp, _, message = line.partition(b" ")
                received = int(stamp)
                if received >= latest:
                    latest = received
                else:
                    check_step_back(path, number, received, latest)
                if message.startswith(_WRAPPED):
                    stream = message[11 : message.index(b'"', 11)]
                    decode = decoders.get(stream)
                    if decode is None:
                        decode = decoders[stream] = _stream_decoder(stream.decode(), venue, symbol, skips)
                    event = decode(message, received)
                else:
                    if snapshot_symbol is None and b'"lastUpdateId"' in message:
                        raise InputError(
                            f"{path}, line {number}: a snapshot does not say its symbol, and the streams name none or"
                            " several; give the symbol"
                        )
                    event = _bare(message, received, venue, snapshot_symbol or "", skips)
                if event is not None:
                    events += 1
                    yield event
        except FAULTS as error:
            if type(error) is ValueError:  # from int or index, whose own words help nobody
                error = ValueError(f"it reads {line[:40].decode(errors='replace')!r}")
            raise fault(path, number, error, _WANTED) from None
    if not events:
        which = f" of {symbol}" if symbol else ""
        found = ", ".join(binance_raw_symbols(path)) or "none"
        raise InputError(f"{path}: no market data{which} in it; symbols that its streams name: {found}")


def binance_raw_symbols(path: Path) -> list[str]:
    """The symbols of the streams in the first ``PEEK_LINES`` lines, in order of appearance."""
    found: dict[str, None] = {}
    for line in peek_lines(path, PEEK_LINES):
        _, wrapped, rest = line.partition('{"stream":"')
        name, at, _ = rest.partition("@")
        if wrapped and at and name.isalnum():
            found[name.upper()] = None
    return list(found)


def binance_raw_venue(path: Path) -> str:
    """``binance-usdm`` where a message of the first ``PEEK_LINES`` lines has a field that futures alone have: the
    predecessor of a depth diff, the kind of a trade, the time of best prices or of a snapshot."""
    futures = any(_FUTURES.search(line) for line in peek_lines(path, PEEK_LINES))
    return USD_M if futures else SPOT


_FUTURES = re.compile(r'"pu":\d|"e":"trade".*"X":"|"e":"bookTicker"|\d \{"lastUpdateId":\d+,"E":')


def _only_symbol(path: Path) -> str | None:
    symbols = binance_raw_symbols(path)
    return symbols[0] if len(symbols) == 1 else None


# -- messages -----------------------------------------------------------------------------------------------------

Levels: TypeAlias = tuple[Level, ...]


class _Trade(msgspec.Struct, gc=False):
    trade_id: int = msgspec.field(name="t")
    price: Decimal = msgspec.field(name="p")
    quantity: Decimal = msgspec.field(name="q")
    buyer_is_maker: bool = msgspec.field(name="m")
    trade_time: int = msgspec.field(name="T")
    kind: str = msgspec.field(name="X", default="MARKET")


class _Ticker(msgspec.Struct, gc=False):
    update_id: int = msgspec.field(name="u")
    bid_price: Decimal = msgspec.field(name="b")
    bid_quantity: Decimal = msgspec.field(name="B")
    ask_price: Decimal = msgspec.field(name="a")
    ask_quantity: Decimal = msgspec.field(name="A")
    transaction_time: int = msgspec.field(name="T", default=0)


class _Depth(msgspec.Struct, gc=False):
    event_time: int = msgspec.field(name="E")
    first_update_id: int = msgspec.field(name="U")
    final_update_id: int = msgspec.field(name="u")
    bids: Levels = msgspec.field(name="b")
    asks: Levels = msgspec.field(name="a")
    previous_update_id: int = msgspec.field(name="pu", default=0)
    transaction_time: int = msgspec.field(name="T", default=0)


class _TradeMessage(msgspec.Struct, gc=False):
    data: _Trade


class _TickerMessage(msgspec.Struct, gc=False):
    data: _Ticker


class _DepthMessage(msgspec.Struct, gc=False):
    data: _Depth


class _Snapshot(msgspec.Struct, gc=False):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: Levels
    asks: Levels
    transaction_time: int = msgspec.field(name="T", default=0)


class _Unwrapped(msgspec.Struct, gc=False):
    event: str = msgspec.field(name="e", default="without stream")
    last_update_id: int | None = msgspec.field(name="lastUpdateId", default=None)


_decode_trade = msgspec.json.Decoder(_TradeMessage).decode
_decode_ticker = msgspec.json.Decoder(_TickerMessage).decode
_decode_depth = msgspec.json.Decoder(_DepthMessage).decode
_decode_snapshot = msgspec.json.Decoder(_Snapshot).decode
_decode_unwrapped = msgspec.json.Decoder(_Unwrapped).decode


# -- to events ----------------------------------------------------------------------------------------------------


def _count(skipped: dict[str, int], kind: str) -> None:
    skipped[kind] = skipped.get(kind, 0) + 1


def _stream_decoder(stream: str, venue: str, wanted: str | None, skipped: dict[str, int]) -> Decode:
    """What turns the messages of ``stream`` (``btcusdt@depth@100ms``) into events."""
    name, _, kind = stream.partition("@")
    symbol = name.upper()
    if wanted is not None and symbol != wanted:
        return lambda message, received: None
    if kind == "trade":
        return _trades(symbol, venue, skipped)
    if kind == "bookTicker" and not name.startswith("!"):
        return _tickers(symbol, venue)
    if kind in ("depth", "depth@100ms", "depth@250ms", "depth@500ms", "depth@0ms"):
        return _deltas(symbol, venue)
    label = kind or stream
    return lambda message, received: _count(skipped, label)


def _trades(symbol: str, venue: str, skipped: dict[str, int]) -> Decode:
    def event(message: bytes, received: int) -> TradeEvent | None:
        trade = _decode_trade(message).data
        if trade.kind != "MARKET":  # futures: an insurance fund's or a settlement's entry, no trade between two orders
            _count(skipped, f"trade {trade.kind}")
            return None
        return TradeEvent(
            symbol=symbol,
            price=trade.price,
            quantity=trade.quantity,
            side=_SELL if trade.buyer_is_maker else _BUY,
            trade_id=trade.trade_id,
            ts=trade.trade_time * _MS,
            ts_ingress=received,
            source=venue,
        )

    return event


_BUY, _SELL = Side.BUY, Side.SELL  # looking a member up costs more than the rest of the line


def _tickers(symbol: str, venue: str) -> Decode:
    def event(message: bytes, received: int) -> TickEvent:
        ticker = _decode_ticker(message).data
        return TickEvent(
            symbol=symbol,
            bid_price=ticker.bid_price,
            bid_quantity=ticker.bid_quantity,
            ask_price=ticker.ask_price,
            ask_quantity=ticker.ask_quantity,
            update_id=ticker.update_id,
            ts=ticker.transaction_time * _MS or received,
            ts_ingress=received,
            source=venue,
        )

    return event


def _deltas(symbol: str, venue: str) -> Decode:
    def event(message: bytes, received: int) -> OrderBookDeltaEvent:
        depth = _decode_depth(message).data
        return OrderBookDeltaEvent(
            symbol=symbol,
            first_update_id=depth.first_update_id,
            last_update_id=depth.final_update_id,
            previous_update_id=depth.previous_update_id,
            bids=depth.bids,
            asks=depth.asks,
            ts=(depth.transaction_time or depth.event_time) * _MS,
            ts_ingress=received,
            source=venue,
        )

    return event


def _bare(message: bytes, received: int, venue: str, symbol: str, skipped: dict[str, int]) -> OrderBookEvent | None:
    """The event of a message that is not wrapped: a snapshot, or nothing that we read."""
    unwrapped = _decode_unwrapped(message)
    if unwrapped.last_update_id is None:
        _count(skipped, f"message {unwrapped.event}")
        return None
    snapshot = _decode_snapshot(message)
    return OrderBookEvent(
        symbol=symbol,
        last_update_id=snapshot.last_update_id,
        bids=snapshot.bids,
        asks=snapshot.asks,
        ts=snapshot.transaction_time * _MS or received,
        ts_ingress=received,
        source=venue,
    )
