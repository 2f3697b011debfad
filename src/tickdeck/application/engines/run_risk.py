"""The limits of a whole run: what all of its accounts together may do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines.loss_watch import LossWatch
from tickdeck.application.engines.portfolios import Portfolios
from tickdeck.application.engines.position_watch import PositionWatch
from tickdeck.application.engines.risk import RiskEngine
from tickdeck.application.engines.short_cover import PRICES
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    BalanceEvent,
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    PositionEvent,
    RiskApprovedEvent,
    RiskDayStarted,
    RunResumed,
    RunStarted,
    TimerFired,
    TradingHalted,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import Breach, CountedOrder, Exposure, OrderRate, RiskLimits, check_run
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side

__all__ = ["RunRisk"]

_OWNER = "risk of the run"  # of the timer


class RunRisk:
    """Judges orders of each account by ``limits``, which count all accounts of the run together, and halts trading of
    all at their daily loss or drawdown. An account's own limits come first.

    Such a halt is one ``trading.halted`` without an account. Like a halt by a limit of an account, it cancels the open
    orders that could enlarge a position and lets reducing orders pass. Only ``resume`` without an account ends it: the
    loss and the drawdown of the run are counted from zero again.
    """

    component = "risk"
    hears = (RunStarted, RunResumed, TimerFired, PositionEvent, BalanceEvent, CommandReceived, *PRICES)
    publishes = (TradingHalted, RiskDayStarted, NotificationAlert)

    def __init__(
        self,
        kernel: Kernel,
        limits: RiskLimits,
        risks: Sequence[RiskEngine],
        figures: Portfolios,
        *,
        clock: Callable[[], int],
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
    ) -> None:
        """``risks`` are the engines of all accounts, and ``figures`` what these are worth together. ``clock()`` is the
        run's time (ns UTC), and ``price(symbol)`` the last price (quote)."""
        self._kernel = kernel
        self._limits = limits
        self._exposures = [risk.exposure for risk in risks]
        self._clock = clock
        self._price = price
        self._instrument = instrument
        self.halted_because = ""
        """Why this halted the run; empty if it has not."""
        self.rate = OrderRate(limits.max_orders_per_second) if limits.max_orders_per_second else None
        self.losses = LossWatch(
            kernel,
            limits,
            figures,
            price=price,
            instrument=instrument,
            halt=self._halt,
            is_halted=lambda: bool(self.halted_because),
            positions=PositionWatch(
                limits,
                [(risk.exposure, risk.approvals.withdraw) for risk in risks],
                price=price,
                instrument=instrument,
                rate=lambda quote: self.losses.rate(quote),
                of=" of the run",
            ),
            owner=_OWNER,
            of=" of the run",
        )
        own: SubscribeOptions = {"priority": PRIORITY[self.component], "component": self.component}
        kernel.subscribe(RunStarted, self.losses.on_started, **own)
        kernel.subscribe(RunResumed, self.losses.on_resumed, **own)
        kernel.subscribe(PositionEvent, self.losses.on_holdings, **own)
        kernel.subscribe(BalanceEvent, self.on_balance, **own)
        kernel.subscribe(CommandReceived, self.on_command, **own)
        kernel.subscribe(
            TimerFired,
            self.losses.on_midnight,
            where=_is_ours,
            priority=PRIORITY[self.component],
            component=self.component,
        )
        for risk in risks:
            risk.answer_to(self)

    # -- orders ------------------------------------------------------------------------------------------------------

    def judge(
        self,
        exposure: Exposure,
        symbol: str,
        side: Side,
        quantity: Quantity,
        price: Price,
        working: Quantity,
        instead_of: CountedOrder | None,
    ) -> Breach | None:
        """The limit of the run that an order of the account with ``exposure`` would breach. It is valued at ``price``
        (quote). ``working`` is what the open orders of the account on that side may still fill without
        ``instead_of``, the order that an amend changes (base)."""
        limits, own = self._limits, instead_of is not None  # an amend adds no order
        breach = check_run(
            limits,
            self._instrument(symbol),
            side=side,
            quantity=quantity,
            price=price,
            position=exposure.position(symbol),
            working=working,
            rate=self.losses.rate(self._instrument(symbol).quote),
            open_orders=sum(one.count() for one in self._exposures) - own,
            open_in_symbol=sum(one.count(symbol) for one in self._exposures) - own,
            in_symbol=self._worst(exposure, symbol),
            elsewhere=self._elsewhere(symbol) if limits.max_total_notional is not None else ZERO,
        )
        if breach is None and self.rate is not None:
            breach = self.rate.judge(self._clock())
            if breach is not None:
                breach = Breach(breach.limit, f"{breach.detail}, in all accounts of the run together", "run")
        return breach

    def count(self) -> None:
        """Count an order that passed everything."""
        if self.rate is not None:
            self.rate.take(self._clock())

    def _worst(self, besides: Exposure | None, symbol: str) -> Money:
        """The largest value that the positions in ``symbol`` may reach with their open orders, in all accounts but one.
        Without a price or a rate it is 0: then none can be enlarged either."""
        price, rate = self._price(symbol), self.losses.rate(self._instrument(symbol).quote)
        if price is None or rate is None:
            return ZERO
        total = ZERO
        for exposure in self._exposures:
            if exposure is besides:
                continue
            held = exposure.position(symbol)
            long = EXACT.add(held, exposure.working(symbol, Side.BUY))
            short = EXACT.subtract(held, exposure.working(symbol, Side.SELL))
            total = EXACT.add(total, EXACT.multiply(max(long, -short, ZERO), EXACT.multiply(price, rate)))
        return total

    def _elsewhere(self, symbol: str) -> Money:
        others = dict.fromkeys(other for exposure in self._exposures for other in exposure.symbols() if other != symbol)
        return sum((self._worst(None, other) for other in others), ZERO)

    # -- losses ------------------------------------------------------------------------------------------------------

    def on_balance(self, event: BalanceEvent) -> None:
        """Count coins that were paid in."""
        if event.deposit:
            self.losses.on_holdings(event)

    def on_command(self, command: CommandReceived) -> None:
        if self._resumes(command):
            self.halted_because = ""
            self.losses.restart_day()
            self.losses.restart_peak()
            self.losses.look(command)

    def _halt(self, reason: str) -> None:
        self.halted_because = reason
        self._kernel.publish(TradingHalted(reason=reason, resumable=True, scope="run"))
        self._kernel.publish(NotificationAlert(text=f"trading is halted: {reason}", severity="critical"))

    def _resumes(self, command: CommandReceived) -> bool:
        """Whether a command ends the halt of the run. The surroundings of a run only end their own halts."""
        is_resume = command.command == "resume" and not command.arguments.get("account")
        return is_resume and bool(self.halted_because) and not command.arguments.get("by")

    # -- from the record ---------------------------------------------------------------------------------------------

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record, after the accounts. Publishes nothing."""
        if isinstance(event, RiskApprovedEvent):
            if self.rate is not None:
                self.rate.apply_event(event)
        elif isinstance(event, TradingHalted):
            if event.scope == "run":
                self.halted_because = event.reason
        elif isinstance(event, CommandReceived):
            if self._resumes(event):
                self.halted_because = ""
                self.losses.restart_peak()
        else:
            self.losses.recall(event)


def _is_ours(timer: TimerFired) -> bool:
    return timer.owner == _OWNER
