"""Archives old market data of a live run while it works: whenever a segment is complete."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.domain.events import SystemWarning
from tickdeck.infrastructure.archive_policy import ArchiveConfig
from tickdeck.infrastructure.frame_segments import number_of, segments
from tickdeck.infrastructure.frames import FOLDER

__all__ = ["LiveArchive"]

_EVERY = 10.0  # seconds between two looks at the segments
_COMPONENT = "archive"


class LiveArchive:
    """Carries out ``policy`` for the run in ``folder``: at the start, and each time that a new segment begins.

    ``tickdeck runs archive`` does the work in a process of its own with a low priority, because it reads each segment
    that goes. ``publish(event)`` takes an input: a ``system.warning`` if that fails. It is tried again with the next
    segment. ``execute(arguments)`` runs the command; it returns the exit code and what the command said.
    """

    def __init__(
        self,
        folder: Path,
        policy: ArchiveConfig,
        *,
        clock: LiveClock,
        publish: Callable[[SystemWarning], object],
        execute: Callable[[tuple[str, ...]], Awaitable[tuple[int, str]]] | None = None,
    ) -> None:
        self._folder, self._clock, self._publish = folder, clock, publish
        age = ("--older-than", policy.kept) if policy.kept is not None else ()
        fate = ("--drop",) if policy.to is None else ("--to", policy.to)
        self._arguments = ("runs", "archive", str(folder), *age, *fate)
        self._execute = execute or _execute
        self._newest = 0

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            newest = max(map(number_of, segments(self._folder / FOLDER)), default=0)
            if newest > self._newest:
                self._newest = newest
                await self._archive()
            await self._clock.sleep(_EVERY)

    async def _archive(self) -> None:
        code, said = await self._execute(self._arguments)
        log = bound_logger("tickdeck.archive")
        if code:
            text = f"old market data could not be archived: {said}"
            log.warning(text)
            self._publish(SystemWarning(component=_COMPONENT, message=text, source=_COMPONENT))
        else:
            log.info("market data", done=said)


async def _execute(arguments: tuple[str, ...]) -> tuple[int, str]:
    """Run ``tickdeck`` with ``arguments``. Returns its exit code and the last line that it wrote. If this is cancelled,
    the process is ended, which leaves what the next one finishes."""
    nice = shutil.which("nice")
    command = (*((nice, "-n", "10") if nice else ()), sys.executable, "-m", "tickdeck", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    lines = errors.decode(errors="replace").strip().splitlines()
    return process.returncode or 0, lines[-1] if lines else ""
