"""What every ``EventBus`` promises, as tests: subclass ``EventBusContract`` for a bus of your own."""

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
    """The tests of a bus. A subclass whose name begins with ``Test`` says how to open one::

        class TestMyBus(EventBusContract):
            def open(self, folder: Path) -> EventBus:
                return MyBus()

    Each test opens a bus in a running event loop and closes it. A test that waits does so by the receipts, so a bus may
    deliver after ``publish`` returned.
    """

    has_store: ClassVar[bool] = False
    """``publish_all(events, expected=...)`` works."""

    @abstractmethod
    def open(self, folder: Path) -> EventBus:
        """A new bus; ``folder`` is empty, for what it keeps."""

    @pytest.fixture
    def on_bus(self, tmp_path: Path) -> Callable[[Callable[[EventBus], Awaitable[None]]], None]:
        """Runs a coroutine function with a bus, which is closed in the end."""

        async def opened(scenario: Callable[[EventBus], Awaitable[None]]) -> None:
            bus = self.open(tmp_path)
            try:
                await scenario(bus)
            finally:
                await bus.close()

        return lambda scenario: asyncio.run(opened(scenario))

    # -- who hears what -----------------------------------------------------------------------------------------------

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
    def test_a_handler_hears_its_topic_alone_in_order(
        self, on_bus: Callable[..., None], topic: Any, expected: list[str]
    ) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[str] = []
            bus.subscribe(topic, lambda event: heard.append(event.event_type))
            await bus.publish_all([accepted(), trade(), cancelled()])
            assert heard == expected

        on_bus(scenario)

    def test_every_handler_hears_events_in_the_order_in_which_they_were_published(
        self, on_bus: Callable[..., None]
    ) -> None:
        async def scenario(bus: EventBus) -> None:
            plain: list[DomainEvent] = []
            later: list[DomainEvent] = []

            async def hear_later(event: OrderAcceptedEvent) -> None:
                later.append(event)

            bus.subscribe(OrderAcceptedEvent, plain.append)
            bus.subscribe(OrderAcceptedEvent, hear_later)
            names = [f"td{number}" for number in range(50)]
            for name in names:
                bus.publish(accepted(name))
            await bus.publish(accepted("end")).handled()
            assert orders_of(plain) == orders_of(later) == [*names, "end"]

        on_bus(scenario)

    def test_where_narrows_a_subscription(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[DomainEvent] = []
            bus.subscribe(OrderEvent, heard.append, where=lambda event: event.order_id == "td2")
            await bus.publish_all([accepted("td1"), accepted("td2")])
            assert orders_of(heard) == ["td2"]

        on_bus(scenario)

    def test_what_a_handler_publishes_is_heard_too(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[DomainEvent] = []
            bus.subscribe(OrderAcceptedEvent, lambda event: bus.publish(cancelled(event.order_id)))
            bus.subscribe(OrderCancelledEvent, heard.append)
            await bus.publish(accepted("td1")).handled()
            assert orders_of(heard) == ["td1"]

        on_bus(scenario)

    def test_who_unsubscribes_hears_nothing_more(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[DomainEvent] = []

            def hear(event: DomainEvent) -> None:
                heard.append(event)

            subscription = bus.subscribe(OrderAcceptedEvent, hear)
            bus.subscribe(OrderCancelledEvent, hear)
            bus.subscribe("market.*", hear)
            await bus.publish(accepted())
            assert bus.unsubscribe(subscription) == 1
            assert bus.unsubscribe(OrderCancelledEvent, hear) == 1
            await bus.publish_all([accepted(), cancelled(), trade()])
            assert bus.unsubscribe(hear) == 1
            assert bus.unsubscribe(hear) == 0
            await bus.publish(trade())
            assert [event.event_type for event in heard] == ["order.accepted", "market.trade"]

        on_bus(scenario)

    def test_collect_has_what_was_published_in_its_block(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            await bus.publish(accepted("before"))
            with bus.collect(OrderEvent) as events:
                await bus.publish_all([accepted("td1"), trade(), cancelled("td1")])
            await bus.publish(accepted("after"))
            assert orders_of(events) == ["td1", "td1"]

        on_bus(scenario)

    def test_what_is_held_weakly_and_may_be_gone_at_once_is_refused(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            with pytest.raises(ConfigError, match="weak=True"):
                bus.subscribe(OrderEvent, lambda event: None, weak=True)

        on_bus(scenario)

    # -- publishing ---------------------------------------------------------------------------------------------------

    def test_what_is_no_event_is_refused(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            nothing: Any = {"order_id": "td1"}
            with pytest.raises(ConfigError, match="is not an event"):
                bus.publish(nothing)

        on_bus(scenario)

    def test_a_batch_is_published_at_its_end(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[DomainEvent] = []
            bus.subscribe(OrderEvent, heard.append)
            with bus.batch():
                bus.publish(accepted("td1"))
                receipt = bus.publish(accepted("td2"))
                assert heard == []
            await receipt
            assert orders_of(heard) == ["td1", "td2"]

        on_bus(scenario)

    def test_a_batch_that_ends_in_an_error_publishes_nothing(self, on_bus: Callable[..., None]) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[DomainEvent] = []
            bus.subscribe(OrderEvent, heard.append)

            def change_my_mind() -> None:
                with bus.batch():
                    bus.publish(accepted("td1"))
                    raise ValueError("changed my mind")

            with pytest.raises(ValueError, match="changed my mind"):
                change_my_mind()
            await bus.publish(accepted("td2"))
            assert orders_of(heard) == ["td2"]

        on_bus(scenario)

    def test_several_events_are_one_go_if_their_streams_are_at_their_versions(
        self, on_bus: Callable[..., None]
    ) -> None:
        async def scenario(bus: EventBus) -> None:
            heard: list[DomainEvent] = []
            bus.subscribe(OrderEvent, heard.append)
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
            assert orders_of(heard) == ["td1", "td2", "td1"]

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
            heard: list[DomainEvent] = []

            def fail(event: OrderEvent) -> None:
                bus.publish(cancelled())  # discarded with the rest of what the handler did
                raise ValueError("broken")

            bus.subscribe(OrderAcceptedEvent, fail, priority=1)
            bus.subscribe(OrderEvent, heard.append)
            await bus.publish(accepted("td1"))
            assert [event.event_type for event in heard] == ["order.accepted"]
            assert bus.statistics().failures == 1

        on_bus(scenario)

    def test_what_an_async_handler_cannot_take_is_a_dead_letter_until_it_can(self, on_bus: Callable[..., None]) -> None:
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

    # -- the end ------------------------------------------------------------------------------------------------------

    def test_closing_lets_async_handlers_finish_and_takes_nothing_more(self, tmp_path: Path) -> None:
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
