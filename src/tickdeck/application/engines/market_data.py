"""The market data engine: the current state of the market, and the quality of its record."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.bus import EventBus, SubscribeOptions
from tickdeck.application.engines.candle_plan import DEFAULT_CANDLES, CandlePlan
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.domain.events import (
    BookResynced,
    CandleEvent,
    GapDetected,
    GapFilled,
    MarketEvent,
    MarketSnapshotEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    RunResumed,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market import CandleBuilder, CandleResampler, Crossed, Gap, OrderBook, Resynced, TradeGaps
from tickdeck.domain.snapshots import SnapshotWindow
from tickdeck.domain.values import Level, Price

__all__ = ["Market", "MarketDataEngine"]

_JUMP = 500
"""A point that was lost between thousands makes a factor of about 1,000."""


class Market:
    """The state of one symbol. Only the engine may change it.

    ``last_price``: of the last trade or candle (quote). ``tick``: the latest best bid and ask as reported. ``book``:
    the local order book; check ``book.usable`` first. ``repeated``: trades whose id was seen before or is older than
    the first, for example because two inputs contain the same session. ``jumps``: how often the price changed at once
    by a factor of 500 or more, which no market does: a row is damaged, or a decimal point is missing. ``jumped_at``:
    the first time (receive time, ns UTC).
    """

    __slots__ = (
        "book",
        "book_gap",
        "builders",
        "candle_end",
        "close",
        "gaps",
        "jumped_at",
        "jumps",
        "last_price",
        "magnitude",
        "next_trade_id",
        "repeated",
        "resamplers",
        "symbol",
        "tick",
    )

    def __init__(self, symbol: str, candles: CandlePlan) -> None:
        self.symbol = symbol
        self.last_price: Price | None = None
        self.tick: TickEvent | None = None
        self.book = OrderBook(symbol)
        self.book_gap: Gap | None = None
        self.next_trade_id: int | None = None
        self.gaps = TradeGaps()
        self.repeated = 0
        self.jumps = 0
        self.jumped_at = 0
        self.magnitude: int | None = None  # the power of ten of the price that was seen last
        self.candle_end = 0  # of the last one from a file, ns UTC
        self.close: Price | None = None  # of the same candle
        self.builders = tuple(CandleBuilder(symbol, timeframe) for timeframe in candles.from_trades())
        self.resamplers = tuple(CandleResampler(symbol, timeframe) for timeframe in candles.from_candles())

    def check_jump(self, before: Price | None, price: Price, now: int) -> None:
        """Count a jump from ``before`` to ``price``, which differ in their power of ten. ``now``: receive time, ns."""
        self.magnitude = price.adjusted()
        if before is None:
            return
        small, large = (before, price) if before < price else (price, before)
        powers = large.adjusted() - small.adjusted()
        if powers > 3 or (powers > 1 and 10**powers * _mantissa(large) >= _JUMP * _mantissa(small)):
            self.jumped_at = self.jumped_at or now
            self.jumps += 1

    @property
    def price(self) -> Price | None:
        """The price for valuation and limits: the last trade's, else the middle of the best bid and ask, else
        ``None``."""
        if self.last_price is not None:
            return self.last_price
        bid, ask = self.best_bid, self.best_ask
        return (bid[0] + ask[0]) / 2 if bid and ask else None

    @property
    def best_bid(self) -> Level | None:
        """(price, quantity) from the latest tick, else from a usable book; ``None`` if there is no bid."""
        if self.tick is not None:
            return (self.tick.bid_price, self.tick.bid_quantity) if self.tick.bid_price else None
        return self.book.best_bid() if self.book.usable else None

    @property
    def best_ask(self) -> Level | None:
        """The best ask, like ``best_bid``."""
        if self.tick is not None:
            return (self.tick.ask_price, self.tick.ask_quantity) if self.tick.ask_price else None
        return self.book.best_ask() if self.book.usable else None


class MarketDataEngine:
    """Keeps a ``Market`` for each symbol, checks the sequence of book updates, trades and recorded candles, and makes
    candles from trades or from finer candles.

    ``candles`` says which candles to make. For a symbol of which there are candles in the input, none are made from its
    trades. ``snapshot_interval`` is the time between snapshots (ns), each with the first market data of its interval;
    ``None`` means none. They show ``snapshot_depth`` levels of each side of a book.
    """

    component = "market_data"
    hears = (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent, CandleEvent, RunResumed)
    publishes = (GapDetected, GapFilled, BookResynced, CandleEvent, MarketSnapshotEvent)

    def __init__(
        self,
        bus: EventBus,
        candles: CandlePlan = DEFAULT_CANDLES,
        *,
        snapshot_interval: int | None = None,
        snapshot_depth: int = 10,
    ) -> None:
        self._bus = bus
        self._candles = candles
        self._snapshot_interval = snapshot_interval
        self._snapshot_depth = snapshot_depth
        self._windows: dict[str, SnapshotWindow] = {}
        self.markets: dict[str, Market] = {}
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        bus.subscribe(TradeEvent, self.on_trade, **own)
        bus.subscribe(TickEvent, self.on_tick, **own)
        bus.subscribe(OrderBookEvent, self.on_book, **own)
        bus.subscribe(OrderBookDeltaEvent, self.on_delta, **own)
        bus.subscribe(CandleEvent, self.on_candle, **own)
        bus.subscribe(RunResumed, self.on_resumed, **own)
        if snapshot_interval is not None:
            for event_type in (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent, CandleEvent):
                # After the handlers above, so that a snapshot includes the event that triggers it.
                bus.subscribe(
                    event_type, self.watch_window, priority=PRIORITY[self.component] - 1, component=self.component
                )

    def market(self, symbol: str) -> Market:
        """The market of a symbol; empty if there is no data yet."""
        market = self.markets.get(symbol)
        if market is None:
            market = self.markets[symbol] = Market(symbol, self._candles)
        return market

    def price(self, symbol: str) -> Price | None:
        """The last price of a symbol; ``None`` if there is none yet."""
        market = self.markets.get(symbol)
        return (market.last_price or market.price) if market is not None else None

    def close_ts(self, symbol: str) -> int:
        """When the candle ended whose close is the last price of a symbol (ns UTC); 0 if trades or quotes give the
        price."""
        market = self.markets.get(symbol)
        return market.candle_end if market is not None and market.last_price == market.close else 0

    def prices(self) -> dict[str, Decimal]:
        """The last price of every symbol that has one."""
        return {symbol: price for symbol, market in self.markets.items() if (price := market.price) is not None}

    def on_trade(self, trade: TradeEvent) -> None:
        market = self.markets.get(trade.symbol)
        if market is None:
            market = self.market(trade.symbol)
        if trade.trade_id == market.next_trade_id:
            market.next_trade_id += 1
        else:
            self._check_trade_id(market, trade)
        if trade.price.adjusted() != market.magnitude:
            market.check_jump(market.last_price, trade.price, trade.ts_ingress)
        market.last_price = trade.price
        for builder in market.builders:
            candle = builder.on_trade(trade)
            if candle is not None:
                self._bus.publish(candle)

    def _check_trade_id(self, market: Market, trade: TradeEvent) -> None:
        """The id is not the next one: it is the first, not a counter (text, or 0), an old one, or follows a gap."""
        trade_id, expected = trade.trade_id, market.next_trade_id
        if not isinstance(trade_id, int) or not trade_id:
            market.next_trade_id = None
            return
        if expected is not None and trade_id < expected:
            if not market.gaps.is_missing(trade_id):
                market.repeated += 1
                return
            filled = market.gaps.arrive(trade_id)
            if filled is not None:
                self._bus.publish(
                    GapFilled(
                        symbol=trade.symbol,
                        what="trades",
                        expected=filled.expected,
                        received=filled.received,
                        how="late",
                    )
                )
            return
        market.next_trade_id = trade_id + 1
        if expected is not None:
            market.gaps.open(expected, trade_id)
            for builder in market.builders:
                builder.on_gap(trade)
            self._bus.publish(GapDetected(symbol=trade.symbol, what="trades", expected=expected, received=trade_id))

    def on_tick(self, tick: TickEvent) -> None:
        market = self.markets.get(tick.symbol)
        if market is None:
            market = self.market(tick.symbol)
        market.tick = tick

    def on_book(self, book: OrderBookEvent) -> None:
        local = self.market(book.symbol).book
        outcome = local.apply_snapshot(book)
        self._publish(book.symbol, local.empty_if_crossed() or outcome)

    def on_delta(self, delta: OrderBookDeltaEvent) -> None:
        local = self.market(delta.symbol).book
        outcome = local.apply_delta(delta)
        self._publish(delta.symbol, local.empty_if_crossed() or outcome)

    def on_resumed(self, resumed: RunResumed) -> None:
        """Forget every best bid and ask and every book, and mark the open candles, because updates were missed. A run
        on recorded data misses none."""
        if resumed.since == resumed.ts_ingress:
            return
        for market in self.markets.values():
            market.tick = None
            for builder in market.builders:
                builder.on_gap()
            if market.book.lose():
                self._publish(market.symbol, Gap(market.book.last_update_id + 1, 0))

    def _publish(self, symbol: str, outcome: Gap | Crossed | Resynced | None) -> None:
        if isinstance(outcome, Crossed):
            update = outcome.last_update_id
            self.market(symbol).book_gap = Gap(update, update)
            self._bus.publish(GapDetected(symbol=symbol, what="book", expected=update, received=update))
        elif isinstance(outcome, Gap):
            self.market(symbol).book_gap = outcome
            self._bus.publish(
                GapDetected(symbol=symbol, what="book", expected=outcome.expected, received=outcome.received)
            )
        elif isinstance(outcome, Resynced):
            self._bus.publish(BookResynced(symbol=symbol, last_update_id=outcome.last_update_id))
            market = self.market(symbol)
            gap, market.book_gap = market.book_gap, None
            if gap is not None:
                self._bus.publish(
                    GapFilled(symbol=symbol, what="book", expected=gap.expected, received=gap.received, how="snapshot")
                )

    def on_candle(self, candle: CandleEvent) -> None:
        if not candle.is_input:
            return  # a candle of our own is older than the trade or candle that closed it
        market = self.market(candle.symbol)
        before = market.last_price
        for price in (candle.open, candle.low, candle.high, candle.close):
            if price.adjusted() != market.magnitude:
                market.check_jump(before, price, candle.ts_ingress)
            before = price
        market.last_price = market.close = candle.close
        if 0 < market.candle_end < candle.open_ts:
            expected = market.candle_end
            for resampler in market.resamplers:
                resampler.on_gap()
            self._bus.publish(
                GapDetected(symbol=candle.symbol, what="candles", expected=expected, received=candle.open_ts)
            )
        market.candle_end = candle.close_ts
        market.builders = ()
        for resampler in market.resamplers:
            if resampler.timeframe.lasts(candle.interval):  # already this timeframe; finer candles may precede it
                open_candle = resampler.close()
                if open_candle is not None:
                    self._bus.publish(open_candle)
            else:
                for closed in resampler.on_candle(candle):
                    self._bus.publish(closed)

    def watch_window(self, event: MarketEvent) -> None:
        """Count a trade, and publish a snapshot if it is time."""
        if not event.is_input:
            return  # a candle that we built
        now = event.ts_ingress
        window = self._windows.get(event.symbol)
        if window is None:
            assert self._snapshot_interval is not None  # it subscribed this
            window = self._windows[event.symbol] = SnapshotWindow(self._snapshot_interval, now)
        if isinstance(event, TradeEvent):
            window.add(event)
        if now >= window.due:
            self._bus.publish(self._snapshot(self.market(event.symbol), window))
            window.start(now)

    def _snapshot(self, market: Market, window: SnapshotWindow) -> MarketSnapshotEvent:
        if market.book.usable:
            bids = tuple(market.book.bids(self._snapshot_depth))
            asks = tuple(market.book.asks(self._snapshot_depth))
        else:
            bid, ask = market.best_bid, market.best_ask
            bids, asks = (bid,) if bid else (), (ask,) if ask else ()
        return MarketSnapshotEvent(
            symbol=market.symbol,
            bids=bids,
            asks=asks,
            last_price=market.last_price,
            last_quantity=window.last.quantity if window.last is not None else None,
            since=window.since,
            volume=window.volume,
            trades=window.trades,
            vwap=window.vwap,
        )


def _mantissa(price: Price) -> Decimal:
    return price.scaleb(-price.adjusted())
