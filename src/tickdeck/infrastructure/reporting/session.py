"""What a run did, from its record alone: the figures and series for the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import Any, TypeAlias

import msgspec

from tickdeck.application.bus import InMemoryEventBus, type_name
from tickdeck.application.engines import MarketDataEngine
from tickdeck.application.kernel import money_context
from tickdeck.application.results import Performance, PerformanceObserver, Reasons, TradeJournal
from tickdeck.domain.accounts import Account, Rates, Valuation, reporting_currency
from tickdeck.domain.events import (
    CandleEvent,
    DomainEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    PositionClosedEvent,
    PositionEvent,
    PositionLiquidatedEvent,
    RiskLimitBreachedEvent,
    RunStopped,
    TickEvent,
    TradeEvent,
    TradingHalted,
    VenueBalanceReported,
    VenueFillReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT, RoundTrip
from tickdeck.domain.values import Money, Price, Quantity, Side
from tickdeck.infrastructure.reporting.curves import Curve, Point

__all__ = ["Fill", "Session", "collect"]

_FillEvent: TypeAlias = OrderPartiallyFilledEvent | OrderFilledEvent
_DURATION_REACHED = "duration reached"  # the wording of the run's driver


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One fill: when we received it (ns UTC), ``quantity`` in base, ``price`` in quote, ``fee`` in ``fee_currency``."""

    ts: int
    symbol: str
    side: Side
    quantity: Quantity
    price: Price
    fee: Money
    fee_currency: str
    liquidity: str
    strategy_id: str


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A run's figures and series. Amounts are exact and in ``currency``; times are ns UTC on the run's clock.

    - ``first_ts``, ``last_ts``: the first and last event. ``completed``: the record contains ``run.stopped``, whose
      ``reason`` is then set. ``halted``: the reason of the first trading halt, ``None`` if there was none.
    - ``counts``: events by type. ``refused_because``, ``rejected_because``: the most frequent reasons, as in a summary.
      ``deposits``, ``cash``, ``equity``, ``pnl``, ``fees``, ``positions``: at the end, over all currencies.
      ``left_out``: amounts by currency that are in none of these, because no price tells what they are worth.
    - ``equity_curve``, ``price_curves`` (by symbol, with the price of each fill): points in order of time, evenly
      spaced over the run, with the extremes of each interval (``Curve``). ``fills``: in order. ``trades``: by entry
      time.
      ``performance``: as computed by ``tickdeck backtest``.
    """

    symbols: tuple[str, ...]
    currency: str
    first_ts: int
    last_ts: int
    completed: bool
    reason: str
    halted: str | None
    counts: dict[str, int]
    refused_because: dict[str, int]
    rejected_because: dict[str, int]
    inputs: int
    deposits: Money
    cash: Money
    equity: Money
    pnl: Money
    fees: Money
    left_out: dict[str, Money]
    positions: dict[str, Quantity]
    equity_curve: tuple[Point, ...]
    price_curves: dict[str, tuple[Point, ...]]
    fills: tuple[Fill, ...]
    trades: tuple[RoundTrip, ...]
    performance: Performance

    @property
    def events(self) -> int:
        return sum(self.counts.values())

    @property
    def max_drawdown(self) -> float:
        """The largest fall from a peak, as a fraction of the peak: exact, as in ``performance``."""
        return self.performance.max_drawdown

    def drawdowns(self) -> list[float]:
        """The fall from the peak so far at each point of the equity's curve, as a fraction of that peak, 0 or less."""
        equity = [float(value) for _, value in self.equity_curve]
        peaks = accumulate(equity, max)
        return [value / peak - 1 if peak > 0 else 0.0 for value, peak in zip(equity, peaks, strict=True)]


@money_context()
def collect(
    record: Iterable[DomainEvent],
    *,
    symbols: tuple[str, ...],
    account_id: str,
    instrument: Callable[[str], Instrument],
    duration: int | None = None,
) -> Session:
    """The session of ``record``, which holds all events of a run in order of ``seq``, including those of its input
    files. Pure: the same record gives the same session.

    Prices, fills and balances go through the same code as in the run, so the figures match the run's to the last digit.
    ``duration`` is the run's, in ns, if it had one.
    """
    rates = Rates(symbols, instrument)
    quote = reporting_currency(map(instrument, symbols))
    account = Account(account_id, quote, homes=rates.homes(quote))
    collector = _Collector(symbols, account, rates, instrument, duration)
    for event in record:
        collector.take(event)
    return collector.session()


