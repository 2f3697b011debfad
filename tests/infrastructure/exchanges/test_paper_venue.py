"""The paper venue: latencies, reports, and the memory of ended orders."""

from __future__ import annotations

from decimal import Decimal

import pytest
from paper_kit import ACK, BTC, FEED, SELL, SEND, T0, D, Desk, brief, cancel, order, tick, trade

from tickdeck.domain.events import (
    BookResynced,
    VenueBalanceReported,
    VenueCancelRefused,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import OrderStatus, TimeInForce
from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.paper.tickets import EndedTicket, Ticket
from tickdeck.infrastructure.exchanges.paper.venue import PaperConfig

# -- time ---------------------------------------------------------------------------------------------------------


def test_order_meets_the_record_as_it_stands_after_order_and_feed_latency() -> None:
    desk = Desk()
    arrival = T0 + SEND + FEED
    desk.market(tick(T0, ask="101"))
    desk.venue.submit(order())
    desk.market(tick(arrival - 1, ask="102"))
    desk.market(tick(arrival, ask="103"))  # not yet in the book when the order arrived: due actions run first
    assert desk.briefs() == [("a", "accepted", "0"), ("a", "fill", "102", "1")]


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
    assert brief(fill) == ("a", "fill", "100", "1")
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
    assert [brief(r) for r in reports] == [
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


def test_an_account_starts_without_unconfigured_coins() -> None:
    ethbtc = Instrument(symbol="ETHBTC", base="ETH", quote="BTC")
    btceur = Instrument(symbol="BTCEUR", base="BTC", quote="EUR")
    account = Desk(instruments=(ethbtc, BTC, btceur), balances={"USDT": D(5)}, default_balance=D(7)).venue.account
    assert {currency: account.total(currency) for currency in account.currencies} == {
        "BTC": 0,
        "ETH": 0,
        "EUR": 7,
        "USDT": 5,
    }


def test_market_order_beyond_the_offer_is_accepted_partly_filled_and_expired() -> None:
    desk = Desk()
    desk.market(tick(T0, quantity="0.4"))
    desk.venue.submit(order())
    assert desk.briefs() == [("a", "accepted", "0"), ("a", "fill", "101", "0.4"), ("a", "expired", "0.4")]
    assert desk.venue.account.locked("USDT") == 0


def test_post_only_order_that_would_take_is_rejected_without_being_accepted() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit="101", tif=TimeInForce.POST_ONLY))
    assert desk.briefs() == [("a", "rejected", "0")]
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
    assert desk.briefs()[-1] == ("a", "cancelled", "0.3")
    assert desk.reports[-1].causation_id == "9-a"
    assert desk.venue.account.locked("USDT") == 0


def test_cancel_that_arrives_too_late_reports_the_actual_state() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order())
    desk.venue.cancel(cancel())
    assert desk.briefs()[-1] == ("a", "filled", "1")
    assert desk.reports[-1].reason == "cancel refused: the order is filled"


def test_cancel_of_an_order_that_the_venue_never_saw_is_refused() -> None:
    desk = Desk()
    desk.venue.cancel(cancel("ghost"))
    (refused,) = desk.settle()
    assert isinstance(refused, VenueCancelRefused)  # no report of the order's state, because it is unknown
    assert refused.reason == "the venue has no order ghost"


def test_cancel_of_a_rejected_order_reports_that_it_was_rejected() -> None:
    desk = Desk()
    desk.venue.submit(order(symbol="DOGEUSDT"))
    desk.venue.cancel(cancel(symbol="DOGEUSDT"))
    assert desk.briefs() == [("a", "rejected", "0"), ("a", "rejected", "0")]
    assert desk.reports[-1].reason == "cancel refused: the order is rejected"


def test_repeated_order_id_changes_nothing_and_the_original_stays_open() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit="100"))
    desk.market(trade(T0 + 100, "100", "0.3", SELL))
    desk.venue.submit(order(limit="95", quantity="9", ts=T0 + 101))
    desk.market(trade(T0 + 500, "100", "5", SELL))
    assert desk.briefs() == [
        ("a", "accepted", "0"),
        ("a", "fill", "100", "0.3"),
        ("a", "partially_filled", "0.3"),
        ("a", "fill", "100", "0.7"),
    ]
    assert "used before" in desk.reports[2].reason


def test_a_repeated_id_of_an_order_that_ended_is_answered_with_the_state_of_that_order() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(quantity="0.1"))
    desk.settle()
    desk.market(tick(desk.now + 1))
    desk.venue.submit(order(symbol="ETHUSDT", quantity="9", ts=desk.now))
    desk.settle()

    answer = desk.reports[-1]

    assert isinstance(answer, VenueOrderReported)
    assert (answer.symbol, answer.status, answer.filled) == ("BTCUSDT", OrderStatus.FILLED, Decimal("0.1"))
    assert answer.venue_order_id == "1"
    assert answer.reason == "order id a was used before; order ignored"


def test_of_an_ended_order_the_venue_keeps_neither_the_request_nor_how_it_was_worked() -> None:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(quantity="0.1"))
    desk.venue.submit(order("open", limit="50"))
    desk.settle()
    tickets = desk.venue._tickets
    assert isinstance(tickets.get("a"), EndedTicket)
    assert (tickets.get_open("a"), len(tickets)) == (None, 2)
    assert isinstance(tickets.get_open("open"), Ticket)


def test_events_without_liquidity_or_instrument_are_ignored() -> None:
    desk = Desk()
    desk.market(tick(T0, symbol="DOGEUSDT"))
    desk.venue.on_market(BookResynced(symbol="BTCUSDT", last_update_id=1))
    desk.venue.on_market(cancel())
    assert desk.settle() == []


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
    assert desk.briefs() == [("open", "cancelled", "0")]
    assert not desk.venue.account._locks
