"""What the gates do with runs: make them, read their tapes to the last byte, prove them, tamper with them, and start
them as processes that can be killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

import tickdeck
from tickdeck.application import simulation
from tickdeck.application.clock import WallClock
from tickdeck.application.record import Divergence
from tickdeck.application.tracing import trace
from tickdeck.bootstrap import Run, open_record, resume_run, start_run, verify_run
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.config import RunConfig, StrategyConfig, TapeConfig
from tickdeck.infrastructure.runs import MANIFEST, TAPE

HERE = Path(__file__).resolve().parent
DRIVER = HERE / "gate_driver.py"
STRATEGIES = HERE / "gate_strategies.py"
SOURCE = str(Path(tickdeck.__file__).parents[1])


def config(*strategies: str, seconds: int = 20, tapes: tuple[Path, ...] = (), **settings: Any) -> RunConfig:
    """A run of built-in strategies, of classes of ``gate_strategies``, or of full specs."""
    specs = (name if "-" in name or ":" in name else f"{STRATEGIES}:{name}" for name in strategies)
    return RunConfig(
        strategies=tuple(StrategyConfig(spec=spec) for spec in specs),
        tapes=tuple(TapeConfig(path=str(tape)) for tape in tapes),
        duration=Decimal(seconds),
        **settings,
    )


# -- in this process --------------------------------------------------------------------------------------------


def finish(run: Run, *, speed: float | None = None, stop: Callable[[], bool] = lambda: False) -> Run:
    """Execute a run, or until ``stop()``, and close it, whatever happens."""
    try:
        asyncio.run(run.simulation.run(speed, stop=stop))
    finally:
        run.close()
    return run


def play(wanted: RunConfig, data: Path, *, speed: float | None = None, wall: WallClock | None = None) -> Run:
    """A new run, from its start to its end."""
    return finish(start_run(wanted, data, wall=wall), speed=speed)


def play_until(wanted: RunConfig, data: Path, inputs: int) -> Path:
    """The folder of a run that was stopped from outside when it had taken some ``inputs``."""
    run = start_run(wanted, data)
    with looking_up_often():
        return finish(run, stop=lambda: run.kernel.inputs >= inputs).folder


@contextmanager
def looking_up_often() -> Iterator[None]:
    """Have runs ask whether to stop after each few inputs, instead of thousands. That changes no event."""
    turn, simulation._TURN = simulation._TURN, 32
    try:
        yield
    finally:
        simulation._TURN = turn


def resume(folder: Path) -> Run:
    return finish(resume_run(folder))


def state(run: Run) -> dict[str, Any]:
    """Orders, positions and money of a run at its end, as JSON."""
    account = run.core.portfolio.account
    return msgspec.to_builtins(
        {
            "orders": {
                order.order_id: [order.status, order.filled, order.notional]
                for order in run.core.execution.orders.values()
            },
            "positions": {p.symbol: [p.quantity, p.cost, p.realized_pnl] for p in account.positions.values()},
            "balances": account.balances,
            "fees": account.fees(),
            "pnl": [account.realized_pnl(), run.core.portfolio.unrealized_pnl()],
            "equity": run.core.portfolio.equity(),
        }
    )


# -- tapes ------------------------------------------------------------------------------------------------------


def tape_of(folder: Path) -> Path:
    return folder / TAPE


def rows(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of a tape in their order, text as bytes."""
    with closing(sqlite3.connect(tape_of(folder))) as connection:
        connection.text_factory = bytes
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {
            name.decode(): connection.execute(f"SELECT * FROM {name.decode()} ORDER BY rowid").fetchall()
            for (name,) in tables
        }


def dump(folder: Path) -> list[str]:
    """A tape as SQL: its schema and all that is in it."""
    with closing(sqlite3.connect(tape_of(folder))) as connection:
        return list(connection.iterdump())


def tamper(folder: Path, statement: str, *parameters: object, count: int = 1) -> None:
    """Change so many rows of a tape behind Tickdeck's back."""
    with closing(sqlite3.connect(tape_of(folder))) as connection, connection:
        changed = connection.execute(statement, parameters).rowcount
    assert changed == count, f"{changed} rows were changed"


def first_seq(folder: Path, event_type: str, after: int = 0) -> int:
    """The place of the first event of a type on a tape."""
    with closing(sqlite3.connect(tape_of(folder))) as connection:
        seq: int | None = connection.execute(
            "SELECT min(seq) FROM events_readable WHERE event_type = ? AND seq > ?", (event_type, after)
        ).fetchone()[0]
    assert seq is not None, f"no {event_type} on the tape"
    return seq


# -- proof ------------------------------------------------------------------------------------------------------


