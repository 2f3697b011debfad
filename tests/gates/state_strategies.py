"""Strategies whose state is in all kinds of places, and some with a state that no snapshot can hold."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, getcontext
from enum import Enum
from typing import Any

import msgspec

from tickdeck import Strategy
from tickdeck.application.signals import Signal
from tickdeck.domain.events import TickEvent, TimerFired, TradeEvent

_MS = 1_000_000
SEEN: list[str] = []
"""A variable of the module that strategies change."""
counted = 0


class Mood(Enum):
    CALM = "calm"
    BUSY = "busy"


class Leg(msgspec.Struct):
    price: Decimal
    note: Any = None


class Fact(msgspec.Struct, frozen=True):
    trade: TradeEvent
    mood: Mood


@dataclass
class Window:
    """The newest prices, and those who share it."""

    size: int
    prices: deque[Decimal] = field(default_factory=deque)
    parent: Hoarder | None = None

    def add(self, price: Decimal) -> None:
        self.prices.append(price)
        while len(self.prices) > self.size:
            self.prices.popleft()


class Hoarder(Strategy):
    """Trades by what it has kept, wherever it has kept it."""

    quantity: Decimal = Decimal("0.002")
    total = 0
    """A variable of the class that its objects change."""

    def on_start(self) -> None:
        getcontext().prec = 17
        self.windows = {symbol: Window(20, parent=self) for symbol in self.symbols}
        self.shared = [self.windows[self.symbols[0]], self.windows]
        self.own = random.Random("hoarder")
        self.kinds: Counter[str] = Counter()
        self.by_side: defaultdict[str, list[int]] = defaultdict(list)
        self.order: OrderedDict[int, float] = OrderedDict()
        self.ids = {1, 2, 3}
        self.day: date | None = None
        self.at: datetime | None = None
        self.large = 1 << 80
        self.odd = (float("inf"), -0.0, b"\x00\xff", Decimal("1E+30"), frozenset({1}), None)
        self.last: Fact | None = None
        self.leg = Leg(Decimal(1))
        self.leg.note = self.leg
        self.call = self.react
        self.mean = self._make_mean()
        self.set_timer("turn", 300 * _MS)

    def _make_mean(self) -> Any:
        return self.windows[self.symbols[0]].add

    def on_trade(self, trade: TradeEvent) -> None:
        global counted
        counted += 1
        type(self).total += 1
        SEEN.append(trade.symbol)
        del SEEN[:-5]
        self.windows[trade.symbol].add(trade.price)
        self.kinds[trade.side] += 1
        self.by_side[trade.side].append(trade.trade_id)
        del self.by_side[trade.side][:-3]
        self.order[trade.trade_id] = float(trade.price) / 3
        if len(self.order) > 4:
            self.order.popitem(last=False)
        self.ids = {*self.ids, trade.trade_id % 7}
        self.day, self.at = trade.occurred_at.date(), trade.occurred_at
        self.large += 1
        self.last = Fact(trade, Mood.BUSY if self.own.random() < 0.5 else Mood.CALM)

    def react(self, price: Decimal) -> Decimal:
        return price / Decimal(3)

    def on_timer(self, timer: TimerFired) -> None:
        symbol = self.symbols[(counted + len(SEEN) + type(self).total) % len(self.symbols)]
        price = self.price(symbol)
        if price is not None and self.last is not None:
            for order_id in self.open_orders(symbol):
                self.cancel(order_id)
            reason = f"{self.call(price)} {self.own.random()} {len(self.ids)} {self.kinds.total()} {self.last.mood}"
            if self.position(symbol).quantity > 3 * self.quantity:
                self.sell(symbol, self.quantity, reason=reason)
            else:
                self.buy(symbol, self.quantity, limit=price if self.own.random() < 0.5 else None, reason=reason)
        self.set_timer("turn", self.rng.randrange(100, 500) * _MS)


def _made() -> Any:
    class Local:
        pass

    return Local()


class Refusing(Strategy):
    """``what``: a kind of state that no snapshot can hold."""

    what: str = "generator"

    def on_start(self) -> None:
        self.kept: dict[str, Any] = {}

    def on_tick(self, tick: TickEvent) -> None:
        if "it" in self.kept:
            return
        if self.what == "generator":
            self.kept["it"] = self._prices()
        elif self.what == "lambda":
            self.kept["it"] = lambda: tick
        elif self.what == "file":
            self.kept["it"] = memoryview(b"")
        elif self.what == "local class":
            self.kept["it"] = _made()
        else:
            raise ValueError(self.what)

    def _prices(self) -> Iterator[Decimal]:
        yield Decimal(1)


class Spread(Signal):
    """A signal with state of its own."""

    publish_at = "event"

    def __init__(self, **parameters: Any) -> None:
        super().__init__(**parameters)
        self.seen: deque[float] = deque(maxlen=10)

    def on_tick(self, tick: TickEvent) -> None:
        self.seen.append(float(tick.ask_price - tick.bid_price))
        self.value = sum(self.seen) / len(self.seen)
