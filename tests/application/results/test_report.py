"""Figures of a run: the exact drawdown, the ratios on a fixed grid, wins."""

from __future__ import annotations

import math
from decimal import Decimal
from itertools import accumulate, pairwise

import pytest
from application_kit import BTC, SECOND, START, D, trade
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines import MarketDataEngine
from tickdeck.application.results import PerformanceObserver
from tickdeck.application.results.report import ratios
from tickdeck.domain.accounts import Account, Rates, Valuation
from tickdeck.domain.events import OrderFilledEvent, PositionClosedEvent, PositionUpdatedEvent, VenueBalanceReported
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import Side

HOUR = 3_600 * SECOND
DAY = 24 * HOUR


class Followed:
    """An account and a market whose changes the observer follows, as in a run."""

    def __init__(self) -> None:
        self.bus = InMemoryEventBus()
        self.market = MarketDataEngine(self.bus)
        self.account = Account("main", "USDT")
        self.valuation = Valuation(self.account, Rates(), instrument_for)
        balance = VenueBalanceReported(account_id="main", currency="USDT", total=D(1_000))
        self.valuation.take(self.account.set_balance(balance), self.market.price)
        for event_type in (OrderFilledEvent,):
            self.bus.subscribe(event_type, self.book)
        self.observer = PerformanceObserver(self.bus, self.valuation, self.market)
        self.equities: list[Decimal] = []
        self.bus.subscribe("*", lambda e: self.equities.append(self.observer.equity()), priority=-200)
        self.observer.observe(START)
        self.equities.append(self.observer.equity())

    def book(self, fill: OrderFilledEvent) -> None:
        self.valuation.take(self.account.apply_fill(fill, instrument_for(fill.symbol)), self.market.price)

    def price(self, price: Decimal, symbol: str = BTC) -> None:
        self.bus.publish(trade(str(price), symbol=symbol, ts=START))

    def fill(self, quantity: Decimal, price: Decimal, symbol: str = BTC) -> None:
        self.bus.publish(
            OrderFilledEvent(
                order_id=f"o{len(self.equities)}", symbol=symbol, strategy_id="s", account_id="main",
                side=Side.BUY if quantity > 0 else Side.SELL, quantity=abs(quantity), price=price, fee=D("0.1"),
                fee_currency="USDT", liquidity="taker", filled=abs(quantity), remaining=D(0), average_price=price,
            )
        )  # fmt: skip

    def expected(self) -> float:
        peaks = accumulate(self.equities, max)
        return float(max(1 - equity / peak for equity, peak in zip(self.equities, peaks, strict=True)))


def closed(total: str, last: str = "0", symbol: str = BTC) -> PositionClosedEvent:
    return PositionClosedEvent(
        symbol=symbol, quantity=D(0), cost=D(0), average_price=D(1), realized_pnl=D(last), total_realized_pnl=D(total)
    )


def test_a_fall_between_two_samples_counts() -> None:
    run = Followed()
    run.price(D(100))
    run.fill(D(1), D(100))
    run.price(D(50))
    run.price(D(100))

    assert run.observer.performance().max_drawdown == pytest.approx(50.1 / 1_000)


_moves = st.one_of(
    st.tuples(st.just("price"), st.integers(1, 200), st.sampled_from([BTC, "ETHUSDT"])),
    st.tuples(st.just("fill"), st.integers(-3, 3).filter(bool), st.sampled_from([BTC, "ETHUSDT"])),
)


@given(st.lists(_moves, max_size=60))
def test_the_drawdown_is_that_of_every_change_of_the_equity(moves: list[tuple[str, int, str]]) -> None:
    run = Followed()
    prices = {BTC: D(100), "ETHUSDT": D(100)}
    for symbol, price in prices.items():
        run.price(price, symbol)
    for what, number, symbol in moves:
        if what == "price":
            prices[symbol] = D(number)
            run.price(D(number), symbol)
        else:
            run.fill(D(number), prices[symbol], symbol)

    assert run.observer.performance().max_drawdown == pytest.approx(run.expected(), abs=1e-15)


def test_without_money_there_is_no_drawdown_and_no_ratio() -> None:
    bus = InMemoryEventBus()
    observer = PerformanceObserver(bus, Valuation(Account(), Rates(), instrument_for), MarketDataEngine(bus))
    observer.observe(0)
    performance = observer.performance()

    assert (performance.max_drawdown, performance.sharpe, performance.returns) == (0, None, None)


def test_short_runs_use_hourly_returns_and_long_runs_daily_ones() -> None:
    def ratio(values: list[float], step: int) -> tuple[float, float]:
        returns = [after / before - 1 for before, after in pairwise(values)]
        mean = sum(returns) / len(returns)
        deviation = math.sqrt(sum((r - mean) ** 2 for r in returns) / (len(returns) - 1))
        downside = math.sqrt(sum(min(r, 0) ** 2 for r in returns) / len(returns))
        scale = math.sqrt(365 * DAY / step)
        return mean / deviation * scale, mean / downside * scale

    for days, name, step in ((3, "1h", HOUR), (10, "1d", DAY)):
        samples = [(hour * HOUR, D(1_000 + hour**2 % 47)) for hour in range(days * 24 + 1)]
        kept = [float(value) for ts, value in samples if ts % step == 0]
        sharpe, sortino, returns = ratios(samples)
        assert returns == name
        assert (sharpe, sortino) == pytest.approx(ratio(kept, step))


def test_the_ratios_do_not_depend_on_when_within_an_hour_a_run_begins() -> None:
    whole = [(hour * HOUR, D(1_000 + hour**2 % 47)) for hour in range(80)]
    assert ratios([(-17 * SECOND, D(5)), *whole]) == ratios(whole)


@pytest.mark.parametrize("values", [[], [100], [100, 110], [100] * 30, [100 + n for n in range(20)]])
def test_a_short_run_or_one_without_risk_has_no_ratio(values: list[int]) -> None:
    assert ratios([(n * HOUR, D(value)) for n, value in enumerate(values)]) == (None, None, None)


def test_samples_are_at_full_hours() -> None:
    run = Followed()
    ts = START + 17 * SECOND
    for _ in range(5):
        ts += run.observer.observe(ts)
    assert [moment % HOUR for moment, _ in run.observer.samples[2:]] == [0, 0, 0, 0]


def test_a_position_counts_as_won_if_all_its_parts_together_made_a_profit() -> None:
    run = Followed()
    performance = run.observer.performance()
    assert (performance.trades, performance.win_rate) == (0, None)

    run.bus.publish(
        PositionUpdatedEvent(
            symbol=BTC, quantity=D(1), cost=D(1), average_price=D(1), realized_pnl=D(10), total_realized_pnl=D(10)
        )
    )
    run.bus.publish(closed("9", last="-1"))  # +10 and then -1: won
    run.bus.publish(closed("7", last="1"))  # -3 and then +1: lost
    run.bus.publish(closed("7"))  # nothing: not won
    run.bus.publish(closed("1", symbol="ETHUSDT"))  # won

    performance = run.observer.performance()
    assert (performance.trades, performance.win_rate) == (4, 0.5)
