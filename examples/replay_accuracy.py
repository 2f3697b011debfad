"""Measure how late a replay hands events out, at 1x and at 100x.

    python examples/replay_accuracy.py [RUN_FOLDER [SECONDS]]

SECONDS of wall time a speed (default 1, or to the run's end). Without a folder it records a short run first.
"""

from __future__ import annotations

import asyncio
import selectors
import sys
import tempfile
import time
from pathlib import Path

from sample_run import record

from tickdeck import Replayer
from tickdeck.bootstrap import open_record
from tickdeck.infrastructure.clock import SystemClock


async def measure(folder: Path, speed: float, seconds: float) -> None:
    replayer = Replayer(lambda: open_record(folder), SystemClock())
    first = next(iter(open_record(folder))).ts_ingress
    cpu, wall = time.process_time(), time.perf_counter()
    async for _ in replayer.replay(to=first + int(seconds * speed * 1e9), speed=speed):
        pass
    busy = (time.process_time() - cpu) / (time.perf_counter() - wall)
    late = sorted(replayer.lags_ns)
    p50, p99, most = (late[min(int(len(late) * part), len(late) - 1)] / 1e6 for part in (0.5, 0.99, 1))
    print(f"{speed:>5g}x {len(late):>7} events  ms late: p50 {p50:.2f}  p99 {p99:.2f}  max {most:.2f}  cpu {busy:.0%}")


def precise_loop() -> asyncio.AbstractEventLoop:
    """As `tickdeck replay` has it: the usual loop's ``epoll`` waits whole milliseconds, ``select`` does not."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else record(Path(scratch))
        seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 1.0
        for name, loop in (("select", precise_loop), ("default", None)):
            print(f"event loop: {name}")
            for speed in (1, 100):
                with asyncio.Runner(loop_factory=loop) as runner:
                    runner.run(measure(folder, speed, seconds))
