"""The account is reconciled at the start and after each connection: orders, fills, then balances."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from exchange_kit import (
    ACCEPTED,
    CONNECTED,
    SECOND,
    START,
    UNKNOWN,
    Scripted,
    fill,
    of,
    order,
    play,
    reconciled,
    result,
    usdt,
)
from kernel_kit import kernel_with
from msgspec.structs import replace
from virtual_time import VirtualWall

from tickdeck.application.ports import Liquidation
from tickdeck.bootstrap.venue_record import VenueRecord
from tickdeck.domain.accounts import Differences
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    VenueBalanceReported,
    VenueExternalFillReported,
    VenueExternalOrderReported,
    VenueFillReported,
    VenueLiquidationReported,
    VenueMarginCallReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import InvalidSymbol, UnknownOrder, VenueUnavailable
from tickdeck.infrastructure.exchanges.doubt import said
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue

WEB = result(ACCEPTED, client_order_id="web", venue_order_id="7", limit=Decimal(100))


def test_orders_and_fills_come_before_the_balances() -> None:
    exchange = Scripted(balances=[usdt(100)])
    reconciled(exchange)

    assert exchange.asked[-5:-1] == ["open_orders", "fills", "balances", "fills"]


def test_an_open_order_of_others_is_shown_once_with_its_details() -> None:
    events = reconciled(Scripted(balances=[usdt(100)], open_orders=[(WEB,)]), (1, CONNECTED))

    (shown,) = of(events, VenueExternalOrderReported)
    assert (shown.order_id, shown.side, shown.limit, shown.status) == ("web", Side.BUY, Decimal(100), ACCEPTED)
    assert not of(events, VenueOrderReported)


def test_an_order_of_others_that_is_not_open_any_more_is_looked_up() -> None:
    ended = result(OrderStatus.CANCELLED, client_order_id="web", venue_order_id="7")
    exchange = Scripted(balances=[usdt(100)], open_orders=[(WEB,), ()], order_by_number=[UnknownOrder("lag"), ended])
    events = reconciled(exchange, (1, CONNECTED), (5, CONNECTED), seconds=5)

    assert [event.status for event in of(events, VenueExternalOrderReported)] == [ACCEPTED, OrderStatus.CANCELLED]


def test_an_order_of_others_in_another_symbol_is_not_looked_up_in_this_one() -> None:
    elsewhere = VenueOrderReported(order_id="web", symbol="ETHUSDT", status=ACCEPTED, venue_order_id="7")
    exchange = Scripted(balances=[usdt(100)])
    events = reconciled(exchange, (1, elsewhere), (5, CONNECTED))

    assert len(of(events, VenueExternalOrderReported)) == 1
    assert "order_by_number" not in exchange.asked


@pytest.mark.parametrize("state", [{"status": UNKNOWN}, {"status": OrderStatus.REJECTED, "is_open": False}])
def test_an_order_of_ours_that_is_open_against_our_belief_is_reported(state: dict[str, Any]) -> None:
    exchange = Scripted(balances=[usdt(100)], open_orders=[(result(ACCEPTED),)], order=[UnknownOrder("lag")])
    events = reconciled(exchange, orders={"t1": order(**state)})

    assert [(event.order_id, event.status) for event in of(events, VenueOrderReported)] == [("t1", ACCEPTED)]
    assert not of(events, VenueExternalOrderReported)


def test_an_order_that_was_taken_for_dead_is_looked_up_again_as_it_may_have_ended_meanwhile() -> None:
    late = result(OrderStatus.EXPIRED)
    exchange = Scripted(balances=[usdt(100)], order=[UnknownOrder("lag"), late])
    dead = order(status=OrderStatus.REJECTED, is_open=False, is_taken_for_dead=True)
    events = reconciled(exchange, (5, CONNECTED), orders={"t1": dead})

    assert [(event.order_id, event.status) for event in of(events, VenueOrderReported)] == [("t1", OrderStatus.EXPIRED)]


def test_fills_are_told_apart_by_the_orders_that_they_belong_to() -> None:
    fills = (fill("1", order="99"), fill("2", order="7"), fill("3", order="7"))
    exchange = Scripted(balances=[usdt(100)], fills=[fills, ()], order_by_number=[WEB], order=[result(ACCEPTED)])
    events = reconciled(exchange, orders={"t1": order(venue_order_id="99")})

    assert [event.venue_trade_id for event in of(events, VenueFillReported)] == ["1"]
    others = of(events, VenueExternalFillReported)
    assert [(event.venue_trade_id, event.order_id, event.base, event.quote) for event in others] == [
        ("2", "web", "BTC", "USDT"),
        ("3", "web", "BTC", "USDT"),
    ]
    assert exchange.asked.count("order_by_number") == 1


def test_a_fill_that_the_stream_reported_is_not_published_again() -> None:
    told = VenueFillReported(
        order_id="web", symbol="BTCUSDT", side=Side.BUY, price=Decimal(1), quantity=Decimal(1), venue_trade_id="2"
    )
    exchange = Scripted(balances=[usdt(100)], fills=[(), (), (fill("2", order="7"),), ()], order_by_number=[WEB])
    events = reconciled(exchange, (1, told), (5, CONNECTED))

    assert [event.venue_trade_id for event in of(events, VenueExternalFillReported)] == ["2"]


def test_the_venues_order_ids_are_those_of_one_symbol() -> None:
    """The order 99 in BTCUSDT is ours, that in ETHUSDT is not."""
    others = replace(fill("1", order="99"), symbol="ETHUSDT")
    web = replace(WEB, symbol="ETHUSDT", venue_order_id="99")
    exchange = Scripted(balances=[usdt(100)], fills=[(others,), ()], order_by_number=[web], order=[result(ACCEPTED)])
    events = reconciled(exchange, orders={"t1": order(venue_order_id="99")}, symbols=("ETHUSDT",))

    assert not of(events, VenueFillReported)
    assert exchange.asked.count("order_by_number") == 1


def test_after_a_resume_fills_are_fetched_from_the_last_one_of_the_record_on() -> None:
    asked: list[str] = []

    class Asked(Scripted):
        async def fills(self, symbol: str, *, since: int = 0, after: str = "", venue_order_id: str = "") -> Any:
            asked.append(after)
            return ()

    async def work(venue: ExchangeVenue) -> None:
        venue.recover((), (), (), last_trades={"BTCUSDT": "41"})
        await venue.catch_up()

    play(Asked(balances=[usdt(100)]), work, symbols=("BTCUSDT",), books={"USDT": Decimal(100)})

    assert set(asked) == {"41"}


def test_balances_that_are_ours_are_not_published() -> None:
    assert not of(reconciled(Scripted(balances=[usdt(100)]), seconds=300), VenueBalanceReported)


def test_a_symbol_that_is_delisted_does_not_hide_the_account_from_the_others() -> None:
    gone = InvalidSymbol("binance: Invalid symbol. (-1121)")
    exchange = Scripted(balances=[usdt(90)], open_orders=[gone, ()], fills=[gone, ()])
    events = reconciled(exchange)

    assert [event.total for event in of(events, VenueBalanceReported)][:1] == [Decimal(90)]


def test_what_is_said_of_a_delisted_symbol_is_logged_once_and_again_if_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gone, other = InvalidSymbol("binance: Invalid symbol. (-1121)"), InvalidSymbol("binance: not yours")
    exchange = Scripted(balances=[usdt(100)], open_orders=[gone], fills=[gone])

    def change() -> None:
        exchange.answers |= {"open_orders": [other], "fills": [other]}

    with caplog.at_level("INFO", "tickdeck.gateway"):
        reconciled(exchange, (5, CONNECTED), (5, change), (5, CONNECTED), (5, CONNECTED))

    told = [vars(record)["fields"] for record in caplog.records if record.getMessage() == "not reconciled"]
    assert told == [{"symbol": "BTCUSDT", "error": said(error)} for error in (gone, other)]


def test_a_balance_that_differs_is_read_again_after_the_lag_of_queries_until_the_core_is_content() -> None:
    pending: dict[str, Decimal] = {}
    times: list[float] = []
    exchange = Scripted(balances=[usdt(90)])

    def differ() -> None:
        pending["USDT"] = Decimal(-10)

    def content() -> None:
        times.append(exchange.asked.count("balances"))
        pending.clear()

    events = reconciled(exchange, (0.05, differ), (90, content), seconds=600, pending=pending)

    assert [event.total for event in of(events, VenueBalanceReported)][:2] == [Decimal(90), Decimal(90)]
    assert times == [3]  # at the start, at once, and after 60 s
    assert exchange.asked.count("balances") == 4


def test_a_difference_that_an_earlier_process_read_is_read_again_after_the_lag_of_queries() -> None:
    pending = {"USDT": Decimal(-10)}
    published: list[Any] = []

    async def work(venue: ExchangeVenue) -> None:
        venue.recover((), (), ())
        exchange.stream.put_nowait(CONNECTED)
        await asyncio.sleep(59)
        assert not of(published, VenueBalanceReported)
        await asyncio.sleep(2)
        assert [event.total for event in of(published, VenueBalanceReported)] == [Decimal(90)]

    exchange = Scripted(balances=[usdt(90)])
    play(exchange, work, pending=pending, books={"USDT": Decimal(100)}, publish=published.append)


class Books:
    """The core's books of USDT as far as a reading meets them: 100, and the differences that were read."""

    def __init__(self, wall: VirtualWall) -> None:
        self.published: list[Any] = []
        self.differences = Differences()
        self._wall = wall

    def publish(self, event: DomainEvent) -> None:
        self.published.append(event)
        if isinstance(event, VenueBalanceReported):
            self.differences.read(event.currency, Decimal(100), event.total, self._wall.time_ns())


