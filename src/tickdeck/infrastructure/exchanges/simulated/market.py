"""A market generated from a seed: lively enough to run strategies with no data and no network.

Each symbol has a fair price that trends for some seconds, turns, and is pulled back to its start. Makers quote around
it, and takers lean with the trend. The streams look like those of a spot exchange: first a snapshot of the book, then
every trade, a tick at every change of the best levels, and every 100 ms a delta of all changed levels. They are
consistent: update ids and trade ids have no gaps, a trade prints at the last displayed best price, and the book never
crosses.

The market is invented. It says nothing about how a strategy would do on a real one.
"""

from __future__ import annotations

import math
import random
import zlib
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal

from msgspec.structs import replace

from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.domain.values import Level, Side
from tickdeck.errors import ConfigError

__all__ = ["SimulatedMarket", "simulated_market"]

_SECOND = 1_000_000_000
_DELTA_EVERY_NS = 100_000_000
_ACTIONS_A_SECOND = 45.0
_TRADE_SHARE = 0.75  # share of the actions in which a taker trades
_DEPTH = 20  # price steps from the best price within which makers keep levels filled
_FORGOTTEN = 60  # steps from the best price beyond which they remove levels
_WIDEST = 4  # steps between bid and ask beyond which makers quote again
_LOWEST = 100.0  # steps from 0 below which the fair price does not fall
_BASIS_POINT = 1e-4
_SOURCE = "simulated"

# Start price (quote) and usual quantity of a level (base), roughly as in August 2024.
_STARTS = {
    "BTCUSDT": (61_000.0, 0.4),
    "ETHUSDT": (2_600.0, 8.0),
    "BNBUSDT": (510.0, 40.0),
    "SOLUSDT": (155.0, 130.0),
    "XRPETH": (0.00023, 30_000.0),
}
_LEVEL_NOTIONAL = 20_000.0  # for symbols that are not listed, in quote


def simulated_market(
    symbols: Sequence[str],
    seed: int,
    start_ts: int,
    feed_latency_ns: int = 10_000_000,
    *,
    instruments: Mapping[str, Instrument] | None = None,
) -> SimulatedMarket:
    """The endless market data of ``symbols``: about 90 events per symbol per second of their clock.

    ``start_ts`` is the exchange's time of the first event (ns UTC). ``ts_ingress`` is ``ts + feed_latency_ns`` and
    strictly increases over all symbols. Prices and quantities are on the grid of ``instruments``; a symbol that is not
    listed there has the built-in grid. Equal arguments give equal events, and a symbol's prices do not depend on the
    other symbols.

    Raises ``ConfigError`` if ``symbols`` is empty or names one twice.
    """
    if not symbols or len(frozenset(symbols)) < len(symbols):
        raise ConfigError(f"simulated market: symbols are {list(symbols)}; name at least one, and each once")
    known = instruments or {}
    return SimulatedMarket(
        [_Market(known.get(symbol) or instrument_for(symbol), seed, start_ts, feed_latency_ns) for symbol in symbols]
    )


class SimulatedMarket:
    """The events of several symbols in order of ``ts``, and of the symbols at one ``ts``. All of its state is in
    attributes, so that a run can be resumed in the middle of it."""

    def __init__(self, markets: list[_Market]) -> None:
        self._markets = markets
        self._heads = [market.next() for market in markets]
        self._last = 0

    def __iter__(self) -> SimulatedMarket:
        return self

    def __next__(self) -> MarketEvent:
        heads = self._heads
        place = 0
        for other in range(1, len(heads)):
            if heads[other].ts < heads[place].ts:
                place = other
        event, heads[place] = heads[place], self._markets[place].next()
        if event.ts_ingress <= self._last:  # two symbols in the same nanosecond
            event = replace(event, ts_ingress=self._last + 1)
        self._last = event.ts_ingress
        return event


class _BookSide:
    """One side of the book as integers: lots by price step. ``away`` is the direction from better to worse: -1 for
    bids, +1 for asks."""

    __slots__ = ("away", "best", "changed", "levels")

    def __init__(self, away: int, best: int, quantity: int) -> None:
        self.away = away
        self.best = best
        self.levels = {best: quantity}
        self.changed: dict[int, int] = {}  # since the last delta

    def set(self, price: int, quantity: int) -> None:
        """Set ``quantity`` at ``price``. 0 removes the level, which must not be the only one."""
        self.changed[price] = quantity
        if quantity:
            self.levels[price] = quantity
            if (self.best - price) * self.away > 0:
                self.best = price
            return
        del self.levels[price]
        if price == self.best:
            self.best = min(self.levels) if self.away > 0 else max(self.levels)

    def top(self) -> tuple[int, int]:
        return self.best, self.levels[self.best]


