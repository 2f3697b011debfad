"""The contract of ``EventBus`` as tests. Subclass ``EventBusContract`` to test your own bus."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tickdeck.application.bus import EventBus
from tickdeck.domain.events import (
    DomainEvent,
    MarketEvent,
    OrderAcceptedEvent,
    OrderCancelledEvent,
    OrderEvent,
    TradeEvent,
)
from tickdeck.domain.values import Side
from tickdeck.errors import ConcurrencyError, ConfigError, TickdeckError

__all__ = ["EventBusContract"]


def accepted(order_id: str = "td1") -> OrderAcceptedEvent:
    return OrderAcceptedEvent(order_id=order_id, symbol="BTCUSDT")


def cancelled(order_id: str = "td1") -> OrderCancelledEvent:
    return OrderCancelledEvent(order_id=order_id, symbol="BTCUSDT")


def trade() -> TradeEvent:
    return TradeEvent(symbol="BTCUSDT", price=Decimal("61.5"), quantity=Decimal("0.1"), side=Side.BUY)


def orders_of(events: list[Any]) -> list[str]:
    return [event.order_id for event in events if isinstance(event, OrderEvent)]


class EventBusContract(ABC):
    """Tests for a bus. Define a subclass whose name begins with ``Test``, and ``open`` your bus in it::

        class TestMyBus(EventBusContract):
            def open(self, folder: Path) -> EventBus:
                return MyBus()

    Each test opens a bus in a running event loop and closes it. Tests wait for receipts, so a bus may deliver events
    after ``publish`` has returned.
    """

    has_store: ClassVar[bool] = False
    """True if the bus supports ``publish_all(events, expected=...)``."""

    @abstractmethod
    def open(self, folder: Path) -> EventBus:
        """Return a new bus. It may store files in ``folder``, which is empty."""

    @pytest.fixture
    def on_bus(self, tmp_path: Path) -> Callable[[Callable[[EventBus], Awaitable[None]]], None]:
        """Runs a coroutine function with a bus, and closes the bus afterwards."""

        async def opened(scenario: Callable[[EventBus], Awaitable[None]]) -> None:
            bus = self.open(tmp_path)
            try:
                await scenario(bus)
            finally:
                await bus.close()

        return lambda scenario: asyncio.run(opened(scenario))

    # -- subscriptions -----------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("topic", "expected"),
        [
            (OrderAcceptedEvent, ["order.accepted"]),
            (OrderEvent, ["order.accepted", "order.cancelled"]),
            (MarketEvent, ["market.trade"]),
            ("order.accepted", ["order.accepted"]),
            ("order.canceled", ["order.cancelled"]),
            ("order.*", ["order.accepted", "order.cancelled"]),
            ("*", ["order.accepted", "market.trade", "order.cancelled"]),
        ],
    )
    def test_a_handler_receives_only_its_topic_in_order(
        self, on_bus: Callable[..., None], topic: Any, expected: list[str]
    ) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[str] = []
            bus.subscribe(topic, lambda event: received.append(event.event_type))
            await bus.publish_all([accepted(), trade(), cancelled()])
            assert received == expected

        on_bus(scenario)

    def test_every_handler_receives_events_in_the_order_of_publication(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            plain: list[DomainEvent] = []
            later: list[DomainEvent] = []

            async def receive_later(event: OrderAcceptedEvent) -> None:
                later.append(event)

            bus.subscribe(OrderAcceptedEvent, plain.append)
            bus.subscribe(OrderAcceptedEvent, receive_later)
            names = [f"td{number}" for number in range(50)]
            for name in names:
                bus.publish(accepted(name))
            await bus.publish(accepted("end")).handled()
            assert orders_of(plain) == orders_of(later) == [*names, "end"]

        on_bus(scenario)

    def test_where_narrows_a_subscription(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []
            bus.subscribe(OrderEvent, received.append, where=lambda event: event.order_id == "td2")
            await bus.publish_all([accepted("td1"), accepted("td2")])
            assert orders_of(received) == ["td2"]

        on_bus(scenario)

    def test_events_published_by_a_handler_are_delivered(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []
            bus.subscribe(OrderAcceptedEvent, lambda event: bus.publish(cancelled(event.order_id)))
            bus.subscribe(OrderCancelledEvent, received.append)
            await bus.publish(accepted("td1")).handled()
            assert orders_of(received) == ["td1"]

        on_bus(scenario)

    def test_a_handler_receives_nothing_after_it_is_unsubscribed(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []

            def receive(event: DomainEvent) -> None:
                received.append(event)

            subscription = bus.subscribe(OrderAcceptedEvent, receive)
            bus.subscribe(OrderCancelledEvent, receive)
            bus.subscribe("market.*", receive)
            await bus.publish(accepted())
            assert bus.unsubscribe(subscription) == 1
            assert bus.unsubscribe(OrderCancelledEvent, receive) == 1
            await bus.publish_all([accepted(), cancelled(), trade()])
            assert bus.unsubscribe(receive) == 1
            assert bus.unsubscribe(receive) == 0
            await bus.publish(trade())
            assert [event.event_type for event in received] == ["order.accepted", "market.trade"]

        on_bus(scenario)

    def test_collect_contains_the_events_published_in_its_block(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            await bus.publish(accepted("before"))
            with bus.collect(OrderEvent) as events:
                await bus.publish_all([accepted("td1"), trade(), cancelled("td1")])
            await bus.publish(accepted("after"))
            assert orders_of(events) == ["td1", "td1"]

        on_bus(scenario)

    def test_a_weak_subscription_of_a_lambda_is_refused(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            with pytest.raises(ConfigError, match="weak=True"):
                bus.subscribe(OrderEvent, lambda event: None, weak=True)

        on_bus(scenario)

    # -- publishing ---------------------------------------------------------------------------------------------------

    def test_publishing_a_value_that_is_not_an_event_is_refused(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            not_an_event: Any = {"order_id": "td1"}
            with pytest.raises(ConfigError, match="is not an event"):
                bus.publish(not_an_event)

        on_bus(scenario)

    def test_a_batch_is_published_at_its_end(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []
            bus.subscribe(OrderEvent, received.append)
            with bus.batch():
                bus.publish(accepted("td1"))
                receipt = bus.publish(accepted("td2"))
                assert received == []
            await receipt
            assert orders_of(received) == ["td1", "td2"]

        on_bus(scenario)

    def test_a_batch_that_ends_in_an_error_publishes_nothing(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []
            bus.subscribe(OrderEvent, received.append)

            def change_my_mind() -> None:
                with bus.batch():
                    bus.publish(accepted("td1"))
                    raise ValueError("changed my mind")

            with pytest.raises(ValueError, match="changed my mind"):
                change_my_mind()
            await bus.publish(accepted("td2"))
            assert orders_of(received) == ["td2"]

        on_bus(scenario)

    def test_several_events_are_published_together_if_all_streams_have_the_expected_versions(
        self, on_bus: Callable[..., None]
    ) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []
            bus.subscribe(OrderEvent, received.append)
            both = [accepted("td1"), accepted("td2")]
            streams = {"order/main/td1": 0, "order/main/td2": 0}
            if not self.has_store:
                with pytest.raises(ConfigError, match="no store"):
                    bus.publish_all(both, expected=streams)
                return
            await bus.publish_all(both, expected=streams).durable()
            with pytest.raises(ConcurrencyError):
                bus.publish_all(both, expected={"order/main/td1": 1, "order/main/td2": 0})
            await bus.publish_all([cancelled("td1")], expected={"order/main/td1": 1, "order/main/td3": 0})
            assert orders_of(received) == ["td1", "td2", "td1"]

        on_bus(scenario)

    def test_statistics_count_what_was_published(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            bus.subscribe(OrderEvent, lambda event: None, name="count")
            await bus.publish_all([accepted(), accepted(), trade()])
            statistics = bus.statistics()
            assert statistics.published["order.accepted"] == 2
            assert [handler.calls for handler in statistics.handlers if handler.name == "count"] == [2]

        on_bus(scenario)

    # -- faults -------------------------------------------------------------------------------------------------------

    def test_a_handler_that_raises_harms_neither_the_publisher_nor_others(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            received: list[DomainEvent] = []

            def fail(event: OrderEvent) -> None:
                bus.publish(cancelled())  # discarded with the rest of what the handler did
                raise ValueError("broken")

            bus.subscribe(OrderAcceptedEvent, fail, priority=1)
            bus.subscribe(OrderEvent, received.append)
            await bus.publish(accepted("td1"))
            assert [event.event_type for event in received] == ["order.accepted"]
            assert bus.statistics().failures == 1

        on_bus(scenario)

    def test_an_event_that_an_async_handler_cannot_handle_stays_a_dead_letter_until_it_can(
        self, on_bus: Callable[..., None]
    ) -> None:
        async def scenario(bus: EventBus) -> None:
            taken: list[DomainEvent] = []
            broken = [True]

            async def take(event: OrderAcceptedEvent) -> None:
                if broken:
                    raise ValueError("broken")
                taken.append(event)

            bus.subscribe(OrderAcceptedEvent, take, name="taker")
            await bus.publish(accepted("td1")).handled()
            (letter,) = bus.dead_letters()
            broken.clear()
            bus.resend(letter)
            await bus.publish(trade()).handled()
            assert orders_of(taken) == ["td1"]
            assert bus.dead_letters() == ()

        on_bus(scenario)

    # -- closing ------------------------------------------------------------------------------------------------------

    def test_close_waits_for_async_handlers_and_then_refuses_events(self, tmp_path: Path) -> None:
        async def scenario() -> None:
            bus = self.open(tmp_path)
            handled: list[DomainEvent] = []

            async def take(event: OrderAcceptedEvent) -> None:
                await asyncio.sleep(0)
                handled.append(event)

            bus.subscribe(OrderAcceptedEvent, take)
            for number in range(20):
                bus.publish(accepted(f"td{number}"))
            await bus.close()
            assert len(handled) == 20
            with pytest.raises(TickdeckError, match="closed"):
                bus.publish(accepted())
            with pytest.raises(TickdeckError, match="closed"):
                bus.publish_all([accepted()])
            await bus.close()

        asyncio.run(scenario())