@pytest.mark.parametrize(("resumed", "after"), [(False, 5), (False, 59), (True, 5), (True, 59)])
def test_the_last_comparison_is_no_second_reading_within_the_lag_of_queries(resumed: bool, after: float) -> None:
    """``resumed``: an earlier process took the first reading."""
    exchange = Scripted(balances=[usdt(90)])
    books = Books(exchange.clock)

    async def work(venue: ExchangeVenue) -> None:
        if resumed:
            books.differences.read("USDT", Decimal(100), Decimal(90), START - 30 * SECOND)
            venue.recover((), (), ())
        else:
            await venue.compare()
        await asyncio.sleep(after)
        await venue.compare()
        assert (books.differences.pending, books.differences.found) == ({"USDT": Decimal(-10)}, {})
        await asyncio.sleep(60)
        await venue.compare()
        assert books.differences.found == {"USDT": Decimal(-10)}

    pending = books.differences.pending
    play(exchange, work, pending=pending, books={"USDT": Decimal(100)}, publish=books.publish)


@pytest.mark.parametrize(("later", "pending"), [(100, {}), (80, {"USDT": Decimal(-20)})])
def test_the_last_comparison_takes_what_settles_or_changes_a_difference(
    later: int, pending: dict[str, Decimal]
) -> None:
    exchange = Scripted(balances=[usdt(90), usdt(later)])
    books = Books(exchange.clock)

    async def work(venue: ExchangeVenue) -> None:
        await venue.compare()
        await asyncio.sleep(5)
        await venue.compare()

    known = books.differences.pending
    play(exchange, work, pending=known, books={"USDT": Decimal(100)}, publish=books.publish)

    assert (books.differences.pending, books.differences.found) == (pending, {})


