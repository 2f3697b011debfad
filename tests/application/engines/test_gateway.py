"""The gateway sends only durable orders, none while trading is halted, and never repeats an unknown one."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from application_kit import START, MemoryTape, ScriptedVenue
from msgspec import structs

from tickdeck.application.engines import VenueGateway
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    TradingHalted,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import ConfigError

ORDER = OrderSubmittedEvent(order_id="td1", symbol="BTCUSDT", side=Side.BUY, quantity=Decimal(1), ts_ingress=START)
CANCEL = OrderCancelRequestedEvent(order_id="td1", symbol="BTCUSDT", ts_ingress=START)


def world(*, simulated: bool, synced: bool = True) -> tuple[Kernel, MemoryTape, ScriptedVenue]:
    tape, venue = MemoryTape(synced=synced), ScriptedVenue(simulated=simulated)
    kernel = Kernel(tape=tape)
    VenueGateway(kernel, venue)
    return kernel, tape, venue


def reports(tape: MemoryTape) -> list[tuple[str, OrderStatus, str]]:
    return [(e.order_id, e.status, e.reason) for e in tape.events if isinstance(e, VenueOrderReported)]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_simulated_venue_gets_orders_and_cancels_at_once() -> None:
    kernel, _, venue = world(simulated=True, synced=False)

    kernel.feed(ORDER)
    kernel.feed(CANCEL)

    assert [o.order_id for o in venue.submitted] == ["td1"]
    assert [c.order_id for c in venue.cancelled] == ["td1"]
    assert venue.submitted[0].event_id == "1"  # the stamped copy: reports name it as their cause


def test_a_real_venue_gets_an_order_only_when_it_is_durable() -> None:
    async def run() -> None:
        kernel, tape, venue = world(simulated=False, synced=False)
        kernel.feed(ORDER)
        await turns()
        assert venue.submitted == []

        tape.sync()
        await kernel.drain()
        assert len(venue.submitted) == 1
        kernel.feed(CANCEL)
        await turns()
        assert venue.cancelled == []
        tape.sync()
        await kernel.drain()
        assert len(venue.cancelled) == 1

    asyncio.run(run())


@pytest.mark.parametrize("simulated", [True, False])
def test_an_order_is_not_sent_when_trading_is_halted_and_a_cancel_is(simulated: bool) -> None:
    async def run() -> None:
        kernel, tape, venue = world(simulated=simulated)
        kernel.feed(TradingHalted(reason="daily loss"))  # by whomever: here by risk, not by the kernel
        kernel.feed(ORDER)
        kernel.feed(CANCEL)
        await kernel.drain()

        assert venue.submitted == []
        assert len(venue.cancelled) == 1
        assert reports(tape) == [("td1", OrderStatus.REJECTED, "never sent: trading is halted")]

    asyncio.run(run())


def test_an_order_that_waits_to_be_durable_is_not_sent_when_trading_halts_meanwhile() -> None:
    async def run() -> None:
        kernel, tape, venue = world(simulated=False, synced=False)
        kernel.feed(ORDER)
        await turns()
        kernel.feed(TradingHalted(reason="asked for by a command"))
        tape.sync()
        await kernel.drain()

        assert venue.submitted == []
        assert reports(tape) == [("td1", OrderStatus.REJECTED, "never sent: trading is halted")]

    asyncio.run(run())


@pytest.mark.parametrize("simulated", [True, False])
def test_an_order_that_failed_to_be_sent_is_unknown_and_never_sent_again(simulated: bool) -> None:
    async def run() -> list[DomainEvent]:
        kernel, tape, venue = world(simulated=simulated)
        venue.error = ConnectionError("POST https://venue.example/order?signature=SECRET timed out")
        kernel.feed(ORDER)
        await kernel.drain()
        venue.error = None
        await kernel.drain()

        assert len(venue.submitted) == 1
        assert reports(tape) == [("td1", OrderStatus.UNKNOWN, "sending failed: ConnectionError")]
        return tape.events

    events = asyncio.run(run())
    assert (events[1].causation_id, events[1].correlation_id, events[1].source) == ("1", "1", "scripted")
    assert not any(b"SECRET" in event.to_json() for event in events)


@pytest.mark.parametrize("simulated", [True, False])
def test_a_cancel_that_cannot_be_sent_says_nothing_about_its_order_and_keeps_the_errors_text(simulated: bool) -> None:
    async def run() -> list[DomainEvent]:
        kernel, tape, venue = world(simulated=simulated)
        venue.error = ConnectionError("apiKey=SECRET")
        kernel.feed(CANCEL)
        await kernel.drain()
        return tape.events

    events = asyncio.run(run())
    assert [e.event_type for e in events] == ["order.cancel_requested", "venue.cancel_refused"]
    assert events[1].payload["reason"] == "sending failed: ConnectionError"
    assert events[1].causation_id == "1"
    assert not any(b"SECRET" in event.to_json() for event in events)


# -- venues whose calls take time ----------------------------------------------------------------------------------


class SlowVenue:
    """Each call waits until the test releases its order; ``hung`` names the waiting orders."""

    name = "slow"
    simulated = False

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.hung: dict[str, asyncio.Future[None]] = {}

    async def _take(self, what: str, request: OrderEvent) -> None:
        self.calls.append(f"{what} {request.order_id}")
        future = self.hung.get(request.order_id)
        if future is not None:
            await future

    async def submit(self, order: OrderSubmittedEvent) -> None:
        await self._take("submit", order)

    async def amend(self, request: OrderAmendRequestedEvent) -> None:
        await self._take("amend", request)

    async def cancel(self, request: OrderCancelRequestedEvent) -> None:
        await self._take("cancel", request)


def order(order_id: str) -> OrderSubmittedEvent:
    return structs.replace(ORDER, order_id=order_id)


def cancel(order_id: str) -> OrderCancelRequestedEvent:
    return structs.replace(CANCEL, order_id=order_id)


def test_a_hanging_call_delays_only_its_own_order() -> None:
    async def run() -> None:
        kernel, venue = Kernel(tape=MemoryTape()), SlowVenue()
        gateway = VenueGateway(kernel, venue)
        venue.hung["a"] = asyncio.get_running_loop().create_future()

        for request in (order("a"), order("b"), cancel("a"), cancel("b")):
            kernel.feed(request)
        await kernel.drain()
        await turns()
        assert venue.calls == ["submit a", "submit b", "cancel b"]

        venue.hung["a"].set_result(None)
        await gateway.idle()
        assert venue.calls == ["submit a", "submit b", "cancel b", "cancel a"]
        assert not gateway._lanes
        assert not gateway._calls

    asyncio.run(run())


def test_an_async_error_is_reported_and_the_orders_next_request_is_sent() -> None:
    async def run() -> list[DomainEvent]:
        tape, venue = MemoryTape(), SlowVenue()
        kernel = Kernel(tape=tape)
        gateway = VenueGateway(kernel, venue)
        venue.hung["a"] = asyncio.get_running_loop().create_future()
        kernel.feed(order("a"))
        kernel.feed(cancel("a"))
        await kernel.drain()
        venue.hung.pop("a").set_exception(ConnectionError("SECRET"))
        await gateway.idle()

        assert venue.calls == ["submit a", "cancel a"]
        assert reports(tape) == [("a", OrderStatus.UNKNOWN, "sending failed: ConnectionError")]
        return tape.events

    assert not any(b"SECRET" in event.to_json() for event in asyncio.run(run()))


def test_an_order_behind_a_call_that_hangs_is_not_sent_once_trading_has_halted() -> None:
    async def run() -> None:
        tape, venue = MemoryTape(), SlowVenue()
        kernel = Kernel(tape=tape)
        gateway = VenueGateway(kernel, venue)
        venue.hung["a"] = asyncio.get_running_loop().create_future()
        kernel.feed(cancel("a"))
        kernel.feed(order("a"))
        await kernel.drain()
        kernel.feed(TradingHalted(reason="daily loss"))
        venue.hung["a"].set_result(None)
        await gateway.idle()

        assert venue.calls == ["cancel a"]
        assert reports(tape) == [("a", OrderStatus.REJECTED, "never sent: trading is halted")]

    asyncio.run(run())


def test_a_simulated_venue_with_async_methods_is_refused() -> None:
    venue = SlowVenue()
    venue.simulated = True  # type: ignore[misc]
    with pytest.raises(ConfigError, match="make them plain functions"):
        VenueGateway(Kernel(tape=MemoryTape()), venue)


def test_a_gateway_that_was_shut_sends_cancels_and_nothing_else_until_it_is_opened() -> None:
    amend = OrderAmendRequestedEvent(
        order_id="b", symbol="BTCUSDT", revision=1, quantity=Decimal(2), limit=Decimal(1), ts_ingress=START
    )

    async def run() -> None:
        tape, venue = MemoryTape(), SlowVenue()
        kernel = Kernel(tape=tape)
        gateway = VenueGateway(kernel, venue)
        gateway.shut("a handler hangs")
        for request in (order("a"), amend, cancel("c")):
            kernel.feed(request)
        await kernel.drain()
        assert venue.calls == ["cancel c"]
        assert reports(tape) == [
            ("a", OrderStatus.REJECTED, "never sent: a handler hangs"),
            ("b", OrderStatus.UNKNOWN, "never sent: a handler hangs"),
        ]

        gateway.reopen()
        kernel.feed(order("d"))
        await kernel.drain()
        assert venue.calls == ["cancel c", "submit d"]

    asyncio.run(run())


def test_after_a_request_that_had_no_room_to_wait_no_other_order_is_sent() -> None:
    async def run() -> None:
        tape, venue = MemoryTape(), SlowVenue()
        kernel = Kernel(tape=tape)
        gateway = VenueGateway(kernel, venue)
        gateway.never_sent(order("a"))
        kernel.feed(order("b"))
        kernel.feed(cancel("b"))
        await kernel.drain()

        assert venue.calls == ["cancel b"]
        assert [(order_id, status) for order_id, status, _ in reports(tape)] == [
            ("a", OrderStatus.REJECTED),
            ("b", OrderStatus.REJECTED),
        ]

    asyncio.run(run())
