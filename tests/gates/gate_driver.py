"""A run in a separate process that is killed: ``python gate_driver.py run|resume PLACE OPTIONS``.

``PLACE`` is the data folder (``run``) or the folder of the run. ``OPTIONS`` is JSON: ``config`` of a new run, ``die``
(a point and how often it must be reached, such as ``append:3``) at which the process sends itself SIGKILL, ``hold`` to
wait for the end of stdin before it continues. Prints lines, one ``write`` each: ``RUN folder``, ``AT seq``
occasionally, ``DURABLE seq`` when the tape has acknowledged it, ``END`` with the state at the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gate_runs
import msgspec

from tickdeck import bootstrap
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.tape import SqliteTape
from tickdeck.infrastructure.tape.sqlite import tape as sqlite

POINTS = (
    "part",  # the manifest is written, but not renamed
    "manifest",  # its folder is renamed, with an empty tape
    "begin",  # a transaction has begun; the first one creates the tables
    "insert",  # rows were written in it
    "commit",  # it is about to be committed
    "committed",  # it was committed
    "append",  # a cascade was handed to the tape
    "checkpoint",  # the tape is being closed, its log about to move to the main file
    "checkpointed",  # it has moved
)


def say(word: str, what: object) -> None:
    os.write(1, f"{word} {what}\n".encode())


class Fate:
    """Counts how often each point was reached, and kills the process at the requested one."""

    def __init__(self, wanted: str) -> None:
        self._point, _, number = wanted.partition(":")
        assert not wanted or self._point in POINTS, wanted
        self._number = int(number or 1)
        self._reached: Counter[str] = Counter()

    def reached(self, point: str) -> None:
        self._reached[point] += 1
        if point == self._point and self._reached[point] == self._number:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(fate: Fate) -> None:
    """Make the program report each point."""
    replace, append, connect = Path.replace, SqliteTape.append, sqlite3.connect
    create_run = bootstrap.new_run.create_run

    def replacing(self: Path, target: Path) -> Path:
        fate.reached("part")
        return replace(self, target)

    def creating(*arguments: Any) -> Path:
        folder = create_run(*arguments)
        fate.reached("manifest")
        return folder

    def appending(self: SqliteTape, events: Sequence[DomainEvent], expected_version: int | None = None) -> None:
        append(self, events, expected_version)
        fate.reached("append")

    class Connection(sqlite3.Connection):
        writing = False  # a reader's transactions do not count

        def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
            committing = statement == "COMMIT" and self.writing
            closing = "wal_checkpoint" in statement
            if committing:
                fate.reached("commit")
            if closing:
                fate.reached("checkpoint")
            cursor = super().execute(statement, *parameters)
            if statement == "BEGIN IMMEDIATE":
                self.writing = True
                fate.reached("begin")
            elif statement.startswith("INSERT INTO events"):  # not those that create the tables
                fate.reached("insert")
            elif committing:
                self.writing = False
                fate.reached("committed")
            elif closing:
                fate.reached("checkpointed")
            return cursor

    sqlite._ROWS = 2  # more statements per transaction between which to die
    Path.replace = replacing  # type: ignore[method-assign]
    bootstrap.new_run.create_run = creating
    SqliteTape.append = appending  # type: ignore[method-assign]
    sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Connection)  # type: ignore[assignment]


def execute(run: bootstrap.Run) -> None:
    turns = 0

    def progress(_: int) -> None:
        nonlocal turns
        turns += 1
        if turns % 4 == 0:
            seq = run.tape.last_seq
            run.tape.wait_durable(seq)
            say("DURABLE", seq)
        else:
            say("AT", run.kernel.seq)

    with gate_runs.looking_up_often():
        asyncio.run(run.drive(None, progress=progress))
    run.close()
    say("END", msgspec.json.encode(gate_runs.state(run)).decode())


def main(action: str, place: Path, options: dict[str, Any]) -> None:
    arm(Fate(options.get("die", "")))
    if action == "run":
        run = bootstrap.start_run(config_from_dict(options["config"]), place)
    else:
        run = bootstrap.resume_run(place)
    say("RUN", run.folder)
    if options.get("hold"):
        sys.stdin.read()
    execute(run)


if __name__ == "__main__":
    try:
        main(sys.argv[1], Path(sys.argv[2]), msgspec.json.decode(sys.argv[3]))
    except TickdeckError as error:
        sys.exit(f"{type(error).__name__}: {error}")
