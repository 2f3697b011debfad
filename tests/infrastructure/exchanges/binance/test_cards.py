"""The adapter plays acceptance cards against the venue on localhost: connections, the feed and the private stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from tickdeck.application.ports import Frame, OrderRequest
from tickdeck.domain.events import (
    DomainEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    SystemWarning,
    TradeEvent,
    VenueFillReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import InsufficientFunds, OutcomeUnknown, UnknownOrder
from tickdeck.infrastructure.exchanges.binance.market_feed import BinanceFeed
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import HmacKey, endpoints_at
from tickdeck.infrastructure.venue import RunningVenue, running_venue
from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

D = Decimal
ALL = load_scenarios(CARDS)


class Table:
    """A venue that plays a card, and what the adapter needs to play along."""

    def __init__(self, venue: RunningVenue, http: aiohttp.ClientSession) -> None:
        self.venue, self._http = venue, http
        self.exchange = BinanceExchange(HmacKey(venue.key, venue.secret), endpoints=endpoints_at(venue.url))

    async def act(self, action: str, **values: Any) -> None:
        async with self._http.post(f"{self.venue.url}/admin/{action}", json=values) as answer:
            assert answer.status == 200, await answer.text()

    def failed(self) -> list[str]:
        """The checks that do not hold. What only a long time would show is up to the caller."""
        assert self.venue.player is not None
        assert self.venue.player.problems == []
        return [result.check.figure for result in self.venue.player.results() if not result.holds]

    async def until(self, holds: Callable[[], bool]) -> None:
        while not holds():
            async with self._http.get(f"{self.venue.url}/admin/faults") as answer:
                await answer.read()  # lets the venue work

    @asynccontextmanager
    async def feed(self, *symbols: str, **options: Any) -> AsyncIterator[list[DomainEvent]]:
        """The events of a feed, as they arrive."""
        feed = BinanceFeed(symbols, endpoints_at(self.venue.url), **options)
        events: list[DomainEvent] = []

        async def put(frame: Frame) -> None:
            events.extend(feed.decode(frame))

        task = asyncio.ensure_future(feed.run(put))
        try:
            yield events
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def buy(self, client_id: str = "a", limit: str | None = "40000", quantity: str = "0.1") -> Any:
        order = OrderRequest(
            client_order_id=client_id,
            symbol="BTCUSDT",
            side=Side.BUY,
            quantity=D(quantity),
            limit=D(limit) if limit else None,
        )
        return await self.exchange.place(order)


def play(name: str, body: Callable[[Table], Awaitable[None]]) -> None:
    async def run() -> None:
        async with running_venue(scenario=ALL[name]) as venue, aiohttp.ClientSession() as http, asyncio.timeout(120):
            table = Table(venue, http)
            try:
                await body(table)
            finally:
                await table.exchange.close()

    asyncio.run(run())


def test_c01_an_order_whose_answer_is_lost_is_found_by_its_id() -> None:
    async def body(table: Table) -> None:
        with pytest.raises(OutcomeUnknown):
            await table.buy(limit=None, quantity="1")
        found = await table.exchange.order("BTCUSDT", client_order_id="a")
        assert found.status is OrderStatus.FILLED
        assert table.failed() == []

    play("C01", body)


@pytest.mark.long
@pytest.mark.parametrize("name", ["C02a", "C02b", "C02c"])
def test_c02_the_stream_reports_an_order_whose_answer_was_unknown(name: str) -> None:
    async def body(table: Table) -> None:
        async with aclosing(table.exchange.private_events()) as events:
            assert (await anext(events)).event_type == "feed.connected"
            placing = asyncio.ensure_future(table.buy())
            await table.until(lambda: table.venue.venue.asked.get("requests.place", 0) == 1)
            await table.act("advance", by="1s")
            await table.act("advance", by="3s")
            async for event in events:
                if isinstance(event, VenueFillReported):
                    break
            with pytest.raises(OutcomeUnknown):
                await placing
        assert table.failed() == []

    play(name, body)


def test_c03a_an_order_that_queries_do_not_know_yet_is_there_a_moment_later() -> None:
    async def body(table: Table) -> None:
        assert (await table.buy()).status is OrderStatus.ACCEPTED
        with pytest.raises(UnknownOrder):
            await table.exchange.order("BTCUSDT", client_order_id="a")
        await table.act("advance", by="3s")
        assert (await table.exchange.order("BTCUSDT", client_order_id="a")).status is OrderStatus.ACCEPTED
        assert table.failed() == []

    play("C03a", body)


def test_c16b_a_status_that_nobody_knows_is_kept_as_it_is() -> None:
    async def body(table: Table) -> None:
        await table.buy()
        first = await table.exchange.order("BTCUSDT", client_order_id="a")
        assert (first.status, first.raw_status) == (None, "FROZEN")
        assert (await table.exchange.order("BTCUSDT", client_order_id="a")).status is OrderStatus.FILLED
        assert table.failed() == []

    play("C16b", body)


@pytest.mark.long
def test_c17_the_stream_goes_on_when_somebody_else_sells_and_an_own_sell_is_refused() -> None:
    async def body(table: Table) -> None:
        seen: dict[str, list[OrderStatus]] = {}
        warnings = []
        async with aclosing(table.exchange.private_events()) as events:
            assert (await anext(events)).event_type == "feed.connected"
            for by in ("1s", "1s", "1s", "3s"):
                await table.act("advance", by=by)
            async for event in events:
                if isinstance(event, SystemWarning):
                    warnings.append(event.message)
                if hasattr(event, "status"):
                    seen.setdefault(event.order_id, []).append(event.status)
                if [OrderStatus.FILLED] in [statuses[-1:] for statuses in seen.values()]:
                    break
        ends = sorted(statuses[-1] for statuses in seen.values())
        assert ends == [OrderStatus.EXPIRED, OrderStatus.FILLED]
        assert warnings == []
        assert table.failed() == []
        with pytest.raises(InsufficientFunds):
            await table.exchange.place(
                OrderRequest(client_order_id="b", symbol="BTCUSDT", side=Side.SELL, quantity=D("0.5"))
            )

    play("C17", body)


@pytest.mark.long
def test_c38_trades_that_were_missed_are_fetched_by_id_and_none_comes_twice() -> None:
    async def body(table: Table) -> None:
        async with table.feed("BTCUSDT", channels=("trade",)) as events:
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 1)
            await table.act("advance", by="1500ms")  # the cut follows 100 ms after the first trade
            await table.until(lambda: any(isinstance(event, TradeEvent) for event in events))
            await table.until(lambda: table.venue.venue.asked.get("closed.cut", 0) == 1)
            await table.act("advance", by="2s")  # 1,700 trades while nobody may connect
            await table.act("advance", by="7s")
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 2)
            await table.act("advance", by="60s")  # the next trade, which shows that some were missed
            await table.until(lambda: sum(isinstance(event, TradeEvent) for event in events) >= 1_702)
            ids = [int(event.trade_id) for event in events if isinstance(event, TradeEvent)]
            assert ids == list(range(1, 1_703))
        assert table.failed() == []

    play("C38", body)


@pytest.mark.long
def test_c40_a_connection_without_data_is_made_again_and_what_was_missed_is_fetched() -> None:
    async def body(table: Table) -> None:
        async with table.feed("BTCUSDT", channels=("trade",), stale_after=500_000_000) as events:

            def ids() -> list[int]:
                return [int(event.trade_id) for event in events if isinstance(event, TradeEvent)]

            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 1)
            await table.act("advance", by="1s")
            await table.until(lambda: ids() == [1])
            await table.act("advance", by="1s")
            await table.until(lambda: table.venue.faults.counts.get("stall", 0) == 1)
            await table.act("advance", by="1s")
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 2)
            await table.act("advance", by="120s")
            await table.until(lambda: len(ids()) == 4)
            assert ids() == [1, 2, 3, 4]
        assert table.failed() == []

    play("C40", body)


@pytest.mark.long
def test_c41_subscriptions_that_the_venue_ignores_are_made_again() -> None:
    async def body(table: Table) -> None:
        await table.act("connections", largest_message=1_500)
        names = list(table.venue.exchange.engine.markets)
        async with table.feed(*names, channels=("trade",)) as events:
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) >= 2)
            wanted = {f"{name.lower()}@trade" for name in names}
            await table.until(lambda: table.venue.server.streams.names == wanted)
            (warning,) = [event for event in events if isinstance(event, SystemWarning)]
            assert "subscribed again" in warning.message
        assert table.venue.venue.asked["requests.ignored"] == 1
        assert "closed.1008" not in table.venue.venue.asked

    play("C41", body)


@pytest.mark.parametrize("name", ["C43a", "C43b", "C43c"])
def test_c43_pings_are_answered_with_their_own_bytes(name: str) -> None:
    async def body(table: Table) -> None:
        if name != "C43b":
            await table.act("connections", ping_every="50ms")
        async with aclosing(table.exchange.private_events()) as events:
            assert (await anext(events)).event_type == "feed.connected"
            await table.buy()
            await table.act("advance", by="5s")
            async for event in events:
                if isinstance(event, VenueFillReported):
                    break
        assert table.failed() == []

    play(name, body)


@pytest.mark.parametrize("name", ["C43a", "C43c"])
def test_c43_the_feed_answers_pings_in_the_middle_of_messages_too(name: str) -> None:
    async def body(table: Table) -> None:
        await table.act("connections", ping_every="50ms", pong_within="300ms")
        async with table.feed("BTCUSDT", channels=("trade",)) as events:
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 1)
            for number in range(1, 5):
                for side, price in (("SELL", "50000"), ("BUY", "50000")):
                    action = "quote" if side == "SELL" else "trade"
                    await table.act(action, symbol="BTCUSDT", side=side, price=price, quantity="1")
                await table.until(lambda n=number: sum(isinstance(e, TradeEvent) for e in events) == n)  # type: ignore[misc]
                await table.act("advance", by="1s")
        assert "closed.1008" not in table.venue.venue.asked
        assert table.venue.venue.asked["connections.market"] == 1

    play(name, body)


def test_c44_times_in_either_unit_are_the_same_times_and_senseless_ones_are_warnings() -> None:
    async def body(table: Table) -> None:
        async with table.feed("BTCUSDT", channels=("trade",)) as events:
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 1)
            for _ in range(11):
                await table.act("advance", by="1s")

            def trades() -> list[TradeEvent]:
                return [event for event in events if isinstance(event, TradeEvent)]

            await table.until(lambda: len(trades()) == 3)
            now = table.venue.venue.now()
            assert all(0 <= now - trade.ts < 20_000_000_000 for trade in trades())
            warnings = [event.message for event in events if isinstance(event, SystemWarning)]
            assert len(warnings) == 2
            assert all("neither ms nor us" in message for message in warnings)

    play("C44", body)


@pytest.mark.long
def test_c34_old_snapshots_are_fetched_seldom_until_one_continues_the_updates() -> None:
    async def body(table: Table) -> None:
        for price in range(90, 95):  # after the snapshot that is served, and before the first update that is heard
            await table.act("quote", symbol="BTCUSDT", side="BUY", price=str(price), quantity="1")
        await table.until(lambda: not table.venue.server.streams._pending)
        async with table.feed("BTCUSDT", channels=("depth@100ms",)) as events:
            await table.until(lambda: table.venue.venue.asked.get("requests.list", 0) == 1)
            for price in range(100, 110):
                await table.act("quote", symbol="BTCUSDT", side="BUY", price=str(price), quantity="1")
                await table.until(lambda n=price - 99: sum(isinstance(e, OrderBookDeltaEvent) for e in events) >= n)  # type: ignore[misc]
            assert not any(isinstance(event, OrderBookEvent) for event in events)
            ticked = table.venue.server.streams._last_tick
            await table.act("advance", by="30s")  # a new snapshot is taken at the next tick
            await table.until(lambda: table.venue.server.streams._last_tick > ticked + 300)
            await table.act("advance", by="25s")  # now it is old enough to be served
            await table.until(lambda: any(isinstance(event, OrderBookEvent) for event in events))
        assert table.failed() == []

    play("C34", body)


@pytest.mark.long
def test_c45_the_private_stream_subscribes_again_and_no_fill_is_missing() -> None:
    async def body(table: Table) -> None:
        async with aclosing(table.exchange.private_events()) as events:
            assert (await anext(events)).event_type == "feed.connected"
            await table.buy(quantity="0.2")
            await table.act("advance", by="500ms")
            async for event in events:
                if event.event_type == "feed.connected":
                    break
            fills = await table.exchange.fills("BTCUSDT")
            assert [fill.quantity for fill in fills] == [D("0.1")] * 2
            assert (await table.exchange.order("BTCUSDT", client_order_id="a")).status is OrderStatus.FILLED
        assert table.failed() == []

    play("C45", body)
