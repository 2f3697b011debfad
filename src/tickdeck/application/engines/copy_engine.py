"""Copies the trades of a leader for one account, within a run."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.copy_leader import Leader
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    ProtectionTerms,
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
    CopyRule,
    CopySaga,
    LeaderTrade,
    Trade,
    check_symbol,
    tradable_quantity,
    wanted_quantity,
    worst_price,
)
from tickdeck.domain.values import ZERO, Money, OrderType, Quantity, Side, TimeInForce
from tickdeck.errors import ConfigError, DomainError

__all__ = ["CopyEngine", "CopySettings"]

_KEPT = 10_000  # orders of copies, and trades of the leader, that are remembered
_AGAIN = "~"  # before the number of an attempt, in the id of its trade


class CopySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one account follows a leader. ``name`` is unique in the run, and the ``strategy_id`` of its orders.

    - ``copies_exits``: when the leader closes a part of what it opened since the run began, the same part of what was
      copied is closed. Otherwise only what enlarges the leader's position is copied.
    - ``protection``: the stop and the target of each copy that opens a position.
    - ``timeout``: ns after which an order that has not ended is cancelled. ``attempts``: how many orders a copy may
      have.
    """

    name: str
    rule: CopyRule
    copies_exits: bool = True
    protection: ProtectionTerms | None = None
    timeout: int = 10_000_000_000
    attempts: int = 3


class _Wish(msgspec.Struct):
    """A trade of the leader: which share of its position it closes, and how much it opens (base)."""

    leader: LeaderTrade
    closes: Decimal
    opens: Quantity


