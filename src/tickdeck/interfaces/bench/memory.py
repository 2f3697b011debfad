"""The growth of memory with the number of events."""

from __future__ import annotations

import resource
import shutil
import sys
from pathlib import Path

from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import TradeEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.interfaces.bench.bus import make_handlers
from tickdeck.interfaces.bench.samples import trades
from tickdeck.interfaces.bench.session import Figures, Session, timed

__all__ = ["memory"]

_MB = 1024 * 1024
_BYTES_PER_EVENT = 450
"""On disk, including indexes."""


def memory(*, count: int, folder: str) -> Session:
    """MB by which the process grows while ``count`` events go through kernel, bus and tape, after a tenth of them as a
    warm-up. The largest of a hundred samples counts."""
    free = shutil.disk_usage(folder).free
    if free < count * _BYTES_PER_EVENT:
        raise ConfigError(
            f"{folder}: the tape of {count:,} events needs {count * _BYTES_PER_EVENT >> 30} GiB; free some space"
        )
    inputs = list(trades(min(1_000, count // 100)))
    warm_up = count // 10

    def session() -> Figures:
        path = Path(folder) / "tape.db"
        tape = SqliteTape(path)
        kernel = Kernel(tape=tape)
        kernel.subscribe(TradeEvent, make_handlers(1)[0])

        def feed(events: int) -> None:
            for _ in range(events // len(inputs)):
                for event in inputs:
                    kernel.feed(event)

        feed(warm_up)
        tape.wait_durable(kernel.seq)
        before = resident()
        largest = before
        with timed() as seconds:
            for _ in range(100):
                feed(count // 100)
                largest = max(largest, resident())
            tape.wait_durable(kernel.seq)
        tape.close()
        size = path.stat().st_size
        path.unlink()
        return {
            "value": (largest - before) / _MB,
            "events_per_s": count // 100 * 100 / seconds(),
            "tape_bytes_per_event": size / kernel.seq,
        }

    return session


def resident() -> int:
    """This process's resident memory in bytes; if the system does not report it, the peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return pages * resource.getpagesize()
