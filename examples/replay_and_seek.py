"""Play a run like a tape: from another task, speed it up, pause it, seek back, and hear its last second again.

    python examples/replay_and_seek.py [RUN_FOLDER]

Without a folder it records a short run first.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from contextlib import aclosing
from pathlib import Path

from sample_run import record

from tickdeck import Replayer
from tickdeck.bootstrap import open_record
from tickdeck.infrastructure.clock import SystemClock

SECOND = 1_000_000_000  # all times are nanoseconds


async def operate(replayer: Replayer) -> None:
    """The hand on the controls."""
    await asyncio.sleep(0.3)
    replayer.set_speed(10)
    print("ten times as fast")
    await asyncio.sleep(0.3)
    replayer.pause()
    here = replayer.position
    assert here is not None
    print("paused; nothing comes for a moment")
    await asyncio.sleep(0.1)
    replayer.seek(here - SECOND)
    replayer.set_speed("max")
    replayer.resume()
    print("a second back, and on at full speed")


async def play(folder: Path) -> None:
    replayer = Replayer(lambda: open_record(folder), SystemClock())
    operator = asyncio.create_task(operate(replayer))
    last = again = 0
    async with aclosing(replayer.replay(types=["market.trade", "order.*"])) as events:
        async for event in events:
            again += event.seq <= last
            last = max(last, event.seq)
    await operator
    print(f"{replayer.statistics().played} events played, {again} of them for the second time")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else record(Path(scratch), seconds=120)
        asyncio.run(play(folder))