class CopyEngine:
    """A saga: every trade of the leader is reserved (``trade.reserved``), ordered by a decision that risk reviews, and
    confirmed (``trade.executed``) or rolled back (``trade.failed``), as its order's events show. What cannot be copied
    is a ``trade.failed`` with its reason.

    An order is a limit order at the worst price that the rule allows, immediate or cancelled. What it leaves is ordered
    again only after evidence that it was rejected, expired or cancelled by the venue, as another trade. After
    ``timeout`` the order is cancelled, and nothing is ordered again. An order in doubt is
    ``trade.needs_reconciliation`` until the venue shows what became of it.

    A trade that closes a part of the leader's position waits until the copies before it in the same symbol are filled.
    The stops and targets of the copies yield to it, so it may spend what they reserve.
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
        may_owe: bool = False,
    ) -> None:
        """``portfolio`` is the follower's. ``may_owe``: its account can sell coins that it does not have."""
        self._kernel = kernel
        self._settings = settings
        self._leader = leader
        self._portfolio = portfolio
        self._instrument = instrument
        self._nonce = nonce
        self._may_owe = may_owe
        self.copies: dict[str, CopySaga] = {}
        """The newest copies, by id."""
        self._orders: dict[str, CopySaga] = {}  # by the id of their orders
        self._waiting: dict[str, tuple[str, Money]] = {}  # reserved by trades whose order does not reserve it yet
        self._exits: dict[str, tuple[str, Side, Money]] = {}  # what stops and targets of copies reserve, by order
        self._seen: dict[str, None] = {}  # trades of the leader
        self._leads: dict[str, Quantity] = {}  # the leader's position since the run began, by symbol
        self._holds: dict[str, Quantity] = {}  # what copies bought minus what they sold, by symbol
        self._later: dict[str, list[_Wish]] = {}  # trades that wait for other copies, by symbol
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
            wish = self._observe(event)
        except ValueError as error:
            message = f"{self._settings.name}: {error}"
            self._kernel.publish(SystemWarning(component=self.component, message=message))
            return
        if wish is not None:
            self._copy(wish)

    def _observe(self, event: Any) -> _Wish | None:
        """Count a trade of the leader. Returns what to copy now."""
        leader = self._leader.trade(event)
        if leader.trade_id in self._seen:
            return None
        self._seen[leader.trade_id] = None
        _forget(self._seen)
        held = self._leads.get(leader.symbol, ZERO)
        self._leads[leader.symbol] = EXACT.add(held, self._leader.received(event))
        closed = ZERO
        if held * leader.side.sign < 0:
            closed = min(leader.quantity, abs(held))
        opens = EXACT.subtract(leader.quantity, closed)
        closes = EXACT.divide(closed, abs(held)) if closed and self._settings.copies_exits else ZERO
        if not opens and not closes:
            return None
        wish = _Wish(leader, closes, opens)
        if closes and (leader.symbol in self._later or self._is_under_way(leader.symbol)):
            self._later.setdefault(leader.symbol, []).append(wish)
            return None
        return wish

    def _is_under_way(self, symbol: str) -> bool:
        return any(copy.is_under_way and copy.trade.symbol == symbol for copy in self.copies.values())

    def _copy_later(self, symbol: str) -> None:
        """Copy the trades that wait, as far as no copy is under way."""
        while symbol in self._later and not self._is_under_way(symbol):
            self._copy(self._later[symbol][0])

    # -- steps -------------------------------------------------------------------------------------------------------

    def _copy(self, wish: _Wish) -> None:
        leader, rule = wish.leader, self._settings.rule
        copy = CopySaga(f"{self._settings.name}-{leader.trade_id}")
        trade = self._trade(copy, leader.trade_id, leader.symbol, leader.side, leader.quantity, leader.price)
        try:
            check_symbol(leader, rule)
            instrument = self._instrument(leader.symbol)
            limit = worst_price(leader, rule, instrument)
            wanted = self._wanted(wish, limit, instrument)
            small = rule if wish.opens else msgspec.structs.replace(rule, min_notional=ZERO)
            free = None if self._may_owe else self._spendable(leader.symbol, leader.side, instrument)
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
            self._filed(copy, trade)
            self._started(leader.symbol, leader.trade_id)
            return
        copy.order(trade)
        self._publish(trade)
        self._filed(copy, trade)
        self._started(leader.symbol, leader.trade_id)
        self._send(copy, opens=bool(wish.opens))

    def _wanted(self, wish: _Wish, limit: Decimal, instrument: Instrument) -> Quantity:
        leader = wish.leader
        wanted = EXACT.multiply(max(-leader.side.sign * self._holds.get(leader.symbol, ZERO), ZERO), wish.closes)
        if not wish.opens:
            if not wanted:
                raise DomainError("nothing was copied that could be closed")
            return wanted
        portfolio = self._portfolio
        rate = portfolio.rate(portfolio.quote, instrument.quote)
        equity = None if rate is None else portfolio.equity() * rate
        free = self._free(self._pays_with(leader.side, instrument))
        opening = msgspec.structs.replace(leader, quantity=wish.opens)
        return EXACT.add(wanted, wanted_quantity(opening, self._settings.rule, limit, free=free, equity=equity))

    def _reserve(self, trade: Trade, instrument: Instrument) -> None:
        """Phase one. Raises ``DomainError`` if the account has too little."""
        assert trade.limit is not None
        buys = trade.side is Side.BUY
        currency = self._pays_with(trade.side, instrument)
        amount = EXACT.multiply(trade.quantity, trade.limit) if buys else trade.quantity
        free = self._spendable(trade.symbol, trade.side, instrument)
        if amount > free and not self._may_owe:
            raise DomainError(f"insufficient balance: {amount:f} {currency} needed, {free:f} free")
        trade.reserve(amount, currency)

    def _send(self, copy: CopySaga, *, opens: bool) -> None:
        """Order what is reserved."""
        trade = copy.trade
        copy.timer_id = self._kernel.set_timer(
            self._kernel.clock.now() + self._settings.timeout, trade.order_id, self._settings.name
        )
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
        copy = self._count(event)
        if copy is None:
            return
        trade = copy.trade
        if isinstance(event, OrderUnknownEvent):
            copy.doubt()
            trade.doubt(event.reason)
            self._publish(trade)
            self._copy_later(event.symbol)
            return
        if not copy.count(event):
            return
        if copy.timer_id:
            self._kernel.cancel_timer(copy.timer_id)
            copy.timer_id = 0
        reason = getattr(event, "reason", "") or f"nothing was filled at {trade.limit} or better"
        copy.conclude(reason)
        self._publish(trade)
        is_sure = not (isinstance(event, OrderRejectedEvent) and event.concluded)
        if not (is_sure and copy.may_try_again(self._settings.attempts) and self._try_again(copy)):
            copy.end()
        self._copy_later(event.symbol)

    def _try_again(self, copy: CopySaga) -> bool:
        """Order the remainder, as another trade. Returns whether that is possible."""
        before = copy.trade
        instrument = self._instrument(before.symbol)
        quantity = copy.rest
        if before.side is Side.SELL and not self._may_owe:
            quantity = min(quantity, max(self._spendable(before.symbol, before.side, instrument), ZERO))
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
        self._filed(copy, trade)
        self._send(copy, opens=False)
        return True

    def on_breach(self, breach: RiskLimitBreachedEvent) -> None:
        """Risk refused the order of a copy."""
        copy = self._refused(breach)
        if copy is None:
            return
        if copy.timer_id:
            self._kernel.cancel_timer(copy.timer_id)
            copy.timer_id = 0
        copy.trade.roll_back(f"risk refused it: {breach.limit}: {breach.detail}")
        self._publish(copy.trade)
        copy.end()
        self._copy_later(copy.trade.symbol)

    def on_timer(self, fired: TimerFired) -> None:
        """The time of an order is over: cancel it."""
        copy = self._orders.get(fired.name)
        if copy is None or copy.timer_id != fired.timer_id:
            return
        copy.timer_id = 0
        copy.cancel()
        self._decide(ActionIntent(action="cancel", order_id=fired.name), "the time of the copy is over")

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if self._leader.leads(event):
            try:
                wish = self._observe(event)
            except ValueError:
                wish = None
            if wish is not None:
                self._later.setdefault(wish.leader.symbol, []).append(wish)  # its trade follows
        if isinstance(event, OrderEvent) and event.strategy_id == self._settings.name:
            copy = self._count(event)
            if copy is not None:
                if isinstance(event, OrderUnknownEvent):
                    copy.doubt()
                else:
                    copy.count(event)
        elif isinstance(event, TwoPhaseTradeEvent) and event.account_id == self._portfolio.account_id:
            self._recall_trade(event)
        elif isinstance(event, RiskLimitBreachedEvent) and event.strategy_id == self._settings.name:
            self._refused(event)
        elif isinstance(event, StrategyDecisionEvent) and event.strategy_id == self._settings.name:
            for intent in event.intents:
                if intent.action == "cancel" and intent.order_id in self._orders:
                    self._orders[intent.order_id].cancel()
        elif isinstance(event, TimerSet | TimerFired | TimerCancelled):
            self._recall_timer(event)

    def _recall_trade(self, event: TwoPhaseTradeEvent) -> None:
        copy_id = event.trade_id.partition(_AGAIN)[0]
        if not copy_id.startswith(f"{self._settings.name}-"):
            return
        copy = self.copies.get(copy_id) or CopySaga(copy_id)
        trade = copy.trade if copy.trade.trade_id == event.trade_id and copy.attempts else None
        if trade is None:
            trade = Trade(event.account_id, event.trade_id)
        trade.apply(event)
        if isinstance(event, TradeReservedEvent):
            copy.resume(trade)
        elif isinstance(event, TradeExecutedEvent | TradeFailedEvent):
            copy.trade = trade
            copy.end()
        self._filed(copy, trade)
        self._started(event.symbol, event.copied_from)

    def _recall_timer(self, event: TimerSet | TimerFired | TimerCancelled) -> None:
        if isinstance(event, TimerSet):
            if event.owner == self._settings.name and event.name in self._orders:
                self._orders[event.name].timer_id = event.timer_id
            return
        for copy in self.copies.values():
            if copy.timer_id == event.timer_id:
                copy.timer_id = 0

    # -- bookkeeping -------------------------------------------------------------------------------------------------

    def _count(self, event: OrderEvent) -> CopySaga | None:
        """Count an order event in what copies hold and reserve. Returns the copy, if its trade has not ended."""
        copy = self._orders.get(event.order_id)
        if isinstance(event, OrderSubmittedEvent):
            self._waiting.pop(event.order_id, None)  # from now on the order reserves it
            if copy is not None:
                copy.sent(event.quantity)
            elif event.protects:
                self._exits[event.order_id] = event.symbol, event.side, event.reserved
        elif isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            change = EXACT.multiply(event.quantity, Decimal(event.side.sign))
            if event.fee and event.fee_currency == self._instrument(event.symbol).base:
                change = EXACT.subtract(change, event.fee)
            self._holds[event.symbol] = EXACT.add(self._holds.get(event.symbol, ZERO), change)
        elif isinstance(event, OrderCancelRequestedEvent) and copy is not None:
            copy.is_over = True
        if event.order_id in self._exits:
            symbol, side, _ = self._exits[event.order_id]
            self._exits[event.order_id] = symbol, side, event.reserved
            if event.status is not None and event.status.is_final:
                del self._exits[event.order_id]
        if copy is None or copy.trade.order_id != event.order_id or copy.trade.status.is_final:
            return None
        return copy

    def _refused(self, breach: RiskLimitBreachedEvent) -> CopySaga | None:
        """The copy whose order risk refused."""
        if breach.intent.action != "order" or self._waiting.pop(breach.intent.order_id, None) is None:
            return None
        return self._orders[breach.intent.order_id]

    def _filed(self, copy: CopySaga, trade: Trade) -> None:
        """Keep a copy by its id and by the id of its order."""
        self.copies[copy.copy_id] = copy
        self._orders[trade.order_id] = copy
        if trade.status is trade.status.RESERVED and not copy.status.is_final:
            self._waiting[trade.order_id] = trade.reserved_currency, trade.reserved
        for kept in (self.copies, self._orders):
            while len(kept) > _KEPT and next(iter(kept.values())).status.is_final:
                del kept[next(iter(kept))]

    def _started(self, symbol: str, leader_trade_id: str) -> None:
        """The first trade of a copy is known: it waits no more."""
        waits = self._later.get(symbol)
        if waits is None:
            return
        waits[:] = [wish for wish in waits if wish.leader.trade_id != leader_trade_id]
        if not waits:
            del self._later[symbol]

    def _free(self, currency: str) -> Money:
        """What no order and no trade of a copy reserves, of the follower's account."""
        reserved = sum((amount for of, amount in self._waiting.values() if of == currency), ZERO)
        return EXACT.subtract(self._portfolio.account.free(currency), reserved)

    def _spendable(self, symbol: str, side: Side, instrument: Instrument) -> Money:
        """What an order of a copy may spend: what is free, and what its own stops and targets on the same side reserve,
        because they yield to it."""
        free = self._free(self._pays_with(side, instrument))
        for of, on, reserved in self._exits.values():
            if (of, on) == (symbol, side):
                free = EXACT.add(free, reserved)
        return free

    def _pays_with(self, side: Side, instrument: Instrument) -> str:
        return instrument.quote if side is Side.BUY else instrument.base

    def _trade(
        self, copy: CopySaga, copied_from: str, symbol: str, side: Side, quantity: Quantity, limit: Decimal | None
    ) -> Trade:
        number = copy.attempts + 1
        trade_id = copy.copy_id if number == 1 else f"{copy.copy_id}{_AGAIN}{number}"
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


def _forget(kept: dict[str, None]) -> None:
    if len(kept) > _KEPT:
        del kept[next(iter(kept))]