class _EquitySamples:
    """Repeats the run's own samples of the equity. In the run, samples were taken when the next market data arrived, so
    there were none after the last market data, while only the venue still reported."""

    def __init__(self, observer: PerformanceObserver) -> None:
        self.observer = observer
        self.due = 0
        self._equities: list[tuple[int, Money]] = []

    def add_equity(self, ts: int, equity: Money) -> None:
        """From the previous call until ``ts``, the equity had this value."""
        self._equities.append((ts, equity))

    def take(self, until: int | None = None) -> None:
        """Take the samples that are due, up to ``until``."""
        for ts, equity in self._equities:
            while self.due <= (ts if until is None else min(ts, until)):
                self.due += self.observer.sample(self.due, equity)
        self._equities.clear()


class _Collector:
    def __init__(
        self,
        symbols: tuple[str, ...],
        account: Account,
        rates: Rates,
        instrument: Callable[[str], Instrument],
        duration: int | None,
    ) -> None:
        self._symbols = symbols
        self._duration = duration
        self._account = account
        self._instrument = instrument
        bus = InMemoryEventBus(stamp=False)
        self._market = MarketDataEngine(bus)
        self._valuation = Valuation(account, rates, instrument)
        self._observer = PerformanceObserver(bus, self._valuation, self._market)
        self._samples = _EquitySamples(self._observer)
        self._reasons = Reasons()
        self._handlers: dict[type[DomainEvent], Callable[[Any], Any]] = {
            TradeEvent: self._market.on_trade,
            TickEvent: self._market.on_tick,
            OrderBookEvent: self._market.on_book,
            OrderBookDeltaEvent: self._market.on_delta,
            CandleEvent: self._market.on_candle,
            OrderPartiallyFilledEvent: self._on_fill,
            OrderFilledEvent: self._on_fill,
            PositionLiquidatedEvent: self._on_liquidated,
            VenueBalanceReported: self._on_balance,
            VenueFillReported: self._on_fill_report,
            PositionClosedEvent: self._observer.on_closed,
            RiskLimitBreachedEvent: self._reasons.on_refused,
            OrderRejectedEvent: self._reasons.on_rejected,
            TradingHalted: self._on_halted,
            RunStopped: self._on_stopped,
        }
        self._counts: dict[str, int] = {}
        self._reported: dict[tuple[str, str], None] = {}  # accounts and currencies whose first balance is known
        self._inputs = 0
        self._first_ts = self._last_ts = 0
        self._equity_curve = Curve(0)
        self._price_curves: dict[str, Curve] = {}
        self._interval_end = 0  # of the equity curve
        self._held: list[str] = []  # symbols whose prices the equity depends on
        self._seen: dict[str, tuple[Price, Price]] = {}  # their lowest and highest price; see _follow
        self._fills: list[Fill] = []
        self._journal = TradeJournal(instrument)
        self._halted: str | None = None
        self._stopped: RunStopped | None = None

    def take(self, event: DomainEvent) -> None:
        ts = event.ts_ingress
        if not self._counts:
            self._first_ts = self._samples.due = ts
            self._equity_curve = Curve(ts)
            self._interval_end = self._equity_curve.end_of_interval(ts)
        if event.is_input:
            self._inputs += 1
            # As in the run: what is due at an instant comes before its market data, and after everything else.
            now = ts if event.is_market_data else ts - 1
            if self._samples.due <= now:
                self._samples.add_equity(now, self._equity())
            if event.is_market_data:
                self._samples.take()
            if self._interval_end <= now:
                self._begin_interval(now)
        self._last_ts = ts
        name = type_name(event)
        self._counts[name] = self._counts.get(name, 0) + 1
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)
            if isinstance(event, MarketEvent):
                if self._valuation.waits:
                    self._value(event)
                self._observer.on_price(event)
                self._follow(event.symbol, ts)

    def _begin_interval(self, now: int) -> None:
        """Record the equity at the end of the previous interval and at ``now``. It did not change in between."""
        if not self._valuation.deposits:
            return  # the account has not begun
        equity = self._equity()
        self._equity_curve.add(self._interval_end - 1, equity)
        self._equity_curve.add(now, equity)
        self._interval_end = self._equity_curve.end_of_interval(now)
        self._seen.clear()

    def _follow(self, symbol: str, ts: int) -> None:
        """Update the curves, because a price may have changed. While the holdings stay the same, the equity moves with
        the prices of the positions. So only the highest and lowest prices since the last fill, within an interval, can
        be extremes of the equity."""
        price = self._market.market(symbol).price
        if price is None:
            return
        curve = self._price_curves.get(symbol)
        if curve is None:
            curve = self._price_curves[symbol] = Curve(self._first_ts)
        curve.add(ts, price)
        if symbol not in self._held:
            return
        low, high = self._seen.get(symbol, (price, price))
        if symbol not in self._seen or price < low or price > high or len(self._held) > 1:
            self._seen[symbol] = (min(low, price), max(high, price))
            self._equity_curve.add(ts, self._equity())

    def _price_curve(self, symbol: str) -> tuple[Point, ...]:
        curve = self._price_curves.get(symbol)
        points = [*curve.points()] if curve is not None else []
        points += [(fill.ts, fill.price) for fill in self._fills if fill.symbol == symbol]
        return tuple(sorted(points, key=lambda point: point[0]))

    def _equity(self) -> Money:
        return self._valuation.equity(self._market.price)

    def _on_balance(self, report: VenueBalanceReported) -> None:
        """The balances of several accounts are added up, as each of them was reported first."""
        first = next(iter(self._reported), (report.account_id, ""))[0]
        is_known = (report.account_id, report.currency) in self._reported
        self._reported[report.account_id, report.currency] = None
        if len({account_id for account_id, _ in self._reported}) == 1 or (report.account_id == first and not is_known):
            booked = self._account.set_balance(report)
        elif not is_known:
            booked = [self._account.transfer(report.currency, report.total, report.ts)]
        else:
            return
        self._valuation.take(booked, self._market.price)
        self._on_holdings(report, report.ts_ingress)

    def _value(self, event: MarketEvent) -> None:
        """Value the amounts that waited for a price of this symbol, as in the run."""
        before = self._valuation.deposits
        self._pay_in(before, self._valuation.on_price(event.symbol, self._market.price, event.ts), event.ts_ingress)

    def _on_fill_report(self, report: VenueFillReported) -> None:
        """Value coins that waited for a price at that of the first fill, as in the run."""
        before = self._valuation.deposits
        booked = self._valuation.open_holding(report.symbol, report.price, self._market.price, report.ts)
        self._pay_in(before, booked, report.ts_ingress)

    def _pay_in(self, before: Money, booked: list[PositionEvent], ts: int) -> None:
        """Book coins that are a position now. ``before``: the value of all that was paid in before."""
        paid_in = EXACT.subtract(self._valuation.deposits, before)
        if paid_in:  # it was there from the start
            self._equity_curve.raise_by(paid_in)
        for event in booked:
            self._journal.apply(msgspec.structs.replace(event, ts_ingress=ts))
            self._on_holdings(event, ts)

    def _on_fill(self, fill: _FillEvent) -> None:
        instrument = self._instrument(fill.symbol)
        self._valuation.take(self._account.apply_fill(fill, instrument), self._market.price)
        self._on_holdings(fill, fill.ts_ingress)
        self._fills.append(
            Fill(
                ts=fill.ts_ingress,
                symbol=fill.symbol,
                side=fill.side,
                quantity=fill.quantity,
                price=fill.price,
                fee=fill.fee,
                fee_currency=fill.fee_currency or instrument.quote,
                liquidity=fill.liquidity,
                strategy_id=fill.strategy_id,
            )
        )
        self._journal.apply(fill)

    def _on_liquidated(self, event: PositionLiquidatedEvent) -> None:
        booked = self._account.apply_fill(event, self._instrument(event.symbol))
        self._valuation.take(booked, self._market.price)
        self._on_holdings(event, event.ts_ingress)
        self._journal.apply(event)

    def _on_holdings(self, event: DomainEvent, ts: int) -> None:
        self._observer.on_holdings(event)
        self._held = self._valuation.symbols()
        self._seen.clear()
        if self._valuation.deposits:  # before that, the account has not begun
            self._equity_curve.add(ts, self._equity())

    def _on_halted(self, halted: TradingHalted) -> None:
        if self._halted is None:
            self._halted = halted.reason

    def _on_stopped(self, stopped: RunStopped) -> None:
        self._stopped = stopped
        if self._duration is not None and stopped.reason == _DURATION_REACHED:
            until = self._first_ts + self._duration
            self._samples.add_equity(until, self._equity())
            self._samples.take(until)

    def session(self) -> Session:
        account, valuation, price = self._account, self._valuation, self._market.price
        equity = valuation.equity(price)
        self._equity_curve.add(self._last_ts, equity)
        trades = [*self._journal.closed, *self._journal.open(price)]
        return Session(
            symbols=self._symbols,
            currency=account.quote,
            first_ts=self._first_ts,
            last_ts=self._last_ts,
            completed=self._stopped is not None,
            reason=self._stopped.reason if self._stopped is not None else "",
            halted=self._halted,
            counts=self._counts,
            refused_because=self._reasons.refused,
            rejected_because=self._reasons.rejected,
            inputs=self._inputs,
            deposits=valuation.deposits,
            cash=valuation.cash(price),
            equity=equity,
            pnl=valuation.pnl(price),
            fees=valuation.fees,
            left_out=valuation.left_out(price),
            positions={symbol: account.position(symbol).quantity for symbol in self._symbols},
            equity_curve=tuple(self._equity_curve.points()),
            price_curves={symbol: self._price_curve(symbol) for symbol in self._symbols},
            fills=tuple(self._fills),
            trades=tuple(sorted(trades, key=lambda trade: (trade.entry_ts, trade.symbol))),
            performance=self._samples.observer.performance(),
        )
