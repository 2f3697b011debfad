"""Inside a run, ``publish_domain_event`` publishes on the run's bus."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from textwrap import dedent

import msgspec

from tickdeck.bootstrap import open_record, start_run, verify_run
from tickdeck.infrastructure.config import RunConfig, StrategyConfig

STRATEGY = """
    from typing import ClassVar
    from tickdeck import DomainEvent, Strategy, get_event_bus, publish_domain_event

    class News(DomainEvent, frozen=True, kw_only=True):
        event_type: ClassVar[str] = "ambient.news"
        n: int = 0

    class Reader(Strategy):
        def on_start(self):
            self.n = 0

        def on_trade(self, trade):
            self.n += 1
            if self.n == 3:
                publish_domain_event(News(n=3))
"""


def test_what_a_strategy_publishes_on_the_ambient_bus_is_on_the_tape_and_proven(tmp_path: Path) -> None:
    source = tmp_path / "reader.py"
    source.write_text(dedent(STRATEGY), "utf-8")
    config = msgspec.structs.replace(
        RunConfig(), strategies=(StrategyConfig(spec=f"{source}:Reader"),), duration=Decimal(30), seed=1
    )
    run = start_run(config, tmp_path / "data")
    asyncio.run(run.simulation.run())
    run.close()

    news = [event for event in open_record(run.folder) if event.payload.get("n") == 3]
    assert [event.causation_id != "" for event in news] == [True]
    verdict, _ = verify_run(run.folder)
    assert verdict.identical