def test_after_the_last_comparison_no_other_reading_follows_within_the_lag_of_queries() -> None:
    """The other accounts of the run may still wind up."""
    exchange = Scripted(balances=[usdt(90)])
    books = Books(exchange.clock)

    async def work(venue: ExchangeVenue) -> None:
        await venue.compare()
        await asyncio.sleep(5)
        exchange.stream.put_nowait(CONNECTED)
        await asyncio.sleep(50)

    known = books.differences.pending
    play(exchange, work, pending=known, books={"USDT": Decimal(100)}, publish=books.publish)

    assert (books.differences.pending, books.differences.found) == ({"USDT": Decimal(-10)}, {})


def test_a_reading_during_which_a_fill_arrives_does_not_count() -> None:
    exchange = Scripted(
        balances=[usdt(90)], fills=[(), (fill("1", order="7"),), ()], order_by_number=[WEB]
    )  # it is in the balance
    events = reconciled(exchange, seconds=10)

    kinds = [type(event) for event in events if not isinstance(event, FeedConnected)]
    assert kinds == [VenueExternalFillReported, VenueBalanceReported]
    assert exchange.asked.count("balances") == 3


def test_an_exchange_that_does_not_answer_is_asked_again() -> None:
    down = VenueUnavailable("down")
    exchange = Scripted(balances=[usdt(100), down, down, usdt(100)], open_orders=[down, ()])
    events = reconciled(exchange, seconds=60)

    assert not of(events, VenueBalanceReported)
    assert exchange.asked.count("balances") == 4


