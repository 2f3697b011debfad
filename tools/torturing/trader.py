"""The strategy of a tortured run: it uses everything that it may do with orders, several times a second."""

from __future__ import annotations

from decimal import Decimal

from tickdeck import Strategy
from tickdeck.domain.events import OrderCancelledEvent, OrderEvent, TimerFired
from tickdeck.domain.values import TimeInForce

__all__ = ["EXITS", "Remembering", "Tireless"]

_MS = 1_000_000
_STEPS = {"BTCUSDT": Decimal("0.0001"), "ETHUSDT": Decimal("0.002")}
_PAIR = {"stop_loss": "0.05%", "take_profit": "0.05%"}
_TRAILING = {"trailing": "0.1%"}
EXITS: dict[str, tuple[dict[str, str], ...]] = {
    "none": ({},),
    "pairs": ({}, _PAIR),
    "trailing": ({}, _TRAILING),
    "mixed": ({}, {}, _PAIR, _TRAILING, {"stop_loss": "0.05%"}, {**_PAIR, **_TRAILING}),
}
"""The stops and targets of purchases, of which each has one by chance."""


class Tireless(Strategy):
    """Market and limit orders, orders that rest, IOC, FOK and post-only orders, amends and cancels, by the chance of
    its own random numbers, some with a stop and a target. It sells what it bought, so its position stays small.
    ``most_open`` bounds the open orders.
    """

    pause: int = 250
    exits: str = "mixed"
    most_open: int = 6

    def on_start(self) -> None:
        self._turns = 0
        self.set_timer("turn", self.pause * _MS)

    def on_activated(self) -> None:
        """A timer that was due while it was paused is lost."""
        self.set_timer("turn", self.pause * _MS)

    def on_timer(self, timer: TimerFired) -> None:
        self._turns += 1
        for symbol in self.symbols:
            price = self.price(symbol)
            if price is not None:
                self._turn(symbol, price)
        self.set_timer("turn", self.rng.randrange(self.pause // 2, 2 * self.pause) * _MS)

    def on_order(self, order: OrderEvent) -> None:
        """Answer a cancelled order at once now and then, in the same cascade."""
        price = self.price(order.symbol)
        if isinstance(order, OrderCancelledEvent) and price is not None and self.rng.random() < 0.2:
            self._place(order.symbol, price)

    def _turn(self, symbol: str, price: Decimal) -> None:
        opened, chance = self.open_orders(symbol), self.rng.random()
        if len(opened) >= self.most_open or (opened and chance < 0.25):
            self.cancel(self.rng.choice(opened), reason=f"turn {self._turns}")
        elif opened and chance < 0.35:
            self.amend(self.rng.choice(opened), quantity=self._quantity(symbol), reason=f"turn {self._turns}")
        else:
            self._place(symbol, price)

    def _place(self, symbol: str, price: Decimal) -> None:
        held = self.position(symbol).quantity
        is_buy = self.rng.random() < (0.3 if held > 40 * self._quantity(symbol) else 0.55)
        kind = self.rng.choice(("market", "near", "near", "rests", "ioc", "fok", "post-only"))
        away = {"rests": Decimal("0.98"), "near": Decimal("0.9999"), "post-only": Decimal("0.999")}.get(kind, 1)
        limit = None if kind == "market" else price * away if is_buy else price / away
        time_in_force = {
            "ioc": TimeInForce.IOC,
            "fok": TimeInForce.FOK,
            "post-only": TimeInForce.POST_ONLY,
        }.get(kind, TimeInForce.GTC)
        reason = f"turn {self._turns}: {kind}"
        if not is_buy:
            self.sell(symbol, self._quantity(symbol), limit, time_in_force=time_in_force, reason=reason)
            return
        exits = self.rng.choice(EXITS[self.exits])
        self.buy(symbol, self._quantity(symbol), limit, **exits, time_in_force=time_in_force, reason=reason)

    def _quantity(self, symbol: str) -> Decimal:
        return self.rng.randrange(5, 50) * _STEPS[symbol]


class Remembering(Tireless):
    """The same, with snapshots: edited code begins with the newest one instead of the run's whole past."""

    def snapshot(self) -> dict[str, int]:
        return {"turns": self._turns}

    def restore(self, state: dict[str, int]) -> None:
        self._turns = state["turns"]
