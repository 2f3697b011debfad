"""Reviews each intent of a strategy: rounds it, and finds the limit that it breaches."""

from __future__ import annotations

from collections.abc import Callable
from decimal import DecimalException
from typing import Protocol, TypedDict

import msgspec

from tickdeck.application.engines.loss_watch import LossWatch
from tickdeck.application.engines.operator import OPERATOR
from tickdeck.application.engines.trading_gate import HaltedBy, TradingGate
from tickdeck.application.ports import Amendment
from tickdeck.domain.accounts import Account
from tickdeck.domain.events import ActionIntent, ProtectionTerms
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import (
    Breach,
    CountedOrder,
    Exposure,
    OrderRate,
    RiskLimits,
    TypicalOrder,
    check_order,
    only_reduces,
)
from tickdeck.domain.trading import EXACT, reservation, why_terms_fail
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side, plain

__all__ = ["OrderReview", "RunReview"]


class _Others(TypedDict, total=False):
    """Arguments of ``check_order`` about other orders and symbols."""

    open_orders: int
    open_in_symbol: int
    elsewhere: Money


class Cover(Protocol):
    """Says whether the account can afford an order that opens or enlarges a position."""

    def judge(self, side: Side, symbol: str, quantity: Quantity, price: Price) -> Breach | None: ...


class RunReview(Protocol):
    """The limits of a whole run."""

    halted_because: str

    def judge(
        self,
        exposure: Exposure,
        symbol: str,
        side: Side,
        quantity: Quantity,
        price: Price,
        working: Quantity,
        instead_of: CountedOrder | None,
    ) -> Breach | None: ...

    def count(self) -> None: ...


