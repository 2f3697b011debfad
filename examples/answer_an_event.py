"""Let an event handler run a use case: each filled order earns its owner a rebate, and enough of them halt trading.

    python examples/answer_an_event.py

A run trades on the simulated market. An async handler receives each filled order once it is durable, and answers it
with a command of this program, which books a rebate in a store of its own. When the rebates reach a limit, it answers
with a command to the run, which is an input on the run's tape, so the proof executes it again.
"""

from __future__ import annotations

import asyncio
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

from tickdeck import DomainEvent
from tickdeck.application.commands import (
    Command,
    Dispatcher,
    Repository,
    UnitOfWork,
    once_per_id,
    retry_on_conflict,
)
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus, start_run, verify_run
from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.events import CommandReceived, OrderFilledEvent, TradingHalted
from tickdeck.infrastructure.config import RunConfig, StrategyConfig

SHARE = Decimal("0.1")  # of each fee
LIMIT = Decimal("0.5")  # USDT


class RebateEarned(DomainEvent, frozen=True, kw_only=True):
    """``user_id`` gets ``amount`` (USDT) for an order."""

    event_type: ClassVar[str] = "rebate.earned"
    user_id: str
    order_id: str
    amount: Decimal

    @property
    def stream(self) -> str:
        return f"rebates/{self.user_id}"


class Rebates(AggregateRoot):
    """The rebates of one user: one for each order, however often it is asked for."""

    def __init__(self, user_id: str) -> None:
        super().__init__()
        self.user_id = user_id
        self.total = Decimal(0)
        self.orders: set[str] = set()

    @property
    def identity(self) -> str:
        return self.user_id

    @property
    def stream(self) -> str:
        return f"rebates/{self.user_id}"

    def earn(self, order_id: str, amount: Decimal) -> None:
        if order_id not in self.orders:
            self.raise_event(RebateEarned(user_id=self.user_id, order_id=order_id, amount=amount))

    def apply(self, event: DomainEvent) -> None:
        if isinstance(event, RebateEarned):
            self.total += event.amount
            self.orders.add(event.order_id)


class EarnRebate(Command, frozen=True, kw_only=True):
    """Book the rebate for an order of ``user_id``."""

    user_id: str
    order_id: str
    amount: Decimal


class EarnRebateHandler:
    """The use case. Returns what the user has earned in all."""

    def __init__(self, bus: RecordedBus) -> None:
        self.bus = bus

    async def handle(self, command: EarnRebate) -> Decimal:
        repository = Repository(self.bus.store, Rebates)
        async with UnitOfWork(self.bus, repository) as work:
            rebates = repository.get_or_new(command.user_id)
            rebates.earn(command.order_id, command.amount)
            await work.commit()
        return rebates.total


async def main(folder: Path) -> None:
    bus = open_bus(folder / "rebates.db")
    dispatcher = Dispatcher(once_per_id(), retry_on_conflict())
    dispatcher.register(EarnRebate, EarnRebateHandler(bus))
    run = start_run(RunConfig(strategies=(StrategyConfig(spec="market-maker"),)), folder)
    halted: list[TradingHalted] = []

    async def answer(fill: OrderFilledEvent) -> None:
        # The id of the event is the id of the command: a process that is killed right here delivers the event again.
        command = EarnRebate(command_id=fill.event_id, user_id="ada", order_id=fill.order_id, amount=fill.fee * SHARE)
        total = await dispatcher.dispatch(command)
        if total >= LIMIT and not halted:
            run.kernel.publish(CommandReceived(command="halt", reason=f"rebates of {total}", source="rebates"))

    async def stop(event: TradingHalted) -> None:
        halted.append(event)
        run.driver.request_stop()

    run.kernel.subscribe(TradingHalted, stop)
    run.kernel.subscribe(OrderFilledEvent, answer, name="rebates")
    await run.drive(20)  # times real time, until the halt
    await run.kernel.drain()
    run.close()

    rebates = Repository(bus.store, Rebates).get("ada")
    print(f"ada earned {rebates.total} USDT with {len(rebates.orders)} orders")
    print(f"trading was halted: {halted[0].reason}")
    print(f"the proof of the run: {'identical' if verify_run(run.folder)[0].identical else 'different'}")
    await close_bus(bus)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(main(Path(place)))
