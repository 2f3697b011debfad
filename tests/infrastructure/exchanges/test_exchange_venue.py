"""Orders at an exchange: each is sent once, and unknown ones are looked up until there is evidence."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from exchange_kit import (
    ACCEPTED,
    FILLED,
    REJECTED,
    SECOND,
    START,
    UNKNOWN,
    Scripted,
    fill,
    order,
    play,
    result,
    statuses,
    submitted,
)

from tickdeck.application.ports import Balance
from tickdeck.domain.events import (
    FeedConnected,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    SystemWarning,
    VenueBalanceReported,
    VenueCancelRefused,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import (
    DuplicateClientId,
    InsufficientFunds,
    NotSupported,
    OutcomeUnknown,
    UnknownOrder,
    VenueUnavailable,
)
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue


def test_an_order_is_placed_under_its_id_and_its_answer_is_caused_by_it() -> None:
    exchange = Scripted(place=[result(FILLED, filled=Decimal("0.5"), fills=(fill(),))])
    report, filled = play(exchange, lambda venue: venue.submit(submitted()))

    assert [order.client_order_id for order in exchange.placed] == ["t1"]
    assert isinstance(report, VenueOrderReported)
    assert (report.status, report.causation_id, report.correlation_id, report.user_id) == (FILLED, "7-1", "7", "ops")
    assert isinstance(filled, VenueFillReported)
    assert (filled.order_id, filled.venue_trade_id, filled.fee_currency) == ("t1", "1", "BTC")


def test_the_end_of_an_order_is_reported_after_its_fills() -> None:
    answer = result(OrderStatus.EXPIRED, filled=Decimal("0.2"), fills=(fill(quantity="0.2"),))
    events = play(Scripted(place=[answer]), lambda venue: venue.submit(submitted()))

    assert [type(event) for event in events] == [VenueFillReported, VenueOrderReported]


def test_a_refusal_rejects_the_order_with_its_reason() -> None:
    (report,) = play(Scripted(place=[InsufficientFunds("no money")]), lambda venue: venue.submit(submitted()))

    assert isinstance(report, VenueOrderReported)
    assert (report.status, report.reason) == (REJECTED, "InsufficientFunds: no money")


@pytest.mark.parametrize("error", [OutcomeUnknown("time-out"), DuplicateClientId("sent before")])
def test_an_order_without_an_answer_is_unknown_until_a_query_shows_it_and_is_never_sent_again(error: Exception) -> None:
    exchange = Scripted(
        place=[error],
        order=[UnknownOrder("none"), VenueUnavailable("down"), result(FILLED, filled=Decimal("0.5"))],
        fills_of=[(fill(),)],
    )
    events = play(exchange, lambda venue: venue.submit(submitted()), seconds=30)

    assert len(exchange.placed) == 1
    assert statuses(events) == [UNKNOWN, FILLED]
    assert sum(isinstance(event, VenueFillReported) for event in events) == 1


def test_a_query_whose_fills_are_not_there_yet_is_repeated() -> None:
    exchange = Scripted(
        place=[OutcomeUnknown("time-out")],
        order=[result(FILLED, filled=Decimal("0.5"))],
        fills_of=[(), (fill("1", "0.3"),), (fill("1", "0.3"), fill("2", "0.2"))],
    )
    events = play(exchange, lambda venue: venue.submit(submitted()), seconds=60)

    heard = {event.venue_trade_id for event in events if isinstance(event, VenueFillReported)}
    assert heard == {"1", "2"}
    assert exchange.asked.count("fills_of") == 3


def test_an_unknown_status_changes_nothing_and_is_queried() -> None:
    exchange = Scripted(place=[result(None, raw_status="FROZEN")], order=[result(ACCEPTED)])
    events = play(exchange, lambda venue: venue.submit(submitted()), seconds=5)

    assert isinstance(events[0], SystemWarning)
    assert "'FROZEN'" in events[0].message
    assert statuses(events) == [ACCEPTED]


def test_an_order_that_waited_too_long_is_never_sent() -> None:
    exchange = Scripted(place=[result()])
    (report,) = play(exchange, lambda venue: venue.submit(submitted(ts_ingress=START - 6 * SECOND)))

    assert isinstance(report, VenueOrderReported)
    assert (report.status, report.reason) == (REJECTED, "never sent: it waited 6.0 s, more than 5 s")
    assert exchange.placed == []


def test_a_cancel_of_a_missing_order_looks_the_order_up() -> None:
    exchange = Scripted(
        cancel=[UnknownOrder("none")], order=[result(FILLED, filled=Decimal("0.5"))], fills_of=[(fill(),)]
    )
    request = OrderCancelRequestedEvent(order_id="t1", symbol="BTCUSDT")
    events = play(exchange, lambda venue: venue.cancel(request), seconds=1)

    assert isinstance(events[0], VenueCancelRefused)
    assert statuses(events) == [FILLED]


@pytest.mark.parametrize("error", [OutcomeUnknown("time-out"), VenueUnavailable("down")])
def test_a_failed_cancel_is_refused_so_that_the_core_repeats_it(error: Exception) -> None:
    request = OrderCancelRequestedEvent(order_id="t1", symbol="BTCUSDT")
    events = play(Scripted(cancel=[error]), lambda venue: venue.cancel(request))

    assert [type(event) for event in events] == [VenueCancelRefused]


def test_an_amend_that_the_exchange_cannot_do_is_answered_with_its_revision() -> None:
    request = OrderAmendRequestedEvent(
        order_id="t1", symbol="BTCUSDT", revision=3, quantity=Decimal(1), limit=Decimal(60_000)
    )
    (report,) = play(Scripted(amend=[NotSupported("cannot")]), lambda venue: venue.amend(request))

    assert isinstance(report, VenueOrderReported)
    assert (report.status, report.revision, report.quantity) == (UNKNOWN, 3, None)


def test_after_each_connection_every_open_order_is_looked_up() -> None:
    exchange = Scripted(order=[result(FILLED, filled=Decimal("0.5"))], fills_of=[(fill(),)])
    orders = {"t1": order()}

    async def work(venue: ExchangeVenue) -> None:
        exchange.stream.put_nowait(FeedConnected(feed="binance-private"))

    events = play(exchange, work, seconds=1, orders=orders)

    assert statuses(events) == [FILLED]
    assert sum(isinstance(event, VenueFillReported) for event in events) == 1


def test_after_a_resume_unanswered_orders_are_unknown_and_nothing_is_sent() -> None:
    exchange = Scripted(order=[UnknownOrder("none"), result(ACCEPTED)])
    orders = {"t1": order("t1", status=OrderStatus.SUBMITTED), "t2": order("t2"), "t3": order("t3")}

    async def work(venue: ExchangeVenue) -> None:
        venue.recover({"t3"}, ["t2"], set())

    events = play(exchange, work, seconds=5, orders=orders)

    assert exchange.placed == []
    first = events[0]
    assert isinstance(first, VenueOrderReported)
    assert (first.order_id, first.status) == ("t1", UNKNOWN)
    assert {event.order_id for event in events[1:] if isinstance(event, VenueOrderReported)} == {"t1", "t2"}


def test_cancels_that_are_answered_while_a_resume_reports_them_are_no_error() -> None:
    cancels = {"t1": None, "t2": None, "t3": None}
    orders = {name: order(name) for name in cancels}
    published: list[str] = []

    def publish(event: Any) -> None:
        if isinstance(event, VenueCancelRefused):
            published.append(event.order_id)
            del cancels[event.order_id]

    async def work(venue: ExchangeVenue) -> None:
        venue.recover(set(), cancels, set())

    play(Scripted(order=[result(ACCEPTED)]), work, orders=orders, publish=publish)

    assert published == ["t1", "t2", "t3"]


def test_the_account_begins_with_the_balances_of_the_exchange() -> None:
    exchange = Scripted(balances=[(Balance(currency="USDT", free=Decimal(90), locked=Decimal(10)),)])

    async def work(venue: ExchangeVenue) -> None:
        await venue.connect()
        venue.start(START)

    (balance,) = play(exchange, work)

    assert isinstance(balance, VenueBalanceReported)
    assert (balance.currency, balance.total, balance.locked) == ("USDT", Decimal(100), Decimal(10))


def test_open_orders_of_others_are_mentioned() -> None:
    remarks: list[str] = []

    async def work(venue: ExchangeVenue) -> None:
        remarks.extend(await venue.connect())

    play(Scripted(open_orders=[(result(), result(symbol="ETHUSDT"))]), work)

    assert remarks == ["the account has 2 open orders of others (in BTCUSDT, ETHUSDT); they stay as they are"]


def test_fills_that_the_exchange_counts_but_did_not_send_are_fetched() -> None:
    exchange = Scripted(
        cancel=[result(OrderStatus.CANCELLED, filled=Decimal("0.2"))],
        order=[result(OrderStatus.CANCELLED, filled=Decimal("0.2"))],
        fills_of=[(fill("1", "0.2"),)],
    )
    orders = {"t1": order(status=OrderStatus.CANCELLED, is_open=False, missing=Decimal("0.2"))}
    request = OrderCancelRequestedEvent(order_id="t1", symbol="BTCUSDT")
    events = play(exchange, lambda venue: venue.cancel(request), seconds=10, orders=orders)

    assert [event.venue_trade_id for event in events if isinstance(event, VenueFillReported)] == ["1"]


def test_fills_that_arrive_by_themselves_are_not_fetched() -> None:
    exchange = Scripted()
    ours = order(missing=Decimal("0.2"))

    async def work(venue: ExchangeVenue) -> None:
        exchange.stream.put_nowait(VenueOrderReported(order_id="t1", symbol="BTCUSDT", status=ACCEPTED))
        await asyncio.sleep(0.5)
        ours.missing = Decimal(0)

    play(exchange, work, seconds=10, orders={"t1": ours})

    assert exchange.asked == ["close"]


def test_an_order_that_has_ended_is_looked_up_after_a_connection_if_it_lacks_fills() -> None:
    exchange = Scripted(order=[result(FILLED, filled=Decimal("0.5"))], fills_of=[(fill(),)])

    async def work(venue: ExchangeVenue) -> None:
        exchange.stream.put_nowait(FeedConnected(feed="binance-private"))

    ended = order(status=OrderStatus.CANCELLED, is_open=False, missing=Decimal("0.5"))
    events = play(exchange, work, seconds=1, orders={"t1": ended, "t2": order("t2", is_open=False)})

    assert [event.order_id for event in events if isinstance(event, VenueFillReported)] == ["t1"]


def test_a_currency_that_the_exchange_leaves_out_begins_at_zero() -> None:
    exchange = Scripted(balances=[(Balance(currency="USDT", free=Decimal(90)),)])

    async def work(venue: ExchangeVenue) -> None:
        await venue.connect()
        venue.start(START)

    events = play(exchange, work, currencies=("BTC", "USDT"))

    assert {(event.currency, event.total) for event in events if isinstance(event, VenueBalanceReported)} == {
        ("USDT", Decimal(90)),
        ("BTC", Decimal(0)),
    }


def test_a_cancel_without_a_recorded_answer_is_repeated_by_the_core_after_a_resume() -> None:
    async def work(venue: ExchangeVenue) -> None:
        venue.recover(set(), ["t2", "gone"], set())

    events = play(Scripted(order=[result(ACCEPTED)]), work, seconds=1, orders={"t2": order("t2")})

    assert [event.order_id for event in events if isinstance(event, VenueCancelRefused)] == ["t2"]


def test_a_resumed_run_takes_only_the_balances_that_its_record_lacks() -> None:
    exchange = Scripted(balances=[(Balance(currency="BTC", free=Decimal(1)), Balance(currency="ETH", free=Decimal(2)))])

    async def work(venue: ExchangeVenue) -> None:
        await venue.connect(resumed=True)
        venue.start(START)  # the driver begins at the start of the record
        venue.recover(set(), (), {"BTC"})

    events = play(exchange, work)

    assert [event.currency for event in events if isinstance(event, VenueBalanceReported)] == ["ETH"]


def test_what_happened_while_the_run_was_down_is_known_before_it_goes_on() -> None:
    exchange = Scripted(order=[VenueUnavailable("down"), result(FILLED, filled=Decimal("0.5"))], fills_of=[(fill(),)])
    orders = {"t1": order("t1"), "t2": order("t2")}
    asked: list[list[str]] = []

    async def work(venue: ExchangeVenue) -> None:
        venue.recover(set(), (), set())
        await venue.catch_up()
        asked.append(list(exchange.asked))

    play(exchange, work, seconds=5, orders=orders, symbols=("BTCUSDT",))

    assert sorted(asked[0]) == ["fills", "fills_of", "open_orders", "order", "order"]


def test_a_resumed_run_goes_on_if_its_exchange_does_not_answer() -> None:
    exchange = Scripted(open_orders=[VenueUnavailable("down")])

    async def work(venue: ExchangeVenue) -> None:
        venue.recover(set(), (), set())
        await venue.catch_up()

    assert play(exchange, work, symbols=("BTCUSDT",)) == []


def test_no_order_leaves_while_the_run_ends() -> None:
    exchange = Scripted(place=[result()])

    async def work(venue: ExchangeVenue) -> None:
        venue.closing = True
        await venue.submit(submitted())

    (report,) = play(exchange, work)

    assert isinstance(report, VenueOrderReported)
    assert (report.status, report.reason) == (REJECTED, "never sent: the run ends")
    assert exchange.placed == []


def test_an_unexpected_error_while_an_order_is_looked_up_is_not_swallowed() -> None:
    errors: list[Exception] = []
    exchange = Scripted(place=[OutcomeUnknown("time-out")], order=[ZeroDivisionError("a fault of ours")])
    play(exchange, lambda venue: venue.submit(submitted()), seconds=5, on_error=errors.append)

    assert [type(error) for error in errors] == [ZeroDivisionError]


def test_the_last_cancels_tell_apart_what_they_cancelled_what_had_ended_and_what_may_be_open() -> None:
    """An earlier process that could record nothing either may have cancelled it."""
    gone = UnknownOrder("binance: Unknown order sent. (-2011)")
    exchange = Scripted(
        cancel=[result(OrderStatus.CANCELLED), gone, gone, VenueUnavailable("time-out")],
        order=[result(OrderStatus.CANCELLED), result(ACCEPTED)],
    )
    said: list[str] = []

    async def work(venue: ExchangeVenue) -> None:
        said.append(await venue.cancel_unrecorded([order(name) for name in ("t1", "t2", "t3", "t4")]))

    play(exchange, work)

    assert said == [
        "1 open order was cancelled at binance without a record, 1 had ended there before, these are perhaps still "
        "open: t3 (UnknownOrder: binance: Unknown order sent. (-2011)), t4 (VenueUnavailable: time-out)"
    ]
