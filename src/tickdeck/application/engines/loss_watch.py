"""Watches the equity for the daily loss and the drawdown, at every price that could reach a limit."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Context, Decimal

from tickdeck.application.bus import SubscribeOptions, Subscription
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.portfolios import Portfolios
from tickdeck.application.engines.position_watch import PositionWatch
from tickdeck.application.engines.short_cover import PRICES
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.domain.events import (
    BalanceEvent,
    CandleEvent,
    DomainEvent,
    MarketEvent,
    RiskDayStarted,
    RunResumed,
    RunStarted,
    StateUpdated,
    TimerFired,
    TradeEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import DailyLoss, Drawdown, RiskLimits
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price

__all__ = ["LossWatch"]

_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_NO_END = Decimal("Infinity")
_DAY = 86_400_000_000_000


class LossWatch:
    """Halts trading at ``max_daily_loss`` and ``max_drawdown`` of ``limits``.

    The equity is computed after each fill, and when a price leaves the range in which no limit can be reached. Outside
    that, a price costs two comparisons. Prices are not received before the first position, nor if neither limit is set.
    """

    def __init__(
        self,
        bus: CoreBus,
        limits: RiskLimits,
        portfolio: PortfolioEngine | Portfolios,
        *,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        halt: Callable[[str], None],
        is_halted: Callable[[], bool],
        positions: PositionWatch,
        owner: str,
        of: str = "",
    ) -> None:
        """``halt(reason)`` halts trading. ``is_halted()``: whether it has been halted for good, so that there is
        nothing to watch until ``restart``. ``positions`` looks at the same prices. ``owner``: of the timer of
        midnight. ``of`` follows the name of a limit in the reason."""
        self._bus = bus
        self._limits = limits
        self._portfolio = portfolio
        self._price = price
        self._instrument = instrument
        self._halt = halt
        self._is_halted = is_halted
        self._positions = positions
        self._owner = owner
        self._of = of
        self._quote = portfolio.account.quote
        self.daily_loss = DailyLoss(limits.max_daily_loss) if limits.max_daily_loss else None
        self.drawdown = Drawdown(limits.max_drawdown) if limits.max_drawdown else None
        self._deposits: Money = ZERO  # that the peak includes
        self._watching: dict[type[MarketEvent], Subscription] = {}  # market data, while something is held
        self._calm: dict[str, tuple[Price, Price]] = {}  # strictly between these prices no limit can be reached

    # -- changes -----------------------------------------------------------------------------------------------------

    def on_started(self, _: RunStarted) -> None:
        self.restart_peak()
        self._start_day()

    def on_midnight(self, fired: TimerFired) -> None:
        self._start_day()
        self.look(fired)

    def on_resumed(self, resumed: RunResumed) -> None:
        """The past was restored: look at the losses, which nobody did meanwhile."""
        if resumed.how != "executed":
            self.on_holdings(resumed)

    def _start_day(self) -> None:
        """Count the daily loss from the current equity, until the next midnight (UTC)."""
        if self.daily_loss is not None:
            self.restart_day()
            now = self._bus.clock.now()
            self._bus.set_timer(now - now % _DAY + _DAY, "midnight", self._owner)

    def restart_day(self) -> None:
        """Count the daily loss from the current equity."""
        if self.daily_loss is None:
            return
        account, currency = self._portfolio.account, self._limits.currency
        started = RiskDayStarted(
            account_id=account.account_id, user_id=account.user_id, equity=self._pnl(), currency=currency
        )
        self.daily_loss.apply(started)
        self._bus.publish(started)

    def restart_peak(self) -> None:
        """Count the drawdown from the current equity."""
        if self.drawdown is not None:
            self._deposits = self._portfolio.valuation.deposits
            self.drawdown.restart(self._portfolio.equity())

    def on_holdings(self, event: DomainEvent) -> None:
        """A fill or a deposit changed the account."""
        if self.daily_loss is None and self.drawdown is None and not self._positions.is_needed:
            return
        symbols = self._symbols()
        self._follow(symbols)
        self.look(event)

    def on_price(self, event: MarketEvent) -> None:
        calm = self._calm.get(event.symbol)
        if calm is None:
            return
        price = event.price if isinstance(event, TradeEvent) else self._price(event.symbol)
        if price is not None and not calm[0] < price < calm[1]:
            self.look(event)

    def look(self, event: DomainEvent) -> None:
        """Compare the equity with the limits; ``event`` is why. Halts trading if one is reached."""
        self._calm = {}
        if self._is_halted():
            return
        breach = None
        if self.daily_loss is not None:
            breach = self.daily_loss.judge(pnl := self._pnl())
        if self.drawdown is not None:
            equity = self._equity(self.drawdown)
            breach = breach or self.drawdown.judge(equity)
        if breach is not None:
            self._halt(f"{breach.limit}{self._of}: {breach.detail}; reached at {event.event_type} {event.event_id}")
            return
        if self._positions.is_needed and isinstance(event, MarketEvent):  # a fill was checked before it was ordered
            self._positions.look(event)
        room = above = _NO_END  # how far the equity may fall, and rise, in the account's currency
        if self.daily_loss is not None and self.daily_loss.start_equity is not None:
            rate = self._limits.rate(self._quote) or ZERO
            spare = pnl - self.daily_loss.start_equity + self.daily_loss.limit
            room = _DOWN.divide(spare, rate) if rate else ZERO
        if self.drawdown is not None:
            room = min(room, equity - self.drawdown.floor)
            above = self.drawdown.peak - equity
        self._calm = self._ranges(self._symbols(), room, above)

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing. The peak follows each price, each fill and
        each deposit. A deposit alone is no reason to judge the equity: the rest of what was booked with it follows."""
        if isinstance(event, RiskDayStarted):
            if self.daily_loss is not None and event.account_id == self._portfolio.account.account_id:
                self.daily_loss.apply(event)
        elif isinstance(event, RunStarted):
            self.restart_peak()
        elif self.drawdown is None or self._is_halted():
            return
        elif isinstance(event, MarketEvent | StateUpdated):
            self.drawdown.judge(self._equity(self.drawdown))
        elif isinstance(event, BalanceEvent):
            self._count_deposits(self.drawdown)

    def _equity(self, drawdown: Drawdown) -> Money:
        """The equity now. What was paid in since the last time is counted first."""
        self._count_deposits(drawdown)
        return self._portfolio.equity()

    def _count_deposits(self, drawdown: Drawdown) -> None:
        paid_in = EXACT.subtract(self._portfolio.valuation.deposits, self._deposits)
        if paid_in:
            self._deposits = self._portfolio.valuation.deposits
            drawdown.paid_in(paid_in)

    # -- which prices matter -----------------------------------------------------------------------------------------

    def _symbols(self) -> list[str]:
        """The symbols whose prices affect the equity in the currency of the limits."""
        symbols = self._portfolio.valuation.symbols()
        if symbols and self.daily_loss is not None and self._limits.rate(self._quote) is None:
            return list(dict.fromkeys([*symbols, *self._portfolio.rate_symbols(self._quote, self._limits.currency)]))
        return symbols

    def _follow(self, symbols: list[str]) -> None:
        """Receive market data while ``symbols`` matter. A symbol with trades or candles has the price of the last one,
        so its quotes and books need not be followed."""
        if not symbols:
            return  # the next position follows soon, and to subscribe again costs as much as a thousand prices
        trades = all(self._portfolio.has_last_price(symbol) for symbol in symbols)
        wanted: tuple[type[MarketEvent], ...] = (TradeEvent, CandleEvent) if trades else PRICES
        for kind in [kind for kind in self._watching if kind not in wanted]:
            self._watching.pop(kind).cancel()
        own: SubscribeOptions = {"priority": PRIORITY["risk"], "component": "risk"}
        for kind in wanted:
            if kind not in self._watching:
                self._watching[kind] = self._bus.subscribe(kind, self.on_price, **own)

    def _ranges(self, symbols: list[str], room: Money, above: Money) -> dict[str, tuple[Price, Price]]:
        """For each symbol the range of prices in which the equity cannot fall by ``room`` or rise by more than
        ``above``. Each symbol may use an equal part of both. If the equity is not a linear function of the prices,
        because other currencies are involved, every new price counts."""
        positions = self._portfolio.account.positions
        linear = all(symbol in positions and self._instrument(symbol).quote == self._quote for symbol in symbols) and (
            self.daily_loss is None or self._limits.rate(self._quote) is not None
        )
        ranges = {}
        for symbol in symbols:
            price = self._price(symbol)
            if price is None:
                ranges[symbol] = (ZERO, ZERO)  # the first price counts
                continue
            low, high = price.next_minus(), price.next_plus()
            if linear and (quantity := positions[symbol].quantity):
                share = abs(quantity) * len(symbols)
                fall, rise = _part(room, share), _part(above, share)
                if quantity < 0:
                    fall, rise = rise, fall
                low, high = min(low, price - fall), max(high, price + rise)
                if self._positions.is_needed:
                    rate = self._limits.rate(self._quote)
                    high = min(high, self._positions.passed_at(symbol, price, abs(quantity), len(symbols), rate))
            ranges[symbol] = (low, high)
        return ranges

    def _pnl(self) -> Money:
        """The result of trading in the currency of the limits. Without a rate no order passes, so there can be no
        loss."""
        return self._portfolio.pnl() * (self.rate(self._quote) or ZERO)

    def rate(self, quote: str) -> Decimal | None:
        """The value of one unit of ``quote`` in the currency of the limits: as configured, else at the last prices."""
        limits = self._limits
        worth = limits.rate(quote) or self._portfolio.rate(quote, limits.currency)
        if worth is None:
            rate, into = self._portfolio.rate(quote, self._quote), limits.rate(self._quote)
            worth = None if rate is None or into is None else EXACT.multiply(rate, into)
        return worth


def _part(distance: Money, share: Decimal) -> Price:
    """``distance`` divided by ``share``, rounded down, so that the limit is never reached within it."""
    return distance if distance.is_infinite() else _DOWN.divide(max(distance, ZERO), share)
