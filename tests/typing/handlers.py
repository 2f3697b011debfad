"""Right and wrong uses of typed handlers. ``test_typed_handlers.py`` has mypy read it; nothing runs it.

A line that ends in ``# wrong`` must be an error; no other line may be one.
"""

from __future__ import annotations

from typing import assert_type

from tickdeck import InMemoryEventBus, OrderEvent, OrderFilledEvent, TradeEvent
from tickdeck.domain.events import DomainEvent

bus = InMemoryEventBus()


def on_fill(event: OrderFilledEvent) -> None: ...


def on_order(event: OrderEvent) -> None: ...


def on_any(event: DomainEvent) -> int:
    return event.seq


def on_trade(event: TradeEvent) -> None: ...


async def on_fill_later(event: OrderFilledEvent) -> None: ...


async def on_trade_later(event: TradeEvent) -> None: ...


def of_two(first: DomainEvent, second: DomainEvent) -> None: ...


bus.subscribe(OrderFilledEvent, on_fill)
bus.subscribe(OrderFilledEvent, on_order)
bus.subscribe(OrderFilledEvent, on_any, priority=2, name="any")
bus.subscribe(OrderFilledEvent, on_fill_later)
bus.subscribe(OrderEvent, lambda event: event.order_id)
bus.subscribe("order.filled", on_fill)
bus.subscribe(OrderFilledEvent, on_trade)  # wrong
bus.subscribe(OrderFilledEvent, on_trade_later)  # wrong
bus.subscribe(OrderEvent, on_fill)  # wrong
bus.subscribe(OrderFilledEvent, of_two)  # wrong
bus.subscribe(OrderFilledEvent, on_fill, priorty=2)  # wrong
bus.subscribe(OrderFilledEvent, on_fill, priority="2")  # wrong
bus.subscribe(int, on_any)  # wrong

bus.on(OrderFilledEvent, priority=2)(on_fill)
bus.on(OrderFilledEvent, priority=2)(on_fill_later)
bus.on("order.*")(on_trade)
bus.on(OrderFilledEvent)(on_trade)  # wrong
bus.on(OrderFilledEvent, priorty=2)  # wrong

bus.unsubscribe(OrderFilledEvent, on_fill)
bus.unsubscribe(OrderFilledEvent, "order.filled")  # wrong

with bus.collect(OrderFilledEvent) as fills:
    assert_type(fills, list[OrderFilledEvent])
with bus.collect("order.*") as events:
    assert_type(events, list[DomainEvent])
