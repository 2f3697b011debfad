"""A bus with a tape, for programs of any kind."""

from __future__ import annotations

import time
from pathlib import Path

from tickdeck.application.bus import dead_letters_on
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.tape.opening import open_tape

__all__ = ["close_bus", "open_bus"]


def open_bus(path: Path | str, *, tape_format: str = "sqlite") -> Kernel:
    """A bus of its own with a tape in ``path``, made where there is none, in ``tape_format`` (``sqlite`` or
    ``jsonl``): events are stamped with ids, causes and the wall clock's time, and recorded before edges see them. It
    goes on behind the tape's last event, with the dead letters that were left. ``close_bus`` ends it.
    """
    tape = open_tape(Path(path), tape_format)
    kernel = Kernel(tape=tape, cursors=tape.cursors, wall_now=time.time_ns, clock=SystemClock())
    last = next(tape.read(TapeQuery(first_seq=tape.last_seq)), None) if tape.last_seq else None
    if last is not None:
        kernel.continue_from(last)
        kernel.restore_dead_letters(dead_letters_on(tape.read(TapeQuery(types=("system.*dead_letter*", "command.*")))))
    return kernel


async def close_bus(bus: Kernel) -> None:
    """Let the edges finish what waits for them, then put everything on disk and let the file go."""
    await bus.aclose()
    bus.close_tape()
