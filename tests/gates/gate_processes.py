"""Runs as processes that can be killed, and what must be true of their tapes afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple, NoReturn

import msgspec
from gate_runs import HERE, dump, first_seq, play, prove, rows, state, tape_of

import tickdeck
from tickdeck.bootstrap import LiveRun
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue

DRIVER = HERE / "gate_driver.py"
LIVE_DRIVER = HERE / "live_driver.py"
SOURCE = os.pathsep.join(map(str, (Path(tickdeck.__file__).parents[1], HERE.parent / "kit", HERE)))
"""What the processes import: Tickdeck, and the shared helpers of the tests."""


def environment_of(**settings: str) -> dict[str, str]:
    """For a process that imports what the tests import, and is measured by coverage if they are."""
    return {**os.environ, "PYTHONPATH": SOURCE, **settings}


# -- a fork of this process ---------------------------------------------------------------------------------------


def kill(*_: object) -> NoReturn:
    """End this process here. It takes whatever the call that it stands for is given."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def killed(work: Callable[[], object]) -> None:
    """Do ``work()`` in a child, which calls ``kill`` in the middle of it, or else is killed when it has returned."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status)
        return
    try:
        work()
        kill()
    finally:
        os._exit(1)


# -- live runs that are killed, and the exchange that lives on ----------------------------------------------------


@contextmanager
def venue_process(faults: str = "") -> Iterator[str]:
    """The URL of an exchange for BTCUSDT in a process of its own, which lives on while runs are killed."""
    words = ["venue", "--port", "0", "--seed", "1", "--faults", faults, "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "tickdeck", *words], stdout=subprocess.PIPE, env=environment_of()
    ) as venue:
        assert venue.stdout is not None
        try:
            yield json.loads(venue.stdout.readline())["url"]
        finally:
            venue.terminate()


def ask(url: str, path: str, body: dict[str, Any] | None = None) -> Any:
    """What the admin address of an exchange answers; with a ``body``, what it does."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/admin/{path}", data), timeout=120) as answer:
        return json.loads(answer.read())


def halted_for_the_last_look(run: LiveRun) -> LiveRun:
    """The same run. When it ends, the exchange halts its market before the run compares its account a last time: an
    order that rests there could be filled between that and the look of the test."""
    for venue in run.venues:
        assert isinstance(venue, ExchangeVenue)
        venue.compare = partial(_compare_when_halted, run, venue.compare)  # type: ignore[method-assign]
    return run


async def _compare_when_halted(run: LiveRun, compare: Callable[[], Awaitable[None]]) -> None:
    assert run.config.exchange_url is not None
    for symbol in run.manifest.symbols:
        halt = {"symbol": symbol, "status": "HALT"}
        await asyncio.to_thread(ask, run.config.exchange_url, "market", halt)
    await compare()


class Told(NamedTuple):
    """A line of ``live_driver.py``: how many events the run has taken in this process, and its snapshots."""

    taken: int
    snapshots: int


