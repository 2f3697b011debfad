"""A run's folder after a power cut: what its process did not sync is lost, whole or in part."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

from torturing import crash_disk

__all__ = ["STRACE", "PowerCut"]

STRACE = crash_disk.STRACE


class PowerCut:
    """Make it before the process starts: the folder as it is then counts as synced. ``STRACE`` writes the process's
    system calls to ``trace``.
    """

    def __init__(self, folder: Path, trace: Path) -> None:
        self._folder, self._trace = folder, trace
        self._disk = crash_disk.Disk(folder, holding=True)

    def strike(self, luck: crash_disk.Luck, rng: random.Random) -> None:
        """Leave in the folder what the disk may hold after a power cut at the end of the trace. The process must have
        ended."""
        folder = self._folder
        with self._trace.open() as lines:
            for step in crash_disk.parse(lines, folder):
                if step.call not in ("ack", "snap"):
                    self._disk.apply(step)
        after = folder.with_name(f"{folder.name}.after")
        shutil.rmtree(after, ignore_errors=True)
        after.mkdir()
        self._disk.write_out(after, luck, rng)
        for path in after.rglob("*"):
            before = folder / path.relative_to(after)
            if before.exists():
                path.chmod(before.stat().st_mode)
        shutil.rmtree(folder)
        after.rename(folder)
        self._trace.unlink()
