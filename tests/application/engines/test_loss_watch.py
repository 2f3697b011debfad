"""The daily loss and the drawdown halt trading at the price that reaches them, without any decision."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, SECOND, START, Core, D, tick, trade
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    CommandReceived,
    TradeEvent,
    TradingHalted,
    TransferKind,
    VenueBalanceReported,
    VenueTransferReported,
)
from tickdeck.domain.risk import RiskLimits

ETH = "ETHUSDT"
CASH = 1000


class Orders(Strategy):
    """Orders on the next trade what the test wants, and decides nothing else."""

    wish: tuple[str, Decimal] | None = None

    def on_trade(self, trade: TradeEvent) -> None:
        if self.wish is not None:
            (symbol, quantity), self.wish = self.wish, None
            if quantity > 0:
                self.buy(symbol, quantity)
            else:
                self.sell(symbol, -quantity)


def core_of(limits: RiskLimits) -> tuple[Core, Orders]:
    strategy = Orders()
    return Core({"orders": strategy}, limits=limits).start(str(CASH)).trades("100"), strategy


def hold(core: Core, strategy: Orders, quantity: str, symbol: str = BTC) -> None:
    """Trade ``quantity`` at the current price."""
    price = core.market_data.price(symbol)
    assert price is not None
    strategy.wish = symbol, D(quantity)
    core.feed(trade(str(price), ts=core.now + SECOND, symbol=symbol))
    core.fill(core.orders[-1], str(price))


def halts(core: Core) -> list[TradingHalted]:
    return [e for e in core.tape.events if isinstance(e, TradingHalted)]


def received(core: Core) -> list[str]:
    """The types of market data that risk receives."""
    return sorted(kind.event_type for kind in core.risk.losses._watching)


@pytest.mark.parametrize(
    ("limits", "quantity", "price", "reason"),
    [
        (RiskLimits(max_daily_loss=D(50)), "1", "50", "max_daily_loss: equity fell by 50"),
        (RiskLimits(max_daily_loss=D(50)), "-1", "150", "max_daily_loss: equity fell by 50"),
        (RiskLimits(max_drawdown=D("0.05")), "1", "50", "max_drawdown: equity is 950, 5 % below its peak of 1000"),
        (RiskLimits(max_drawdown=D("0.05")), "-1", "150", "max_drawdown: equity is 950, 5 % below"),
    ],
)
def test_a_price_that_reaches_the_limit_halts_trading(
    limits: RiskLimits, quantity: str, price: str, reason: str
) -> None:
    core, strategy = core_of(limits)
    hold(core, strategy, quantity)
    before = D(price) + (D("0.01") if D(price) < 100 else D("-0.01"))
    core.trades(str(before))
    assert halts(core) == []
    decisions = len(core.of("strategy.decision"))

    core.trades(price)

    (halt,) = halts(core)
    assert halt.reason.startswith(reason)
    assert halt.reason.endswith(f"reached at market.trade {halt.causation_id}")
    assert len(core.of("strategy.decision")) == decisions


def test_the_peak_is_the_highest_equity_that_any_price_gave() -> None:
    core, strategy = core_of(RiskLimits(max_drawdown=D("0.1")))
    hold(core, strategy, "1")
    core.trades("100", "1100", "901")  # 2000, then 1801
    assert halts(core) == []

    core.trades("900")

    assert halts(core)[0].reason.startswith("max_drawdown: equity is 1800, 10 % below its peak of 2000")


def test_money_that_comes_later_is_no_gain_and_does_not_hide_a_loss() -> None:
    core, _ = core_of(RiskLimits(max_drawdown=D("0.1")))
    core.feed(VenueBalanceReported(currency="ETH", total=D(10), source="scripted"))
    core.feed(trade("100", ts=core.now + SECOND, symbol=ETH))  # the account has 2000 now
    core.feed(trade("80.01", ts=core.now + SECOND, symbol=ETH))
    assert halts(core) == []

    core.feed(trade("80", ts=core.now + SECOND, symbol=ETH))

    assert len(halts(core)) == 1


def test_after_resume_the_loss_and_the_peak_count_from_there() -> None:
    core, strategy = core_of(RiskLimits(max_daily_loss=D(50), max_drawdown=D("0.05")))
    hold(core, strategy, "1")
    core.trades("50").feed(CommandReceived(command="resume"))

    core.trades("3", "2.51")
    assert len(halts(core)) == 1

    core.trades("2.5")
    assert len(halts(core)) == 2


def test_a_halt_by_the_surroundings_forgets_no_loss() -> None:
    core, strategy = core_of(RiskLimits(max_daily_loss=D(50)))
    hold(core, strategy, "1")
    core.feed(CommandReceived(command="halt", reason="the clock jumped", arguments={"by": "surroundings"}))
    core.trades("60").feed(CommandReceived(command="resume", arguments={"by": "surroundings"}))
    assert [halt.reason for halt in halts(core)] == ["the clock jumped"]

    core.trades("50")

    assert halts(core)[1].reason.startswith("max_daily_loss")


def test_a_loss_during_a_halt_by_the_surroundings_replaces_it_and_stays() -> None:
    core, strategy = core_of(RiskLimits(max_daily_loss=D(50)))
    hold(core, strategy, "1")
    core.feed(CommandReceived(command="halt", reason="the clock jumped", arguments={"by": "surroundings"}))
    core.trades("50").feed(CommandReceived(command="resume", arguments={"by": "surroundings"}))

    assert core.risk.gate.closed_because.startswith("max_daily_loss")
    assert core.of("trading.resumed") == []


def test_prices_are_received_from_the_first_position_on_if_a_limit_is_set() -> None:
    core, strategy = core_of(RiskLimits(max_order_notional=D(1000)))
    hold(core, strategy, "1")
    assert received(core) == []

    core, strategy = core_of(RiskLimits(max_daily_loss=D(50)))
    assert received(core) == []
    hold(core, strategy, "1")
    assert received(core) == ["market.candle", "market.trade"]  # quotes do not change the price
    hold(core, strategy, "-1")
    assert received(core) == ["market.candle", "market.trade"]  # for the next position


def test_quotes_are_followed_where_there_is_no_trade() -> None:
    core, strategy = core_of(RiskLimits(max_daily_loss=D(50)))
    core.feed(tick("99", "101", ts=core.now, symbol=ETH))
    strategy.wish = ETH, D(1)
    core.trades("100").fill(core.orders[-1], "100")

    core.feed(tick("49", "51", ts=core.now, symbol=ETH))

    assert len(halts(core)) == 1


def test_within_a_calm_range_the_equity_is_not_computed() -> None:
    core, strategy = core_of(RiskLimits(max_daily_loss=D(50)))
    hold(core, strategy, "1")
    looks: list[Any] = []
    core.risk.losses.look = looks.append  # type: ignore[method-assign]

    core.trades(*(str(price) for price in range(51, 5000)))

    assert looks == []


# -- against a plain recomputation at every event ---------------------------------------------------------------------

PRICES = st.integers(50, 200)
steps = st.lists(
    st.one_of(
        st.tuples(st.just(BTC), PRICES),
        st.tuples(st.just(ETH), PRICES),
        st.tuples(st.just("hold"), st.sampled_from([BTC, ETH]), st.sampled_from(["1", "-1", "2", "-3"])),
        st.tuples(st.just("midnight")),
    ),
    max_size=40,
)
limits = st.builds(
    RiskLimits,
    max_daily_loss=st.sampled_from([None, D(60), D(200)]),
    max_drawdown=st.sampled_from([None, D("0.05"), D("0.3")]),
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(limits, steps)
def test_trading_halts_exactly_when_a_recomputation_at_every_event_says_so(
    limits: RiskLimits, steps: list[tuple[Any, ...]]
) -> None:
    core, strategy = core_of(limits)
    core.feed(trade("100", ts=core.now, symbol=ETH))
    start = peak = D(CASH)
    day = 1
    for step in steps:
        if step[0] == "hold":
            hold(core, strategy, step[2], step[1])
        elif step[0] == "midnight":
            core.feed(tick("1", "1", ts=START + day * 86_400 * SECOND, symbol="XRPUSDT"))
            start, day = core.portfolio.equity(), day + 1
        else:
            core.feed(trade(str(step[1]), ts=core.now + SECOND, symbol=step[0]))
        equity = core.portfolio.equity()
        peak = max(peak, equity)
        lost = limits.max_daily_loss is not None and start - equity >= limits.max_daily_loss
        fallen = limits.max_drawdown is not None and equity <= peak * (1 - limits.max_drawdown)
        assert bool(halts(core)) == (lost or fallen)
        if lost or fallen:
            return


# -- limits in another currency than the account's ---------------------------------------------------------------------

EUROS = (BTC, ETH, "EURUSDT")


def core_in_euros(limits: RiskLimits) -> tuple[Core, Orders]:
    """An account in dollars with limits in euros, of which one costs one dollar at first."""
    strategy = Orders()
    core = Core({"orders": strategy}, limits=limits, rates_from=EUROS).start(str(CASH))
    core.feed(*(trade("1" if symbol == "EURUSDT" else "100", ts=core.now, symbol=symbol) for symbol in EUROS))
    return core, strategy


def test_a_rate_alone_can_reach_the_daily_loss() -> None:
    core, strategy = core_in_euros(RiskLimits(currency="EUR", max_daily_loss=D(50)))
    hold(core, strategy, "1")
    core.trades("60")
    core.feed(trade("0.81", ts=core.now, symbol="EURUSDT"))
    assert halts(core) == []

    core.feed(trade("0.8", ts=core.now, symbol="EURUSDT"))

    assert halts(core)[0].reason.startswith("max_daily_loss: equity fell by 50")


euro_steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from([BTC, ETH]), PRICES.map(str)),
        st.tuples(st.just("EURUSDT"), st.sampled_from(["0.5", "0.8", "1", "2"])),
        st.tuples(st.just("hold"), st.sampled_from(["1", "-1", "2"]), st.sampled_from([BTC, ETH])),
    ),
    max_size=40,
)


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(euro_steps)
@example([("hold", "-1", BTC), (BTC, "150"), ("hold", "1", BTC), ("EURUSDT", "0.5")])
def test_with_limits_in_another_currency_trading_halts_exactly_at_the_loss_too(steps: list[tuple[Any, ...]]) -> None:
    core, strategy = core_in_euros(RiskLimits(currency="EUR", max_daily_loss=D(100)))
    for step in steps:
        if step[0] == "hold":
            hold(core, strategy, step[1], step[2])
        else:
            core.feed(trade(step[1], ts=core.now + SECOND, symbol=step[0]))
        rate = core.portfolio.rate("USDT", "EUR")
        assert rate is not None
        lost = -core.portfolio.pnl() * rate >= 100
        if lost and step[0] == "EURUSDT" and not core.portfolio.valuation.symbols():
            return  # while nothing is held, no price is followed; the next fill would find it
        assert bool(halts(core)) == lost
        if lost:
            return


@pytest.mark.parametrize("paid", ["-600", "5000"])
def test_what_is_paid_in_or_out_is_no_drawdown_and_moves_the_peak(paid: str) -> None:
    core, strategy = core_of(RiskLimits(max_drawdown=D("0.5")))
    hold(core, strategy, "1")
    kind = TransferKind.WITHDRAWAL if paid.startswith("-") else TransferKind.DEPOSIT
    core.feed(VenueTransferReported(currency="USDT", amount=D(paid), transfer_kind=kind, transfer_id="1"))
    core.trades("99")

    assert core.of("trading.halted") == []
    assert core.risk.losses.drawdown is not None
    assert core.risk.losses.drawdown.peak == CASH + D(paid)
