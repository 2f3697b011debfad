"""The proof of a run that was killed, and what its notes may say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import msgspec

from tickdeck.bootstrap import verify_run
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.bundles import pack

__all__ = ["Explained", "proof", "proof_elsewhere"]

_LOST = re.compile(r"what followed from the market data from seq [\d,]+ to (?P<last>[\d,]+) was not durable .*")
_BUNDLED = re.compile(r"the source of strategy \S+ had changed since the run when it was bundled")
_ALWAYS = re.compile(r"removed from the configuration as secrets: (accounts\.\w+\.credentials(, )?)+")
_EDITED = re.compile(r"the source of strategy .* has changed since the run; the copy in its folder was executed")


class Explained:
    """What explains a note of ``verify``: where processes were killed, and whether the source was edited at all, and
    since the last process that went on with the record."""

    def __init__(self) -> None:
        self.killed_at: set[int] = set()
        """The last ``seq`` on the tape after each kill."""
        self.taken_up: dict[int, int] = {}
        """The ``seq`` of each ``run.resumed``, with the last one on the tape before it."""
        self.edits = 0
        self.edited_since = False

    def unexplained(self, notes: Collection[str]) -> list[str]:
        return [note for note in notes if not self._explains(note)]

    def _explains(self, note: str) -> bool:
        if lost := _LOST.fullmatch(note):
            resumed = int(lost["last"].replace(",", "")) + 1
            return self.taken_up.get(resumed) in self.killed_at
        if _EDITED.fullmatch(note):
            return self.edited_since
        if _BUNDLED.fullmatch(note):
            return self.edits > 0
        return _ALWAYS.fullmatch(note) is not None


def proof(run: Path, explained: Explained) -> list[str]:
    """What is wrong with the proof of the run in the folder ``run``."""
    try:
        verdict, notes = verify_run(run)
    except TickdeckError as error:
        return [f"verify: {error}"]
    if not verdict.identical:
        return [f"verify: not identical: {msgspec.json.encode(verdict).decode()[:2_000]}"]
    return [f"verify: {note}" for note in explained.unexplained(notes)]


def proof_elsewhere(run: Path, bundle: Path, explained: Explained) -> list[str]:
    """The same for the run's bundle, by the command that a user gives. ``bundle`` is a file to be."""
    try:
        pack(run, bundle)
        command = [sys.executable, "-m", "tickdeck", "verify", str(bundle), "--json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=bundle.parent, check=False)  # noqa: S603
    except TickdeckError as error:
        return [f"bundle: {error}"]
    finally:
        bundle.unlink(missing_ok=True)
    if done.returncode:
        return [f"bundle: verify ended with {done.returncode}: {(done.stdout + done.stderr)[-2_000:]}"]
    return [f"bundle: {note}" for note in explained.unexplained(json.loads(done.stdout)["notes"])]
