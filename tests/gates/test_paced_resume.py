"""Gate: a paced run with inputs from outside at any instant resumes as if it had never stopped."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_runs import config, looking_up_often, prove, resume, rows
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.application.kernel import STEPS
from tickdeck.bootstrap import Run, start_run
from tickdeck.domain.events import CommandReceived, DomainEvent, NotificationAlert, OrderEvent
from tickdeck.infrastructure.config import RunConfig, TapeConfig
from tickdeck.infrastructure.exchanges.paper import PaperConfig

JITTER = PaperConfig(jitter_ns=30_000_000)
"""Latencies are drawn when an order and when a report is sent, so the order of these matters."""


def visited(run: Run, speed: float | None, seed: int, *, stop_at: int, every: float = 0.1) -> None:
    """Play ``run``. Commands come from a task, from another thread's queue and from both kinds of edges, at most
    ``every`` seconds of the run apart."""
    rng = random.Random(seed)
    kernel, pace = run.kernel, speed or 1.0

    def command(number: int) -> CommandReceived:
        name = rng.choice(["strategy-pause", "strategy-activate", "strategy-activate"])
        late = rng.choice([0, 0, 1 << 61])  # by another clock, which a virtual run does not use
        return CommandReceived(
            command=name, arguments={"strategy_id": "Wakes"}, reason=str(number), ts_ingress=late, metadata={"by": "me"}
        )

    @kernel.on("order.cancelled", edge=True)
    def tell(order: OrderEvent) -> None:
        kernel.publish(NotificationAlert(text=order.order_id))

    @kernel.on("order.filled")
    async def tell_later(order: OrderEvent) -> None:
        await asyncio.sleep(rng.uniform(0, 0.5) * every / pace)
        kernel.publish(command(0))

    async def visitor() -> None:
        hand_over: tuple[Callable[[DomainEvent], object], ...] = (kernel.publish, kernel.publish_threadsafe)
        number = 0
        while True:
            await asyncio.sleep(rng.uniform(0.01, 1) * every / pace)
            number += 1
            rng.choice(hand_over)(command(number))

    async def play() -> None:
        kernel.bind()
        task = asyncio.ensure_future(visitor())
        try:
            await run.simulation.run(speed, stop=lambda: kernel.inputs >= stop_at)
        finally:
            task.cancel()

    kernel.publish(NotificationAlert(text="before the run begins"))
    try:
        with looking_up_often(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(play())
    finally:
        run.close()


def steps_before_inputs(run: Run) -> int:
    """How many inputs from outside came after a step of the driver, not right after an input."""
    return sum(STEPS in event.metadata for event in run.tape.read())


def assert_resumes(wanted: RunConfig, data: Path, speed: float | None, seed: int, **options: Any) -> Run:
    run = start_run(wanted, data, wall=VirtualWall())
    visited(run, speed, seed, **options)
    stopped = rows(run.folder)["events"]
    prove(run.folder)

    resume(run.folder)

    assert rows(run.folder)["events"][: len(stopped)] == stopped
    prove(run.folder)
    return run


@pytest.mark.parametrize("speed", [1.0, 100.0, None])
@pytest.mark.parametrize("seed", range(3))
def test_a_paced_run_with_inputs_from_outside_resumes(tmp_path: Path, speed: float | None, seed: int) -> None:
    wanted = config("Busy", "Wakes", seconds=6, paper=JITTER)

    run = assert_resumes(wanted, tmp_path, speed, seed, stop_at=500 + 100 * seed)

    assert run.kernel.statistics().published["order.submitted"] > 5
    if speed is not None:
        assert steps_before_inputs(run) >= 1


@pytest.mark.parametrize("seed", range(3))
def test_a_paced_run_on_candles_with_inputs_from_outside_resumes(tmp_path: Path, seed: int) -> None:
    file, rng = tmp_path / "BTCUSDT-1m.csv", random.Random(seed)
    lines, price = ["timestamp,open,high,low,close,volume"], Decimal(60_000)
    for minute in range(60):
        close = price + rng.randrange(-50, 50)
        top, bottom = max(price, close) + 5, min(price, close) - 5
        lines.append(f"{1_723_161_600 + 60 * minute},{price},{top},{bottom},{close},10")
        price = close
    file.write_text("\n".join(lines) + "\n")
    wanted = config("Wakes", seconds=3_000, paper=JITTER)
    wanted = RunConfig(
        strategies=wanted.strategies, tapes=(TapeConfig(path=str(file)),), duration=wanted.duration, paper=JITTER
    )

    run = assert_resumes(wanted, tmp_path / "data", 600.0, seed, stop_at=600, every=30.0)

    assert run.kernel.statistics().published["order.submitted"] > 5
    assert steps_before_inputs(run) >= 1


def test_the_clock_of_a_virtual_run_does_not_follow_an_input_from_the_future(tmp_path: Path) -> None:
    run = start_run(config("Busy", seconds=2), tmp_path, wall=VirtualWall())
    visited(run, 1.0, 7, stop_at=10_000)

    events = [event for event in run.tape.read() if event.ts_ingress]  # not what came before the run began
    assert events[-1].event_type == "run.stopped"
    assert events[-1].ts_ingress - events[0].ts_ingress < 4_000_000_000
