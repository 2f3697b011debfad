"""Gate: what a run keeps in memory does not grow with its length.

What is kept of ended orders is limited. The limits are lowered here, so that a short run reaches them.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest
from gate_runs import config

from tickdeck.application.drivers import driver
from tickdeck.application.engines import execution, protection_book
from tickdeck.bootstrap import Run, start_run
from tickdeck.domain.market import liquidity
from tickdeck.domain.risk import exposure
from tickdeck.infrastructure.exchanges.paper import tickets
from tickdeck.infrastructure.tape.encoding import StreamVersions

KEPT = 50


class Kept(NamedTuple):
    """What is in memory after so many orders: objects by class, and all pieces of memory, of whatever they are."""

    orders: int
    objects: Counter[str]
    pieces: int


def kept(run: Run) -> Kept:
    run.tape.wait_durable(run.tape.last_seq)
    gc.collect()
    objects = Counter(type(found).__qualname__ for found in gc.get_objects() if _is_ours(found))
    return Kept(run.core.execution.submitted, objects, sys.getallocatedblocks())


def _is_ours(found: object) -> bool:
    # A class of a compiled extension, which another test may have imported, can have a descriptor as its __module__.
    return str(type(found).__module__).startswith("tickdeck.")


@pytest.fixture
def _low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (execution, "_CLOSED_KEPT"),
        (exposure, "_ENDED_KEPT"),
        (tickets, "_CLOSED_KEPT"),
        (protection_book, "_ENDED_KEPT"),
        (protection_book, "_EXITS_KEPT"),
        (driver, "_TIMED"),
        (liquidity, "_MAX_TAKEN"),
    ):
        monkeypatch.setattr(module, name, KEPT)
    monkeypatch.setattr(StreamVersions.__init__, "__defaults__", (KEPT,))


@pytest.mark.slow
@pytest.mark.usefixtures("_low_limits")
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_what_is_kept_does_not_grow_with_the_number_of_orders(tmp_path: Path, form: str) -> None:
    wanted = config(
        "Busy", "ema-cross", symbols=("BTCUSDT", "ETHUSDT"), seconds=100_000, tape_format=form, state_every=0
    )
    run = start_run(wanted, tmp_path)
    marks, found = [500, 1_500], []

    def look(_: int) -> None:
        if len(found) < len(marks) and run.core.execution.submitted >= marks[len(found)]:
            found.append(kept(run))
            if len(found) == len(marks):
                run.driver.request_stop()

    try:
        asyncio.run(run.drive(None, progress=look))
    finally:
        run.close()

    before, after = found
    grown = {name: count - before.objects[name] for name, count in after.objects.items()}
    assert {name: more for name, more in grown.items() if more > KEPT} == {}
    per_order = (after.pieces - before.pieces) / (after.orders - before.orders)
    name = 1.5 if form == "jsonl" else 0  # that of the stream: see docs/tape.md
    assert per_order < 0.5 + name
