"""Copies the trades of a leader for one account, within a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial

import msgspec

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.copying.leader import Leader
from tickdeck.application.engines.copying.ledger import CopyLedger, pays_with
from tickdeck.application.engines.copying.settings import CopySettings
from tickdeck.application.engines.copying.wishes import Wish, Wishes
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    NotificationAlert,
    OrderEvent,
    OrderRejectedEvent,
    OrderUnknownEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    SystemWarning,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeNeedsReconciliationEvent,
    TradeReservedEvent,
    TwoPhaseTradeEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import (
    EXACT,
    CopySaga,
    Trade,
    check_symbol,
    tradable_quantity,
    wanted_quantity,
    worst_price,
)
from tickdeck.domain.values import ZERO, OrderType, Quantity, Side, TimeInForce, plain
from tickdeck.errors import ConfigError, DomainError

__all__ = ["CopyEngine"]

_AGAIN = "~"  # before the number of an attempt, in the id of its trade


class CopyEngine:
    """A saga: every trade of the leader is reserved (``trade.reserved``), ordered by a decision that risk reviews, and
    confirmed (``trade.executed``) or rolled back (``trade.failed``), as its order's events show. What cannot be copied
    is a ``trade.failed`` with its reason.

    An order is a limit order at the worst price that the rule allows, immediate or cancelled. What it leaves is ordered
    again only after evidence that it was rejected, expired or cancelled by the venue, as another trade. After
    ``timeout`` the order is cancelled, and nothing is ordered again. An order in doubt is
    ``trade.needs_reconciliation`` until the venue shows what became of it, also one that was taken for dead before.

    A trade that closes a part of the leader's position waits until the copies before it in the same symbol are filled.
    The stops and targets of the copies, and those that an operator set, yield to it, so it may spend what they reserve.
    What it leaves open, although the leader has closed it, is an alert.
    """

    component = "copy"
    hears = (
        OrderEvent,
        RiskLimitBreachedEvent,
        TimerFired,
    )
    publishes = (
        TradeReservedEvent,
        TradeExecutedEvent,
        TradeFailedEvent,
        TradeNeedsReconciliationEvent,
        StrategyDecisionEvent,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        kernel: Kernel,
        settings: CopySettings,
        leader: Leader,
        *,
        portfolio: PortfolioEngine,
        instrument: Callable[[str], Instrument],
        nonce: str,
        yielding: Callable[[str, str, Side], Iterable[str]],
        may_owe: bool = False,
    ) -> None:
        """``portfolio`` is the follower's. ``yielding(name, symbol, side)`` are the ids of the orders of its account's
        stops and targets that yield to an order of the copies. ``may_owe``: its account can sell coins that it does
        not have."""
        self._kernel = kernel
        self._settings = settings
        self._leader = leader
        self._portfolio = portfolio
        self._instrument = instrument
        self._nonce = nonce
        self._may_owe = may_owe
        self.ledger = CopyLedger(settings.name, portfolio, partial(yielding, settings.name))
        """The copies, and what they hold and reserve."""
        self._wishes = Wishes(leader, settings.copies_exits, self.ledger.is_under_way)
        name = settings.name
        own: SubscribeOptions = {
            "where": lambda event: event.strategy_id == name,
            "priority": PRIORITY[self.component],
            "component": self.component,
        }
        kernel.subscribe(OrderEvent, self.on_order, **own)
        kernel.subscribe(RiskLimitBreachedEvent, self.on_breach, **own)
        own["where"] = lambda timer: timer.owner == name
        kernel.subscribe(TimerFired, self.on_timer, **own)
        own["where"] = leader.leads
        for topic in leader.topics:
            if isinstance(topic, str):
                kernel.subscribe(topic, self.on_leader, **own)
            else:
                kernel.subscribe(topic, self.on_leader, **own)

    # -- the leader --------------------------------------------------------------------------------------------------

    def on_leader(self, event: DomainEvent) -> None:
        """Copy a trade of the leader."""
        try:
            wish = self._wishes.observe(event)
        except ValueError as error:
            message = f"{self._settings.name}: {error}"
            self._kernel.publish(SystemWarning(component=self.component, message=message))
            return
        if wish is not None:
            self._copy(wish)

    def _copy_later(self, symbol: str) -> None:
        """Copy the trades that wait, as far as no copy is under way."""
        while (wish := self._wishes.next(symbol)) is not None:
            self._copy(wish)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _copy(self, wish: Wish) -> None:
        leader, rule = wish.leader, self._settings.rule
        copy = CopySaga(f"{self._settings.name}-{leader.trade_id}")
        trade = self._trade(copy, leader.trade_id, leader.symbol, leader.side, leader.quantity, leader.price)
        try:
            check_symbol(leader, rule)
            instrument = self._instrument(leader.symbol)
            limit = worst_price(leader, rule, instrument)
            wanted = self._wanted(wish, limit, instrument)
            small = rule if wish.opens else msgspec.structs.replace(rule, min_notional=ZERO)
            free = None if self._may_owe else self.ledger.spendable(leader.symbol, leader.side, instrument)
            quantity = tradable_quantity(wanted, leader, small, instrument, limit, free)
            self._reserve(
                trade.create(
                    symbol=leader.symbol,
                    side=leader.side,
                    quantity=quantity,
                    limit=limit,
                    order_id=trade.order_id,
                    user_id=self._portfolio.user_id,
                    copied_from=leader.trade_id,
                ),
                instrument,
            )
        except (DomainError, ConfigError) as error:
            trade.roll_back(str(error))
            copy.trade = trade
            copy.end()
            self._publish(trade)
            self.ledger.file(copy, trade)
            self._wishes.started(leader.symbol, leader.trade_id)
            if wish.closes:
                self._tell_of_rest(copy, leader.quantity, str(error))
            return
        copy.order(trade)
        self._publish(trade)
        self.ledger.file(copy, trade)
        self._wishes.started(leader.symbol, leader.trade_id)
        self._send(copy, opens=bool(wish.opens))

    def _wanted(self, wish: Wish, limit: Decimal, instrument: Instrument) -> Quantity:
        leader = wish.leader
        wanted = EXACT.multiply(max(-leader.side.sign * self.ledger.held(leader.symbol), ZERO), wish.closes)
        if not wish.opens:
            if not wanted:
                raise DomainError("nothing was copied that could be closed")
            return wanted
        portfolio = self._portfolio
        rate = portfolio.rate(portfolio.quote, instrument.quote)
        equity = None if rate is None else portfolio.equity() * rate
        free = self.ledger.free(pays_with(leader.side, instrument))
        opening = msgspec.structs.replace(leader, quantity=wish.opens)
        return EXACT.add(wanted, wanted_quantity(opening, self._settings.rule, limit, free=free, equity=equity))

    def _reserve(self, trade: Trade, instrument: Instrument) -> None:
        """Phase one. Raises ``DomainError`` if the account has too little."""
        assert trade.limit is not None
        buys = trade.side is Side.BUY
        currency = pays_with(trade.side, instrument)
        amount = EXACT.multiply(trade.quantity, trade.limit) if buys else trade.quantity
        free = self.ledger.spendable(trade.symbol, trade.side, instrument)
        if amount > free and not self._may_owe:
            raise DomainError(f"insufficient balance: {amount:f} {currency} needed, {free:f} free")
        trade.reserve(amount, currency)

    def _send(self, copy: CopySaga, *, opens: bool) -> None:
        """Order what is reserved."""
        trade = copy.trade
        self._set_timer(copy, trade.order_id)
        intent = ActionIntent(
            action="order",
            symbol=trade.symbol,
            side=trade.side,
            quantity=trade.quantity,
            limit=trade.limit,
            time_in_force=TimeInForce.IOC,
            order_id=trade.order_id,
            protection=self._settings.protection if opens else None,
        )
        self._decide(intent, f"copy of {trade.copied_from}")

    def on_order(self, event: OrderEvent) -> None:
        """Follow the order of a copy."""
        copy = self.ledger.count(event) or self._found_after_all(event)
        if copy is None:
            return
        trade = copy.trade
        if isinstance(event, OrderUnknownEvent):
            copy.doubt()
            trade.doubt(event.reason)
            self._publish(trade)
            self._copy_later(event.symbol)
            return
        if not copy.count(event, self._instrument(event.symbol).quote):
            return
        self._cancel_timer(copy)
        reason = getattr(event, "reason", "") or f"nothing was filled at {trade.limit} or better"
        copy.conclude(reason)
        self._publish(trade)
        is_sure = not (isinstance(event, OrderRejectedEvent) and event.concluded)
        if not (is_sure and copy.may_try_again(self._settings.attempts) and self._try_again(copy)):
            copy.end()
            self._tell_of_rest(copy, copy.rest, reason)
        self._copy_later(event.symbol)

    def _found_after_all(self, event: OrderEvent) -> CopySaga | None:
        """The copy whose order was taken for dead and is open or filled: its trade is in doubt again until it ends. As
        its time is over, what is open of it is cancelled after another time-out."""
        copy = self.ledger.found_after_all(event)
        if copy is None:
            return None
        copy.reopen()
        copy.trade.reopen("the exchange has its order after all, which was taken for dead")
        self._publish(copy.trade)
        self._set_timer(copy, event.order_id)
        return copy

    def _tell_of_rest(self, copy: CopySaga, rest: Quantity, reason: str) -> None:
        """Alert of what stays open although the leader has closed it."""
        trade, name = copy.trade, self._settings.name
        side = trade.side
        rest = min(rest, max(-side.sign * self.ledger.held(trade.symbol), ZERO))
        if not rest or self._instrument(trade.symbol).is_dust(rest, trade.limit):
            return
        text = (
            f"{name}: up to {plain(rest)} {trade.symbol} stay open, which the leader has closed: {reason}. Its next "
            "exit closes its share of them; `tickdeck close` closes them now"
        )
        self._kernel.publish(NotificationAlert(text=text, severity="warning", source=name))

    def _try_again(self, copy: CopySaga) -> bool:
        """Order the remainder, as another trade. Returns whether that is possible."""
        before = copy.trade
        instrument = self._instrument(before.symbol)
        quantity = copy.rest
        if before.side is Side.SELL and not self._may_owe:
            quantity = min(quantity, max(self.ledger.spendable(before.symbol, before.side, instrument), ZERO))
        quantity = instrument.quantise_quantity(quantity)
        if instrument.violation(OrderType.LIMIT, quantity, before.limit or ZERO) is not None:
            return False
        trade = self._trade(copy, before.copied_from, before.symbol, before.side, quantity, before.limit)
        try:
            self._reserve(trade, instrument)
        except DomainError:
            return False
        copy.order(trade)
        self._publish(trade)
        self.ledger.file(copy, trade)
        self._send(copy, opens=False)
        return True

    def on_breach(self, breach: RiskLimitBreachedEvent) -> None:
        """Risk refused the order of a copy."""
        copy = self.ledger.refused(breach)
        if copy is None:
            return
        self._cancel_timer(copy)
        copy.trade.roll_back(f"risk refused it: {breach.limit}: {breach.detail}")
        self._publish(copy.trade)
        copy.end()
        self._tell_of_rest(copy, copy.rest, f"risk refused it: {breach.limit}: {breach.detail}")
        self._copy_later(copy.trade.symbol)

    def on_timer(self, fired: TimerFired) -> None:
        """The time of an order is over: cancel it."""
        copy = self.ledger.orders.get(fired.name)
        if copy is None or copy.timer_id != fired.timer_id:
            return
        copy.timer_id = 0
        if self.ledger.is_waiting(fired.name):  # for the cancel of a stop: its time begins when it is sent
            self._set_timer(copy, fired.name)
            return
        copy.cancel()
        self._decide(ActionIntent(action="cancel", order_id=fired.name), "the time of the copy is over")

    def _set_timer(self, copy: CopySaga, order_id: str) -> None:
        due = self._kernel.clock.now() + self._settings.timeout
        copy.timer_id = self._kernel.set_timer(due, order_id, self._settings.name)

    def _cancel_timer(self, copy: CopySaga) -> None:
        if copy.timer_id:
            self._kernel.cancel_timer(copy.timer_id)
            copy.timer_id = 0

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if self._leader.leads(event):
            try:
                wish = self._wishes.observe(event)
            except ValueError:
                wish = None
            if wish is not None:
                self._wishes.wait(wish)  # its trade follows
        if isinstance(event, OrderEvent) and event.strategy_id == self._settings.name:
            copy = self.ledger.count(event)
            if copy is None and (copy := self.ledger.found_after_all(event)) is not None:
                copy.reopen()
            if copy is not None:
                if isinstance(event, OrderUnknownEvent):
                    copy.doubt()
                else:
                    copy.count(event, self._instrument(event.symbol).quote)
        elif isinstance(event, TwoPhaseTradeEvent) and event.account_id == self._portfolio.account_id:
            self._recall_trade(event)
        elif isinstance(event, RiskLimitBreachedEvent) and event.strategy_id == self._settings.name:
            self.ledger.refused(event)
        elif isinstance(event, StrategyDecisionEvent) and event.strategy_id == self._settings.name:
            for intent in event.intents:
                if intent.action == "cancel" and intent.order_id in self.ledger.orders:
                    self.ledger.orders[intent.order_id].cancel()
        elif isinstance(event, TimerSet | TimerFired | TimerCancelled):
            self._recall_timer(event)

    def _recall_trade(self, event: TwoPhaseTradeEvent) -> None:
        copy_id = event.trade_id.partition(_AGAIN)[0]
        if not copy_id.startswith(f"{self._settings.name}-"):
            return
        copy = self.ledger.copies.get(copy_id) or CopySaga(copy_id)
        trade = copy.trade if copy.trade.trade_id == event.trade_id and copy.attempts else None
        if trade is None:
            trade = Trade(event.account_id, event.trade_id)
        trade.apply(event)
        if isinstance(event, TradeReservedEvent):
            copy.resume(trade)
        elif isinstance(event, TradeExecutedEvent | TradeFailedEvent):
            copy.trade = trade
            copy.end()
        self.ledger.file(copy, trade)
        self._wishes.started(event.symbol, event.copied_from)

    def _recall_timer(self, event: TimerSet | TimerFired | TimerCancelled) -> None:
        if isinstance(event, TimerSet):
            if event.owner == self._settings.name and event.name in self.ledger.orders:
                self.ledger.orders[event.name].timer_id = event.timer_id
            return
        for copy in self.ledger.copies.values():
            if copy.timer_id == event.timer_id:
                copy.timer_id = 0

    def _trade(
        self, copy: CopySaga, copied_from: str, symbol: str, side: Side, quantity: Quantity, limit: Decimal | None
    ) -> Trade:
        number = copy.attempts + 1
        trade_id = copy.saga_id if number == 1 else f"{copy.saga_id}{_AGAIN}{number}"
        return Trade.create_copy_trade(
            self._portfolio.account_id,
            trade_id,
            copied_from=copied_from,
            symbol=symbol,
            side=side,
            quantity=quantity,
            limit=limit,
            order_id=client_order_id(self._nonce, f"{self._portfolio.account_id}/{trade_id}"),
            user_id=self._portfolio.user_id,
        )

    def _publish(self, trade: Trade) -> None:
        self._kernel.publish_all(trade.get_domain_events())
        trade.clear_domain_events()

    def _decide(self, intent: ActionIntent, reason: str) -> None:
        name = self._settings.name
        self._kernel.publish(
            StrategyDecisionEvent(
                strategy_id=name,
                name=name,
                account_id=self._portfolio.account_id,
                user_id=self._portfolio.user_id,
                intents=(intent,),
                reason=reason,
                source=name,
            )
        )