class _Market:
    """One symbol. Prices are counted in steps and quantities in lots, each a multiple of the instrument's own."""

    def __init__(self, instrument: Instrument, seed: int, start_ts: int, feed_latency_ns: int) -> None:
        self._symbol = symbol = instrument.symbol
        self._rng = random.Random(f"simulated market {seed} {symbol}")
        self._latency = feed_latency_ns
        self._ts = self._moved_at = self._regime_ends = start_ts
        price, level = _start_of(symbol)
        # About 1e5 to 1e6 steps in a price and 1e3 to 1e4 lots in a level, if the instrument's grid is that fine.
        self._step, steps = _coarsened(instrument.tick_size, price, 1e6)
        self._lot, self._level_lots = _coarsened(instrument.lot_size, level, 1e4)
        self._fair = self._anchor = max(steps, 2.0 * _LOWEST)
        self._drift = self._volatility = 0.0  # in steps per second; in steps per square root of a second
        self._update_id = 1_000
        self._trade_id = 0
        first = math.floor(self._fair)
        self._bids = _BookSide(-1, first, self._quantity())
        self._asks = _BookSide(+1, first + 1, self._quantity())
        for side in (self._bids, self._asks):
            self._fill_up(side)
            side.changed.clear()
        self._delta_id = self._update_id
        self._next_delta = 0
        self._made: deque[MarketEvent] = deque()  # and not taken yet

    def next(self) -> MarketEvent:
        """The next event of an endless stream; ``ts`` strictly increases."""
        while not self._made:
            if self._next_delta:
                self._act()
            else:
                self._begin()
        return self._made.popleft()

    def _begin(self) -> None:
        self._made.append(self._snapshot())
        self._pass_moment()
        self._made.append(self._tick())
        self._next_delta = self._ts - self._ts % _DELTA_EVERY_NS + _DELTA_EVERY_NS

    def _act(self) -> None:
        """Somebody acts, after the deltas that are due before."""
        rng, made = self._rng, self._made
        ts = self._ts + 1 + int(rng.expovariate(_ACTIONS_A_SECOND) * _SECOND)
        while ts >= self._next_delta:
            self._ts = max(self._next_delta, self._ts + 1)
            self._next_delta += _DELTA_EVERY_NS
            made.append(self._delta())
        self._ts = max(ts, self._ts + 1)
        self._move()
        before = (self._bids.top(), self._asks.top())
        self._requote()
        if before != (self._bids.top(), self._asks.top()):
            made.append(self._tick())
        if rng.random() < _TRADE_SHARE:
            self._pass_moment()
            made.append(self._trade())
            self._pass_moment()
            made.append(self._tick())

    # -- actions ------------------------------------------------------------------------------------------------

    def _pass_moment(self) -> None:
        self._ts += 1 + self._rng.randrange(50_000)

    def _move(self) -> None:
        """Move the fair price to the current time. Begin a new regime if the last one is over."""
        rng = self._rng
        elapsed = (self._ts - self._moved_at) / _SECOND
        self._moved_at = self._ts
        if self._ts >= self._regime_ends:
            self._regime_ends = self._ts + int(rng.uniform(1.5, 5.0) * _SECOND)
            point = self._anchor * _BASIS_POINT
            up = self._drift > 0.0
            if rng.random() < 0.9:
                up = not up
            self._drift = rng.uniform(0.8, 2.4) * point * (1 if up else -1)
            self._volatility = rng.choice((0.1, 0.2, 0.5)) * point
        pull = 0.01 * (self._anchor - self._fair)  # a hundredth of the distance per second
        noise = self._volatility * math.sqrt(elapsed) * rng.gauss(0.0, 1.0)
        self._fair = max(self._fair + (self._drift + pull) * elapsed + noise, _LOWEST)

    def _requote(self) -> None:
        """Makers follow the fair price: they remove levels that it passed, and quote next to it on both sides."""
        rng = self._rng
        bids, asks = self._bids, self._asks
        if not bids.best <= self._fair <= asks.best or asks.best - bids.best > _WIDEST:
            bid = math.floor(self._fair)
            for side, quote in ((bids, bid), (asks, bid + rng.choice((1, 1, 1, 2, 3)))):
                if quote not in side.levels:
                    self._change(side, quote, self._quantity())
                for price in [price for price in side.levels if (quote - price) * side.away > 0]:
                    self._change(side, price, 0)
                if len(side.levels) < 3:
                    self._fill_up(side)
        if rng.random() < 0.3:  # somebody behind the best price cancels or adds
            side = bids if rng.random() < 0.5 else asks
            self._change(side, side.best + side.away * rng.randrange(1, _DEPTH), self._quantity())

    def _fill_up(self, side: _BookSide) -> None:
        """Keep levels near the best price filled, always the next one, and remove levels that are far from it."""
        rng = self._rng
        for distance in range(1, _DEPTH):
            price = side.best + side.away * distance
            if price not in side.levels and (distance == 1 or rng.random() < 0.1):
                self._change(side, price, self._quantity())
        for price in [price for price in side.levels if (price - side.best) * side.away > _FORGOTTEN]:
            self._change(side, price, 0)

    def _change(self, side: _BookSide, price: int, quantity: int) -> None:
        self._update_id += 1
        side.set(price, quantity)

    def _quantity(self) -> int:
        return max(1, int(self._level_lots * self._rng.lognormvariate(0.0, 0.7)))

    # -- the events ---------------------------------------------------------------------------------------------

    def _trade(self) -> TradeEvent:
        """A taker, leaning with the trend, takes at most the best level."""
        rng = self._rng
        buys = rng.random() < 0.5 + 0.3 * math.tanh(self._drift / (self._anchor * _BASIS_POINT))
        side = self._asks if buys else self._bids
        price, offered = side.top()
        quantity = min(offered, max(1, int(self._level_lots * 0.06 * rng.lognormvariate(0.0, 1.3))))
        if quantity == offered and len(side.levels) == 1:
            self._fill_up(side)
        self._change(side, price, offered - quantity)
        self._trade_id += 1
        return TradeEvent(
            symbol=self._symbol,
            price=self._step * price,
            quantity=self._lot * quantity,
            side=Side.BUY if buys else Side.SELL,
            trade_id=self._trade_id,
            ts=self._ts,
            ts_ingress=self._ts + self._latency,
            source=_SOURCE,
        )

    def _tick(self) -> TickEvent:
        (bid, bid_lots), (ask, ask_lots) = self._bids.top(), self._asks.top()
        return TickEvent(
            symbol=self._symbol,
            bid_price=self._step * bid,
            bid_quantity=self._lot * bid_lots,
            ask_price=self._step * ask,
            ask_quantity=self._lot * ask_lots,
            update_id=self._update_id,
            ts=self._ts,
            ts_ingress=self._ts + self._latency,
            source=_SOURCE,
        )

    def _delta(self) -> OrderBookDeltaEvent:
        for side in (self._bids, self._asks):
            self._fill_up(side)
        self._update_id += 1  # so that there is always a best price
        first, self._delta_id = self._delta_id + 1, self._update_id
        bids, asks = self._levels(self._bids, self._bids.changed), self._levels(self._asks, self._asks.changed)
        self._bids.changed.clear()
        self._asks.changed.clear()
        return OrderBookDeltaEvent(
            symbol=self._symbol,
            first_update_id=first,
            last_update_id=self._delta_id,
            bids=bids,
            asks=asks,
            ts=self._ts,
            ts_ingress=self._ts + self._latency,
            source=_SOURCE,
        )

    def _snapshot(self) -> OrderBookEvent:
        return OrderBookEvent(
            symbol=self._symbol,
            last_update_id=self._update_id,
            bids=self._levels(self._bids, self._bids.levels),
            asks=self._levels(self._asks, self._asks.levels),
            ts=self._ts,
            ts_ingress=self._ts + self._latency,
            source=_SOURCE,
        )

    def _levels(self, side: _BookSide, levels: Mapping[int, int]) -> tuple[Level, ...]:
        """The levels as events have them, best first."""
        ordered = sorted(levels.items(), reverse=side.away < 0)
        return tuple((self._step * price, self._lot * quantity) for price, quantity in ordered)


def _start_of(symbol: str) -> tuple[float, float]:
    """Start price (quote) and usual quantity of a level (base). An unlisted symbol gets a price from 1 to 1000 that
    depends only on its name."""
    listed = _STARTS.get(symbol)
    if listed is not None:
        return listed
    price = round(10.0 ** (zlib.crc32(symbol.encode()) % 3_000 / 1_000.0), 2)
    return price, _LEVEL_NOTIONAL / price


def _coarsened(grid: Decimal, value: float, most: float) -> tuple[Decimal, float]:
    """``grid`` times the power of ten that makes ``value`` fewer than ``most`` steps, and the number of steps."""
    step = grid
    while value / float(step) >= most:
        step *= 10
    return step, value / float(step)
