"""The risk engine: approves or refuses every intent of every decision."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, DecimalException

import msgspec

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.short_cover import PRICES, ShortCover
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    ActionIntent,
    BalanceEvent,
    CommandReceived,
    NotificationAlert,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionEvent,
    RiskApprovedEvent,
    RiskDayStarted,
    RiskLimitBreachedEvent,
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
    CountedOrder,
    DailyLoss,
    Exposure,
    OrderRate,
    RiskLimits,
    check_order,
    only_reduces,
)
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["RiskEngine"]

_DAY = 86_400_000_000_000


class RiskEngine:
    """Rounds each intent to the instrument's grid, checks it against the limits, and approves it or refuses it with a
    reason.

    An amend is judged as the order that it would result in. A cancel passes, whatever the limits, if its order belongs
    to the strategy and is open or on its way. An order that only reduces a position passes every limit.

    Trading halts at the daily loss limit and on the command ``halt``. After a limit's halt, only reducing orders pass,
    and the open orders that could enlarge a position are cancelled.
    After an operator's halt, only the orders of the commands ``flatten`` (its argument ``symbol`` restricts it) and
    ``close`` (of one symbol) pass. The command ``cancel`` (``order_id``, ``symbol``, or all) always passes. After an
    error or the run's end, only cancels pass. The command ``resume`` ends a halt by a limit or an operator,
    and the day's loss is counted from zero again. A halt by an error stays.
    """

    component = "risk"
    hears = (
        StrategyDecisionEvent,
        OrderEvent,
        PositionEvent,
        TradingHalted,
        CommandReceived,
        TimerFired,
        RunStarted,
        RunStopped,
        BalanceEvent,
        *PRICES,
    )
    publishes = (
        RiskApprovedEvent,
        RiskDayStarted,
        RiskLimitBreachedEvent,
        TradingHalted,
        TradingResumed,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        bus: Kernel,
        limits: RiskLimits,
        *,
        clock: Callable[[], int],
        price: Callable[[str], Price | None],
        portfolio: PortfolioEngine,
        instrument: Callable[[str], Instrument],
        why_closed: Callable[[str], str] = lambda symbol: "",
        short_selling: bool = False,
    ) -> None:
        """``clock()`` is the run's time (ns UTC), and ``price(symbol)`` the last price (quote). Risk counts positions
        and open orders itself, from events. ``why_closed(symbol)`` says why the venue takes no new orders, and
        is empty if it does. ``short_selling``: whether the account may owe coins, which its equity must cover."""
        self._bus = bus
        self._limits = limits
        self._clock = clock
        self._price = price
        self._portfolio = portfolio
        self._instrument = instrument
        self._why_closed = why_closed
        self._quote = portfolio.account.quote
        self._account_id = portfolio.account_id
        self._user_id = portfolio.user_id
        self.exposure = Exposure(lambda symbol: instrument(symbol).base, portfolio.account.homes)
        self._cover: ShortCover | None = None
        if short_selling:
            self._cover = ShortCover(
                bus,
                portfolio,
                self.exposure,
                price=price,
                instrument=instrument,
                buy_back=self._buy_back,
                halt=lambda reason: self._halt(reason, reducing_passes=True),
            )
        self._flattening: dict[str, list[str]] = {}  # orders that a flatten waits for, by symbol
        self.rate = OrderRate(limits.max_orders_per_second) if limits.max_orders_per_second else None
        self.daily_loss = DailyLoss(limits.max_daily_loss) if limits.max_daily_loss else None
        self._closed_because = ""
        self._resumable = False
        self._reducing_passes = False  # while trading is halted
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        bus.subscribe(StrategyDecisionEvent, self.on_decision, **own)
        bus.subscribe(OrderEvent, self.on_order, **own)
        bus.subscribe(PositionEvent, self.on_position, **own)
        bus.subscribe(BalanceEvent, self.on_balance, **own)
        bus.subscribe(TradingHalted, self.on_halted, **own)
        bus.subscribe(CommandReceived, self.on_command, **own)
        bus.subscribe(RunStarted, self.on_started, **own)
        bus.subscribe(RunStopped, self.on_stopped, **own)
        bus.subscribe(
            TimerFired,
            self.on_midnight,
            where=lambda timer: timer.owner == self.component,
            priority=PRIORITY[self.component],
            component=self.component,
        )

    def on_decision(self, decision: StrategyDecisionEvent) -> None:
        self._watch_daily_loss()
        for intent in decision.intents:
            breach = None
            if intent.action == "order":
                intent, breach = self._review(intent)
            elif intent.action == "amend":
                intent, breach = self._review_amend(decision.strategy_id, intent)
            else:
                breach = self._judge_cancel(decision.strategy_id, intent.order_id)
            if breach is None:
                self.exposure.approve(decision.strategy_id, intent)
                self._bus.publish(
                    RiskApprovedEvent(
                        strategy_id=decision.strategy_id,
                        account_id=decision.account_id,
                        user_id=decision.user_id,
                        intent=intent,
                    )
                )
            else:
                self._bus.publish(
                    RiskLimitBreachedEvent(
                        strategy_id=decision.strategy_id,
                        account_id=decision.account_id,
                        user_id=decision.user_id,
                        limit=breach.limit,
                        detail=breach.detail,
                        intent=intent,
                    )
                )

    def on_order(self, event: OrderEvent) -> None:
        """Count an order event."""
        self.exposure.apply(event)
        if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            self._withdraw_excess(event.symbol)
        if event.symbol in self._flattening:
            self._close_rest(event.symbol)

    def _withdraw_excess(self, symbol: str) -> None:
        """Cancel reduce-only orders that became larger than the position."""
        for order in self.exposure.beyond(symbol):
            held = self.exposure.position(symbol)
            message = (
                f"reduce-only order {order.order_id} is larger than the position of {held} {symbol}: it is cancelled"
            )
            self._bus.publish(SystemWarning(component=self.component, message=message))
            self._approve(order.strategy_id, ActionIntent(action="cancel", symbol="", order_id=order.order_id))

    def on_balance(self, event: BalanceEvent) -> None:
        """Count coins that were paid in."""
        if event.deposit:
            self.exposure.deposit(event)

    def _review(
        self, intent: ActionIntent, instead_of: CountedOrder | None = None
    ) -> tuple[ActionIntent, Breach | None]:
        """The intent, rounded to the steps of the instrument, and the limit that it breaches."""
        try:
            intent = self._on_grid(intent)
            return self._judge(intent, instead_of)
        except DecimalException:  # more digits than we can compute with: the strategy's error, not ours
            size = f"quantity {intent.quantity}, limit {intent.limit}"
            return intent, Breach("instrument", f"{size}: not tradable numbers")

    def _review_amend(self, strategy_id: str, intent: ActionIntent) -> tuple[ActionIntent, Breach | None]:
        """The amend intent, completed with all fields of the order and rounded, and the limit that it breaches."""
        order = self.exposure.orders.get(intent.order_id)
        if order is None or order.strategy_id != strategy_id or not order.is_sent:
            return intent, Breach("order", f"this strategy has no order {intent.order_id} at a venue")
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
        return self._review(intent, instead_of=order)

    def _judge_cancel(self, strategy_id: str, order_id: str) -> Breach | None:
        order = self.exposure.orders.get(order_id)
        if order is None or order.strategy_id != strategy_id:
            return Breach("unknown_order", f"this strategy has no order {order_id}")
        return None if order.is_open else Breach("unknown_order", f"order {order_id} is {order.status.value}")

    def _on_grid(self, intent: ActionIntent) -> ActionIntent:
        instrument = self._instrument(intent.symbol)
        quantity = instrument.quantise_quantity(intent.quantity)
        limit = instrument.quantise_price(intent.limit) if intent.limit is not None else None
        return msgspec.structs.replace(intent, quantity=quantity, limit=limit)

    def _judge(self, intent: ActionIntent, instead_of: CountedOrder | None) -> tuple[ActionIntent, Breach | None]:
        """The intent, marked ``reduce_only`` if it can only reduce a position, and the limit that it breaches."""
        side = intent.side
        assert side is not None  # the event's own check
        if self._closed_because and not self._reducing_passes:
            return intent, Breach("trading_halted", self._closed_because)
        if closed := self._why_closed(intent.symbol):
            return intent, Breach("instrument", closed)
        if intent.limit is not None and intent.limit <= 0:
            return intent, Breach("instrument", "the limit is 0 after rounding to the tick size")
        if instead_of is not None and intent.quantity <= instead_of.filled:
            filled = f"{instead_of.filled} of order {instead_of.order_id} is already filled"
            return intent, Breach(
                "order", f"{filled}, so its quantity cannot become {intent.quantity}; cancel the rest"
            )
        working, staying = self.exposure.working(intent.symbol, side), self.exposure.staying(intent.symbol, side)
        if instead_of is not None:  # it would be replaced, and its filled part is in the position
            working = EXACT.subtract(EXACT.subtract(working, instead_of.exposure), instead_of.filled)
            staying = EXACT.subtract(EXACT.subtract(staying, instead_of.staying), instead_of.filled)
        position = self.exposure.position(intent.symbol)
        reduces = only_reduces(side, intent.quantity, position, staying)
        if reduces:
            working = staying
            intent = msgspec.structs.replace(intent, reduce_only=True)
        elif intent.reduce_only:
            return intent, Breach(
                "reduce_only", f"together with the open orders it would do more than close the position of {position}"
            )
        if self._closed_because and not reduces:
            return intent, Breach("trading_halted", self._closed_because)
        breach = check_order(
            self._limits,
            self._instrument(intent.symbol),
            side=side,
            quantity=intent.quantity,
            limit=intent.limit,
            reference=self._price(intent.symbol),
            rate=self._rate(self._instrument(intent.symbol).quote),
            position=position,
            working=working,
        )
        if breach is None and self._cover is not None and not reduces:
            before = ZERO if instead_of is None else EXACT.add(instead_of.exposure, instead_of.filled)
            reference = self._price(intent.symbol) or ZERO  # a sale fills at its limit or better
            worth = reference if intent.limit is None else intent.limit
            if side is Side.SELL:
                worth = max(worth, reference)
            breach = self._cover.judge(side, intent.symbol, EXACT.subtract(intent.quantity, before), worth)
        if breach is None and self.rate is not None and not reduces:
            breach = self.rate.take(self._clock())
        return intent, breach

    def on_started(self, _: RunStarted) -> None:
        self._start_day()

    def on_midnight(self, _: TimerFired) -> None:
        self._start_day()

    def _start_day(self) -> None:
        """Count the daily loss from the current equity, until the next midnight (UTC)."""
        if self.daily_loss is None:
            return
        self._restart_day(self.daily_loss)
        now = self._clock()
        self._bus.set_timer(now - now % _DAY + _DAY, "midnight", self.component)

    def _restart_day(self, daily_loss: DailyLoss) -> None:
        started = RiskDayStarted(
            account_id=self._account_id,
            user_id=self._user_id,
            equity=self._pnl(),
            currency=self._limits.currency,
        )
        daily_loss.apply(started)
        self._bus.publish(started)

    def on_position(self, _: PositionEvent) -> None:
        self._watch_daily_loss()
        if self._cover is not None:
            self._cover.on_holdings(self._clock())

    def _watch_daily_loss(self) -> None:
        if self.daily_loss is None or self._closed_because:
            return
        breach = self.daily_loss.judge(self._pnl())
        if breach is not None:
            self._halt(f"{breach.limit}: {breach.detail}", reducing_passes=True)

    def _pnl(self) -> Money:
        """The result of trading in the currency of the limits. Without a rate no order passes, so there can be no
        loss."""
        return self._portfolio.pnl() * (self._rate(self._quote) or ZERO)

    def _rate(self, quote: str) -> Decimal | None:
        """The value of one unit of ``quote`` in the currency of the limits: as configured, else at the last prices."""
        limits = self._limits
        worth = limits.rate(quote) or self._portfolio.rate(quote, limits.currency)
        if worth is None:
            rate, into = self._portfolio.rate(quote, self._quote), limits.rate(self._quote)
            worth = None if rate is None or into is None else EXACT.multiply(rate, into)
        return worth

    def on_command(self, command: CommandReceived) -> None:
        if command.command == "halt":
            self._halt(command.reason or "asked for by a command")
        elif command.command == "resume":
            self._resume(command.reason or "asked for by a command")
        elif command.command == "flatten":
            self._flatten(command.arguments.get("symbol", ""))
        elif command.command == "close":
            self._close_symbol(command.arguments.get("symbol", ""))
        elif command.command == "cancel":
            self._cancel(command.arguments.get("order_id", ""), command.arguments.get("symbol", ""))

    def _cancel(self, order_id: str, symbol: str) -> None:
        """Cancel one order, or the open orders of one symbol or of all."""
        order = self.exposure.orders.get(order_id)
        if order_id and (order is None or not order.is_open):
            state = "is not known" if order is None else f"is {order.status.value}"
            message = f"cancel: order {order_id} {state}"
            self._bus.publish(SystemWarning(component=self.component, message=message))
            return
        for open_order in [order] if order is not None else self.exposure.open_orders(symbol):
            intent = ActionIntent(action="cancel", symbol="", order_id=open_order.order_id)
            self._approve(open_order.strategy_id, intent)

    def _close_symbol(self, symbol: str) -> None:
        if symbol and (self.exposure.position(symbol) or any(self.exposure.open_orders(symbol))):
            self._flatten(symbol)
            return
        message = f"close: there is no position and no open order in {symbol or 'a symbol without a name'}"
        self._bus.publish(SystemWarning(component=self.component, message=message))

    def _flatten(self, symbol: str) -> None:
        """Cancel the open orders and close the positions at market, for one symbol or all."""
        if self._closed_because and not self._resumable:
            why = f"flatten: only cancels pass, because trading is halted: {self._closed_because}"
            self._bus.publish(SystemWarning(component=self.component, message=why))
            return
        for order in self.exposure.open_orders(symbol):
            self._flattening.setdefault(order.symbol, []).append(order.order_id)
            intent = ActionIntent(action="cancel", symbol="", order_id=order.order_id)
            self._approve(order.strategy_id, intent)
        for held in list(self.exposure.positions):
            if symbol in ("", held):
                self._close(held)

    def _close(self, symbol: str) -> None:
        """Close the position in ``symbol`` at market, minus what open orders on the same side may still fill: a fill
        that is faster than its cancel would reverse the position."""
        held = self.exposure.position(symbol)
        side = Side.SELL if held > 0 else Side.BUY
        quantity = EXACT.subtract(abs(held), self.exposure.working(symbol, side))
        if quantity <= 0:
            return
        intent = ActionIntent(action="order", symbol=symbol, side=side, quantity=quantity, reduce_only=True)
        intent = self._on_grid(intent)
        if intent.quantity:  # otherwise the rest is less than a lot and cannot be sold
            self._approve(self.component, intent)

    def _close_rest(self, symbol: str) -> None:
        """Close the rest of a flatten when the orders that it waits for have ended."""
        waiting = self._flattening[symbol]
        ended = [i for i in waiting if (order := self.exposure.orders.get(i)) is None or not order.is_open]
        if not ended:
            return
        self._flattening[symbol] = [order_id for order_id in waiting if order_id not in ended]
        if not self._flattening[symbol]:
            del self._flattening[symbol]
        if not self._closed_because or self._resumable:
            self._close(symbol)

    def _buy_back(self, symbol: str, quantity: Quantity, why: str) -> None:
        """Cancel the open orders of strategies in ``symbol``, and buy back what is not covered."""
        if self._closed_because and not self._resumable:
            return
        self._bus.publish(SystemWarning(component=self.component, message=f"short_cover: {why}"))
        for order in self.exposure.open_orders(symbol):
            if order.strategy_id != self.component:
                self._approve(order.strategy_id, ActionIntent(action="cancel", symbol="", order_id=order.order_id))
        self._approve(
            self.component,
            ActionIntent(action="order", symbol=symbol, side=Side.BUY, quantity=quantity, reduce_only=True),
        )

    def _approve(self, strategy_id: str, intent: ActionIntent) -> None:
        self.exposure.approve(strategy_id, intent)
        self._bus.publish(
            RiskApprovedEvent(
                strategy_id=strategy_id, account_id=self._account_id, user_id=self._user_id, intent=intent
            )
        )

    def _halt(self, reason: str, *, reducing_passes: bool = False) -> None:
        if self._closed_because and not (self._reducing_passes and not reducing_passes):
            return
        self._closed_because, self._resumable, self._reducing_passes = reason, True, reducing_passes
        self._bus.publish(TradingHalted(reason=reason, resumable=True))
        if reducing_passes:
            self._cancel_opening_orders()

    def _cancel_opening_orders(self) -> None:
        """Cancel the open orders that could enlarge a position. Those that only reduce one stay."""
        opening = [order for order in self.exposure.open_orders() if not order.reduce_only and not order.withdrawn]
        if opening:
            message = f"halted by a limit: {len(opening)} open orders that could enlarge a position are cancelled"
            self._bus.publish(SystemWarning(component=self.component, message=message))
        for order in opening:
            self._approve(order.strategy_id, ActionIntent(action="cancel", symbol="", order_id=order.order_id))

    def _resume(self, reason: str) -> None:
        if not self._resumable:
            why = f"it stays halted: {self._closed_because}" if self._closed_because else "it is not halted"
            self._bus.publish(SystemWarning(component=self.component, message=f"trading is not resumed, {why}"))
            return
        self._closed_because, self._resumable, self._reducing_passes = "", False, False
        if self.daily_loss is not None:
            self._restart_day(self.daily_loss)
        self._bus.publish(TradingResumed(reason=reason))

    def on_halted(self, halted: TradingHalted) -> None:
        if not halted.resumable or not self._closed_because:
            self._closed_because, self._resumable = halted.reason, halted.resumable
            self._reducing_passes = False
        self._bus.publish(NotificationAlert(text=f"trading is halted: {halted.reason}", severity="critical"))

    def on_stopped(self, _: RunStopped) -> None:
        self._closed_because = self._closed_because or "the run has come to its end"
        self._resumable = self._reducing_passes = False