def kill_live(
    data: Path,
    configured: Callable[..., RunConfig],
    *words: object,
    turns: int = 1,
    when: Callable[[Told], bool] = lambda _: True,
    by_itself: bool = False,
) -> int:
    """Start the run that ``configured(*words)`` describes, or resume the one under ``data``, in a process of its own.
    It is killed at the ``turns``-th turn of its event loop for which ``when`` holds, or kills itself. ``configured`` is
    a function of a module of the gates. Returns the ``seq`` of the snapshot from which the run continued, or 0.
    """
    name = f"{configured.__module__.rpartition('.')[2]}:{configured.__name__}"
    with (
        TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, LIVE_DRIVER, data, name, *map(str, words)],
            env=environment_of(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        restored_from = process.stdout.readline()
        for line in process.stdout:
            turns -= when(Told(*map(int, line.split())))
            if turns <= 0 and not by_itself:
                process.kill()
                break
        status = process.wait()
        errors.seek(0)
        said = errors.read()
        assert status == -9, said
        assert "is not used" not in said  # a snapshot that is there
    return int(restored_from)


# -- runs without real orders ------------------------------------------------------------------------------------


class Driven:
    """A run in a separate process (``gate_driver.py``). ``lines`` contains its output."""

    def __init__(self, action: str, place: Path, *, hash_seed: str = "random", **options: Any) -> None:
        self._process = subprocess.Popen(
            [sys.executable, DRIVER, action, place, msgspec.json.encode(options).decode()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment_of(PYTHONHASHSEED=hash_seed),
        )
        self.lines: list[str] = []
        self.errors = ""

    def __enter__(self) -> Driven:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self.end()

    def read(self, count: int) -> None:
        """Wait until it has printed this many more lines, or has ended."""
        assert self._process.stdout is not None
        for _ in range(count):
            line = self._process.stdout.readline()
            if not line.endswith(b"\n"):
                return
            self.lines.append(line.decode().rstrip("\n"))

    def kill_at(self, seq: int, durable: int = 0) -> bool:
        """SIGKILL it as soon as it reports that it has reached ``seq`` and has ``durable`` on disk. Returns whether it
        was still alive.
        """
        while self.came_to < seq or self.durable < durable:
            before = len(self.lines)
            self.read(1)
            if len(self.lines) == before:
                break
        return self.kill()

    def kill_in(self, seconds: float) -> bool:
        """SIGKILL it after this time, unless it has ended before."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return self.kill()
        return self.end() == -9

    def kill(self) -> bool:
        """SIGKILL it. Returns whether it was still alive."""
        self._process.kill()
        return self.end() == -9

    def end(self) -> int:
        """Wait for its end if necessary. Returns its exit status, -9 for SIGKILL."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            out, errors = self._process.communicate(timeout=120)
            text = out.decode()
            self.lines += text[: text.rfind("\n") + 1].splitlines()  # a line that the kill cut off is ignored
            self.errors += errors.decode()
        return self._process.returncode

    def said(self, word: str) -> list[str]:
        """The rest of the lines that begin with ``word``."""
        return [rest for first, _, rest in (line.partition(" ") for line in self.lines) if first == word]

    @property
    def folder(self) -> Path:
        return Path(self.said("RUN")[0])

    @property
    def came_to(self) -> int:
        """The last ``seq`` that it reported."""
        return max(map(int, self.said("AT") + self.said("DURABLE")), default=0)

    @property
    def durable(self) -> int:
        """The last ``seq`` that it reported as durable."""
        return max(map(int, self.said("DURABLE")), default=0)

    def answer(self) -> Any:
        """The output at its end. The run must have succeeded."""
        assert self.end() == 0, self.errors
        return json.loads(self.said("END")[0])


def verify_elsewhere(
    folder: Path, *, hash_seed: str = "random", modules: str = "", **environment: str
) -> dict[str, Any] | None:
    """The first difference that a new process finds, ``None`` if everything is identical: ``seq``, ``recorded``,
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


# -- killed and uninterrupted -------------------------------------------------------------------------------------


class LeftAlone(NamedTuple):
    """The uninterrupted run: its settings for the driver, its tape and its state at the end."""

    settings: Any
    rows: dict[str, list[Any]]
    dump: list[str]
    state: dict[str, Any]


def left_alone(wanted: RunConfig, data: Path) -> LeftAlone:
    run = play(wanted, data / "left-alone")
    prove(run.folder)
    assert first_seq(run.folder, "order.filled")
    return LeftAlone(msgspec.to_builtins(wanted), rows(run.folder), dump(run.folder), state(run))


def check_beginning(driven: Driven, alone: LeftAlone) -> int:
    """Assert what must be true of the tape of a killed process. Returns its last ``seq``."""
    if not driven.said("RUN") or not tape_of(driven.folder).exists():
        assert driven.durable == 0
        return 0
    found = {"blocks": [], "types": [], "events": [], "snapshots": [], **rows(driven.folder)}
    found["blocks"] = found["blocks"][:-1]  # the last one is not full, and is continued
    last_seq = found["events"][-1][0] if found["events"] else 0
    assert driven.durable <= last_seq, "an acknowledged event is lost"
    for table, whole in alone.rows.items():
        assert found[table] == whole[: len(found[table])]
    if last_seq:
        prove(driven.folder)
    return last_seq


def check_end(driven: Driven, alone: LeftAlone) -> None:
    """Assert what must be true of the process that ran to its end."""
    assert driven.answer() == alone.state
    assert rows(driven.folder) == alone.rows
    assert dump(driven.folder) == alone.dump


def check_killed(alone: LeftAlone, data: Path, *shares: float) -> None:
    """Kill the same run at these shares of its events, and resume it: it ends as if it had been left alone."""
    end = alone.rows["events"][-1][0]
    place: tuple[str, Path] = ("run", data)
    for share in shares:
        with Driven(*place, config=alone.settings) as driven:
            assert driven.kill_at(int(end * share), durable=1)
            assert check_beginning(driven, alone) > 0
            place = ("resume", driven.folder)
    with Driven(*place, config=alone.settings) as driven:
        check_end(driven, alone)
