"""The risk engine: approves or refuses every intent of every decision."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.approvals import Approvals
from tickdeck.application.engines.flatten import Flatten
from tickdeck.application.engines.halts import Halts
from tickdeck.application.engines.loss_watch import LossWatch
from tickdeck.application.engines.margin_check import MarginCheck
from tickdeck.application.engines.order_review import OrderReview, RunReview
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.position_watch import PositionWatch
from tickdeck.application.engines.protections import ALL_STOP_ORDERS, Protections, StopOrders
from tickdeck.application.engines.short_cover import PRICES, ShortCover
from tickdeck.application.engines.trading_gate import HaltedBy, TradingGate
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.identity import client_order_id
from tickdeck.application.ports import Amendment
from tickdeck.domain.accounts import MarginTerms
from tickdeck.domain.events import (
    AccountDifferenceFound,
    ActionIntent,
    BalanceEvent,
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    PositionLiquidatedEvent,
    ProtectionDecidedEvent,
    ProtectionEndedEvent,
    ProtectionGuardedEvent,
    ProtectionSetEvent,
    ProtectionYieldedEvent,
    RiskApprovedEvent,
    RiskDayStarted,
    RiskLimitBreachedEvent,
    RunResumed,
    RunStarted,
    RunStopped,
    StrategyDecisionEvent,
    SystemWarning,
    TimerFired,
    TradingHalted,
    TradingResumed,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import (
    Breach,
    Exposure,
    OrderRate,
    RiskLimits,
    TypicalOrder,
)
from tickdeck.domain.values import Price

__all__ = ["RiskEngine"]

_FILLS = (OrderFilledEvent, OrderPartiallyFilledEvent)


class RiskEngine:
    """Rounds each intent to the instrument's grid, checks it against the limits, and approves it or refuses it with a
    reason.

    An amend is judged as the order that it would result in. A cancel passes, whatever the limits, if its order belongs
    to the strategy and is open or on its way. An order that only reduces a position passes every limit.

    Trading halts at the daily loss or drawdown limit and on the command ``halt``. After a limit's halt, only
    reducing orders pass, and the open orders that could enlarge a position are cancelled. The command leaves open
    orders, or cancels them except stops and targets (its argument ``orders``: ``leave`` or ``cancel``). After an
    operator's halt, or one by the surroundings of the run, only the orders of the commands ``flatten`` (its
    argument ``symbol`` restricts it) and ``close`` (of one symbol) pass. The command ``cancel`` (``order_id``,
    ``symbol``, or all) always passes. After an error or the run's end, only cancels pass. The command ``resume``
    ends a halt by a limit or an operator, and the day's loss and the drawdown are counted from zero again. A halt
    by an error stays.
    """

    component = "risk"
    hears = (
        StrategyDecisionEvent,
        OrderEvent,
        PositionEvent,
        PositionLiquidatedEvent,
        TradingHalted,
        CommandReceived,
        TimerFired,
        RunStarted,
        RunResumed,
        RunStopped,
        BalanceEvent,
        AccountDifferenceFound,
        *PRICES,
    )
    publishes = (
        RiskApprovedEvent,
        RiskDayStarted,
        RiskLimitBreachedEvent,
        TradingHalted,
        TradingResumed,
        ProtectionSetEvent,
        ProtectionDecidedEvent,
        ProtectionGuardedEvent,
        ProtectionYieldedEvent,
        ProtectionEndedEvent,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        bus: CoreBus,
        limits: RiskLimits,
        *,
        clock: Callable[[], int],
        price: Callable[[str], Price | None],
        close_ts: Callable[[str], int],
        portfolio: PortfolioEngine,
        instrument: Callable[[str], Instrument],
        why_closed: Callable[[str], str] = lambda symbol: "",
        short_selling: bool = False,
        nonce: str = "",
        stop_orders: StopOrders = ALL_STOP_ORDERS,
        amendment: Amendment = Amendment.FULL,
        margin: MarginTerms | None = None,
        owner: str = component,
    ) -> None:
        """``clock()`` is the run's time (ns UTC), and ``price(symbol)`` the last price (quote), the close of the candle
        that ended at ``close_ts(symbol)`` (ns UTC; 0 for a trade or a quote). Risk counts positions and open orders
        itself, from events. ``why_closed(symbol)`` says why the venue takes no new orders, and
        is empty if it does. ``short_selling``: whether the account may owe coins, which its equity must cover.
        ``nonce`` is the run's, for order ids. ``stop_orders``: which of them the venue takes.
        ``amendment``: what the venue can change of an open order.
        ``margin``: the terms of a margin account, in which positions need their margin alone. ``owner``: of the timers,
        if there are several of these engines."""
        self._bus = bus
        self._clock = clock
        self._why_closed = why_closed
        self.exposure = Exposure(lambda symbol: instrument(symbol).base, portfolio.account.homes)
        self.approvals = Approvals(bus, self.exposure, portfolio.account_id, portfolio.user_id)
        self.gate = TradingGate(bus)
        self._cover: ShortCover | None = None
        if short_selling and margin is None:
            self._cover = ShortCover(
                bus,
                portfolio,
                self.exposure,
                approvals=self.approvals,
                gate=self.gate,
                price=price,
                instrument=instrument,
                halt=lambda reason: self._halts.at_limit(reason),
            )
        self._flatten = Flatten(
            bus,
            self.exposure,
            portfolio.account,
            approvals=self.approvals,
            price=price,
            instrument=instrument,
            why_not=self._why_no_exit,
            protects=lambda order_id: self.protections.book.is_exit(order_id),
        )
        self.losses = LossWatch(
            bus,
            limits,
            portfolio,
            price=price,
            instrument=instrument,
            halt=lambda reason: self._halts.at_limit(reason),
            is_halted=lambda: self.gate.halted_by >= HaltedBy.LIMIT,
            positions=PositionWatch(
                limits,
                [(self.exposure, self.approvals.withdraw)],
                price=price,
                instrument=instrument,
                rate=lambda quote: self.losses.rate(quote),
            ),
            owner=owner,
        )
        self._halts = Halts(bus, self.gate, approvals=self.approvals, flatten=self._flatten, losses=self.losses)
        self.rate = OrderRate(limits.max_orders_per_second) if limits.max_orders_per_second else None
        self.typical = TypicalOrder(limits.max_order_multiple) if limits.max_order_multiple else None
        self._orders = OrderReview(
            limits,
            self.exposure,
            clock=clock,
            price=price,
            instrument=instrument,
            why_closed=why_closed,
            gate=self.gate,
            losses=self.losses,
            rate=self.rate,
            typical=self.typical,
            cover=MarginCheck(margin, portfolio, self.exposure, price, instrument) if margin else self._cover,
            account=portfolio.account,
            terms_of=lambda order_id: self.protections.terms_of(order_id),
            amendment=amendment,
        )
        self.protections = Protections(
            bus,
            self.exposure,
            approve=self.approvals.approve,
            submit=self._review_order,
            price=price,
            close_ts=close_ts,
            instrument=instrument,
            why_not=self._why_no_exit,
            new_order_id=lambda: client_order_id(nonce, bus.next_id()),
            account=(portfolio.account_id, portfolio.user_id),
            venue=stop_orders,
            owners=portfolio.owners,
            owner=owner,
        )
        self._subscribe(owner)

    def _subscribe(self, owner: str) -> None:
        bus = self._bus
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        bus.subscribe(StrategyDecisionEvent, self.on_decision, **own)
        bus.subscribe(OrderEvent, self.on_order, **own)
        bus.subscribe(PositionEvent, self.on_position, **own)
        bus.subscribe(PositionLiquidatedEvent, self.on_liquidated, **own)
        bus.subscribe(BalanceEvent, self.on_balance, **own)
        bus.subscribe(AccountDifferenceFound, self.on_difference, **own)
        bus.subscribe(TradingHalted, self._halts.on_halted, **own)
        bus.subscribe(CommandReceived, self.on_command, **own)
        bus.subscribe(RunStarted, self.losses.on_started, **own)
        bus.subscribe(RunResumed, self.losses.on_resumed, **own)
        bus.subscribe(RunStopped, self.on_stopped, **own)
        bus.subscribe(
            TimerFired,
            self.on_midnight,
            where=lambda timer: timer.owner == owner,
            priority=PRIORITY[self.component],
            component=self.component,
        )

    def on_decision(self, decision: StrategyDecisionEvent) -> None:
        for intent in decision.intents:
            breach = None
            if intent.action == "order":
                if self.protections.is_active and self._must_wait(decision.strategy_id, intent):
                    continue
                intent, breach = self._orders.review(decision.strategy_id, intent)
            elif intent.action == "amend":
                intent, breach = self._orders.review_amend(decision.strategy_id, intent)
            elif intent.action == "protect":
                breach = self.protections.change(decision.strategy_id, intent)
                if breach is None:
                    continue
            elif intent.action == "exit":
                breach = self.protections.exit(decision.strategy_id, intent)
                if breach is None:
                    continue
            elif waited := self.protections.book.take_back(decision.strategy_id, intent.order_id):
                intent, breach = waited, Breach("protection", "it was cancelled while it waited for stops and targets")
            else:
                breach = self._orders.judge_cancel(decision.strategy_id, intent.order_id)
            if breach is None:
                self.exposure.approve(decision.strategy_id, intent)
                if self.typical is not None:
                    self.typical.count(decision.strategy_id, intent)
                self._bus.publish(
                    RiskApprovedEvent(
                        strategy_id=decision.strategy_id,
                        account_id=decision.account_id,
                        user_id=decision.user_id,
                        intent=intent,
                    )
                )
                if intent.protection is not None:
                    self.protections.open(decision.strategy_id, intent)
            else:
                self.approvals.refuse(decision.strategy_id, intent, breach)

    def _must_wait(self, strategy_id: str, intent: ActionIntent) -> bool:
        """Whether an order that may be sent waits until exit orders have ended."""
        is_refused = self.gate.closed_because and self.gate.halted_by is not HaltedBy.LIMIT
        return not is_refused and not self._why_closed(intent.symbol) and self.protections.yields(strategy_id, intent)

    def _review_order(self, strategy_id: str, intent: ActionIntent) -> None:
        """Approve or refuse an order of a strategy that had to wait."""
        breach: Breach | None = Breach("protection", "its position was closed meanwhile, or an operator closes it")
        if intent.quantity:
            intent, breach = self._orders.review(strategy_id, intent)
        if breach is not None:
            self.approvals.refuse(strategy_id, intent, breach)
            return
        if self.typical is not None:
            self.typical.count(strategy_id, intent)
        self.approvals.approve(strategy_id, intent)
        if intent.protection is not None:
            self.protections.open(strategy_id, intent)

    def on_order(self, event: OrderEvent) -> None:
        """Count an order event."""
        self.exposure.apply(event)
        if self.protections.is_active:
            self.protections.on_order(event)
        if isinstance(event, _FILLS):
            self.approvals.withdraw_excess(event.symbol)
        self._flatten.on_order(event.symbol)

    def on_balance(self, event: BalanceEvent) -> None:
        """Count coins that were paid in."""
        if event.deposit:
            self.exposure.deposit(event)
            if self.protections.is_active:
                self.protections.on_paid(event)
            self.losses.on_holdings(event)

    def on_difference(self, found: AccountDifferenceFound) -> None:
        """Halt trading if our books and the venue disagree, and the run is to halt then."""
        if found.policy == "halt":
            reason = f"the venue has {found.venue} {found.currency}, but our books have {found.ours}"
            self.gate.halt(reason, HaltedBy.OPERATOR)

    def on_midnight(self, fired: TimerFired) -> None:
        if not self.protections.on_timer(fired):
            self.losses.on_midnight(fired)

    def on_position(self, event: PositionEvent) -> None:
        self.losses.on_holdings(event)
        if self._cover is not None:
            self._cover.on_holdings(self._clock())

    def on_liquidated(self, event: PositionLiquidatedEvent) -> None:
        """Count what the venue closed by itself."""
        self.exposure.liquidate(event)
        if self.protections.is_active:
            self.protections.on_liquidated(event)
        self.approvals.withdraw_excess(event.symbol)
        self._flatten.on_order(event.symbol)

    def on_command(self, command: CommandReceived) -> None:
        self.protections.on_command(command)
        if command.command == "halt":
            self._halts.halt(command)
        elif command.command == "resume":
            self._halts.resume(command)
        elif command.command == "flatten":
            self._flatten.flatten(command.arguments.get("symbol", ""))
        elif command.command == "close":
            self._flatten.close(command.arguments.get("symbol", ""))
        elif command.command == "cancel":
            self._flatten.cancel(command.arguments.get("order_id", ""), command.arguments.get("symbol", ""))

    def _why_no_exit(self, symbol: str) -> str:
        """Why not even a reducing order of ours may be sent, in a symbol or in all."""
        if self.gate.is_closed:
            return f"trading is halted: {self.gate.closed_because}"
        return self._why_closed(symbol) if symbol else ""

    def answer_to(self, run: RunReview) -> None:
        """Judge each order by the limits of the whole run, too."""
        self._orders.run = self._halts.run = run

    def on_stopped(self, _: RunStopped) -> None:
        self.gate.close()

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record: fold it into exposure, limits and halts. Publishes nothing."""
        self.exposure.apply_event(event)
        for recorded in (self.rate, self.typical):
            if recorded is not None:
                recorded.apply_event(event)
        self.gate.recall(event)
        self.losses.recall(event)
        self._flatten.recall(event)
        self.protections.recall(event)
        if self._cover is not None:
            self._cover.recall(event)
        self._halts.recall(event)
