"""The protection of one position: where it is closed, how much of it is left, and the order that closes it.

It holds what an entry order filled, less what was closed since. The exit order never does more than close that. There
is at most one at a time; another follows when it has ended.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from tickdeck.domain.events import ProtectionSetEvent, ProtectionTerms
from tickdeck.domain.trading.exact import EXACT, average_of
from tickdeck.domain.trading.protection_life_cycle import ProtectionStatus
from tickdeck.domain.values import ZERO, Money, OrderStatus, Price, Quantity, Side

__all__ = ["ExitOrder", "ExitPlan", "Protection"]

_PERCENT = Decimal(100)
_OPERATOR = "operator"
_STEP = Decimal("0.1")
"""A trailing stop is moved once it would move by this share of its distance, so that not every price needs an order."""


class ExitPlan(NamedTuple):
    """An exit order to rest at the venue: ``quantity`` (base), closed at ``stop`` or at ``target`` (quote).
    ``trails``: the stop is the trailing one."""

    quantity: Quantity
    stop: Price | None
    target: Price | None
    trails: bool


class ExitOrder:
    """The order that closes the position. With neither ``stop`` nor ``target`` (quote), it is a market order.

    ``quantity`` and ``filled`` are in base. ``is_leaving``: we asked to cancel it. ``ended_as``: it has ended, but
    fills that the venue counts, up to ``due`` (base), have not arrived yet.
    """

    __slots__ = ("due", "ended_as", "filled", "is_leaving", "order_id", "quantity", "stop", "target", "trails")

    def __init__(self, order_id: str, plan: ExitPlan) -> None:
        self.order_id = order_id
        self.quantity, self.stop, self.target, self.trails = plan
        self.filled: Quantity = ZERO
        self.is_leaving = False
        self.ended_as: OrderStatus | None = None
        self.due: Quantity = ZERO

    @property
    def is_market(self) -> bool:
        return self.stop is None and self.target is None

    @property
    def will_end(self) -> bool:
        """Whether it ends soon in any case: it takes, or it is being cancelled, or its stop was reached."""
        stopped = self.stop is not None and bool(self.filled)
        return self.is_leaving or self.is_market or stopped or self.ended_as is not None

    @property
    def remaining(self) -> Quantity:
        return EXACT.subtract(self.quantity, self.filled)


class Protection:
    """The state of one protection. ``side`` is that of the entry; ``exit_side`` is the other one.

    - ``held``: what is to be protected (base), after fees in base. ``entered`` and ``cost``: what the entry filled
      (base), and for how much (quote). ``best``: the best price since (quote).
    - ``taken``: the price (quote) at which the entry took last, as a market order does, at ``taken_at`` (ns).
    - ``closes``: its entry was sent when there was a protected position on the other side, which it closes first.
    - ``is_of_account``: an operator protects the account's position, whoever opened it.
    - ``triggered``: the price that was reached: ``stop``, ``target``, ``trailing``, or empty; ``exit`` if it is to be
      closed without one. ``recorded``: what events say of it, which a restored run would know.
    - ``is_refused``: the venue refused the exit order, or somebody cancelled it; none is placed until something
      changes. ``is_suspended``: an operator closes the position.
    - ``has_left``: an exit order was filled, at least in part.
    - ``attempts``: how many market orders in a row did not close everything. ``waited``: after how many of them there
      was a wait. ``timer_id``: the next attempt waits for this timer; 0 is none.
    """

    __slots__ = (
        "account_id",
        "attempts",
        "began",
        "best",
        "closes",
        "cost",
        "ended",
        "entered",
        "entry_open",
        "exit",
        "has_left",
        "held",
        "is_of_account",
        "is_refused",
        "is_suspended",
        "is_told",
        "protection_id",
        "recorded",
        "side",
        "strategy_id",
        "symbol",
        "taken",
        "taken_at",
        "terms",
        "timer_id",
        "triggered",
        "user_id",
        "waited",
    )

    def __init__(self, event: ProtectionSetEvent) -> None:
        self.protection_id = event.protection_id
        self.symbol = event.symbol
        self.account_id = event.account_id
        self.user_id = event.user_id
        self.strategy_id = event.strategy_id
        self.side: Side = event.side
        self.terms: ProtectionTerms = event.terms
        self.entry_open = not event.quantity
        self.is_of_account = bool(event.quantity) and event.strategy_id == _OPERATOR
        self.closes = False
        self.held: Quantity = event.quantity
        self.entered: Quantity = event.quantity
        self.cost: Money = EXACT.multiply(event.quantity, event.price)
        self.best: Price | None = event.price or None
        self.began = event.ts_ingress if event.quantity else 0  # when the entry was filled first, ns
        self.taken: Price | None = None
        self.taken_at = 0
        self.exit: ExitOrder | None = None
        self.triggered = self.recorded = ""
        self.is_refused = self.is_suspended = False
        self.is_told = False  # the operator knows that no order protects it
        self.has_left = False
        self.attempts = self.waited = 0
        self.timer_id = 0
        self.ended = False

    # -- queries -----------------------------------------------------------------------------------------------------

    @property
    def exit_side(self) -> Side:
        return self.side.opposite

    @property
    def status(self) -> ProtectionStatus:
        if self.ended:
            return ProtectionStatus.ENDED
        if self.exit is not None and self.exit.is_leaving:
            return ProtectionStatus.CHANGING
        if self.triggered or (self.exit is not None and self.exit.is_market):
            return ProtectionStatus.CLOSING
        if self.exit is not None:
            return ProtectionStatus.RESTING
        return ProtectionStatus.GUARDED if self.held else ProtectionStatus.WAITING

    @property
    def entry_price(self) -> Price:
        """The average price of the entry's fills (quote)."""
        return average_of(self.cost, self.entered)

    def stop(self) -> tuple[Price | None, bool]:
        """The price (quote, exact) at which the position is closed for a loss, and whether it is the trailing one."""
        terms, sign = self.terms, self.side.sign
        stop = terms.stop_loss
        if terms.stop_loss_percent is not None:
            stop = self._away(-sign * terms.stop_loss_percent)
        distance = self.trailing_distance()
        if distance is None or self.best is None:
            return stop, False
        trailing = EXACT.subtract(self.best, sign * distance)
        if stop is None or sign * (trailing - stop) > 0:
            return max(trailing, ZERO) or None, True
        return stop, False

    def target(self) -> Price | None:
        """The price (quote, exact) at which the position is closed for a profit."""
        if self.terms.take_profit_percent is not None:
            return self._away(self.side.sign * self.terms.take_profit_percent)
        return self.terms.take_profit

    def trailing_distance(self) -> Price | None:
        """How far the trailing stop is from the best price (quote)."""
        if self.terms.trailing_percent is not None and self.best is not None:
            return self.best * self.terms.trailing_percent / _PERCENT
        return self.terms.trailing

    def reached(self, worst: Price, best: Price) -> str:
        """Whether prices between ``worst`` and ``best`` (quote, seen from the position) reach one of its prices:
        ``stop``, ``trailing``, ``target``, or empty. The stop comes first."""
        stop, trails = self.stop()
        sign = self.side.sign
        if stop is not None and sign * (worst - stop) <= 0:
            return "trailing" if trails else "stop"
        target = self.target()
        return "target" if target is not None and sign * (best - target) >= 0 else ""

    def reached_at_once(self, terms: ProtectionTerms, price: Price) -> tuple[str, Price | None]:
        """What of other ``terms`` is passed at ``price`` (quote), as in ``reached``, and where it would be (quote)."""
        before, self.terms = self.terms, terms
        try:
            reached = self.reached(price, price) if self.held else ""
            return reached, self.target() if reached == "target" else self.stop()[0]
        finally:
            self.terms = before

    def is_served_by(self, plan: ExitPlan) -> bool:
        """Whether the exit order at the venue does what ``plan`` wants. A trailing stop may lag by a tenth of its
        distance."""
        order = self.exit
        if order is None or order.remaining != plan.quantity or order.target != plan.target:
            return False
        if order.stop == plan.stop:
            return True
        distance = self.trailing_distance()
        if not (order.trails and plan.trails) or order.stop is None or plan.stop is None or distance is None:
            return False
        return 0 <= self.side.sign * (plan.stop - order.stop) < distance * _STEP

    def _away(self, percent: Decimal) -> Price:
        return self.entry_price * (1 + percent / _PERCENT)

    # -- what happened -----------------------------------------------------------------------------------------------

    def set_terms(self, terms: ProtectionTerms) -> None:
        """Protect the position in another way."""
        self.terms = terms
        self.triggered = self.recorded = ""
        self.is_refused = self.is_suspended = self.is_told = False

    def record(self, reason: str) -> None:
        """An event says that it is to be closed, and why."""
        self.triggered = self.recorded = reason

    def enter(self, quantity: Quantity, received: Quantity, price: Price, ts: int, *, took: bool) -> None:
        """The entry was filled at ``ts`` (ns): ``quantity`` at ``price``, of which ``received`` is left after fees
        (base). ``took``: it did not rest before."""
        if not self.entered:
            self.began = ts
        if took:
            self.taken, self.taken_at = price, ts
        self.entered = EXACT.add(self.entered, quantity)
        self.cost = EXACT.fma(quantity, price, self.cost)
        self.held = EXACT.add(self.held, received)
        self.best = price if self.best is None else self._better(self.best, price)
        self.ended = self.is_refused = False

    def leave(self, quantity: Quantity, closed: Quantity, price: Price) -> None:
        """The exit order was filled: ``quantity`` at ``price`` (quote), which closed ``closed`` after fees (base)."""
        order = self.exit
        self.has_left = True
        if order is not None:
            order.filled = EXACT.add(order.filled, quantity)
            if order.target is not None and order.stop is not None:
                if self.side.sign * (price - order.target) >= 0:
                    order.stop = None  # a fill of the target ends the stop, at every venue with such pairs
                else:
                    order.target = None
            if order.stop is not None:
                self.record("trailing" if order.trails else "stop")
        self.reduce(closed)
        if order is not None and order.ended_as is not None:
            self.end_exit(order.ended_as, order.due)

    def reduce(self, quantity: Quantity) -> None:
        """``quantity`` (base) was closed."""
        self.held = max(EXACT.subtract(self.held, quantity), ZERO)

    def end_exit(self, status: OrderStatus, filled: Quantity) -> None:
        """The exit order has ended, and the venue counts ``filled`` (base). If we did not ask for it, ``is_refused`` or
        ``triggered`` says what follows. No other is placed before all of its fills have arrived."""
        order = self.exit
        if order is None:
            return
        if filled > order.filled:
            order.ended_as, order.due = status, filled
            return
        self.exit = None
        if status is OrderStatus.FILLED or order.is_leaving:
            self.attempts = self.waited = 0
        elif order.is_market or (status is OrderStatus.EXPIRED and order.stop is not None):
            if not order.is_market:
                self.record("trailing" if order.trails else "stop")
            self.attempts += 1
        else:
            self.is_refused = True

    def look(self, worst: Price, best: Price) -> bool:
        """The price went from ``worst`` to ``best`` (quote, seen from the position): the trailing stop follows it.
        Returns whether it reached a price at which no order rests, so that the position is to be closed."""
        reached, order = self.reached(worst, best), self.exit
        if self.best is not None:
            self.best = self._better(self.best, best)
        if reached and (order is None or (reached == "target" and order.target is None and not order.is_market)):
            self.triggered = reached
            return True
        return False

    def end(self) -> None:
        """Nothing is left to protect."""
        self.ended = True
        self.triggered = self.recorded = ""

    def _better(self, first: Price, second: Price) -> Price:
        return max(first, second) if self.side is Side.BUY else min(first, second)
