"""Shared by the tests of the simulation: a simulated run over given market data, and a fake wall clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

from application_kit import BTC, START, MemoryTape, trade

from tickdeck.application.drivers import Simulation
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.domain.events import (
    BacktestCompleted,
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    RunStarted,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TradeEvent,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus


class FakeWall:
    """A wall clock that advances by the time slept, and by ``cost`` ns for each input."""

    def __init__(self) -> None:
        self.now = 1_000
        self.slept = 0.0
        self.yields = 0

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 0.1  # never so long that stop() would be noticed late
        self.slept += seconds
        self.now += round(seconds * 1e9)
        self.yields += not seconds
        await asyncio.sleep(0)


class Rig:
    """A simulation on given market data, with a log of what happened in which order."""

    def __init__(
        self,
        market: Iterable[DomainEvent],
        *,
        record: bool = True,
        duration: int | None = None,
        observe: Callable[[int], int] | None = None,
        begin: Callable[[Rig, int], None] = lambda rig, ts: None,
        figures: Callable[[int], BacktestCompleted] | None = None,
    ) -> None:
        self.log: list[str] = []
        self.tape = MemoryTape()
        self.agenda = Agenda()
        self.kernel = Kernel(tape=self.tape, agenda=self.agenda)
        self.wall = FakeWall()
        quiet = (FeedConnected, FeedDisconnected, TimerSet, TimerCancelled)  # the driver does not determine their order
        self.kernel.subscribe(
            "*", lambda e: self.log.append(_name(e)), priority=-1, where=lambda e: not isinstance(e, quiet)
        )
        self.simulation = Simulation(
            self.kernel,
            self.agenda,
            iter(market),
            wall=self.wall,
            started=RunStarted(strategies=("s",), symbols=(BTC,), seed=3),
            record_market=record,
            on_market=lambda e: self.log.append("venue sees"),
            begin=lambda ts: begin(self, ts),
            feed="test",
            duration=duration,
            observe=observe,
            figures=figures,
        )

    def run(self, speed: float | None = None, **options: Callable[..., object]) -> Rig:
        asyncio.run(self.simulation.run(speed, **options))  # type: ignore[arg-type]
        return self

    def report_at(self, due: int, order_id: str = "o") -> None:
        """Let the venue schedule a report, as the paper venue does."""
        event = VenueOrderReported(
            order_id=order_id, symbol=BTC, status=OrderStatus.ACCEPTED, ts=due, ts_ingress=due, source="venue"
        )
        self.agenda.at(due, partial(self.kernel.post, event))


def _name(event: DomainEvent) -> str:
    if isinstance(event, TradeEvent):
        return f"trade {event.price}"
    if isinstance(event, TimerFired):
        return f"timer {event.name}"
    if isinstance(event, VenueOrderReported):
        return f"report {event.order_id}"
    return event.event_type


def market(*at: int) -> list[TradeEvent]:
    """A trade at each time (ns after the start). Its price is its number."""
    return [trade(str(n), ts=START + ts) for n, ts in enumerate(at, 1)]
