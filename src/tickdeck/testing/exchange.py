"""The contract of ``Exchange`` as tests. Subclass ``ExchangeContract`` to test your own adapter."""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, TypeVar, cast

import msgspec
import pytest

from tickdeck.application.ports import (
    Amendment,
    Exchange,
    InstrumentStatus,
    Liquidation,
    MarginExchange,
    OrderRequest,
    OrderResult,
)
from tickdeck.domain.events import (
    FeedConnected,
    VenueFillReported,
    VenueLiquidationReported,
    VenueMarginCallReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side, TimeInForce
from tickdeck.errors import (
    DuplicateClientId,
    FilterViolated,
    InsufficientFunds,
    InvalidSymbol,
    NotSupported,
    RequestRefused,
    UnknownOrder,
    WouldTake,
)

__all__ = ["ExchangeContract", "TradingPlace"]

T = TypeVar("T")


class TradingPlace(msgspec.Struct, frozen=True, kw_only=True):
    """An exchange whose market does not change while a test runs.

    ``symbol`` has a bid and an ask that can fill ``quantity`` (base). A buy at ``resting`` (quote) rests, a
    buy at ``taking`` fills immediately. The account has enough quote currency for ten such buys, but not enough to buy
    ``unaffordable`` (base). ``crash()`` lets the price fall until the venue liquidates what was bought; ``None`` if the
    exchange has no ``capabilities.margin``."""

    exchange: Exchange
    symbol: str
    quantity: Decimal
    resting: Decimal
    taking: Decimal
    unaffordable: Decimal = Decimal(1_000_000)
    crash: Callable[[], Awaitable[None]] | None = None


class ExchangeContract(ABC):
    """Tests for an exchange. Define a subclass whose name begins with ``Test``, and ``open`` your exchange in it::

        class TestMyExchange(ExchangeContract):
            @asynccontextmanager
            async def open(self) -> AsyncIterator[TradingPlace]:
                yield TradingPlace(exchange=MyExchange(...), symbol="BTCUSDT", ...)

    Each test opens a new exchange in its own event loop.
    """

    @abstractmethod
    def open(self) -> AbstractAsyncContextManager[TradingPlace]:
        """Open a new exchange with a new account."""

    def run(self, test: Callable[[TradingPlace], Awaitable[T]]) -> T:
        async def work() -> T:
            async with self.open() as place:
                try:
                    async with asyncio.timeout(30):  # a test that waits for a message must not wait for ever
                        return await test(place)
                finally:
                    await place.exchange.close()

        return asyncio.run(work())

    def test_it_lists_its_instruments_with_their_steps_and_status(self) -> None:
        async def test(place: TradingPlace) -> None:
            (listed,) = [found for found in await place.exchange.instruments() if found.symbol == place.symbol]
            assert listed.status is InstrumentStatus.TRADING
            assert listed.instrument.tick_size > 0
            assert listed.instrument.base != listed.instrument.quote

        self.run(test)

    def test_a_listed_symbol_has_a_price(self) -> None:
        async def test(place: TradingPlace) -> None:
            await place.exchange.place(
                OrderRequest(
                    client_order_id="td-1",
                    symbol=place.symbol,
                    side=Side.BUY,
                    quantity=place.quantity,
                    limit=place.taking,
                )
            )
            assert 0 < await place.exchange.price(place.symbol) <= place.taking
            with pytest.raises(InvalidSymbol):
                await place.exchange.price("NOTLISTED")

        self.run(test)

    def test_its_clock_returns_ns_since_1970(self) -> None:
        async def test(place: TradingPlace) -> None:
            first, second = await place.exchange.server_time(), await place.exchange.server_time()
            assert 0 < first <= second

        self.run(test)

    def test_an_order_that_rests_is_found_by_either_id_and_among_the_open_ones(self) -> None:
        async def test(place: TradingPlace) -> None:
            placed = await _buy(place, "td-1")
            by_ours = await place.exchange.order(place.symbol, client_order_id="td-1")
            by_theirs = await place.exchange.order(place.symbol, venue_order_id=placed.venue_order_id)
            opened = await place.exchange.open_orders(place.symbol)
            assert placed.status is OrderStatus.ACCEPTED
            assert [_identity(order) for order in (by_ours, by_theirs, *opened)] == [_identity(placed)] * 3

        self.run(test)

    def test_a_cancelled_order_is_not_open_any_more_and_cannot_be_cancelled_again(self) -> None:
        async def test(place: TradingPlace) -> None:
            await _buy(place, "td-1")
            cancelled = await place.exchange.cancel(place.symbol, client_order_id="td-1")
            assert (cancelled.client_order_id, cancelled.status) == ("td-1", OrderStatus.CANCELLED)
            assert not await place.exchange.open_orders()
            assert (await place.exchange.order(place.symbol, client_order_id="td-1")).status is OrderStatus.CANCELLED
            with pytest.raises(UnknownOrder):
                await place.exchange.cancel(place.symbol, client_order_id="td-1")

        self.run(test)

    def test_an_order_that_does_not_exist_is_unknown(self) -> None:
        async def test(place: TradingPlace) -> None:
            with pytest.raises(UnknownOrder):
                await place.exchange.order(place.symbol, client_order_id="nobody")
            with pytest.raises(UnknownOrder):
                await place.exchange.cancel(place.symbol, client_order_id="nobody")

        self.run(test)

    def test_a_taking_order_fills_at_its_limit_or_better_and_its_fills_are_listed(self) -> None:
        async def test(place: TradingPlace) -> None:
            placed = await _buy(place, "td-1", limit=place.taking, time_in_force=TimeInForce.IOC)
            order = await place.exchange.order(place.symbol, client_order_id="td-1")
            fills = await place.exchange.fills(place.symbol)
            assert order.status is OrderStatus.FILLED
            assert order.filled == place.quantity == sum(fill.quantity for fill in fills)
            assert {fill.venue_order_id for fill in fills} == {placed.venue_order_id}
            assert all(fill.price <= place.taking and fill.side is Side.BUY for fill in fills)
            assert not await place.exchange.fills(place.symbol, after=fills[-1].venue_trade_id)

        self.run(test)

    def test_an_order_that_must_fill_immediately_but_cannot_ends_without_a_fill(self) -> None:
        async def test(place: TradingPlace) -> None:
            for n, time_in_force in enumerate((TimeInForce.IOC, TimeInForce.FOK)):
                try:
                    await _buy(place, f"td-{n}", time_in_force=time_in_force)
                except RequestRefused:
                    continue  # a venue may refuse it instead
                order = await place.exchange.order(place.symbol, client_order_id=f"td-{n}")
                assert order.status in (OrderStatus.EXPIRED, OrderStatus.CANCELLED)
            assert not await place.exchange.open_orders()
            assert not await place.exchange.fills(place.symbol)

        self.run(test)

    def test_a_market_order_is_sized_in_base(self) -> None:
        async def test(place: TradingPlace) -> None:
            if not place.exchange.capabilities.market_orders:
                return
            await _buy(place, "td-1", limit=None)
            order = await place.exchange.order(place.symbol, client_order_id="td-1")
            assert (order.status, order.filled) == (OrderStatus.FILLED, place.quantity)

        self.run(test)

    def test_a_post_only_order_never_takes(self) -> None:
        async def test(place: TradingPlace) -> None:
            if TimeInForce.POST_ONLY not in place.exchange.capabilities.time_in_force:
                return
            with pytest.raises(WouldTake):
                await _buy(place, "td-1", limit=place.taking, time_in_force=TimeInForce.POST_ONLY)
            rests = await _buy(place, "td-2", time_in_force=TimeInForce.POST_ONLY)
            assert rests.status is OrderStatus.ACCEPTED
            assert not await place.exchange.fills(place.symbol)

        self.run(test)

    def test_a_client_id_that_is_taken_is_refused(self) -> None:
        async def test(place: TradingPlace) -> None:
            await _buy(place, "td-1")
            with pytest.raises(DuplicateClientId):
                await _buy(place, "td-1")
            assert len(await place.exchange.open_orders()) == 1

        self.run(test)

    def test_each_refusal_has_its_own_error_and_creates_no_order(self) -> None:
        async def test(place: TradingPlace) -> None:
            with pytest.raises(InvalidSymbol):
                await _buy(place, "td-1", symbol="NOSUCHSYMBOL")
            with pytest.raises(InsufficientFunds):
                await _buy(place, "td-2", quantity=place.unaffordable)
            with pytest.raises(FilterViolated):
                await _buy(place, "td-3", quantity=place.quantity / 7)
            assert not await place.exchange.open_orders()

        self.run(test)

    def test_an_open_order_locks_its_cost_and_a_cancel_releases_it(self) -> None:
        async def test(place: TradingPlace) -> None:
            (listed,) = [found for found in await place.exchange.instruments() if found.symbol == place.symbol]
            quote = listed.instrument.quote
            before = await _balance(place, quote)
            await _buy(place, "td-1")
            locked = await _balance(place, quote)
            await place.exchange.cancel(place.symbol, client_order_id="td-1")
            after = await _balance(place, quote)
            cost = place.resting * place.quantity
            assert locked[1] > 0 if place.exchange.capabilities.margin else locked[1] >= cost  # a margin is less
            assert sum(before) == sum(locked) == sum(after)
            assert after == before

        self.run(test)

    def test_the_private_stream_reports_orders_and_fills(self) -> None:
        async def test(place: TradingPlace) -> None:
            if not place.exchange.capabilities.private_stream:
                return
            reports = place.exchange.private_events()
            # A stream over a connection begins with feed.connected; one on virtual time ends while nothing happened.
            async for event in reports:
                if isinstance(event, FeedConnected):
                    break
            else:
                reports = place.exchange.private_events()
            await _buy(place, "td-1", limit=place.taking)
            filled = Decimal(0)
            states: list[OrderStatus] = []
            async for event in reports:
                if isinstance(event, VenueFillReported):
                    filled += event.quantity
                elif isinstance(event, VenueOrderReported):
                    states.append(event.status)
                if filled == place.quantity:
                    break
            assert filled == place.quantity
            assert OrderStatus.ACCEPTED in states

        self.run(test)

    def test_what_the_venue_liquidates_is_pushed_and_listed_once_with_the_same_id(self) -> None:
        async def test(place: TradingPlace) -> None:
            assert place.exchange.capabilities.margin is (place.crash is not None)
            if place.crash is None:
                return
            exchange = cast(MarginExchange, place.exchange)
            await _buy(place, "td-1", limit=place.taking)
            assert not await exchange.liquidations(place.symbol, 0)
            await place.crash()
            pushed: list[VenueLiquidationReported] = []
            called = False
            async for event in exchange.private_events():
                called = called or (isinstance(event, VenueMarginCallReported) and event.quantity == place.quantity)
                if isinstance(event, VenueLiquidationReported):
                    pushed.append(event)
                    if sum(one.quantity for one in pushed) == place.quantity:
                        break
            listed = await exchange.liquidations(place.symbol, 0)
            fills = await exchange.fills(place.symbol)
            assert called
            assert [_closing(one) for one in listed] == [_closing(one) for one in pushed]
            assert {one.side for one in listed} == {Side.SELL}
            assert not {one.venue_trade_id for one in listed} & {fill.venue_trade_id for fill in fills}
            assert not await exchange.liquidations(place.symbol, listed[-1].ts + 1)

        self.run(test)

    def test_it_amends_within_its_capabilities(self) -> None:
        async def test(place: TradingPlace) -> None:
            await _buy(place, "td-1", quantity=2 * place.quantity)
            change: dict[str, Any] = {"quantity": place.quantity, "limit": place.resting, "client_order_id": "td-1"}
            if place.exchange.capabilities.amendment is Amendment.NONE:
                with pytest.raises(NotSupported):
                    await place.exchange.amend(place.symbol, **change)
                return
            amended = await place.exchange.amend(place.symbol, **change)
            assert amended.quantity == place.quantity
            assert [order.quantity for order in await place.exchange.open_orders()] == [place.quantity]

        self.run(test)

    def test_its_rule_for_client_ids_accepts_those_of_tickdeck(self) -> None:
        async def test(place: TradingPlace) -> None:
            from tickdeck.application.identity import client_order_id

            rule = place.exchange.capabilities.client_order_id
            assert re.fullmatch(rule, client_order_id("a nonce", "12-3"))

        self.run(test)


async def _buy(place: TradingPlace, client_order_id: str, **changes: Any) -> OrderResult:
    wanted: dict[str, Any] = {"symbol": place.symbol, "quantity": place.quantity, "limit": place.resting}
    return await place.exchange.place(
        OrderRequest(client_order_id=client_order_id, side=Side.BUY, **{**wanted, **changes})
    )


async def _balance(place: TradingPlace, currency: str) -> tuple[Decimal, Decimal]:
    for balance in await place.exchange.balances():
        if balance.currency == currency:
            return balance.free, balance.locked
    return Decimal(0), Decimal(0)


def _closing(found: Liquidation | VenueLiquidationReported) -> tuple[object, ...]:
    return found.venue_trade_id, found.side, found.price, found.quantity, found.fee, found.fee_currency


def _identity(order: OrderResult) -> tuple[object, ...]:
    return order.client_order_id, order.venue_order_id, order.status, order.quantity, order.limit, order.side
