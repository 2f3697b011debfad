"""Stops and targets: closes protected positions, with orders that rest at the venue where it has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.operator import OPERATOR
from tickdeck.application.engines.protection_book import ProtectionBook
from tickdeck.application.engines.protection_prices import ProtectionPrices
from tickdeck.domain.events import (
    ActionIntent,
    BalanceEvent,
    CommandReceived,
    DomainEvent,
    MarketEvent,
    NotificationAlert,
    OrderEvent,
    PositionLiquidatedEvent,
    ProtectionDecidedEvent,
    ProtectionEndedEvent,
    ProtectionGuardedEvent,
    ProtectionSetEvent,
    ProtectionTerms,
    ProtectionYieldedEvent,
    SystemWarning,
    TimerCancelled,
    TimerFired,
    TimerSet,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import Breach, CountedOrder, Exposure
from tickdeck.domain.trading import ExitPlan, Ownership, Protection, cut, merged_terms, terms_from_text, why_terms_fail
from tickdeck.domain.values import ZERO, OrderType, Price, Quantity, Side, plain

__all__ = ["ALL_STOP_ORDERS", "Protections", "StopOrders"]

_RISK = "risk"
_CHASE = "chase/"  # begins the name of a timer; the id of the protection follows
_SECOND = 1_000_000_000
_LONGEST_WAIT = 60 * _SECOND


class StopOrders(msgspec.Struct, frozen=True, kw_only=True):
    """What the venue of a run takes: stop orders, and pairs of a stop and a target that lock the coins once."""

    stops: bool = True
    pairs: bool = True


ALL_STOP_ORDERS = StopOrders()


class Protections:
    """Keeps an exit order at the venue for each protected position, for exactly what is filled and not closed yet.

    - The order is a pair of stop and target if the venue has pairs, else a stop. The other price is watched here: if it
      is reached, the order is cancelled, and when it has ended the rest is closed at market. One that the venue cannot
      take is watched here, too.
    - If the quantity or a price changes, the order is cancelled, and another follows when it has ended. A trailing stop
      is moved when it would move by a tenth of its distance.
    - A market order that does not close everything is repeated for the rest: at once, then after 1 s, 2 s, 4 s and so
      on, at most 60 s apart.
    - An order of the strategy that closes the position waits until the exit order has ended. It loses what the exit
      order closed meanwhile. What the strategy closes comes from its oldest protected position first.
    - What an operator sells or what is paid out comes from those who hold it (``Ownership``). Others keep their stops.
    - All protected positions of a symbol together are never more than the account's position.

    An exit order reduces a position, so it passes all limits, and all halts in which ``flatten`` works.
    """

    def __init__(
        self,
        bus: CoreBus,
        exposure: Exposure,
        *,
        approve: Callable[[str, ActionIntent], None],
        submit: Callable[[str, ActionIntent], None],
        price: Callable[[str], Price | None],
        close_ts: Callable[[str], int],
        instrument: Callable[[str], Instrument],
        why_not: Callable[[str], str],
        new_order_id: Callable[[], str],
        account: tuple[str, str],
        venue: StopOrders,
        owners: Callable[[], dict[str, Ownership]],
        owner: str = _RISK,
    ) -> None:
        """``approve(strategy_id, intent)`` approves an intent, ``submit(...)`` reviews and approves it.
        ``price(symbol)`` is the last price (quote), the close of the candle that ended at ``close_ts(symbol)`` (ns
        UTC; 0 for a trade or a quote).
        ``why_not(symbol)`` says why not even a reducing order may be sent. ``new_order_id()`` gives the next decision's
        order an id. ``account``: its id and its owner. ``owners()`` returns what each strategy holds, by symbol.
        ``owner``: of the timers."""
        self._bus = bus
        self._exposure = exposure
        self._approve = approve
        self._submit = submit
        self._price = price
        self._close_ts = close_ts
        self._instrument = instrument
        self._why_not = why_not
        self._new_order_id = new_order_id
        self._account_id, self._user_id = account
        self._venue = venue
        self._owner = owner
        self.book = ProtectionBook(exposure, owners)
        self._prices = ProtectionPrices(bus, self.book, price=price, look=self._look)

    @property
    def is_active(self) -> bool:
        """Whether anything is or was protected. Until then an order costs nothing here."""
        return bool(self.book.protections)

    # -- requests ----------------------------------------------------------------------------------------------------

    def open(self, strategy_id: str, intent: ActionIntent) -> None:
        """Protect what the entry order of an approved intent fills."""
        if intent.side is not None and intent.protection is not None:
            self._set(intent.order_id, intent.symbol, strategy_id, intent.side, intent.protection)

    def change(self, strategy_id: str, intent: ActionIntent) -> Breach | None:
        """Protect running positions in another way, or no longer. Returns why that is impossible."""
        found = [
            p
            for p in self.book.live()
            if strategy_id in ("", p.strategy_id)
            and (p.protection_id == intent.order_id if intent.order_id else p.symbol == intent.symbol)
        ]
        changes = intent.protection
        if changes is None:
            for p in found:
                self._set_again(p, ProtectionTerms())
        elif found:
            wanted = [(p, merged_terms(p.terms, changes)) for p in found]
            for p, terms in wanted:
                if why := self._why_misplaced(p, terms):
                    return Breach("protection", why)
            for p, terms in wanted:
                self._set_again(p, terms)
        if found:
            return None
        if changes is None and self._holds(intent):
            what = f"order {intent.order_id}" if intent.order_id else intent.symbol
            whose = " of this strategy" if strategy_id else ""
            return Breach("protection", f"the position of {what} has no stop and no target{whose}")
        if intent.order_id and intent.order_id in self.book.protections and self._holds(intent):
            what, symbol = f"order {intent.order_id}", self.book.protections[intent.order_id].symbol
            return Breach("protection", f"{what} no longer has a position of its own; protect that in {symbol}")
        if changes is None or intent.order_id:
            return _nothing(intent)
        return self._protect_position(strategy_id or OPERATOR, intent.symbol, changes)

    def _why_misplaced(self, p: Protection, terms: ProtectionTerms) -> str:
        """Why a running position, or one whose entry is open, cannot have these terms."""
        entry, price = self._exposure.orders.get(p.protection_id), self._price(p.symbol)
        if p.entry_open and entry is not None:
            return why_terms_fail(terms, p.side, entry.limit, price)
        if (why := why_terms_fail(terms, p.side)) or price is None:
            return why
        if why := why_terms_fail(ProtectionTerms(trailing=terms.trailing), p.side, last=price):
            return why
        reached, where = p.reached_at_once(terms, price)
        if not reached or where is None:
            return ""
        name = "trailing stop" if reached == "trailing" else reached
        return f"its {name} would be {plain(cut(where))}, which the last price, {plain(price)}, has passed"

    def terms_of(self, order_id: str) -> ProtectionTerms | None:
        """Those of what an entry order fills."""
        p = self.book.protections.get(order_id)
        return p.terms if p is not None else None

    def _holds(self, intent: ActionIntent) -> bool:
        """Whether there is a position in the symbol of an intent, or in that of its order."""
        order = self._exposure.orders.get(intent.order_id)
        symbol = intent.symbol if order is None else order.symbol
        return bool(symbol and self._exposure.position(symbol))

    def _protect_position(self, strategy_id: str, symbol: str, terms: ProtectionTerms) -> Breach | None:
        """Protect the position in ``symbol`` that no entry order of ours protects."""
        held = self.book.unprotected(symbol) if symbol else ZERO
        price = self._price(symbol) if symbol else None
        if not held or price is None:
            return _nothing(ActionIntent(action="protect", symbol=symbol))
        side = Side.BUY if self._exposure.position(symbol) > 0 else Side.SELL
        if why := why_terms_fail(terms, side, last=price):
            return Breach("protection", why)
        self._set(self._new_order_id(), symbol, strategy_id, side, terms, held, price)
        return None

    def _set(
        self,
        protection_id: str,
        symbol: str,
        strategy_id: str,
        side: Side,
        terms: ProtectionTerms,
        quantity: Quantity = ZERO,
        price: Price = ZERO,
    ) -> None:
        event = ProtectionSetEvent(
            protection_id=protection_id,
            symbol=symbol,
            account_id=self._account_id,
            user_id=self._user_id,
            strategy_id=strategy_id,
            side=side,
            terms=terms,
            quantity=quantity,
            price=price,
            ts_ingress=self._bus.clock.now(),
        )
        self._bus.publish(event)
        self._settle(self.book.add(event))
        self._prices.watch()

    def _set_again(self, p: Protection, terms: ProtectionTerms) -> None:
        self._bus.publish(ProtectionSetEvent(**self._about(p), side=p.side, terms=terms))
        p.set_terms(terms)
        self._settle(p)
        self._prices.watch()

    def exit(self, strategy_id: str, intent: ActionIntent) -> Breach | None:
        """Close at market what an entry filled, and enter no more. Returns why that is impossible."""
        p = self.book.to_exit(strategy_id, intent.order_id)
        if p is None:
            return _nothing(intent)
        p.triggered = p.triggered or "exit"
        self._settle(p)
        return None

    def yields(self, strategy_id: str, intent: ActionIntent) -> bool:
        """Whether an order of a strategy must wait until its position's exit orders are cancelled. If so, it is
        submitted later."""
        if intent.side is None or not self.book.must_yield(strategy_id, intent):
            return False
        self.book.hold(strategy_id, intent)
        first = self.book.group(strategy_id, intent.symbol, intent.side)[0]
        self._bus.publish(ProtectionYieldedEvent(**self._about(first), intent=intent))
        self._settle_all(intent.symbol)
        return True

    def orders_that_yield(self, strategy_id: str, symbol: str, side: Side) -> list[str]:
        """The ids of the exit orders that an order of a strategy cancels first."""
        return [p.exit.order_id for p in self.book.group(strategy_id, symbol, side) if p.exit is not None]

    def on_command(self, command: CommandReceived) -> None:
        """``protect`` and ``unprotect`` (``symbol`` or ``order_id``; ``stop_loss``, ``take_profit``, ``trailing``).
        ``flatten`` and ``close`` close positions themselves, so no new exit order is placed meanwhile."""
        symbol = command.arguments.get("symbol", "")
        if command.command in ("flatten", "close"):
            for strategy_id, intent in self.book.suspend(symbol):
                self._submit(strategy_id, msgspec.structs.replace(intent, quantity=ZERO))
        elif command.command in ("protect", "unprotect"):
            try:
                terms = terms_from_text(command.arguments) if command.command == "protect" else None
            except ValueError as error:
                self._warn(f"{command.command}: {error}")
                return
            order_id = command.arguments.get("order_id", "")
            if bool(symbol) == bool(order_id):
                self._warn(f"{command.command}: give a symbol or an order_id, and only one of them")
                return
            intent = ActionIntent(action="protect", symbol=symbol, order_id=order_id, protection=terms)
            breach = self.change("", intent)
            if breach is not None:
                self._warn(f"{command.command}: {breach.detail}")

    # -- what happens ------------------------------------------------------------------------------------------------

    def on_order(self, event: OrderEvent) -> None:
        """Count an order event, which the exposure has counted, and decide what follows."""
        self.book.apply(event)
        for strategy_id, intent in self.book.released(event.symbol):
            self._submit(strategy_id, intent)
        self._settle_all(event.symbol)

    def on_paid(self, event: BalanceEvent) -> None:
        """Count coins that were paid in or out, which the exposure has counted, and decide what follows."""
        self.book.pay(event)
        if event.currency in self._exposure.homes:
            self._settle_all(self._exposure.homes[event.currency])

    def on_liquidated(self, event: PositionLiquidatedEvent) -> None:
        """The same for what the venue closed by itself."""
        self.book.liquidate(event)
        self._settle_all(event.symbol)

    def on_timer(self, fired: TimerFired) -> bool:
        """Repeat a market order that did not close everything. Returns whether the timer is one of these."""
        if not fired.name.startswith(_CHASE):
            return False
        p = self.book.protections.get(fired.name.removeprefix(_CHASE))
        if p is not None and p.timer_id == fired.timer_id:
            p.timer_id = 0
            self._settle(p)
        return True

    def _look(self, p: Protection, worst: Price, best: Price) -> None:
        """The price went from ``worst`` to ``best`` (quote, seen from the position)."""
        before = p.best
        if p.look(worst, best) or p.best != before or p.exit is None:
            self._settle(p)

    # -- decisions ---------------------------------------------------------------------------------------------------

    def _settle_all(self, symbol: str) -> None:
        for p in self.book.of(symbol):
            self._settle(p)
        self._prices.watch()

    def _settle(self, p: Protection) -> None:
        """Decide what follows from the state of a protection. Without a difference between what is and what is wanted,
        nothing does."""
        if self._why_not(""):
            return
        self._pursue(p)
        if p.triggered != p.recorded:  # it waits for other orders, and the price may be gone when they have ended
            self._note(p, ActionIntent(action="exit", order_id=p.protection_id), p.triggered)

    def _pursue(self, p: Protection) -> None:
        if p.entry_open and (p.triggered or p.has_left):
            self._withdraw_entry(p)
        order = p.exit
        if order is not None:
            counted = self._exposure.orders.get(order.order_id)
            if order.will_end or (counted is not None and counted.withdrawn):
                return  # and another event follows
            plan = self._plan(p)
            if p.triggered or plan is None or not p.is_served_by(plan):
                self._cancel(p, order.order_id, p.triggered or self._why_cancelled(p))
            return
        if self._end_if_over(p) or self.book.is_held_back(p) or p.timer_id:
            return
        if not p.triggered:
            price = self._newest_price(p)
            if price is not None and p.held:
                p.triggered = p.reached(price, price)
        if p.triggered:
            self._close(p)
            return
        plan = self._plan(p)
        if plan is not None:
            self._place(p, plan, "rest" if p.attempts else "protect")

    def _newest_price(self, p: Protection) -> Price | None:
        """The last price, or what the entry paid since: candles do not show what came between a close and a fill."""
        if 0 < self._close_ts(p.symbol) <= p.taken_at:
            return p.taken
        return self._price(p.symbol)

    def _withdraw_entry(self, p: Protection) -> None:
        """One of the prices was reached, so no more is entered."""
        entry = self._exposure.orders.get(p.protection_id)
        if entry is not None and entry.is_open and entry.is_sent and not entry.is_leaving:
            self._cancel(p, p.protection_id, p.triggered or "target")

    def _why_cancelled(self, p: Protection) -> str:
        if self.book.is_held_back(p):
            return "yield"
        return "move" if p.held and p.terms != ProtectionTerms() else "end"

    def _end_if_over(self, p: Protection) -> bool:
        """End the protection if there is nothing left to protect."""
        if p.ended:
            return True
        reason = ""
        if p.terms == ProtectionTerms():
            reason = "removed"
        elif not p.entry_open and not p.held:
            reason = "closed" if p.entered else "unfilled"
        elif not p.entry_open and self._instrument(p.symbol).is_dust(p.held, None):
            reason = "dust"
        if reason:
            if p.timer_id:
                self._bus.cancel_timer(p.timer_id)
                p.timer_id = 0
            self.book.end(p)
            self._bus.publish(ProtectionEndedEvent(**self._about(p), reason=reason))
            self._prices.watch()
        return bool(reason)

    def _plan(self, p: Protection) -> ExitPlan | None:
        """The exit order that should rest at the venue; ``None`` if there should be none."""
        if p.is_suspended or self.book.is_held_back(p):
            return None
        instrument = self._instrument(p.symbol)
        quantity = instrument.quantise_quantity(self.book.free(p))
        (stop, trails), target = p.stop(), p.target()
        stop = None if stop is None else instrument.quantise_price(stop) or None  # 0 is never reached
        target = None if target is None else instrument.quantise_price(target) or None
        if quantity <= 0 or (stop is None and target is None):
            return None
        why = self._why_guarded(p, quantity, stop, target)
        if why:
            if not p.is_told and (p.is_refused or not p.entry_open):
                self._tell(p, why)
            return None
        if stop is not None and target is not None and not self._venue.pairs:
            target = None
        return ExitPlan(quantity, stop, target, trails and stop is not None)

    def _why_guarded(self, p: Protection, quantity: Quantity, stop: Price | None, target: Price | None) -> str:
        """Why no order at the venue can protect the position; empty if one can."""
        instrument = self._instrument(p.symbol)
        if p.is_refused:
            return "its order was refused or cancelled"
        if why := self._why_not(p.symbol):
            return why
        if stop is not None and not self._venue.stops:
            return "the venue takes no stop orders"
        for kind, price in ((OrderType.MARKET, stop), (OrderType.LIMIT, target)):
            if price is not None and (violation := instrument.violation(kind, quantity, price)) is not None:
                return f"the venue takes no such order: {violation}"
        return ""

    def _tell(self, p: Protection, why: str) -> None:
        p.is_told = True
        self._bus.publish(ProtectionGuardedEvent(**self._about(p), reason=why))
        text = (
            f"no order at the venue protects {plain(p.held)} {p.symbol} of {p.strategy_id or 'the account'}: {why}. "
            "This run watches the price, and closes the position at market when it is reached; without the run nothing "
            "protects it"
        )
        self._bus.publish(NotificationAlert(text=text, severity="warning"))

    def _close(self, p: Protection) -> None:
        """Close the position at market. Orders of the strategy that would close it, too, must have ended first."""
        waiting = [order for order in self.book.others(p) if order.exposure]
        for order in waiting:
            if order.strategy_id != _RISK and order.limit is not None and not order.is_leaving and order.is_sent:
                self._cancel(p, order.order_id, p.triggered, order)
        if waiting or (p.is_suspended and self._exposure.working(p.symbol, p.exit_side)):
            return
        instrument = self._instrument(p.symbol)
        if self._why_not(p.symbol):
            return
        quantity = instrument.quantise_quantity(self.book.free(p))
        if quantity <= 0:
            return
        if p.attempts > max(p.waited, 1):
            wait = min(_SECOND << min(p.attempts - 2, 10), _LONGEST_WAIT)
            p.timer_id = self._bus.set_timer(self._bus.clock.now() + wait, f"{_CHASE}{p.protection_id}", self._owner)
            p.waited = p.attempts
            return
        self._place(p, ExitPlan(quantity, None, None, trails=False), p.triggered)

    def _place(self, p: Protection, plan: ExitPlan, reason: str) -> None:
        intent = ActionIntent(
            action="order",
            symbol=p.symbol,
            side=p.exit_side,
            quantity=plan.quantity,
            limit=plan.target,
            order_id=self._new_order_id(),
            reduce_only=True,
            stop=plan.stop,
            protects=p.protection_id,
        )
        self._decide(p, p.strategy_id, intent, reason, trails=plan.trails)

    def _cancel(self, p: Protection, order_id: str, reason: str, order: CountedOrder | None = None) -> None:
        intent = ActionIntent(action="cancel", symbol="", order_id=order_id)
        self._decide(p, order.strategy_id if order is not None else p.strategy_id, intent, reason)

    def _decide(
        self, p: Protection, strategy_id: str, intent: ActionIntent, reason: str, *, trails: bool = False
    ) -> None:
        self._note(p, intent, reason, trails=trails)
        self._approve(strategy_id, intent)

    def _note(self, p: Protection, intent: ActionIntent, reason: str, *, trails: bool = False) -> None:
        event = ProtectionDecidedEvent(**self._about(p), intent=intent, reason=reason, trails=trails)
        self._bus.publish(event)
        self.book.decide(event)

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        self.book.recall(event)
        if isinstance(event, MarketEvent):
            self._prices.recall(event)
        elif isinstance(event, TimerSet | TimerFired | TimerCancelled):
            self._recall_timer(event)
        elif isinstance(event, CommandReceived):
            if event.command in ("flatten", "close"):
                self.book.suspend(event.arguments.get("symbol", ""))
        elif self.is_active:
            self._prices.watch()

    def _recall_timer(self, event: TimerSet | TimerFired | TimerCancelled) -> None:
        if isinstance(event, TimerSet):
            if event.owner == self._owner and event.name.startswith(_CHASE):
                p = self.book.protections.get(event.name.removeprefix(_CHASE))
                if p is not None:
                    p.timer_id, p.waited = event.timer_id, p.attempts
            return
        for p in self.book.live():
            if p.timer_id == event.timer_id:
                p.timer_id = 0

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _about(self, p: Protection) -> dict[str, Any]:
        return {
            "protection_id": p.protection_id,
            "symbol": p.symbol,
            "account_id": p.account_id,
            "user_id": p.user_id,
            "strategy_id": p.strategy_id,
        }

    def _warn(self, message: str) -> None:
        self._bus.publish(SystemWarning(component=_RISK, message=message))


def _nothing(intent: ActionIntent) -> Breach:
    what = f"order {intent.order_id}" if intent.order_id else intent.symbol
    return Breach("protection", f"there is no position of {what} to protect")
