"""Market streams: subscriptions, and the messages that are sent when the market changes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.connection import Connection
from tickdeck.infrastructure.venue.dialects.binance.intervals import INTERVALS
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, BinanceVenue
from tickdeck.infrastructure.venue.exchange import Update

__all__ = ["MarketStreams", "StreamSession"]

_SECOND = 1_000_000_000
_MAX_STREAMS = 1_024
_MAX_MESSAGES_A_SECOND = 5
_INTERVALS = "|".join(INTERVALS)
_NAME = re.compile(
    rf"(?:[^@!\s]+@(?:trade|aggTrade|bookTicker|avgPrice|miniTicker|ticker|kline_(?:{_INTERVALS}|1M)(?:@\+08:00)?"
    r"|ticker_(?:1h|4h|1d)|depth(?:5|10|20)?(?:@100ms|@1000ms)?)|!miniTicker@arr|!ticker@arr|!ticker_\w+@arr|!bookTicker)"
)

_encode = msgspec.json.encode


def _json(message: object) -> str:
    return _encode(message).decode()


class StreamSession:
    """A client of the market streams. With ``combined``, each message is wrapped with the name of its stream."""

    def __init__(self, streams: MarketStreams, connection: Connection, *, combined: bool, unit: int = MS) -> None:
        self.streams = streams
        self.connection = connection
        self.combined = combined
        self.unit = unit
        self.names: dict[str, None] = {}
        self.stalled_until = 0
        self._held: str | None = None
        self._second = -1
        self._messages = 0

    def publish(self, name: str, text: str, now: int) -> None:
        """Send a message of a stream, unless a fault prevents it."""
        faults = self.streams.venue.faults
        if now < self.stalled_until:
            return
        if (stall := faults.happens("stall")) is not None:
            self.stalled_until = now + stall.duration_ns
            return
        if faults.happens("gap"):
            return
        if self.combined:
            text = f'{{"stream":"{name}","data":{text}}}'
        if self._held is None and faults.happens("reorder"):
            self._held = text  # it is sent after the next one
            return
        self.connection.send(text)
        if self._held is not None:
            self.connection.send(self._held)
            self._held = None

    def on_text(self, text: str, now: int) -> None:
        """Handle a message from the client. The answer is queued."""
        self.streams.venue.happened("control", "requests.control")
        if not self.count_message(now):
            return
        answer = self._answer(text)
        if "error" in answer:
            self.streams.venue.count(f"errors.{answer['error']['code']}")
        self.connection.send(_json(answer))

    def count_message(self, now: int) -> bool:
        """Count a message, ping or pong from the client. Returns false if there were too many in this second; then the
        client is disconnected."""
        second = now // _SECOND
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        if self._messages > _MAX_MESSAGES_A_SECOND:
            self.connection.close(1008)
            return False
        return True

    def _answer(self, text: str) -> dict[str, Any]:
        try:
            request = msgspec.json.decode(text)
        except (msgspec.MsgspecError, RecursionError) as error:
            return _error(3, f"Invalid JSON: {error}")
        if not isinstance(request, dict):
            return _error(2, "Invalid request: request must be an object")
        number = request.get("id")
        method, params = request.get("method"), request.get("params", [])
        if not _is_id(number):
            return _error(2, "Invalid request: request ID must be an unsigned integer, a string or null")
        if method == "LIST_SUBSCRIPTIONS":
            self.streams.venue.count("requests.list")
            return {"result": list(self.names), "id": number}
        if method in ("SUBSCRIBE", "UNSUBSCRIBE"):
            return self._change(method, params, number)
        if method == "SET_PROPERTY" and isinstance(params, list) and len(params) == 2 and params[0] == "combined":
            if not isinstance(params[1], bool):
                return _error(1, "Invalid value type: expected Boolean", number)
            self.combined = params[1]
            return {"result": None, "id": number}
        if method == "GET_PROPERTY" and params == ["combined"]:
            return {"result": self.combined, "id": number}
        legal = "`SUBSCRIBE`, `UNSUBSCRIBE`, `LIST_SUBSCRIPTIONS`, `SET_PROPERTY`, `GET_PROPERTY`"
        return _error(2, f"Invalid request: unknown variant `{method}`, expected one of {legal}", number)

    def _change(self, method: str, params: object, number: object) -> dict[str, Any]:
        if not isinstance(params, list) or not all(isinstance(name, str) for name in params):
            return _error(2, "Invalid request: params must be a list of stream names", number)
        if not all(_NAME.fullmatch(name) for name in params):
            return _error(2, "Invalid request: invalid stream", number)
        if method == "SUBSCRIBE":
            if len(self.names.keys() | set(params)) > _MAX_STREAMS:
                return _error(2, "Invalid request: too many streams", number)
            for name in params:
                self.subscribe(name)
        else:
            for name in params:
                self.names.pop(name, None)
                self.streams.remove(name, self)
        return {"result": None, "id": number}

    def subscribe(self, name: str) -> None:
        """Subscribe to a stream. A stream of a symbol that does not exist never sends anything."""
        self.names[name] = None
        symbol = name.partition("@")[0].upper()
        if name[:1] != "!" and symbol not in self.streams.venue.exchange.history:
            self.streams.venue.count("streams.silent")
        self.streams.add(name, self)

    def close(self) -> None:
        """Forget the client."""
        for name in self.names:
            self.streams.remove(name, self)
        self.names.clear()


def _is_id(number: object) -> bool:
    """Whether a request may have this id: a 64-bit integer, a string of at most 36 characters, or none."""
    if isinstance(number, str):
        return len(number) <= 36
    return number is None or (isinstance(number, int) and not isinstance(number, bool) and abs(number) < 2**63)


def _error(code: int, text: str, number: object = None) -> dict[str, Any]:
    return {"error": {"code": code, "msg": text}, "id": number}


class _Pending:
    """The changes of a book that a depth stream has not published yet."""

    __slots__ = ("first", "last", "levels")

    def __init__(self) -> None:
        self.first = self.last = 0
        self.levels: dict[tuple[bool, Decimal], Decimal] = {}

    def add(self, update: Update) -> None:
        if not self.first:
            self.first = update.first_update_id
        self.last = update.last_update_id
        for is_bid, price, quantity in update.levels:
            self.levels[is_bid, price] = quantity


class MarketStreams:
    """All clients of the market streams, by stream. Call ``tick`` every 100 ms."""

    def __init__(self, venue: BinanceVenue) -> None:
        self.venue = venue
        self._sessions: dict[str, dict[StreamSession, None]] = {}
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._best: dict[str, tuple[messages.Quote, messages.Quote]] = {}
        self._candles: dict[str, int] = {}  # when the last candle of a kline stream opened
        self._last_tick = 0
        venue.exchange.listeners.append(self.on_update)

    @property
    def names(self) -> set[str]:
        """The streams to which somebody is subscribed."""
        return set(self._sessions)

    @property
    def sessions(self) -> int:
        """How many clients are subscribed to something."""
        return len({session for sessions in self._sessions.values() for session in sessions})

    def add(self, name: str, session: StreamSession) -> None:
        """Send the messages of a stream to a session from now on."""
        self._sessions.setdefault(name, {})[session] = None

    def remove(self, name: str, session: StreamSession) -> None:
        """Stop sending the messages of a stream to a session."""
        sessions = self._sessions.get(name)
        if sessions is not None:
            sessions.pop(session, None)
            if not sessions:
                del self._sessions[name]

    def change_unit(self, unit: int) -> None:
        """Change the unit of time (ns) of every session, whatever the client asked for."""
        for sessions in self._sessions.values():
            for session in sessions:
                session.unit = unit

    def send(self, name: str, event: object, now: int) -> int:
        """Send any message over a stream. Returns how many clients are subscribed to it."""
        sessions = list(self._sessions.get(name, ()))
        for session in sessions:
            session.publish(name, _json(event), now)
        return len(sessions)

    def on_update(self, update: Update) -> None:
        """Publish trades and best prices immediately. Depth is published at the next tick."""
        symbol = update.symbol
        if not update.trades and not update.levels:
            return
        lower, now = symbol.lower(), update.at
        last_aggregate = -1
        for trade, aggregate in update.trades:
            self._publish(f"{lower}@trade", lambda unit, t=trade: messages.trade_event(t, symbol, unit), now)
            if aggregate.number != last_aggregate:
                last_aggregate = aggregate.number
                self._publish(
                    f"{lower}@aggTrade", lambda unit, a=aggregate: messages.agg_trade_event(a, symbol, unit), now
                )
        if not update.levels:
            return
        for cadence in (1, 10):
            pending = self._pending.get((symbol, cadence))
            if pending is None:
                pending = self._pending[symbol, cadence] = _Pending()
            pending.add(update)
        best = self.venue.exchange.engine.best(symbol)
        if best != self._best.get(symbol):
            self._best[symbol] = best
            number = update.last_update_id
            for name in (f"{lower}@bookTicker", "!bookTicker"):
                self._publish(name, lambda _: messages.book_ticker(symbol, number, *best), now)

    def tick(self, now: int) -> None:
        """Publish what is sent at intervals: depth, partial books, candles and tickers."""
        tenth, before = now // (100 * MS), self._last_tick
        self._last_tick = tenth
        whole_second = tenth // 10 != before // 10
        for (symbol, cadence), pending in list(self._pending.items()):
            if cadence == 10 and not whole_second:
                continue
            del self._pending[symbol, cadence]
            self._publish_depth(symbol, cadence, pending, now)
        for name in list(self._sessions):
            if "@kline_" in name:
                self._publish_candle(name, now, by_time=tenth // 20 != before // 20, second=whole_second)
            elif whole_second and ("icker" in name or "@avgPrice" in name) and "ookTicker" not in name:
                self._publish_ticker(name, now)

    # -- the kinds ------------------------------------------------------------------------------------------------

    def _publish_depth(self, symbol: str, cadence: int, pending: _Pending, now: int) -> None:
        lower = symbol.lower()
        names = (f"{lower}@depth@100ms",) if cadence == 1 else (f"{lower}@depth", f"{lower}@depth@1000ms")
        bids = [(price, quantity) for (is_bid, price), quantity in pending.levels.items() if is_bid]
        asks = [(price, quantity) for (is_bid, price), quantity in pending.levels.items() if not is_bid]
        for name in names:
            self._publish(
                name,
                lambda unit: messages.depth_event(symbol, pending.first, pending.last, bids, asks, now, unit),
                now,
            )
        suffixes = ("@100ms",) if cadence == 1 else ("", "@1000ms")
        for depth in (5, 10, 20):
            for suffix in suffixes:
                name = f"{lower}@depth{depth}{suffix}"
                if name in self._sessions:
                    best_bids, best_asks = self.venue.exchange.engine.depth(symbol, depth)
                    book = {
                        "lastUpdateId": self.venue.exchange.history[symbol].update_id,
                        "bids": messages.levels(best_bids),
                        "asks": messages.levels(best_asks),
                    }
                    self._publish(name, lambda _, b=book: b, now)

    def _publish_candle(self, name: str, now: int, *, by_time: bool, second: bool) -> None:
        lower, _, interval = name.partition("@kline_")
        symbol, width = lower.upper(), INTERVALS.get(interval)
        history = self.venue.exchange.history.get(symbol)
        if history is None or width is None or lower != symbol.lower():
            return
        candle = history.candle_at(width, now)
        if candle is None:
            return
        before = self._candles.get(name)
        self._candles[name] = candle.open_at
        if before is not None and before < candle.open_at:
            closed = history.candle_at(width, candle.open_at - 1)
            if closed is not None:
                self._publish(name, lambda unit: messages.kline_event(symbol, width, closed, True, now, unit), now)
        if by_time or (second and interval == "1s"):
            self._publish(name, lambda unit: messages.kline_event(symbol, width, candle, False, now, unit), now)

    def _publish_ticker(self, name: str, now: int) -> None:
        exchange = self.venue.exchange
        lower, _, kind = name.partition("@")
        if name.startswith("!"):
            mini = name.startswith("!mini")
            make = messages.mini_ticker_event if mini else messages.ticker_event
            self._publish(
                name,
                lambda unit: [make(self._day(symbol, now, unit), now, unit) for symbol in exchange.engine.markets],
                now,
            )
            return
        symbol = lower.upper()
        history = exchange.history.get(symbol)
        if history is None or lower != symbol.lower():
            return
        if kind == "avgPrice":
            day = self._day(symbol, now, MS)
            self._publish(
                name,
                lambda unit: {
                    "e": "avgPrice",
                    "E": now // unit,
                    "s": symbol,
                    "i": "5m",
                    "w": day["weightedAvgPrice"],
                    "T": history.trades[-1].at // unit if history.trades else 0,
                },
                now,
            )
            return
        make = messages.mini_ticker_event if kind == "miniTicker" else messages.ticker_event
        self._publish(name, lambda unit: make(self._day(symbol, now, unit), now, unit), now)

    def _day(self, symbol: str, now: int, unit: int) -> dict[str, Any]:
        exchange = self.venue.exchange
        return messages.ticker_day(symbol, exchange.history[symbol], *exchange.engine.best(symbol), now, unit)

    def _publish(self, name: str, make: Any, now: int) -> None:
        """Encode the message once per unit of time, and send it to all subscribers."""
        sessions = self._sessions.get(name)
        if not sessions:
            return
        made: dict[int, str] = {}
        for session in list(sessions):
            text = made.get(session.unit)
            if text is None:
                text = made[session.unit] = _json(make(session.unit))
            session.publish(name, text, now)
