"""Measures a row: worker processes take turns, so that a disturbance affects all of them."""

from __future__ import annotations

import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec

import tickdeck
from tickdeck.errors import TickdeckError
from tickdeck.interfaces.bench.row import Part, Row
from tickdeck.interfaces.bench.session import Figures

__all__ = ["NOT_INSTALLED", "GoalResult", "Result", "Worker", "WorkerFailed", "run_row"]


NOT_INSTALLED = " is not installed"
"""The end of the note about a library that is not installed."""


class WorkerFailed(TickdeckError):
    """A measurement raised, or did not answer in time."""


class GoalResult(msgspec.Struct, frozen=True):
    """``met`` is ``None`` if it is unknown, because the named peer was not measured."""

    goal: str
    met: bool | None


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One row's figures: medians over ``runs`` repetitions; ratios are medians of the ratios of the repetitions.

    ``ratio``: how close ``value`` comes to ``ceiling``; 1 is equal, less is worse. ``peers``: their values;
    ``peer_ratios``: how many times better Tickdeck is. ``figures``: other measurements. ``in_it``: what each does for
    its figure. ``goal_met``: all ``goals`` are met; ``None``: all known ones are.
    """

    name: str
    what: str
    value: float
    unit: str
    ceiling: float | None
    ratio: float | None
    peers: dict[str, float]
    peer_ratios: dict[str, float]
    goal: str
    goal_met: bool | None
    goals: tuple[GoalResult, ...]
    figures: dict[str, float]
    in_it: dict[str, str]
    notes: tuple[str, ...]
    runs: int
    quick: bool


class Worker:
    """A measurement in its own process; a context manager that always ends it."""

    def __init__(self, part: Part, parameters: dict[str, Any]) -> None:
        self._timeout = part.timeout
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 closed in __exit__
        source = str(Path(tickdeck.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "tickdeck.interfaces.bench.worker", part.target]
        command.append(msgspec.json.encode(parameters).decode())
        self._process = subprocess.Popen(  # noqa: S603 our own
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": path},
        )

    def answer(self) -> Figures:
        """The worker's next message. The first one, after setup, is empty; the others contain figures. Raises
        ``WorkerFailed``."""
        assert self._process.stdout is not None
        deadline = time.monotonic() + self._timeout
        line = b""
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0))
            if not ready:
                self._process.kill()
                raise WorkerFailed(f"did not answer within {self._timeout:g} s")
            piece = os.read(self._process.stdout.fileno(), 65_536)
            if not piece:
                raise WorkerFailed(f"ended: {self._last_words()}")
            line += piece
        return msgspec.json.decode(line, type=Figures)

    def repeat(self) -> Figures:
        """Run one repetition. Raises ``WorkerFailed``."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        return self.answer()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"exit code {code}" + (f", {lines[-1]}" if lines else "")

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=0 if kind is not None else 10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()


def run_row(row: Row, data: Path, *, quick: bool = False, peers: Path | None = None) -> Result:
    """Measure a row. ``data``: a folder for temporary tapes. ``peers``: the file that measures other libraries, if
    there is one. A peer that fails is omitted with a note. Raises ``WorkerFailed`` if our own part fails."""
    notes: list[str] = []
    runs = row.quick_runs if quick else row.runs
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", dir=data))

        def start(part: Part, name: str) -> Worker:
            parameters = part.parameters | (part.quick if quick else {})
            if part.needs_folder:
                place = Path(folder) / name
                place.mkdir()
                parameters["folder"] = str(place)
            worker = stack.enter_context(Worker(part, parameters))
            worker.answer()  # set up all workers before any of them measures
            return worker

        workers = {"tickdeck": start(row.part, "tickdeck")}
        for name, part in row.peers.items():
            if peers is None or not part.is_installed():
                notes.append(f"{name}{NOT_INSTALLED}")
                continue
            try:
                workers[name] = start(msgspec.structs.replace(part, target=f"{peers}:{part.target}"), name)
            except WorkerFailed as error:
                notes.append(f"{name} {error}")
        taken: dict[str, list[Figures]] = {name: [] for name in workers}
        for repetition in range(runs + row.warm_up):
            for name in list(workers):
                try:
                    figures = workers[name].repeat()
                except WorkerFailed as error:
                    if name == "tickdeck":
                        raise
                    notes.append(f"{name} {error}")
                    del workers[name], taken[name]
                    continue
                if repetition >= row.warm_up:
                    taken[name].append(figures)
    return _result(row, taken, notes, runs, quick=quick)


def _result(row: Row, taken: dict[str, list[Figures]], notes: list[str], runs: int, *, quick: bool) -> Result:
    own = taken.pop("tickdeck")
    medians = {key: statistics.median(figures[key] for figures in own) for key in own[0]}
    value, ceiling = medians.pop("value"), medians.pop("ceiling", None)
    better = 1 if row.more_is_better else -1
    peer_ratios = {
        name: statistics.median((o["value"] / p["value"]) ** better for o, p in zip(own, theirs, strict=True))
        for name, theirs in taken.items()
    }
    ratio = statistics.median((o["value"] / o["ceiling"]) ** better for o in own) if ceiling is not None else None
    known: dict[str, float | None] = {"value": value, "ratio": ratio, **medians, **peer_ratios}
    goals = tuple(GoalResult(goal.text, goal.is_met(known)) for goal in row.goals)
    met = [goal.met for goal in goals]
    return Result(
        name=row.name,
        what=row.what,
        value=value,
        unit=row.unit,
        ceiling=ceiling,
        ratio=ratio,
        peers={name: statistics.median(figures["value"] for figures in theirs) for name, theirs in taken.items()},
        peer_ratios=peer_ratios,
        goal="; ".join(goal.text for goal in row.goals),
        goal_met=False if False in met else None if None in met or not met else True,
        goals=goals,
        figures=medians,
        in_it={"tickdeck": row.in_it, **({"ceiling": row.ceiling_is} if ceiling is not None else {})}
        | {name: row.peers[name].in_it for name in taken},
        notes=tuple(notes),
        runs=runs,
        quick=quick,
    )
