"""Measures how long a run stands still for a snapshot, by the number of its ended orders.

    python tools/snapshot_pause.py 1000 3000 10000

Plays a run on the simulated market until so many orders have ended. Prints seconds of the processor, the least of five
times: to read the state of all objects, and to encode and write it. A run keeps 10,000 ended orders. Uses a temporary
folder.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from tickdeck.bootstrap import Run, start_run
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import CoreState, CoreStates
from tickdeck.interfaces.bench.resuming import STRATEGIES

TIMES = 5
NEVER = 10**12


def main(numbers: list[int]) -> None:
    print("ended orders   read    written      bytes")
    with tempfile.TemporaryDirectory() as data:
        run = start_run(RunConfig(strategies=STRATEGIES, duration=Decimal(10**7), state_every=NEVER), Path(data))
        waiting = sorted(numbers)

        def look(_: int) -> None:
            while waiting and len(run.core.execution._closed) >= waiting[0]:
                print(line(run, waiting.pop(0)), flush=True)
            if not waiting:
                run.driver.request_stop()

        try:
            asyncio.run(run.drive(None, progress=look))
        finally:
            run.close()


def line(run: Run, ended: int) -> str:
    assert run._state is not None
    states = CoreStates(run.folder)
    read, written = [], []
    for _ in range(TIMES):
        began = time.process_time()
        state = run._state.write()
        done = time.process_time()
        states.write(CoreState(seq=1, tape_seq=0, tape_event="", code="", state=state))
        read.append(done - began)
        written.append(time.process_time() - done)
    size = (run.folder / "states" / "1.json").stat().st_size
    return f"{ended:>12,}   {min(read):.3f}   {min(written):.3f}   {size:>10,}"


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [1_000, 3_000, 10_000])
