"""An order in doubt: what counts as evidence that the exchange never received it, and what does not."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from exchange_kit import (
    ACCEPTED,
    BTCUSDT,
    FILLED,
    SECOND,
    UNKNOWN,
    Scripted,
    fill,
    order,
    play,
    result,
    statuses,
    submitted,
)

from tickdeck.application.ports import ExchangeCapabilities, InstrumentStatus, ListedInstrument
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    VenueFillReported,
    VenueOrderNotFound,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import InvalidSymbol, OutcomeUnknown, RateLimited, RequestRefused, UnknownOrder, VenueUnavailable
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue

WAIT = 15 + 60  # seconds: in flight, and the queries' lag
CONNECTED = FeedConnected(feed="binance-private")
LOST = FeedDisconnected(feed="binance-private")


def in_doubt(exchange: Scripted, seconds: float, *later: tuple[float, Any], **options: Any) -> list[DomainEvent]:
    """What is published if an order's answer is lost. ``later``: after so many seconds, an event of the private stream
    or a call."""

    async def work(venue: ExchangeVenue) -> None:
        exchange.stream.put_nowait(CONNECTED)
        await asyncio.sleep(0)
        await venue.submit(submitted())
        for after, what in later:
            await asyncio.sleep(after)
            what() if callable(what) else exchange.stream.put_nowait(what)

    return play(exchange, work, seconds=seconds, **options)


def lost(**answers: Any) -> Scripted:
    return Scripted(place=[OutcomeUnknown("time-out")], **({"order": [UnknownOrder("none")]} | answers))


def verdicts(events: list[DomainEvent]) -> list[VenueOrderNotFound]:
    return [event for event in events if isinstance(event, VenueOrderNotFound)]


def test_an_order_that_no_source_knows_counts_as_never_received_only_after_the_wait() -> None:
    early, late = in_doubt(lost(), WAIT - 2), in_doubt(lost(), WAIT + 31)

    assert statuses(early) == [UNKNOWN]
    assert not verdicts(early)
    (verdict,) = verdicts(late)
    assert (verdict.order_id, verdict.sources) == ("t1", ("order", "open_orders", "fills", "stream"))
    assert verdict.waited >= WAIT * SECOND


def test_the_search_stops_with_its_verdict() -> None:
    exchange = lost()
    in_doubt(exchange, 3_000)

    assert exchange.asked.count("order") < 15


def test_the_wait_is_on_the_venues_clock() -> None:
    exchange = lost()

    def leap() -> None:
        exchange.ahead = WAIT * SECOND

    assert verdicts(in_doubt(exchange, 20, (1, leap)))


def test_not_found_three_times_after_a_network_error_is_no_evidence_and_the_open_order_stays_ours() -> None:
    """hummingbot#8457: the venue took the order, the connection broke, and three queries did not know it. It was open
    all the time."""
    missing = UnknownOrder("binance: Order does not exist. (-2013)")
    exchange = lost(order=[missing, missing, missing, result(ACCEPTED)])
    events = in_doubt(exchange, 3_600)

    assert statuses(events) == [UNKNOWN, ACCEPTED]
    assert not verdicts(events)
    assert len(exchange.placed) == 1


@pytest.mark.parametrize("error", [VenueUnavailable("time-out"), RateLimited("429", wait=1.0), RequestRefused("-1022")])
def test_a_query_that_keeps_failing_says_nothing_and_the_order_stays_unknown(error: Exception) -> None:
    """nautilus_trader#4958: a submitted order whose query keeps timing out."""
    exchange = lost(order=[error])
    events = in_doubt(exchange, 24 * 3_600)

    assert statuses(events) == [UNKNOWN]
    assert not verdicts(events)
    assert len(exchange.placed) == 1


@pytest.mark.parametrize("source", ["open_orders", "fills", "server_time"])
def test_every_source_must_answer(source: str) -> None:
    events = in_doubt(lost(**{source: [VenueUnavailable("down")]}), 3_600)

    assert not verdicts(events)


GONE = InvalidSymbol("binance: Invalid symbol. (-1121)")


def test_an_order_whose_symbol_is_delisted_has_expired_once_it_is_long_enough_not_among_the_open_ones() -> None:
    early, late = in_doubt(lost(order=[GONE]), WAIT - 2), in_doubt(lost(order=[GONE]), WAIT + 31)

    assert statuses(early) == [UNKNOWN]
    assert statuses(late) == [UNKNOWN, OrderStatus.EXPIRED]
    *_, expired = (event for event in late if isinstance(event, VenueOrderReported))
    assert expired.reason == "BTCUSDT was delisted, and the order is not among the open ones"


