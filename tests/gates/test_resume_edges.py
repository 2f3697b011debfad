"""An edge of a resumed run receives each event once, although the run executes again from its start."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from tickdeck import StrategyDecisionEvent
from tickdeck.bootstrap import Run, open_record, resume_run, start_run
from tickdeck.infrastructure.config import RunConfig, StrategyConfig


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_an_edge_of_a_resumed_run_gets_only_what_it_has_not_handled(tmp_path: Path, form: str) -> None:
    config = msgspec.structs.replace(
        RunConfig(), strategies=(StrategyConfig(spec="ema-cross"),), duration=Decimal(600), seed=1, tape_format=form
    )
    heard: list[int] = []

    async def edge(event: StrategyDecisionEvent) -> None:
        heard.append(event.seq)

    async def execute(run: Run, until: int | None) -> None:
        run.kernel.subscribe("strategy.decision", edge, name="notifier")
        await run.simulation.run(stop=lambda: until is not None and run.kernel.seq >= until)
        await run.kernel.drain()
        run.kernel.close_tape()

    run = start_run(config, tmp_path)
    asyncio.run(execute(run, until=2_500))
    assert heard
    before = len(heard)
    asyncio.run(execute(resume_run(run.folder), until=None))

    decisions = [event.seq for event in open_record(run.folder) if event.event_type == "strategy.decision"]
    assert 0 < before < len(decisions)
    assert heard == decisions
