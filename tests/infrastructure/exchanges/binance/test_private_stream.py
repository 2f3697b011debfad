"""The private stream against a venue on localhost: dropped, silent and expired streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web

from tickdeck.application.ports import OrderRequest
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    SystemWarning,
    VenueFeesReported,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import AuthenticationFailed
from tickdeck.infrastructure.exchanges.binance.private_stream import StreamTimes
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.exchanges.binance.wire import Endpoints, HmacKey, endpoints_at
from tickdeck.infrastructure.resilience import Backoff
from tickdeck.infrastructure.venue import RunningVenue, running_venue

D = Decimal
SOON = Backoff(first=0.01, longest=0.01)
QUIET = StreamTimes(poll_after=0.2, confirm_after=0.1, reconnect=SOON)


def order(client_id: str, price: str = "20000") -> OrderRequest:
    return OrderRequest(client_order_id=client_id, symbol="BTCUSDT", side=Side.BUY, quantity=D("0.01"), limit=D(price))


class Account:
    """The demo account of a venue, and the events of its private stream so far."""

    def __init__(self, venue: RunningVenue, times: StreamTimes, secret: str | None = None) -> None:
        self.venue = venue
        self.exchange = BinanceExchange(
            HmacKey(venue.key, secret or venue.secret), endpoints=endpoints_at(venue.url), stream_times=times
        )
        self.events: list[DomainEvent] = []
        self._stream = self.exchange.private_events()

    async def until(self, kind: type[DomainEvent], **fields: Any) -> DomainEvent:
        """The next event of ``kind`` with these fields."""
        async for event in self._stream:
            self.events.append(event)
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
                return event
        raise AssertionError("the stream ended")

    def told(self) -> list[str]:
        """The connections and disconnections, in order."""
        return [type(event).__name__ for event in self.events if isinstance(event, FeedConnected | FeedDisconnected)]


def with_account(
    work: Callable[[Account], Awaitable[None]],
    *,
    times: StreamTimes = QUIET,
    faults: str = "",
    secret: str | None = None,
) -> None:
    async def run() -> None:
        async with running_venue(faults=faults) as venue, asyncio.timeout(120):
            account = Account(venue, times, secret)
            try:
                await work(account)
            finally:
                await account._stream.aclose()  # type: ignore[attr-defined]
                await account.exchange.close()

    asyncio.run(run())


def test_a_dropped_stream_is_reported_and_subscribed_again() -> None:
    async def work(account: Account) -> None:
        for _ in range(3):
            await account.until(FeedConnected)
        await account.exchange.place(order("mine"))
        await account.until(VenueOrderReported, order_id="mine")
        assert account.told()[:5] == [FeedConnected.__name__, FeedDisconnected.__name__] * 2 + [FeedConnected.__name__]

    with_account(work, faults="disconnect_every=300ms")


def test_an_expired_stream_is_reported_and_restarted() -> None:
    async def work(account: Account) -> None:
        await account.until(FeedConnected)
        ended = await account.until(FeedDisconnected)
        assert isinstance(ended, FeedDisconnected)
        assert ended.reason == "the venue ended the stream"
        await account.until(FeedConnected)

    with_account(work, faults="expire_session=200ms")


def test_a_stream_that_omits_a_fill_counts_as_silent_while_the_order_is_open() -> None:
    async def work(account: Account) -> None:
        await account.until(FeedConnected)
        await account.exchange.place(order("mine"))
        await account.until(VenueOrderReported, order_id="mine", status=OrderStatus.ACCEPTED)
        account.venue.faults.set("private_stream_silent", "1:30s")
        traders = account.venue.traders
        traders.quote("BTCUSDT", False, D(20000), D("0.01"), account.venue.venue.now())
        ended = await account.until(FeedDisconnected)
        assert isinstance(ended, FeedDisconnected)
        assert ended.reason == "the stream is silent: it did not report the change of order mine"
        account.venue.faults.set("private_stream_silent", "off")
        await account.until(FeedConnected)
        assert not any(isinstance(event, VenueFillReported) for event in account.events)

    with_account(work)


def test_an_idle_stream_with_an_open_order_is_left_alone() -> None:
    async def work(account: Account) -> None:
        await account.until(FeedConnected)
        await account.exchange.place(order("mine"))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await account.until(FeedDisconnected)
        assert account.told() == ["FeedConnected"]

    with_account(work)


def test_an_order_from_before_the_stream_is_compared_too() -> None:
    async def work(account: Account) -> None:
        await account.exchange.place(order("early"))
        await account.until(FeedConnected)
        account.venue.faults.set("private_stream_silent", "1:30s")

        async def cancel_later() -> None:
            await asyncio.sleep(0.5)  # the stream has asked for the open orders by then
            other = BinanceExchange(
                HmacKey(account.venue.key, account.venue.secret), endpoints=endpoints_at(account.venue.url)
            )
            await other.cancel("BTCUSDT", client_order_id="early")
            await other.close()

        cancelling = asyncio.ensure_future(cancel_later())
        ended = await account.until(FeedDisconnected)
        await cancelling
        assert isinstance(ended, FeedDisconnected)
        assert "order early" in ended.reason

    with_account(work)


def test_an_answer_after_the_reports_does_not_make_the_stream_count_as_silent() -> None:
    async def work(account: Account) -> None:
        await account.until(FeedConnected)
        account.venue.traders.quote("BTCUSDT", False, D(20000), D("0.01"), account.venue.venue.now())
        placing = asyncio.ensure_future(account.exchange.place(order("mine")))
        await account.until(VenueOrderReported, order_id="mine", status=OrderStatus.FILLED)
        await placing
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.8):
                await account.until(FeedDisconnected)

    with_account(work, faults="fill_before_ack=1:200ms")


def test_a_wrong_secret_ends_the_stream_for_good() -> None:
    async def work(account: Account) -> None:
        with pytest.raises(AuthenticationFailed):
            await account.until(FeedConnected)

    with_account(work, secret="wrong")


async def _deaf_venue(request: web.Request) -> web.WebSocketResponse:
    """Answers the subscription, then neither pings nor answers pings."""
    connection = web.WebSocketResponse(autoping=False)
    await connection.prepare(request)
    await connection.receive()
    await connection.send_str('{"id":1,"status":200,"result":{"subscriptionId":0}}')
    await connection.send_str('{"subscriptionId":0,"event":{"e":"executionReport","s":7}}')
    while not connection.closed:
        await connection.receive()
    return connection


async def _server_time(request: web.Request) -> web.Response:
    return web.Response(body=b'{"serverTime":1790000000000}')


async def _served(app: web.Application) -> AsyncIterator[str]:
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def test_the_fee_rates_of_the_account_are_reported_once() -> None:
    async def work(account: Account) -> None:
        fees = await account.until(VenueFeesReported)
        assert isinstance(fees, VenueFeesReported)
        assert fees.maker > 0
        for _ in range(2):
            await account.until(FeedConnected)
        assert not any(
            isinstance(event, VenueFeesReported) for event in account.events[account.events.index(fees) + 1 :]
        )

    with_account(work, faults="disconnect_every=400ms")


def test_a_venue_that_answers_no_ping_counts_as_lost_and_unreadable_messages_become_warnings() -> None:
    async def run() -> list[DomainEvent]:
        app = web.Application()
        app.router.add_get("/ws-api/v3", _deaf_venue)
        app.router.add_get("/api/v3/time", _server_time)
        events: list[DomainEvent] = []
        async for host in _served(app):
            exchange = BinanceExchange(
                HmacKey("key", "secret"),
                endpoints=Endpoints(f"http://{host}", "", f"ws://{host}/ws-api/v3"),
                stream_times=StreamTimes(ping_after=0.2, pong_within=0.2, reconnect=SOON),
            )
            async with asyncio.timeout(120):
                async for event in exchange.private_events():
                    events.append(event)
                    if len(events) == 4:
                        break
            await exchange.close()
        return events

    events = asyncio.run(run())
    assert [type(event) for event in events] == [FeedConnected, SystemWarning, FeedDisconnected, FeedConnected]