def test_a_balance_of_the_stream_is_compared_when_fills_have_stopped_arriving() -> None:
    exchange = Scripted(balances=[usdt(100), usdt(100), usdt(90)])
    other = VenueBalanceReported(currency="USDT", total=Decimal(90))
    events = reconciled(exchange, (1, other), (0.5, other), seconds=120)

    assert [event.total for event in of(events, VenueBalanceReported)] == [Decimal(90)]
    assert exchange.asked.count("balances") == 3


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(lambda pushed: [(1, pushed), (2, CONNECTED)], id="pushed"),
        pytest.param(lambda pushed: [(1, CONNECTED), (2, pushed), (3, CONNECTED)], id="listed"),
    ],
)
def test_what_the_venue_liquidated_meanwhile_is_reported_once(steps: Any) -> None:
    found = Liquidation(
        symbol="BTCUSDT", venue_trade_id="9", side=Side.SELL, price=Decimal(80), quantity=Decimal(1), ts=START
    )
    pushed = VenueLiquidationReported(
        symbol="BTCUSDT", venue_trade_id="9", side=Side.SELL, price=Decimal(80), quantity=Decimal(1)
    )
    exchange = Scripted(balances=[usdt(100)], liquidations=[(found,)])
    exchange.capabilities = replace(Scripted.capabilities, margin=True)
    events = reconciled(exchange, *steps(pushed))

    (reported,) = of(events, VenueLiquidationReported)
    assert (reported.venue_trade_id, reported.side, reported.quantity) == ("9", Side.SELL, Decimal(1))


def test_a_resumed_run_reports_only_the_liquidations_that_its_record_lacks() -> None:
    recorded = Liquidation(
        symbol="BTCUSDT", venue_trade_id="9", side=Side.SELL, price=Decimal(80), quantity=Decimal(1), ts=START
    )
    kernel, _ = kernel_with()
    record = VenueRecord(kernel)
    kernel.feed(
        VenueLiquidationReported(
            symbol="BTCUSDT", venue_trade_id="9", side=Side.SELL, price=Decimal(80), quantity=Decimal(1), ts=START
        )
    )
    exchange = Scripted(liquidations=[(recorded, replace(recorded, venue_trade_id="10"))])
    exchange.capabilities = replace(Scripted.capabilities, margin=True)

    async def work(venue: ExchangeVenue) -> None:
        venue.recover(set(), (), set(), record.last_trades, record.liquidations)
        await venue.catch_up()

    events = play(exchange, work, symbols=("BTCUSDT",))

    assert [event.venue_trade_id for event in of(events, VenueLiquidationReported)] == ["10"]


def test_a_margin_call_is_passed_on_and_an_account_without_margin_is_not_asked_for_liquidations() -> None:
    call = VenueMarginCallReported(
        symbol="BTCUSDT",
        quantity=Decimal(1),
        price=Decimal(80),
        equity=Decimal(1),
        requirement=Decimal(2),
        liquidation_price=Decimal(79),
    )
    exchange = Scripted(balances=[usdt(100)])
    events = reconciled(exchange, (1, call))

    assert of(events, VenueMarginCallReported) == [call]
    assert "liquidations" not in exchange.asked
