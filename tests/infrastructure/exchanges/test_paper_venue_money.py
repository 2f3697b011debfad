"""The paper venue's refusals, fees and configuration."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN
from typing import Any

import pytest
from msgspec.structs import replace
from paper_kit import BUY, FEED, SELL, SEND, T0, D, Desk, brief, cancel, order, tick, trade

from tickdeck.application.ports import TradingVenue
from tickdeck.domain.events import (
    CandleEvent,
    OrderSubmittedEvent,
    VenueFillReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import Side, TimeInForce
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.paper.venue import PaperConfig

# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (order(quantity="0.0005"), "not a multiple of the lot size 0.001"),
        (order(limit="100.001"), "not a multiple of the tick size 0.01"),
        (order(quantity="0.04"), "notional 4.04 is below the minimum 5"),
        (order(limit="100", quantity="0.04"), "notional 4 is below the minimum 5"),
        (order(symbol="DOGEUSDT"), "symbol DOGEUSDT is not traded here"),
        (order(account_id="other"), "account other is not known here"),
        (order(tif=TimeInForce.POST_ONLY), "a market order cannot be post only"),
        (order(symbol="ETHUSDT"), "no price of ETHUSDT is known yet"),
        (order(side=SELL, quantity="10.001"), "insufficient balance: 10.001 BTC needed, 10 free"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_order_that_breaks_a_rule_is_rejected_with_the_reason(request_: OrderSubmittedEvent, reason: str) -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(request_)
    assert desk.briefs() == [("a", "rejected", "0")]
    assert reason in desk.reports[0].reason
    assert desk.reports[0].account_id == request_.account_id


@pytest.mark.parametrize(("cash", "status"), [("101.101", "accepted"), ("101.10099999", "rejected")])
@pytest.mark.parametrize("limit", [None, "101"])
def test_buy_needs_its_cost_and_taker_fee_to_the_last_digit(cash: str, status: str, limit: str | None) -> None:
    desk = Desk(balances={"USDT": D(cash)})
    desk.market(tick(T0))
    desk.venue.submit(order(limit=limit))
    assert desk.briefs()[0][1] == status
    assert desk.venue.account.total("USDT") == (0 if status == "accepted" else D(cash))


def test_market_buy_is_checked_at_the_worst_price_that_it_would_pay() -> None:
    desk = Desk(balances={"USDT": D("202.5")})
    desk.market(tick(T0, quantity="1"))
    desk.venue.submit(order(quantity="2"))
    assert desk.briefs()[-1] == ("a", "expired", "1")


def test_open_orders_lock_their_funds_until_they_end() -> None:
    desk = Desk(balances={"USDT": D(1000), "BTC": D(1)})
    account = desk.venue.account
    desk.market(tick(T0))
    desk.venue.submit(order("buy", limit="100", quantity="9"))
    desk.venue.submit(order("sell", side=SELL, limit="110", quantity="0.6"))
    desk.venue.submit(order("buy-too-much", limit="100", quantity="1"))
    desk.venue.submit(order("sell-too-much", side=SELL, limit="110", quantity="0.5"))
    desk.settle()
    assert [brief(r)[:2] for r in desk.reports] == [
        ("buy", "accepted"),
        ("sell", "accepted"),
        ("buy-too-much", "rejected"),
        ("sell-too-much", "rejected"),
    ]
    assert (account.locked("USDT"), account.locked("BTC")) == (D("900.9"), D("0.6"))
    desk.market(trade(desk.now + 1, "100", "4", SELL))
    assert account.locked("USDT") == D("500.5")
    desk.venue.cancel(cancel("buy", ts=desk.now))
    desk.venue.cancel(cancel("sell", ts=desk.now))
    desk.settle()
    assert (account.locked("USDT"), account.locked("BTC")) == (0, 0)


def test_short_selling_needs_no_coins_if_it_is_allowed() -> None:
    desk = Desk(short_selling=True, balances={"USDT": D(0)})
    desk.market(tick(T0))
    desk.venue.submit(order(side=SELL))
    assert desk.briefs()[-1] == ("a", "fill", "99", "1")
    assert (desk.venue.account.total("BTC"), desk.venue.account.total("USDT")) == (D(-1), D("98.901"))


@pytest.mark.parametrize(
    ("step", "fee"), [("0.00000001", "0.00330001"), ("0.01", "0.00"), ("0.0005", "0.0035"), ("0.001", "0.003")]
)
def test_a_fee_is_rounded_to_the_step_of_the_instrument(step: str, fee: str) -> None:
    coin = Instrument(symbol="XUSDT", base="X", quote="USDT", fee_step=D(step))
    desk = Desk(instruments=(coin,), balances={"USDT": D(1000)})
    desk.market(tick(T0, "3", "3.300008", symbol="XUSDT"))
    desk.venue.submit(order(symbol="XUSDT"))
    desk.settle()
    (fill,) = [r for r in desk.reports if isinstance(r, VenueFillReported)]
    assert fill.fee == D(fee)


@pytest.mark.parametrize(
    ("side", "quantity", "told"),
    [
        (BUY, "1", "fill"),
        (BUY, "1.001", "rejected"),
        (SELL, "0.001", "rejected"),
    ],
)
def test_a_reduce_only_order_never_does_more_than_close_what_is_owed(side: Side, quantity: str, told: str) -> None:
    desk = Desk(short_selling=True, balances={"USDT": D(0)})
    desk.market(tick(T0, quantity="5"))
    desk.venue.submit(order(side=SELL))
    desk.market(tick(T0 + 1, quantity="5"))
    desk.venue.submit(replace(order("b", side, quantity), reduce_only=True))
    assert desk.briefs()[-1][:2] == ("b", told)


def test_owed_coins_can_be_bought_back_with_too_little_money_and_at_any_price() -> None:
    desk = Desk(short_selling=True, balances={"USDT": D(0)})
    desk.market(trade(T0, "100", "1", BUY))
    desk.market(trade(T0 + 1, "100", "1", SELL))
    desk.venue.submit(order(side=SELL))
    desk.market(trade(T0 + FEED + SEND + 2, "100", "5", SELL))
    desk.venue.submit(replace(order("b", BUY, ts=T0 + 1_000_000_000), reduce_only=True))
    desk.run_to(T0 + 1_100_000_000)
    desk.market(trade(T0 + 1_200_000_000, "300", "5", BUY))
    desk.settle()
    assert desk.venue.account.total("BTC") == 0
    assert desk.venue.account.total("USDT") < -200


def test_market_buy_without_a_book_locks_more_than_the_last_price_and_returns_the_rest() -> None:
    desk = Desk(balances={"USDT": D(1000)})
    desk.market(trade(T0, "100", "1", BUY))
    desk.venue.submit(order())
    desk.settle()
    assert desk.venue.account.locked("USDT") == D("105.105")
    desk.market(trade(desk.now + 1, "101", "1", BUY))
    assert desk.briefs()[-1] == ("a", "fill", "101", "1")
    assert desk.venue.account.locked("USDT") == 0


def test_market_buy_without_a_book_pays_no_more_than_the_account_has() -> None:
    desk = Desk(balances={"USDT": D(102)})
    desk.market(trade(T0, "100", "1", BUY))
    desk.venue.submit(order())
    desk.market(trade(T0 + 100, "102", "1", BUY))  # with the fee 102.102
    assert desk.briefs() == [("a", "accepted", "0"), ("a", "expired", "0")]
    desk.venue.submit(order("b", quantity="1.5", ts=desk.now))
    assert desk.briefs()[-1] == ("b", "rejected", "0")


def candle(open_ts: int, opened: str = "100") -> CandleEvent:
    return CandleEvent(
        symbol="BTCUSDT",
        interval=1000,
        open_ts=open_ts,
        close_ts=open_ts + 1000,
        open=D(opened),
        high=max(D(102), D(opened)),
        low=min(D(98), D(opened)),
        close=D(101),
        volume=D(5),
        ts_ingress=open_ts + 1000 + FEED,
    )


@pytest.mark.parametrize(
    ("side", "opened", "price"), [(BUY, "106.05", "106.05"), (BUY, "106.06", None), (SELL, "50", "50")]
)
def test_a_market_buy_that_waits_pays_at_most_5_percent_more_than_the_last_price(
    side: Side, opened: str, price: str | None
) -> None:
    desk = Desk()
    desk.market(candle(T0))
    desk.venue.submit(order(side=side, quantity="0.1", ts=T0 + 1000 + FEED))
    desk.market(candle(T0 + 1000, opened))

    if price is None:
        assert desk.briefs() == [("a", "accepted", "0"), ("a", "expired", "0")]
        assert desk.reports[-1].reason == "the offer at 106.06 is worse than 106.05"
    else:
        assert desk.briefs() == [("a", "accepted", "0"), ("a", "fill", price, "0.1")]


def test_candle_that_closes_after_the_order_fills_it_at_its_open() -> None:
    desk = Desk()
    desk.market(candle(T0))
    sent = T0 + 1000 + FEED
    desk.venue.submit(order(ts=sent))
    desk.market(candle(T0 + 1000))
    assert desk.briefs() == [("a", "accepted", "0"), ("a", "fill", "100", "0.5")]


# -- fees ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "quantity", "fee"),
    [
        ("0.001", "1", "0.10101000"),
        ("0.00075", "0.123", "0.00931817"),
        ("0", "1", "0E-8"),
        ("0.0001", "0.05", "0.00050505"),
    ],
)
def test_fee_is_a_share_of_the_notional_in_quote_rounded_to_eight_decimals(rate: str, quantity: str, fee: str) -> None:
    desk = Desk(taker_fee=D(rate))
    desk.market(tick(T0, ask="101.01"))
    desk.venue.submit(order(quantity=quantity))
    fill = desk.settle()[-1]
    assert fill.fee == D(fee) == (D("101.01") * D(quantity) * D(rate)).quantize(D("1E-8"), ROUND_HALF_EVEN)
    assert fill.fee_currency == "USDT"
    assert fill.liquidity == "taker"


def test_fee_rounds_half_to_even() -> None:
    coin = Instrument(symbol="BTCUSDT", base="BTC", quote="USDT")
    for ask, fee in (("0.00000500", "0E-8"), ("0.00001500", "2E-8"), ("0.00002500", "2E-8")):
        desk = Desk(instruments=(coin,))
        desk.market(tick(T0, bid="0.000001", ask=ask))
        desk.venue.submit(order(quantity="1"))
        assert desk.settle()[-1].fee == D(fee)


def test_maker_pays_the_maker_rate() -> None:
    desk = Desk(maker_fee=D("0.0002"))
    desk.market(tick(T0))
    desk.venue.submit(order(limit="100"))
    desk.market(trade(T0 + 100, "100", "1", SELL))
    assert desk.settle()[-1].fee == D("0.02")


def test_rounding_of_fees_never_takes_a_balance_below_zero() -> None:
    coin = Instrument(symbol="BTCUSDT", base="BTC", quote="USDT")
    cash = D("0.000015") * 10 * D("1.001")
    desk = Desk(instruments=(coin,), balances={"USDT": cash})
    desk.market(tick(T0, bid="0.00001", ask="0.00002"))
    desk.venue.submit(order(limit="0.000015", quantity="10"))
    for n in range(10):  # at each the exact fee of 1.5E-8 is rounded up to 2E-8
        desk.market(trade(T0 + 100 + n, "0.000015", "1", SELL))
        assert desk.venue.account.free("USDT") >= 0
    fills = [r for r in desk.settle() if isinstance(r, VenueFillReported)]
    assert [f.fee for f in fills] == [D("2E-8")] * 7 + [D("1E-8"), D(0), D(0)]
    assert desk.venue.account.total("USDT") == 0


# -- configuration ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ack_latency_ns": 5}, "ack_latency_ns is 5, less than feed_latency_ns (10000000)"),
        ({"order_latency_ns": -1}, "order_latency_ns is -1"),
        ({"jitter_ns": 1.5}, "jitter_ns is 1.5"),
        ({"feed_latency_ns": True}, "feed_latency_ns is True"),
        ({"maker_fee": 0.1}, "maker_fee is 0.1"),
        ({"taker_fee": D(1)}, "taker_fee is 1"),
        ({"maker_fee": D("NaN")}, "maker_fee is NaN"),
        ({"participation": D(0)}, "participation is 0"),
        ({"participation": D(2)}, "participation is 2"),
        ({"balances": {"USDT": D(-1)}}, "balances['USDT'] is -1"),
        ({"balances": {"USDT": 5}}, "balances['USDT'] is 5"),
        ({"default_balance": D(-1)}, "default_balance is -1"),
        ({"account_id": ""}, "account_id is empty"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value),
)
def test_wrong_configuration_is_refused_with_the_field_and_its_value(change: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PaperConfig(**change)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_defaults_are_those_that_the_documentation_names() -> None:
    config = PaperConfig()
    assert config.balances == {}
    assert config.default_balance == 100_000
    assert (config.maker_fee, config.taker_fee) == (D("0.001"), D("0.001"))


def test_assumptions_name_latencies_fees_and_the_rule_for_shorts() -> None:
    plain = Desk(feed_latency_ns=10_000_000, ack_latency_ns=20_500_000).venue.assumptions()
    assert "feed 10 ms" in plain[0]
    assert "reports 20.5 ms" in plain[0]
    assert "maker 0.1 %" in plain[1]
    assert any("A buy needs its cost" in line for line in plain)
    assert any("equity covers shorts in full" in line for line in Desk(short_selling=True).venue.assumptions())


def test_paper_venue_is_a_trading_venue() -> None:
    venue: TradingVenue = Desk().venue
    assert venue.name == "paper"
    assert venue.simulated
