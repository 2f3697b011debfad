"""Fees in a third currency, such as the venue's own coin: valued at a recorded rate, and watched for running low."""

from __future__ import annotations

from application_kit import BTC, START, Core, D, trade

from tickdeck.domain.events import (
    ActionIntent,
    NotificationAlert,
    RiskApprovedEvent,
    VenueBalanceReported,
    VenueRateReported,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import Side


def rate(value: str) -> VenueRateReported:
    return VenueRateReported(currency="BNB", into="USDT", rate=D(value))


def holding(coins: str, limits: RiskLimits = RiskLimits()) -> Core:  # noqa: B008 (frozen)
    """An account with some of the fee coin."""
    core = Core(limits=limits).start("100000").feed(trade("100"))
    return core.feed(VenueBalanceReported(currency="BNB", total=D(coins), source="scripted"))


def buy(core: Core, fee: str) -> None:
    intent = ActionIntent(action="order", symbol=BTC, side=Side.BUY, quantity=D(1))
    core.feed(RiskApprovedEvent(strategy_id="s", intent=intent))
    core.fill(core.orders[-1], "100", "1", fee=fee, fee_currency="BNB")


def alerts(core: Core) -> list[str]:
    return [event.text for event in core.tape.events if isinstance(event, NotificationAlert)]


def test_a_fee_in_a_third_currency_counts_at_the_recorded_rate() -> None:
    core = holding("2").feed(rate("500"))
    assert core.portfolio.pnl() == 0
    buy(core, "0.01")

    assert core.portfolio.fees() == 5
    assert core.portfolio.pnl() == -5
    assert core.portfolio.left_out() == {}


def test_a_fee_keeps_the_value_that_it_had_and_the_coins_have_the_current_one() -> None:
    core = holding("2").feed(rate("500"))
    buy(core, "0.01")
    core.feed(rate("600"))

    assert core.portfolio.fees() == 5
    assert core.portfolio.pnl() == D("1.99") * 600 - 2 * 500


def test_what_was_paid_before_the_first_rate_is_valued_by_it() -> None:
    core = holding("2")
    buy(core, "0.01")
    assert (core.portfolio.fees(), core.portfolio.left_out()) == (0, {"BNB": D("1.99")})

    core.feed(rate("500"))

    assert (core.portfolio.fees(), core.portfolio.left_out()) == (5, {})
    assert core.portfolio.pnl() == -5


def test_fees_in_a_third_currency_reach_the_daily_loss() -> None:
    core = holding("2", RiskLimits(max_daily_loss=D(9))).feed(rate("500"))
    buy(core, "0.01")
    assert core.of("trading.halted") == []

    buy(core, "0.01")

    (halted,) = core.of("trading.halted")
    assert "max_daily_loss" in halted.payload["reason"]


def test_a_rate_into_another_currency_of_the_run_leads_on() -> None:
    core = holding("2").feed(VenueRateReported(currency="BNB", into="BTC", rate=D("0.01")))

    assert core.portfolio.rate("BNB", "USDT") == 1
    assert core.portfolio.rate("BNB", "EUR") is None


def test_a_person_hears_once_that_the_coin_runs_low_until_it_was_refilled() -> None:
    core = holding("0.31").feed(rate("500"))
    buy(core, "0.01")
    assert alerts(core) == []
    for _ in range(12):
        buy(core, "0.01")
    assert len(alerts(core)) == 1
    assert "BNB is running low: 0.19 are left, and the last fee was 0.01" in alerts(core)[0]


def test_a_fee_in_a_currency_of_the_symbol_is_not_watched() -> None:
    core = Core().start("100000").feed(trade("100"))
    intent = ActionIntent(action="order", symbol=BTC, side=Side.BUY, quantity=D(1))
    core.feed(RiskApprovedEvent(strategy_id="s", intent=intent, ts_ingress=START))
    core.fill(core.orders[-1], "100", "1", fee="0.5", fee_currency="BTC")

    assert alerts(core) == []


def test_a_run_with_other_code_takes_up_the_rate() -> None:
    core = holding("2").feed(rate("500"))
    buy(core, "0.01")
    again = Core()
    again.market_data.price = core.market_data.price  # type: ignore[method-assign]
    for event in core.tape.events:
        again.portfolio.recall(event)

    assert again.portfolio.fees() == 5
    assert again.portfolio.rate("BNB", "USDT") == 500
