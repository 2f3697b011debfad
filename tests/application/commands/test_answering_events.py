"""An async handler answers an event with a command: of its program, or to the run."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest

from tickdeck.application.bus import Retry
from tickdeck.application.commands import Command, Dispatcher, Repository, UnitOfWork, once_per_id, retry_on_conflict
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus
from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.events import DomainEvent


class Paid(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.paid"
    order_id: str
    amount: Decimal


class Thanked(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.thanked"
    order_id: str

    @property
    def stream(self) -> str:
        return "thanks"


class Thanks(AggregateRoot):
    def __init__(self, name: str = "thanks") -> None:
        super().__init__()
        self.orders: list[str] = []

    @property
    def identity(self) -> str:
        return "thanks"

    @property
    def stream(self) -> str:
        return "thanks"

    def thank(self, order_id: str) -> None:
        if order_id not in self.orders:
            self.raise_event(Thanked(order_id=order_id))

    def apply(self, event: DomainEvent) -> None:
        if isinstance(event, Thanked):
            self.orders.append(event.order_id)


class Thank(Command, frozen=True, kw_only=True):
    order_id: str


class ThankHandler:
    def __init__(self, bus: RecordedBus) -> None:
        self.bus = bus

    async def handle(self, command: Thank) -> None:
        repository = Repository(self.bus.store, Thanks)
        async with UnitOfWork(self.bus, repository) as work:
            repository.get_or_new("thanks").thank(command.order_id)
            await work.commit()


def open_shop(place: Path | str, *, fails_after: int = 0) -> tuple[RecordedBus, list[str]]:
    """A bus on which each payment is answered. The handler raises after it has answered, ``fails_after`` times."""
    bus = open_bus(place)
    dispatcher = Dispatcher(once_per_id(), retry_on_conflict())
    dispatcher.register(Thank, ThankHandler(bus))
    left, calls = [fails_after], []

    async def answer(paid: Paid) -> None:
        calls.append(paid.order_id)
        await dispatcher.dispatch(Thank(command_id=paid.event_id, order_id=paid.order_id))
        if left[0]:
            left[0] -= 1
            raise OSError("the connection was lost after the answer")

    bus.subscribe(Paid, answer, name="answers", retry=Retry(attempts=2, backoff=0))
    return bus, calls


def thanked(bus: RecordedBus) -> list[str]:
    return [event.order_id for event in bus.store.read() if isinstance(event, Thanked)]


@pytest.mark.parametrize("fails_after", [0, 1])
def test_each_event_is_answered_once_although_it_is_delivered_again(fails_after: int) -> None:
    async def run() -> None:
        bus, calls = open_shop("memory://", fails_after=fails_after)
        bus.publish_all([Paid(order_id=name, amount=Decimal(1)) for name in ("a", "b")])
        await bus.drain()
        assert len(calls) == 2 + fails_after
        assert thanked(bus) == ["a", "b"]
        (answer, *_) = (event for event in bus.store.read() if isinstance(event, Thanked))
        (paid, *_) = (event for event in bus.store.read() if isinstance(event, Paid))
        assert answer.causation_id == paid.event_id
        await close_bus(bus)

    asyncio.run(run())


def test_an_event_that_a_killed_process_had_answered_is_not_answered_again(tmp_path: Path) -> None:
    place = tmp_path / "shop.db"

    async def first() -> None:
        bus = open_bus(place)
        dispatcher = Dispatcher(once_per_id())
        dispatcher.register(Thank, ThankHandler(bus))
        receipt = bus.publish(Paid(order_id="a", amount=Decimal(1)))
        await receipt.durable()
        (paid,) = (event for event in bus.store.read() if isinstance(event, Paid))
        await dispatcher.dispatch(Thank(command_id=paid.event_id, order_id="a"))
        await close_bus(bus)  # before the handler's cursor said so: as if the process had been killed here

    async def second() -> list[str]:
        bus, calls = open_shop(place)
        await bus.drain()
        assert thanked(bus) == ["a"]
        bus.publish(Paid(order_id="b", amount=Decimal(1)))
        await bus.drain()
        assert thanked(bus) == ["a", "b"]
        await close_bus(bus)
        return calls

    asyncio.run(first())
    asyncio.run(second())
