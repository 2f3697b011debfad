"""The paper venue: when orders arrive, what is reported and when, who can pay, and that nothing is lost or made."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tickdeck.application.kernel import Agenda
from tickdeck.application.ports import TradingVenue
from tickdeck.domain.events import (
    BookResynced,
    CandleEvent,
    DomainEvent,
    MarketEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    TickEvent,
    TradeEvent,
    VenueBalanceReported,
    VenueCancelRefused,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import Side, TimeInForce
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.paper.venue import PaperConfig

D = Decimal
BUY, SELL = Side.BUY, Side.SELL
BTC = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    tick_size=D("0.01"),
    lot_size=D("0.001"),
    min_quantity=D("0.001"),
    min_notional=D(5),
)
ETH = Instrument(symbol="ETHUSDT", base="ETH", quote="USDT", tick_size=D("0.01"), lot_size=D("0.001"))
FEED, SEND, ACK = 10, 20, 30
T0 = 1_000_000
RICH = {"USDT": D(100_000), "BTC": D(10)}


class Desk:
    """A venue, the agenda that it lives on, and what it reported."""

    def __init__(self, seed: int = 1, instruments: Sequence[Instrument] = (BTC, ETH), **config: Any) -> None:
        settings = {
            "feed_latency_ns": FEED,
            "order_latency_ns": SEND,
            "ack_latency_ns": ACK,
            "jitter_ns": 0,
            "balances": RICH,
        }
        self.agenda = Agenda()
        self.now = T0
        self.reports: list[Any] = []
        self.venue = PaperVenue(
            config=PaperConfig(**(settings | config)),
            instruments={i.symbol: i for i in instruments},
            seed=seed,
            schedule=self.agenda.at,
            report=self._reported,
        )

    def _reported(self, event: DomainEvent) -> None:
        assert event.ts_ingress == self.now, "a report comes when it is due"
        self.reports.append(event)

    def run_to(self, now: int) -> None:
        while (entry := self.agenda.pop(now)) is not None:
            self.now = entry[0]
            entry[1]()
        self.now = now

    def market(self, event: MarketEvent) -> None:
        self.run_to(event.ts_ingress)
        self.venue.on_market(event)

    def settle(self) -> list[Any]:
        self.run_to(self.now + 10**9)
        return self.reports

    def told(self) -> list[tuple[str, ...]]:
        return [told(r) for r in self.settle()]


def told(report: Any) -> tuple[str, ...]:
    if isinstance(report, VenueFillReported):
        return (report.order_id, "fill", str(report.price), str(report.quantity))
    return (report.order_id, report.status.value, str(report.filled))


def tick(ts: int, bid: str = "99", ask: str = "101", quantity: str = "5", symbol: str = "BTCUSDT") -> TickEvent:
    return TickEvent(
        symbol=symbol,
        bid_price=D(bid),
        bid_quantity=D(quantity),
        ask_price=D(ask),
        ask_quantity=D(quantity),
        ts=ts - FEED,
        ts_ingress=ts,
    )


def trade(ts: int, price: str, quantity: str, side: Side) -> TradeEvent:
    return TradeEvent(symbol="BTCUSDT", price=D(price), quantity=D(quantity), side=side, ts=ts - FEED, ts_ingress=ts)


def order(
    name: str = "a",
    side: Side = BUY,
    quantity: str = "1",
    limit: str | None = None,
    ts: int = T0,
    tif: TimeInForce = TimeInForce.GTC,
    symbol: str = "BTCUSDT",
    account_id: str = "main",
) -> OrderSubmittedEvent:
    return OrderSubmittedEvent(
        order_id=name,
        symbol=symbol,
        side=side,
        quantity=D(quantity),
        limit=None if limit is None else D(limit),
        time_in_force=tif,
        account_id=account_id,
        event_id=f"7-{name}",
        correlation_id="7",
        ts_ingress=ts,
    )


def cancel(name: str = "a", ts: int = T0, symbol: str = "BTCUSDT") -> OrderCancelRequestedEvent:
    return OrderCancelRequestedEvent(
        order_id=name, symbol=symbol, event_id=f"9-{name}", correlation_id="9", ts_ingress=ts
    )


# -- time ---------------------------------------------------------------------------------------------------------


def test_order_meets_the_record_as_it_stands_after_order_and_feed_latency() -> None:
    desk = Desk()
    arrival = T0 + SEND + FEED
    desk.market(tick(T0, ask="101"))
    desk.venue.submit(order())
    desk.market(tick(arrival - 1, ask="102"))
    desk.market(tick(arrival, ask="103"))  # not yet there when the order arrived: due actions run first
    assert desk.told() == [("a", "accepted", "0"), ("a", "fill", "102", "1")]


def test_report_carries_the_venues_time_and_comes_after_the_acknowledgement_latency() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order())
    for report in desk.settle():
        assert report.ts == T0 + SEND
        assert report.ts_ingress == T0 + SEND + ACK
        assert report.source == "paper"
        assert report.causation_id == "7-a"
        assert report.correlation_id == "7"


def test_fill_of_a_resting_order_is_dated_by_the_print() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit="100"))
    desk.market(trade(T0 + 500, "100", "1", SELL))
    fill = desk.settle()[-1]
    assert told(fill) == ("a", "fill", "100", "1")
    assert (fill.ts, fill.ts_ingress) == (T0 + 500 - FEED, T0 + 500 - FEED + ACK)
    assert fill.liquidity == "maker"


def test_jitter_never_lets_orders_or_reports_overtake() -> None:
    desk = Desk(jitter_ns=1000)
    desk.market(tick(T0))
    names = [f"{n:02}" for n in range(30)]
    for n, name in enumerate(names):
        desk.venue.submit(order(name, limit="100", quantity="0.1", ts=T0 + 100 * n))
        desk.venue.cancel(cancel(name, ts=T0 + 100 * n))
    reports = desk.settle()
    assert [told(r) for r in reports] == [
        t for name in names for t in ((name, "accepted", "0"), (name, "cancelled", "0"))
    ]
    due = [r.ts_ingress for r in reports]
    assert due == sorted(due)
    assert len(frozenset(due)) > 5
    assert all(r.ts_ingress >= r.ts + ACK for r in reports)


def test_nothing_is_reported_before_the_agenda_says_so() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order())
    desk.run_to(T0 + SEND + ACK - 1)
    assert desk.reports == []
    desk.run_to(T0 + SEND + ACK)
    assert len(desk.reports) == 2


# -- reports ------------------------------------------------------------------------------------------------------


def test_start_reports_the_balance_of_each_currency() -> None:
    desk = Desk(balances={"USDT": D(500), "XRP": D(3)})
    desk.venue.start(T0)
    desk.run_to(T0)
    assert [(r.currency, r.total, r.locked, r.ts) for r in desk.reports] == [
        ("BTC", D(0), D(0), T0),
        ("ETH", D(0), D(0), T0),
        ("USDT", D(500), D(0), T0),
        ("XRP", D(3), D(0), T0),
    ]
    assert all(isinstance(r, VenueBalanceReported) and r.account_id == "main" for r in desk.reports)


@pytest.mark.parametrize(("quote", "amount"), [("ETH", 25), ("BTC", 1), ("WAGMI", 0)])
def test_a_run_without_dollars_begins_with_a_stated_amount_of_its_quote_currency(quote: str, amount: int) -> None:
    xrp = Instrument(symbol=f"XRP{quote}", base="XRP", quote=quote)
    venue = PaperVenue(
        config=PaperConfig(), instruments={xrp.symbol: xrp}, seed=1, schedule=lambda *_: None, report=lambda _: None
    )
    assert {currency: venue.account.total(currency) for currency in venue.account.currencies} == {
        quote: amount,
        "XRP": 0,
    }
    told = venue.begins_with()
    assert told is not None
    assert f"{amount or 'nothing'}" in told
    assert f"[paper] balances = {{ {quote} = " in told


def test_balances_that_are_configured_or_in_dollars_need_no_line() -> None:
    xrp = Instrument(symbol="XRPETH", base="XRP", quote="ETH")
    assert Desk(instruments=(xrp,), balances={"ETH": D(3)}).venue.begins_with() is None
    assert Desk().venue.begins_with() is None


def test_an_account_begins_with_no_coins_that_nobody_gave_it() -> None:
    ethbtc = Instrument(symbol="ETHBTC", base="ETH", quote="BTC")
    btceur = Instrument(symbol="BTCEUR", base="BTC", quote="EUR")
    account = Desk(instruments=(ethbtc, BTC, btceur), balances={"USDT": D(5)}, default_balance=D(7)).venue.account
    assert {currency: account.total(currency) for currency in account.currencies} == {
        "BTC": 0,
        "ETH": 0,
        "EUR": 7,
        "USDT": 5,
    }


def test_market_order_that_finds_too_little_is_accepted_filled_in_part_and_expired() -> None:
    desk = Desk()
    desk.market(tick(T0, quantity="0.4"))
    desk.venue.submit(order())
    assert desk.told() == [("a", "accepted", "0"), ("a", "fill", "101", "0.4"), ("a", "expired", "0.4")]
    assert desk.venue.account.locked("USDT") == 0


def test_post_only_order_that_would_take_is_rejected_without_being_accepted() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit="101", tif=TimeInForce.POST_ONLY))
    assert desk.told() == [("a", "rejected", "0")]
    assert "post only" in desk.reports[0].reason
    assert desk.venue.account.locked("USDT") == 0


def test_ids_of_orders_and_trades_count_up() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order("a"))
    desk.venue.submit(order("refused", quantity="0.0001"))
    desk.venue.submit(order("b", side=SELL))
    fills = [r for r in desk.settle() if isinstance(r, VenueFillReported)]
    assert [(f.venue_order_id, f.venue_trade_id) for f in fills] == [("1", "1"), ("2", "2")]


def test_cancel_of_a_resting_order_reports_what_was_filled() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit="100"))
    desk.market(trade(T0 + 100, "100", "0.3", SELL))
    desk.venue.cancel(cancel(ts=T0 + 101))
    assert desk.told()[-1] == ("a", "cancelled", "0.3")
    assert desk.reports[-1].causation_id == "9-a"
    assert desk.venue.account.locked("USDT") == 0


def test_cancel_that_comes_too_late_tells_the_true_state() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order())
    desk.venue.cancel(cancel())
    assert desk.told()[-1] == ("a", "filled", "1")
    assert desk.reports[-1].reason == "cancel refused: the order is filled"


def test_cancel_of_an_order_that_the_venue_never_saw_is_refused() -> None:
    desk = Desk()
    desk.venue.cancel(cancel("ghost"))
    (refused,) = desk.settle()
    assert isinstance(refused, VenueCancelRefused)  # no report of the order's state: nothing is known of it
    assert refused.reason == "the venue has no order ghost"


def test_cancel_of_a_rejected_order_tells_that_it_was_rejected() -> None:
    desk = Desk()
    desk.venue.submit(order(symbol="DOGEUSDT"))
    desk.venue.cancel(cancel(symbol="DOGEUSDT"))
    assert desk.told() == [("a", "rejected", "0"), ("a", "rejected", "0")]
    assert desk.reports[-1].reason == "cancel refused: the order is rejected"


def test_repeated_order_id_changes_nothing_and_the_original_lives_on() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit="100"))
    desk.market(trade(T0 + 100, "100", "0.3", SELL))
    desk.venue.submit(order(limit="95", quantity="9", ts=T0 + 101))
    desk.market(trade(T0 + 500, "100", "5", SELL))
    assert desk.told() == [
        ("a", "accepted", "0"),
        ("a", "fill", "100", "0.3"),
        ("a", "partially_filled", "0.3"),
        ("a", "fill", "100", "0.7"),
    ]
    assert "used before" in desk.reports[2].reason


def test_events_without_liquidity_or_instrument_are_passed_over() -> None:
    desk = Desk()
    desk.market(tick(T0, symbol="DOGEUSDT"))
    desk.venue.on_market(BookResynced(symbol="BTCUSDT", last_update_id=1))
    desk.venue.on_market(cancel())
    assert desk.settle() == []


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (order(quantity="0.0005"), "not a multiple of the lot size 0.001"),
        (order(limit="100.001"), "not a multiple of the tick size 0.01"),
        (order(quantity="0.04"), "notional 4.04 is below the minimum 5"),
        (order(limit="100", quantity="0.04"), "notional 4.00 is below the minimum 5"),
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
    assert desk.told() == [("a", "rejected", "0")]
    assert reason in desk.reports[0].reason
    assert desk.reports[0].account_id == request_.account_id


@pytest.mark.parametrize(("cash", "status"), [("101.101", "accepted"), ("101.10099999", "rejected")])
@pytest.mark.parametrize("limit", [None, "101"])
def test_buy_needs_its_cost_and_taker_fee_to_the_last_digit(cash: str, status: str, limit: str | None) -> None:
    desk = Desk(balances={"USDT": D(cash)})
    desk.market(tick(T0))
    desk.venue.submit(order(limit=limit))
    assert desk.told()[0][1] == status
    assert desk.venue.account.total("USDT") == (0 if status == "accepted" else D(cash))


def test_market_buy_is_checked_at_the_worst_price_that_it_would_pay() -> None:
    desk = Desk(balances={"USDT": D("202.5")})
    desk.market(tick(T0, quantity="1"))
    desk.venue.submit(order(quantity="2"))
    assert desk.told()[-1] == ("a", "expired", "1")


def test_open_orders_lock_their_funds_until_they_end() -> None:
    desk = Desk(balances={"USDT": D(1000), "BTC": D(1)})
    account = desk.venue.account
    desk.market(tick(T0))
    desk.venue.submit(order("buy", limit="100", quantity="9"))
    desk.venue.submit(order("sell", side=SELL, limit="110", quantity="0.6"))
    desk.venue.submit(order("buy-too-much", limit="100", quantity="1"))
    desk.venue.submit(order("sell-too-much", side=SELL, limit="110", quantity="0.5"))
    desk.settle()
    assert [told(r)[:2] for r in desk.reports] == [
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


def test_short_selling_needs_no_holding_where_it_is_allowed() -> None:
    desk = Desk(short_selling=True, balances={"USDT": D(0)})
    desk.market(tick(T0))
    desk.venue.submit(order(side=SELL))
    assert desk.told()[-1] == ("a", "fill", "99", "1")
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
    assert desk.told()[-1][:2] == ("b", told)


def test_what_is_owed_can_be_bought_back_with_too_little_money_and_at_any_price() -> None:
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


def test_market_buy_without_a_book_locks_some_more_than_the_last_price_and_gives_the_rest_back() -> None:
    desk = Desk(balances={"USDT": D(1000)})
    desk.market(trade(T0, "100", "1", BUY))
    desk.venue.submit(order())
    desk.settle()
    assert desk.venue.account.locked("USDT") == D("105.105")
    desk.market(trade(desk.now + 1, "101", "1", BUY))
    assert desk.told()[-1] == ("a", "fill", "101", "1")
    assert desk.venue.account.locked("USDT") == 0


def test_market_buy_without_a_book_pays_no_more_than_the_account_has() -> None:
    desk = Desk(balances={"USDT": D(102)})
    desk.market(trade(T0, "100", "1", BUY))
    desk.venue.submit(order())
    desk.market(trade(T0 + 100, "102", "1", BUY))  # with the fee 102.102
    assert desk.told() == [("a", "accepted", "0"), ("a", "expired", "0")]
    desk.venue.submit(order("b", quantity="1.5", ts=desk.now))
    assert desk.told()[-1] == ("b", "rejected", "0")


def test_candle_that_closes_after_the_order_fills_it_at_its_open() -> None:
    desk = Desk()

    def candle(open_ts: int) -> CandleEvent:
        return CandleEvent(
            symbol="BTCUSDT",
            interval=1000,
            open_ts=open_ts,
            close_ts=open_ts + 1000,
            open=D(100),
            high=D(102),
            low=D(98),
            close=D(101),
            volume=D(5),
            ts_ingress=open_ts + 1000 + FEED,
        )

    desk.market(candle(T0))
    sent = T0 + 1000 + FEED
    desk.venue.submit(order(ts=sent))
    desk.market(candle(T0 + 1000))
    assert desk.told() == [("a", "accepted", "0"), ("a", "fill", "100", "0.5")]


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


def test_maker_pays_the_makers_rate() -> None:
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


# -- nothing is lost or made --------------------------------------------------------------------------------------

prices = st.integers(9_500, 10_500).map(lambda n: str(D(n) / 100))
sizes = st.integers(1, 4_000).map(lambda n: str(D(n) / 1_000))
sides = st.sampled_from(list(Side))
steps = st.lists(
    st.one_of(
        st.tuples(st.just("trade"), prices, sizes, sides),
        st.tuples(st.just("tick"), prices, sizes),
        st.tuples(st.just("order"), sides, sizes, st.none() | prices, st.sampled_from(list(TimeInForce))),
        st.tuples(st.just("cancel"), st.integers(0, 10)),
    ),
    max_size=40,
)


def play(desk: Desk, script: list[tuple[Any, ...]]) -> list[Any]:
    """Play a script of market events, orders and cancels, 7 ns apart."""
    ts, names = T0, 0
    for kind, *rest in script:
        ts += 7
        if kind == "trade":
            desk.market(trade(ts, *rest))
        elif kind == "tick":
            bid, quantity = rest
            desk.market(tick(ts, bid=bid, ask=str(D(bid) + 1), quantity=quantity))
        elif kind == "order":
            side, quantity, limit, tif = rest
            desk.run_to(ts)
            desk.venue.submit(order(str(names), side, quantity, limit, ts, tif))
            names += 1
        elif rest[0] < names:
            desk.run_to(ts)
            desk.venue.cancel(cancel(str(rest[0]), ts))
    return desk.settle()


@given(steps, st.sampled_from(["0", "150", "400", "100000"]), st.booleans())
def test_balances_are_what_the_reported_fills_make_of_them(
    script: list[tuple[Any, ...]], cash: str, shorts: bool
) -> None:
    desk = Desk(balances={"USDT": D(cash), "BTC": D(2)}, short_selling=shorts, jitter_ns=20)
    reports = play(desk, script)
    totals = {"USDT": D(cash), "BTC": D(2)}
    filled: dict[str, Decimal] = {}
    final: dict[str, str] = {}
    seen: dict[str, list[str]] = {}
    for r in reports:
        if isinstance(r, VenueFillReported):
            assert r.order_id not in final
            assert seen[r.order_id][0] == "accepted"
            totals["BTC"] += r.side.sign * r.quantity
            totals["USDT"] -= r.side.sign * r.price * r.quantity + r.fee
            filled[r.order_id] = filled.get(r.order_id, D(0)) + r.quantity
        else:
            assert isinstance(r, VenueOrderReported)
            assert r.filled == filled.get(r.order_id, D(0))
            if r.status.is_final:
                assert final.setdefault(r.order_id, r.status.value) == r.status.value
            seen.setdefault(r.order_id, []).append(r.status.value)
    account = desk.venue.account
    assert {name: account.total(name) for name in totals} == totals
    assert account.total("USDT") >= 0
    assert account.free("USDT") >= 0
    assert shorts or account.free("BTC") >= 0
    assert [r.ts_ingress for r in reports] == sorted(r.ts_ingress for r in reports)


@given(steps)
def test_equal_seeds_and_inputs_give_equal_reports(script: list[tuple[Any, ...]]) -> None:
    assert play(Desk(jitter_ns=50, seed=3), script) == play(Desk(jitter_ns=50, seed=3), script)


def test_another_seed_draws_other_latencies() -> None:
    script: list[tuple[Any, ...]] = [("tick", "100", "5"), ("order", BUY, "1", None, TimeInForce.GTC)]
    due = [play(Desk(jitter_ns=10**6, seed=seed), script)[-1].ts_ingress for seed in (1, 2)]
    assert due[0] != due[1]


def session_digest() -> str:
    """A digest of all reports of a session on the simulated market, orders and cancels included."""
    from itertools import islice

    from tickdeck.infrastructure.exchanges.simulated import simulated_market

    desk = Desk(jitter_ns=5_000_000, balances={"USDT": D(1_000_000), "BTC": D(5), "ETH": D(50)})
    desk.venue.start(T0)
    start = 10**15
    for n, event in enumerate(islice(simulated_market(["BTCUSDT", "ETHUSDT"], 5, start), 1_500)):
        desk.market(event)
        if n % 10 == 5 and isinstance(event, TickEvent):
            side, away = (BUY, D(-1)) if n % 20 == 5 else (SELL, D(1))
            limit = None if n % 3 else str((event.bid_price + away).quantize(D("0.01")))
            desk.venue.submit(order(str(n), side, "0.25", limit, event.ts_ingress, symbol=event.symbol))
            desk.venue.cancel(cancel(str(n - 50), event.ts_ingress, event.symbol))
    digest = hashlib.sha256()
    kinds: dict[str, int] = {}
    for report in desk.settle():
        digest.update(report.to_json())
        kinds[report.event_type] = kinds.get(report.event_type, 0) + 1
    assert kinds["venue.fill_reported"] > 20
    return digest.hexdigest()


def test_reports_do_not_depend_on_the_hash_seed() -> None:
    program = (
        "import importlib.util, sys\n"
        "spec = importlib.util.spec_from_file_location('paper_session', sys.argv[1])\n"
        "module = importlib.util.module_from_spec(spec)\n"
        "sys.modules['paper_session'] = module\n"
        "spec.loader.exec_module(module)\n"
        "print(module.session_digest())\n"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__))],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert digests == [session_digest()] * 2


# -- a long life ---------------------------------------------------------------------------------------------------


def test_the_venue_forgets_orders_that_ended_long_ago_and_never_open_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickdeck.infrastructure.exchanges.paper.tickets._CLOSED_KEPT", 20)
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order("open", limit="50"))
    for n in range(100):
        desk.venue.submit(order(f"filled {n}", quantity="0.1"))
        desk.venue.submit(order(f"rejected {n}", quantity="9999999"))
        desk.venue.submit(order(f"cancelled {n}", limit="51"))
        desk.settle()
        desk.market(tick(desk.now + 1))
        desk.venue.cancel(cancel(f"cancelled {n}", ts=desk.now))
    desk.settle()

    assert len(desk.venue._tickets) == 21
    assert desk.venue.account.currencies == ["BTC", "ETH", "USDT"]
    desk.reports.clear()
    desk.venue.cancel(cancel("open", ts=desk.now))
    assert desk.told() == [("open", "cancelled", "0")]
    assert not desk.venue.account._locks
