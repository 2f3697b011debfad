"""Strategies for the gates: some use everything that is allowed, and some do what is not allowed."""

from __future__ import annotations

import os
import random
import time
from decimal import Decimal

from tickdeck import Strategy
from tickdeck.domain.events import (
    CandleEvent,
    OrderAcceptedEvent,
    OrderCancelledEvent,
    OrderEvent,
    TickEvent,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.values import Side

_MS = 1_000_000


class Busy(Strategy):
    """Sets and cancels timers, places limit and market orders, cancels, uses its own random numbers and state."""

    quantity: Decimal = Decimal("0.002")

    def on_start(self) -> None:
        self._turns = 0
        self.set_timer("turn", 400 * _MS)

    def on_timer(self, timer: TimerFired) -> None:
        self._turns += 1
        for symbol in self.symbols:
            self._trade(symbol, self.price(symbol))
        self.cancel_timer(self.set_timer("never", 50 * _MS))
        self.set_timer("turn", self.rng.randrange(100, 700) * _MS)

    def _trade(self, symbol: str, price: Decimal | None) -> None:
        for order_id in self.open_orders(symbol):
            self.cancel(order_id, reason="stale")
        if price is None:
            return
        reason = f"turn {self._turns}"
        held = self.position(symbol).quantity
        if held > 5 * self.quantity:
            self.sell(symbol, held, reason=reason)
        elif held and self.rng.random() < 0.4:
            self.sell(symbol, self.quantity, limit=price * Decimal("1.0001"), reason=reason)
        else:
            self.buy(symbol, self.quantity, limit=price * Decimal("1.0002") if self._turns % 2 else None, reason=reason)


class Keeps(Busy):
    """Busy, with snapshots."""

    def snapshot(self) -> object:
        return {"turns": self._turns}

    def restore(self, state: object) -> None:
        assert isinstance(state, dict)
        self._turns = state["turns"]


class Rests(Strategy):
    """Places one order below the market and leaves it there."""

    quantity: Decimal = Decimal("0.002")

    def on_trade(self, trade: TradeEvent) -> None:
        if not self.open_orders(trade.symbol):
            self.buy(trade.symbol, self.quantity, limit=trade.price * Decimal("0.96"))


class Single(Strategy):
    """Buys once, at ``share`` of the first trade's price: below 1 the order rests, above it is filled."""

    share: Decimal = Decimal("0.96")

    def on_start(self) -> None:
        self._done = False

    def on_trade(self, trade: TradeEvent) -> None:
        if not self._done:
            self._done = True
            self.buy(trade.symbol, Decimal("0.002"), limit=trade.price * self.share)


class Once(Strategy):
    """Buys ``quantity`` (base) once, at ``limit`` or, with 0, at market; nothing with a quantity of 0."""

    quantity: Decimal = Decimal(0)
    limit: Decimal = Decimal(0)

    def on_start(self) -> None:
        self._done = not self.quantity

    def on_tick(self, tick: TickEvent) -> None:
        if not self._done:
            self._done = True
            self.buy(tick.symbol, self.quantity, limit=self.limit or None)


class Withdraws(Once):
    """The same, and cancels the order as soon as the venue has it."""

    def on_order(self, order: OrderEvent) -> None:
        if isinstance(order, OrderAcceptedEvent) and order.limit == self.limit:
            self.cancel(order.order_id)


class Moves(Withdraws):
    """The same, and buys what the cancelled order left at ``then``."""

    then: Decimal = Decimal(41000)

    def on_start(self) -> None:
        super().on_start()
        self._rest = Decimal(0)

    def on_order(self, order: OrderEvent) -> None:
        super().on_order(order)
        if isinstance(order, OrderCancelledEvent):
            self._rest = order.quantity - order.filled

    def on_tick(self, tick: TickEvent) -> None:
        super().on_tick(tick)
        if self._rest:  # now, as risk needs a price: a resumed run learns of the cancel before it has one
            self.buy(tick.symbol, self._rest, limit=self.then)
            self._rest = Decimal(0)


class Grid(Strategy):
    """Buys 0.01 at each of ``count`` prices from ``limit`` on, 1 apart."""

    count: int = 14
    limit: Decimal = Decimal(40000)

    def on_start(self) -> None:
        self._done = False

    def on_tick(self, tick: TickEvent) -> None:
        if not self._done:
            self._done = True
            for step in range(self.count):
                self.buy(tick.symbol, Decimal("0.01"), limit=self.limit + step)


class Guarded(Strategy):
    """Buys once at market, with a stop and a target that the market does not reach soon, and leaves another order far
    below."""

    stop_loss: str = "8%"
    take_profit: str = "8%"
    quantity: Decimal = Decimal("0.01")

    def on_start(self) -> None:
        self._done = False

    def on_trade(self, trade: TradeEvent) -> None:
        if not self._done:
            self._done = True
            self.buy(trade.symbol, self.quantity, None, self.stop_loss, self.take_profit or None)
            self.buy(trade.symbol, Decimal("0.002"), limit=trade.price * Decimal("0.96"))


class Stubborn(Rests):
    """Orders again as soon as its order is cancelled."""

    def on_order(self, order: OrderEvent) -> None:
        price = self.price(order.symbol)
        if isinstance(order, OrderCancelledEvent) and price is not None:
            self.buy(order.symbol, Decimal("0.002"), limit=price * Decimal("0.96"))


class Wakes(Strategy):
    """Trades each time that a command activates it again."""

    def on_start(self) -> None:
        self._times = 0

    def on_activated(self) -> None:
        self._times += 1
        [symbol] = self.symbols
        price, held = self.price(symbol), self.position(symbol).quantity
        if price is None:
            return
        for order_id in self.open_orders(symbol):
            self.cancel(order_id, reason="stale")
        if held > Decimal("0.01"):
            self.sell(symbol, held, reason=str(self._times))
        else:
            limit = price * Decimal("0.9999") if self._times % 2 else None
            self.buy(symbol, Decimal("0.002"), limit=limit, reason=str(self._times))


class Faulty(Strategy):
    """Buys at each tenth trade, and raises at the 50th, after it has placed an order."""

    def on_start(self) -> None:
        self._trades = 0

    def on_trade(self, trade: TradeEvent) -> None:
        self._trades += 1
        if self._trades % 10 == 0:
            self.buy(trade.symbol, Decimal("0.001"), reason=f"trade {self._trades}")
        if self._trades == 50:
            raise ValueError(f"cannot stand trade {self._trades}")


class Restless(Strategy):
    """Buys and sells at market with each candle, and pays fees for it."""

    def on_candle(self, candle: CandleEvent) -> None:
        held = self.position(candle.symbol).quantity
        if held:
            self.sell(candle.symbol, held)
        else:
            self.buy(candle.symbol, Decimal("0.01"))


class Parting(Strategy):
    """Still places an order when the run is over."""

    def on_stop(self) -> None:
        for symbol in self.symbols:
            self.sell(symbol, Decimal("0.001"), reason="too late")


class Impure(Strategy):
    """Places an order at each 20th trade, for a reason from a forbidden source."""

    def on_start(self) -> None:
        self._trades = 0

    def on_trade(self, trade: TradeEvent) -> None:
        self._trades += 1
        if self._trades % 20 == 0:
            self.buy(trade.symbol, Decimal("0.001"), reason=str(self.look()))

    def look(self) -> object:
        raise NotImplementedError


class ReadsRandom(Impure):
    def look(self) -> object:
        return random.random()


class ReadsWallClock(Impure):
    def look(self) -> object:
        return time.time_ns()


class ReadsEnvironment(Impure):
    def look(self) -> object:
        return os.environ.get("TICKDECK_GATE_MOOD", "")


class ReadsSetOrder(Impure):
    def look(self) -> object:
        return ",".join({f"word-{n}" for n in range(20)})


class ReadsAddresses(Impure):
    def look(self) -> object:
        things = [object() for _ in range(30)]
        return ",".join(str(number) for number, _ in sorted(enumerate(things), key=lambda thing: id(thing[1])))


class TimerFromEnvironment(Strategy):
    """Uses its environment only to decide when to wake up (ms)."""

    def on_start(self) -> None:
        self.set_timer("wake", int(os.environ.get("TICKDECK_GATE_DELAY", "300")) * _MS)

    def on_timer(self, timer: TimerFired) -> None:
        self.buy(self.symbols[0], Decimal("0.001"))


class Periodic(Strategy):
    """Buys (or sells short, with the ``side`` ``sell``) at each 40th candle if it has nothing, and leaves the rest to
    stops and targets."""

    side: str = "buy"
    stop_loss: str = ""
    take_profit: str = ""
    trailing: str = ""

    def on_start(self) -> None:
        self._candles = 0

    def on_candle(self, candle: CandleEvent) -> None:
        self._candles += 1
        if self._candles % 40 == 0 and self.position(candle.symbol).is_flat:
            enter = self.buy if self.side == "buy" else self.sell
            enter(
                candle.symbol,
                Decimal("0.01"),
                None,
                self.stop_loss or None,
                self.take_profit or None,
                self.trailing or None,
            )


class Bracketed(Strategy):
    """Has bracket orders: some expire before they are filled, some are cancelled, moved or let go."""

    quantity: Decimal = Decimal("0.004")

    def on_start(self) -> None:
        self._turns = 0
        self._brackets: list[str] = []
        self.set_timer("turn", 100 * _MS)

    def on_timer(self, timer: TimerFired) -> None:
        self._turns += 1
        for symbol in self.symbols:
            self._turn(symbol, self.price(symbol))
        self.set_timer("turn", self.rng.randrange(50, 300) * _MS)

    def _turn(self, symbol: str, price: Decimal | None) -> None:
        if price is None:
            return
        chance = self.rng.random()
        if chance < 0.6:
            limit = price * Decimal("0.9999") if self._turns % 3 else None
            wait = self.rng.randrange(40, 900) * _MS
            terms = ("0.03%", "0.02%") if self._turns % 2 else ("0.05%", "0.03%", "0.02%")
            self._brackets.append(self.bracket(Side.BUY, symbol, self.quantity, limit, *terms, expires=wait))
        elif self._brackets:
            order_id = self.rng.choice(self._brackets[-3:])
            if chance < 0.7:
                self.cancel(order_id)
            elif chance < 0.8:
                self.protect(order_id, stop_loss="0.01%")
            elif chance < 0.85:
                self.unprotect(order_id)
            elif chance < 0.9:
                self.sell(symbol, self.quantity)


class Careful(Strategy):
    """Has stops, targets and trailing stops so close that the market reaches them, moves some, and sells a part."""

    quantity: Decimal = Decimal("0.004")

    def on_start(self) -> None:
        self._turns = 0
        self.set_timer("turn", 150 * _MS)

    def on_timer(self, timer: TimerFired) -> None:
        self._turns += 1
        for symbol in self.symbols:
            self._turn(symbol, self.price(symbol))
        self.set_timer("turn", self.rng.randrange(50, 400) * _MS)

    def _turn(self, symbol: str, price: Decimal | None) -> None:
        if price is None:
            return
        chance = self.rng.random()
        if chance < 0.5:
            limit = price * Decimal("0.99999") if self._turns % 3 == 0 else None
            self.buy(symbol, self.quantity, limit, "0.03%", "0.02%", "0.02%", reason=f"turn {self._turns}")
        elif chance < 0.6:
            self.sell(symbol, self.quantity, reason="enough")
        elif chance < 0.7:
            self.protect(symbol, stop_loss="0.01%")
        elif chance < 0.8:
            for order_id in self.open_orders(symbol):
                self.cancel(order_id)