def test_an_order_whose_symbol_is_said_to_be_wrong_stays_in_doubt_while_it_is_listed_or_open() -> None:
    listing, showing = lost(order=[GONE]), lost(order=[GONE], open_orders=[(result(ACCEPTED),)])
    listing.listed = (ListedInstrument(instrument=BTCUSDT, status=InstrumentStatus.TRADING),)

    assert statuses(in_doubt(listing, 3_600)) == [UNKNOWN]
    assert statuses(in_doubt(showing, 3_600)) == [UNKNOWN]


def test_an_order_among_the_open_ones_is_reported_although_its_query_does_not_know_it() -> None:
    events = in_doubt(lost(open_orders=[(result(ACCEPTED),)]), WAIT + 60)

    assert statuses(events)[:2] == [UNKNOWN, ACCEPTED]
    assert not verdicts(events)


def test_an_order_that_only_the_fills_show_is_found_by_the_venues_id_of_a_fill() -> None:
    others = result(ACCEPTED, client_order_id="web", venue_order_id="98")
    ours = result(FILLED, filled=Decimal("0.5"))
    exchange = lost(fills=[(fill("0", order="98"), fill("1"))], fills_of=[(fill("1"),)], order_by_number=[others, ours])
    events = in_doubt(exchange, WAIT + 60)

    assert statuses(events) == [UNKNOWN, FILLED]
    assert [event.venue_trade_id for event in events if isinstance(event, VenueFillReported)] == ["1"]


def test_without_its_private_stream_nothing_is_concluded() -> None:
    events = in_doubt(lost(), 600, (1, LOST))
    again = in_doubt(lost(), 600, (1, LOST), (600, CONNECTED))

    assert not verdicts(events)
    assert len(verdicts(again)) == 1


def test_a_private_stream_that_broke_during_each_look_is_no_evidence() -> None:
    class Breaking(Scripted):
        async def fills(self, symbol: str, **query: Any) -> Any:
            self.stream.put_nowait(LOST)
            self.stream.put_nowait(CONNECTED)
            await asyncio.sleep(0.1)  # the venue takes both
            return await super().fills(symbol, **query)

    exchange = Breaking(place=[OutcomeUnknown("time-out")], order=[UnknownOrder("none")])

    assert not verdicts(in_doubt(exchange, 1_000))


def test_an_order_older_than_the_look_up_window_stays_unknown_until_a_person_decides() -> None:
    exchange = lost()
    exchange.capabilities = ExchangeCapabilities(
        in_flight=15 * SECOND, query_lag=60 * SECOND, lookup_window=70 * SECOND
    )
    assert not verdicts(in_doubt(exchange, 3_600))


def test_a_failed_look_at_an_order_that_ended_meanwhile_is_not_said_to_leave_it_in_doubt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The private stream was faster than a query that timed out."""
    ours = order(status=UNKNOWN)

    class Slow(Scripted):
        async def order(self, symbol: str, **query: Any) -> Any:
            ours.is_open, ours.status = False, OrderStatus.CANCELLED
            raise VenueUnavailable("no answer within 10 s")

    in_doubt(Slow(place=[OutcomeUnknown("time-out")]), 60, orders={"t1": ours})

    assert not [record for record in caplog.records if record.getMessage() == "an order is in doubt"]


def test_the_search_ends_when_a_person_has_settled_the_order() -> None:
    exchange = lost()
    ours = order(status=UNKNOWN)

    def settle() -> None:
        ours.is_open, ours.status = False, OrderStatus.REJECTED

    events = in_doubt(exchange, 600, (5, settle), orders={"t1": ours})

    assert not verdicts(events)
    assert exchange.asked.count("order") < 6


def test_the_search_ends_when_the_private_stream_shows_the_order() -> None:
    exchange = lost()
    ours = order(status=UNKNOWN)

    def show() -> None:
        ours.venue_order_id = "99"

    in_doubt(exchange, 600, (5, show), orders={"t1": ours})

    assert exchange.asked.count("order") < 6


@pytest.mark.parametrize("known", [{"venue_order_id": "99"}, {"filled": Decimal("0.1")}])
def test_an_order_that_the_exchange_has_shown_is_never_taken_for_never_received(known: dict[str, Any]) -> None:
    events = in_doubt(lost(), 300, orders={"t1": order(**known)})

    assert not verdicts(events)


def test_a_late_acceptance_is_passed_on_to_the_core() -> None:
    late = VenueOrderReported(order_id="t1", symbol="BTCUSDT", status=ACCEPTED)
    events = in_doubt(lost(), 1, (WAIT + 60, late), orders={"t1": order(status=UNKNOWN)})

    assert [type(event) for event in events[-2:]] == [VenueOrderNotFound, VenueOrderReported]