def causes(folder: Path, divergence: Divergence) -> list[DomainEvent]:
    """The chain of causes of the first difference, from the direct cause back to an input from outside."""
    event = divergence.recorded or divergence.executed
    assert event is not None
    found = trace(lambda: open_record(folder), event.causation_id)
    return [found.event, *found.causes]


def prove(folder: Path) -> None:
    """Fails, and shows the first difference with its causes, where a run is not identical."""
    verdict, changes = verify_run(folder)
    if verdict.identical:
        return
    divergence = verdict.divergence
    assert divergence is not None
    told = [f"{folder}: not identical at seq {divergence.seq} {changes}"]
    told += [f"    recorded {divergence.recorded}", f"    executed {divergence.executed}"]
    if (divergence.recorded or divergence.executed) is not None:
        told += [f"    because of {event}" for event in causes(folder, divergence)]
    raise AssertionError("\n".join(told))


def prove_all(data: Path, meant_to_differ: Collection[Path] = ()) -> int:
    """Prove every run under a folder but for those named, and those that never got a tape. Returns how many."""
    folders = [manifest.parent for manifest in data.rglob(MANIFEST)]
    wanted = [folder for folder in sorted(folders) if folder not in meant_to_differ and tape_of(folder).exists()]
    for folder in wanted:
        prove(folder)
    return len(wanted)


# -- processes --------------------------------------------------------------------------------------------------


def environment_of(**settings: str) -> dict[str, str]:
    """Of a process that is not measured by coverage: a kill while it writes its figures would leave a file that
    nobody can read.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return {**inherited, **settings}


class Driven:
    """A run in a process of its own (``gate_driver.py``). ``lines`` is what it printed."""

    def __init__(self, action: str, place: Path, *, hash_seed: str = "random", **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, DRIVER, action, place, msgspec.json.encode(options).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment_of(PYTHONHASHSEED=hash_seed, PYTHONPATH=SOURCE),
        )
        self.lines: list[str] = []
        self.errors = ""

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self.end()

    def read(self, count: int) -> None:
        """Wait until it has printed so many lines more, or has ended."""
        assert self._process.stdout is not None
        for _ in range(count):
            line = self._process.stdout.readline()
            if not line.endswith(b"\n"):
                return
            self.lines.append(line.decode().rstrip("\n"))

    def kill_at(self, seq: int) -> bool:
        """SIGKILL it as soon as it tells that it has come to ``seq``. Returns whether that met it alive."""
        while not self.lines or self._came_to(self.lines[-1]) < seq:
            before = len(self.lines)
            self.read(1)
            if len(self.lines) == before:
                break
        return self.kill()

    def _came_to(self, line: str) -> int:
        word, _, what = line.partition(" ")
        return int(what) if word in ("AT", "DURABLE") else 0

    def kill_in(self, seconds: float) -> bool:
        """SIGKILL it after some time, unless it has ended before."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        return self.end() == -9

    def kill(self) -> bool:
        """SIGKILL it. Returns whether that met it alive."""
        self._process.kill()
        return self.end() == -9

    def end(self) -> int:
        """Wait for its end, where it was not waited for yet. Returns its exit status, -9 for SIGKILL."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            out, errors = self._process.communicate(timeout=120)
            text = out.decode()
            self.lines += text[: text.rfind("\n") + 1].splitlines()  # a line that the kill cut off says nothing
            self.errors += errors.decode()
        return self._process.returncode

    def said(self, word: str) -> list[str]:
        """What stood behind ``word`` on the lines that began with it."""
        return [rest for first, _, rest in (line.partition(" ") for line in self.lines) if first == word]

    @property
    def folder(self) -> Path:
        return Path(self.said("RUN")[0])

    @property
    def durable(self) -> int:
        """The last ``seq`` that it was told is on disk."""
        return max(map(int, self.said("DURABLE")), default=0)

    def answer(self) -> Any:
        """What it printed at its end, which must be a good one."""
        assert self.end() == 0, self.errors
        return json.loads(self.said("END")[0])


def verify_elsewhere(
    folder: Path, *, hash_seed: str = "random", modules: str = "", **environment: str
) -> dict[str, Any] | None:
    """The first difference that a fresh process finds, ``None`` where all is identical: ``seq``, ``recorded``,
    ``executed`` and ``causes``, as `tickdeck verify --json` prints them.
    """
    told = subprocess.run(
        [sys.executable, "-m", "tickdeck", "verify", folder, "--json"],
        env=environment_of(PYTHONHASHSEED=hash_seed, PYTHONPATH=os.pathsep.join([SOURCE, modules]), **environment),
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert told.returncode in (0, 1), told.stderr.decode()
    answer = json.loads(told.stdout)
    assert answer["identical"] is (told.returncode == 0) is (answer["first_divergence"] is None)
    return answer["first_divergence"]
