"""How many calls of functions a backtest needs for a tick and for an order, and an order on its way to a venue.

Times vary with the machine, but these counts do not. If a bound fails, a change has made the hot path longer: shorten
it, or raise the bound and say in docs/benchmarks.md what the change is worth.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tickdeck.interfaces.bench.backtest import backtest
from tickdeck.interfaces.bench.strategy import TickEmaCross

MOST_PER_TICK = 18
MOST_PER_ORDER = 2_230
MOST_TO_THE_VENUE = 383


def counted(folder: Path, ticks: int) -> tuple[int, float]:
    """The calls of Python functions and builtins in the thread of a backtest, and its orders."""
    session = backtest(count=ticks, folder=str(folder), preloaded=True)
    session()  # what is made once, such as the plans of the bus, does not count
    calls = Counter[str]()

    def count(frame: Any, event: str, argument: Any) -> None:
        calls[event] += 1

    # Otherwise the count includes the callbacks of whatever garbage earlier tests of this process have left.
    gc.collect()
    gc.disable()
    sys.setprofile(count)
    try:
        orders = session()["orders"]
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls["call"] + calls["c_call"], orders


def test_a_tick_and_an_order_need_no_more_calls_than_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # An order may wait for the tape's thread in some calls more, so the fewest calls of three runs count.
    with_orders, orders = min(counted(tmp_path, 6_000) for _ in range(3))
    monkeypatch.setattr(TickEmaCross, "turn", lambda self, symbol, above: None)
    without_orders, none = counted(tmp_path, 6_000)
    half_as_many, _ = counted(tmp_path, 3_000)

    assert orders > 20
    assert none == 0
    assert (without_orders - half_as_many) / 3_000 < MOST_PER_TICK
    assert (with_orders - without_orders) / orders < MOST_PER_ORDER


# In a process of its own: the checks of events are fastest for the texts of the first event of a class in a process.
TO_THE_VENUE = """
import asyncio, sys
from tickdeck.interfaces.bench import order_path

calls = []
decide, send = order_path.EachTick.on_tick, order_path._Wire.send


def count(frame, event, argument):
    calls[-1] += event in ("call", "c_call")


def counted_decision(self, tick):
    calls.append(0)
    sys.setprofile(count)
    decide(self, tick)


async def counted_send(self, request):
    sys.setprofile(None)
    return await send(self, request)


order_path.EachTick.on_tick, order_path._Wire.send = counted_decision, counted_send
asyncio.run(order_path._send(50, None))
print(len(calls), min(calls))
"""


def test_an_order_needs_no_more_calls_until_it_leaves_than_before() -> None:
    result = subprocess.run([sys.executable, "-c", TO_THE_VENUE], capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
    orders, calls = map(int, result.stdout.split())
    assert orders == 100
    assert calls < MOST_TO_THE_VENUE