class OrderReview:
    """Judges orders, amends and cancels by ``limits``, the positions and open orders in ``exposure``, and the halts of
    ``gate``. ``rate``, ``typical`` and ``cover`` are ``None`` if they limit nothing. ``terms_of(order_id)``: the stop
    and the target of an entry order. ``amendment``: what the venue can change of an open order.
    """

    def __init__(
        self,
        limits: RiskLimits,
        exposure: Exposure,
        *,
        clock: Callable[[], int],
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        why_closed: Callable[[str], str],
        gate: TradingGate,
        losses: LossWatch,
        rate: OrderRate | None,
        typical: TypicalOrder | None,
        cover: Cover | None,
        account: Account,
        terms_of: Callable[[str], ProtectionTerms | None],
        amendment: Amendment = Amendment.FULL,
    ) -> None:
        self._limits = limits
        self._exposure = exposure
        self._clock = clock
        self._price = price
        self._instrument = instrument
        self._why_closed = why_closed
        self._gate = gate
        self._losses = losses
        self._rate = rate
        self._typical = typical
        self._cover = cover
        self._account = account
        self._terms_of = terms_of
        self._amendment = amendment
        self.run: RunReview | None = None
        """The limits of the whole run, if it has any."""

    def review(
        self, strategy_id: str, intent: ActionIntent, instead_of: CountedOrder | None = None
    ) -> tuple[ActionIntent, Breach | None]:
        """The intent, rounded to the steps of the instrument, and the limit that it breaches."""
        try:
            intent = self.on_grid(intent)
            return self._judge(strategy_id, intent, instead_of)
        except DecimalException:  # more digits than we can compute with: the strategy's error, not ours
            size = f"quantity {intent.quantity}, limit {intent.limit}"
            return intent, Breach("instrument", f"{size}: not tradable numbers")

    def review_amend(self, strategy_id: str, intent: ActionIntent) -> tuple[ActionIntent, Breach | None]:
        """The amend intent, completed with all fields of the order and rounded, and the limit that it breaches. A
        strategy hears by ``on_order`` what the venue cannot do; an operator is told at once."""
        order = self._exposure.orders.get(intent.order_id)
        if order is None or strategy_id not in (order.strategy_id, OPERATOR) or not order.is_sent:
            whose = "this run" if strategy_id == OPERATOR else "this strategy"
            return intent, Breach("order", f"{whose} has no order {intent.order_id} at a venue")
        intent = msgspec.structs.replace(
            intent,
            symbol=order.symbol,
            side=order.side,
            quantity=intent.quantity or order.quantity,
            limit=order.limit if intent.limit is None else intent.limit,
            time_in_force=order.time_in_force,
        )
        if not order.is_open:
            return intent, Breach("order", f"order {order.order_id} is {order.status.value}")
        if order.limit is None:
            return intent, Breach("order", f"order {order.order_id} is a market order")
        intent, breach = self.review(strategy_id, intent, instead_of=order)
        if breach is None and strategy_id == OPERATOR:
            breach = self._judge_amendment(intent, order)
        return intent, breach

    def _judge_amendment(self, intent: ActionIntent, order: CountedOrder) -> Breach | None:
        """Why the venue cannot amend the order like this."""
        if self._amendment is Amendment.FULL:
            return None
        if self._amendment is Amendment.NONE:
            can = "cannot change an order"
        elif intent.limit != order.limit or intent.quantity > order.quantity:
            can = "can only reduce the quantity of an order"
        else:
            return None
        return Breach("order", f"the venue {can}; cancel order {order.order_id} and place another")

    def judge_cancel(self, strategy_id: str, order_id: str) -> Breach | None:
        """Why the strategy cannot cancel the order."""
        order = self._exposure.orders.get(order_id)
        if order is None or order.strategy_id != strategy_id:
            return Breach("unknown_order", f"this strategy has no order {order_id}")
        return None if order.is_open else Breach("unknown_order", f"order {order_id} is {order.status.value}")

    def on_grid(self, intent: ActionIntent) -> ActionIntent:
        """The intent, rounded to the steps of the instrument."""
        instrument = self._instrument(intent.symbol)
        quantity = instrument.quantise_quantity(intent.quantity)
        limit = instrument.quantise_price(intent.limit) if intent.limit is not None else None
        return msgspec.structs.replace(intent, quantity=quantity, limit=limit)

    def _judge(
        self, strategy_id: str, intent: ActionIntent, instead_of: CountedOrder | None
    ) -> tuple[ActionIntent, Breach | None]:
        """The intent, marked ``reduce_only`` if it can only reduce a position, and the limit that it breaches."""
        side = intent.side
        assert side is not None  # the event's own check
        if self._gate.closed_because and self._gate.halted_by is not HaltedBy.LIMIT:
            return intent, self._halted()
        if closed := self._why_closed(intent.symbol):
            return intent, Breach("instrument", closed)
        if intent.limit is not None and intent.limit <= 0:
            return intent, Breach("instrument", "the limit is 0 after rounding to the tick size")
        if instead_of is not None and intent.quantity <= instead_of.filled:
            filled = f"{plain(instead_of.filled)} of order {instead_of.order_id} is already filled"
            return intent, Breach(
                "order", f"{filled}, so its quantity cannot become {plain(intent.quantity)}; cancel the rest"
            )
        working, staying = self._exposure.working(intent.symbol, side), self._exposure.staying(intent.symbol, side)
        if instead_of is not None:  # it would be replaced, and its filled part is in the position
            working = EXACT.subtract(EXACT.subtract(working, instead_of.exposure), instead_of.filled)
            staying = EXACT.subtract(EXACT.subtract(staying, instead_of.staying), instead_of.filled)
        position = self._exposure.position(intent.symbol)
        reduces = only_reduces(side, intent.quantity, position, staying)
        if reduces:
            working = staying
            intent = msgspec.structs.replace(intent, reduce_only=True)
        elif intent.reduce_only:
            return intent, Breach(
                "reduce_only",
                f"together with the open orders it would do more than close the position of {plain(position)}",
            )
        if self._gate.closed_because and not reduces:
            return intent, self._halted()
        instrument = self._instrument(intent.symbol)
        breach = check_order(
            self._limits,
            instrument,
            side=side,
            quantity=intent.quantity,
            limit=intent.limit,
            reference=self._price(intent.symbol),
            rate=self._losses.rate(instrument.quote),
            position=position,
            working=working,
            **self._others(intent.symbol, instead_of),
        )
        if breach is None and not reduces:
            terms = intent.protection if instead_of is None else self._terms_of(intent.order_id)
            if terms is not None and (why := why_terms_fail(terms, side, intent.limit, self._price(intent.symbol))):
                breach = Breach("protection", why)
        if breach is None and self._typical is not None and not reduces:
            breach = self._typical.judge(strategy_id, intent.symbol, intent.quantity)
        if breach is None and self._cover is not None and not reduces:
            before = ZERO if instead_of is None else EXACT.add(instead_of.exposure, instead_of.filled)
            reference = self._price(intent.symbol) or ZERO  # a sale fills at its limit or better
            worth = reference if intent.limit is None else intent.limit
            if side is Side.SELL:
                worth = max(worth, reference)
            breach = self._cover.judge(side, intent.symbol, EXACT.subtract(intent.quantity, before), worth)
        if breach is None and not reduces and self._account.locks:
            breach = self._judge_free(side, intent, instead_of)
        if breach is None and self.run is not None and not reduces:
            worth = self._price(intent.symbol) or ZERO
            if intent.limit is not None:  # a sale fills at its limit or better
                worth = max(worth, intent.limit) if side is Side.SELL else intent.limit
            breach = self.run.judge(self._exposure, intent.symbol, side, intent.quantity, worth, working, instead_of)
        if breach is None and self._rate is not None and not reduces:
            breach = self._rate.take(self._clock())
        if breach is None and self.run is not None and not reduces:
            self.run.count()
        return intent, breach

    def _halted(self) -> Breach:
        why = self._gate.closed_because
        is_of_run = self.run is not None and self.run.halted_because == why
        return Breach("trading_halted", why, "run" if is_of_run else "account")

    def _judge_free(self, side: Side, intent: ActionIntent, instead_of: CountedOrder | None) -> Breach | None:
        """Why the order needs more than orders of others leave free. Where they lock nothing, the venue judges."""
        instrument, account = self._instrument(intent.symbol), self._account
        currency = instrument.base if side is Side.SELL else instrument.quote
        locked = account.locks.get(currency)
        if not locked:
            return None
        price = intent.limit or self._price(intent.symbol) or ZERO
        needed, free = reservation(side, intent.quantity, price), account.free(currency)
        if instead_of is not None:
            free = EXACT.add(free, reservation(side, instead_of.exposure, instead_of.limit))
        if needed <= free:
            return None
        both = f"it needs {plain(needed)} {currency}, and {plain(free)} are free"
        return Breach("free_balance", f"{both}: orders of others lock {plain(locked)}")

    def _others(self, symbol: str, instead_of: CountedOrder | None) -> _Others:
        """The other open orders and positions, as far as a limit needs them."""
        others: _Others = {}
        limits, exposure = self._limits, self._exposure
        if limits.max_open_orders is not None or limits.max_open_orders_per_symbol is not None:
            own = instead_of is not None  # an amend adds no order
            others["open_orders"] = exposure.count() - own
            others["open_in_symbol"] = exposure.count(symbol) - own
        if limits.max_total_notional is not None:
            others["elsewhere"] = sum(
                (self._worst_value(other) for other in exposure.symbols() if other != symbol), ZERO
            )
        return others

    def _worst_value(self, symbol: str) -> Money:
        """The largest value that the position in ``symbol`` may reach with its open orders, in the currency of the
        limits. Without a price or a rate it is 0: then it cannot be enlarged either."""
        price, rate = self._price(symbol), self._losses.rate(self._instrument(symbol).quote)
        if price is None or rate is None:
            return ZERO
        held = self._exposure.position(symbol)
        long = EXACT.add(held, self._exposure.working(symbol, Side.BUY))
        short = EXACT.subtract(held, self._exposure.working(symbol, Side.SELL))
        return max(long, -short, ZERO) * price * rate
