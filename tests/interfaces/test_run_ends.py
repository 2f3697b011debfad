"""The end of a run in real processes: the exit code is correct, and no strategy can prevent a run from being
stopped.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "tickdeck"]
STRATEGIES = """
import os, signal, time
from pathlib import Path
from tickdeck import Strategy

class Raises(Strategy):
    what: str = "SystemExit"
    def on_trade(self, trade):
        own = type("Own", (BaseException,), {})
        raise {"SystemExit": SystemExit(0), "KeyboardInterrupt": KeyboardInterrupt(),
               "GeneratorExit": GeneratorExit(), "own": own("no Exception")}[self.what]

class Still(Strategy):
    delay: int = 0
    times: int = 1
    def on_start(self):
        self.set_timer("again", self.delay)
    def on_timer(self, timer):
        for _ in range(self.times):
            self.set_timer("again", self.delay)

class Hangs(Strategy):
    def on_trade(self, trade):
        Path("hangs").touch()
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass

class Moves(Strategy):
    def on_trade(self, trade):
        os.chdir("/")

class Forks(Strategy):
    forked: bool = False
    def on_trade(self, trade):
        if not self.forked:
            self.forked = True
            ready, go = os.pipe()
            child = os.fork()
            if child == 0:
                # With a handler in Python, a signal right before sleep() would be noticed a minute later.
                os.write(go, b"d" if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else b"h")
                time.sleep(60)
                os._exit(0)
            how = os.read(ready, 1).decode()
            os.kill(child, signal.SIGTERM)
            Path("child").write_text(f"{how} {os.waitpid(child, 0)[1]}")

class GoesOnInBoth(Strategy):
    trades: int = 0
    def on_trade(self, trade):
        self.trades += 1
        if self.trades == 5:
            os.fork()

class Loud(Strategy):
    def on_trade(self, trade):
        print("printed", trade.seq)
        self.log.warning("logged", n=trade.seq)
        if trade.seq > 40:
            Path("loud").touch()
"""


@pytest.fixture(autouse=True)
def strategies(tmp_path: Path) -> None:
    (tmp_path / "s.py").write_text(STRATEGIES)


@pytest.fixture
def start(tmp_path: Path):
    """Starts ``tickdeck WORDS --json``. Processes still running at the end are killed."""
    started = []

    def begin(*words: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *map(str, words), "--json"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def wait_for(there: Callable[[], object]) -> None:
    """Wait until ``there()``. Real processes have no clock that a test could set."""
    deadline = time.monotonic() + 120
    while not there():
        assert time.monotonic() < deadline, "it did not come within two minutes"
        time.sleep(0.02)


def log_of(tmp_path: Path) -> list[dict]:
    [path] = tmp_path.glob("tickdeck-data/*/log.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def began(tmp_path: Path) -> bool:
    """The run has written its first line, after which it catches signals."""
    return any(path.stat().st_size for path in tmp_path.glob("tickdeck-data/*/log.jsonl"))


# -- the exit code ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["SystemExit", "KeyboardInterrupt", "GeneratorExit", "own"])
def test_whatever_a_strategy_raises_pauses_only_that_strategy(spawn, what):
    done = spawn("run", "--strategy", "s.py:Raises", "--param", f"what={what}", "--for", 3, "--speed", "max", "--json")

    figures = json.loads(done.stdout)
    assert done.returncode == 3
    assert (figures["status"], figures["paused"], figures["failures"]) == ("completed", ["Raises"], 1)
    assert "Raises.on_trade failed" in done.stderr
    assert json.loads(spawn("verify", "last", "--json").stdout)["identical"] is True


@pytest.mark.parametrize("where", ["at import", "in __init__"])
def test_a_strategy_that_exits_before_the_run_begins_is_an_error(spawn, tmp_path, where):
    body = "raise SystemExit(0)" if where == "at import" else "class S(Strategy):\n    def __init__(self, **_): exit(0)"
    (tmp_path / "exits.py").write_text(f"from tickdeck import Strategy\n{body}\n")

    done = spawn("run", "--strategy", "exits.py:S", "--for", 1, "--speed", "max")

    assert done.returncode in (2, 3)
    assert "SystemExit" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", ">&-", ">&- 2>&-"])
def test_a_run_without_a_usable_stdout_does_not_begin(tmp_path, redirection):
    words = f'"{sys.executable}" -m tickdeck run --for 2 --speed max --json {redirection}'
    done = subprocess.run(["sh", "-c", words], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 3
    assert not list(tmp_path.glob("tickdeck-data/*"))
    if redirection.startswith("2"):
        assert json.loads(done.stdout)["exit_code"] == 3


def test_a_run_without_a_usable_stderr_does_not_begin(tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    words = [*COMMAND, "run", "--for", "2", "--speed", "max", "--json"]
    done = subprocess.run(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=writer, timeout=60, check=False)
    os.close(writer)

    assert done.returncode == 3
    assert "Broken pipe" in json.loads(done.stdout)["error"]
    assert not list(tmp_path.glob("tickdeck-data/*"))


def test_figures_that_cannot_be_written_are_an_error(tmp_path):
    with Path("/dev/full").open("w") as full:
        words = [*COMMAND, "run", "--for", "2", "--speed", "max", "--json"]
        done = subprocess.run(words, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, timeout=60, check=False)

    assert done.returncode == 3


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
@pytest.mark.parametrize("what", ["the folder", "the tape"])
def test_a_run_whose_tape_was_deleted_meanwhile_is_an_error(start, tmp_path, form, what):
    process = start("run", "--for", 100, "--speed", 10, "--tape-format", form)
    tape = "tape" if form == "jsonl" else "tape.db"
    wait_for(lambda: began(tmp_path))
    [path] = tmp_path.glob(f"tickdeck-data/*/{tape}")
    doomed = path.parent if what == "the folder" else path
    shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()

    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 3
    assert "was deleted or moved" in json.loads(stdout)["error"]
    assert len([line for line in stderr.splitlines() if "error" in line]) == 1


def test_a_strategy_that_changes_the_working_directory_does_not_lose_its_run(spawn, tmp_path):
    words = ["--speed", "max", "--data", "relative"]

    done = spawn("run", "--strategy", "s.py:Moves", "--for", "2", *words)
    [end] = tmp_path.glob("relative/*/end.json")
    end.unlink()  # as after a crash
    resumed = spawn("run", "--resume", "last", *words)

    assert (done.returncode, resumed.returncode) == (0, 0), done.stderr + resumed.stderr


def test_with_json_an_error_is_json_on_stdout_too(spawn):
    done = spawn("run", "--strategy", "nonsense", "--json")

    told = json.loads(done.stdout)
    assert told["exit_code"] == done.returncode == 2
    assert done.stderr == f"tickdeck: error: {told['error']}\n"


# -- stopping a run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("delay", "times"), [(0, 1), (1, 1), (0, 2), (50, 3)])
def test_timers_that_stop_the_clock_pause_their_strategy(spawn, delay, times):
    parameters = ("--param", f"delay={delay}", "--param", f"times={times}")
    done = spawn("run", "--strategy", "s.py:Still", *parameters, "--for", 3, "--speed", "max", "--json")

    figures = json.loads(done.stdout)
    assert done.returncode == 3
    assert (figures["status"], figures["paused"]) == ("completed", ["Still"])
    assert figures["events"] < 100_000
    assert "timers fired within a millisecond" in done.stderr
    assert json.loads(spawn("verify", "last", "--json").stdout)["identical"] is True


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
def test_a_second_signal_ends_a_run_immediately_in_a_handler_that_never_returns(start, spawn, tmp_path, numbers):
    process = start("run", "--strategy", "s.py:Hangs", "--for", 500, "--speed", 20)
    wait_for((tmp_path / "hangs").exists)
    process.send_signal(numbers[0])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)  # the first one waits for the cascade to end
    process.send_signal(numbers[1])
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 128 + numbers[0]
    assert "ended immediately, by a second signal" in stderr
    assert "Hangs.on_trade" in stderr
    assert log_of(tmp_path)[-1]["message"] == "run ends"
    assert json.loads(spawn("verify", "last", "--json").stdout)["identical"] is True


def test_one_signal_and_five_seconds_end_a_run_in_a_handler_that_never_returns(start, tmp_path):
    process = start("run", "--strategy", "s.py:Hangs", "--for", 500, "--speed", 20)
    wait_for((tmp_path / "hangs").exists)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 143
    assert time.monotonic() - began > 4.5
    assert "5 s after SIGTERM" in stderr


def test_a_child_forked_by_a_strategy_leaves_the_run_to_its_parent(spawn, tmp_path):
    done = spawn("run", "--strategy", "s.py:GoesOnInBoth", "--for", 3, "--speed", "max")

    assert done.returncode == 0, done.stderr
    assert "this process is a fork of the one that writes the tape" in done.stderr
    assert "has no tape" not in done.stderr
    # The proof executes the strategy again, so there are two executions.
    verdict, _ = map(json.loads, spawn("verify", "last", "--json").stdout.splitlines())
    assert (verdict["identical"], verdict["complete"]) == (True, True)


def test_a_signal_to_a_child_that_a_strategy_forked_ends_the_child_alone(spawn, tmp_path):
    done = spawn("run", "--strategy", "s.py:Forks", "--for", 3, "--speed", "max", "--json")

    assert (done.returncode, json.loads(done.stdout)["status"]) == (0, "completed"), done.stderr
    assert (tmp_path / "child").read_text() == f"d {signal.SIGTERM.value}"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_comes_twice_at_the_same_time_ends_a_run_in_order(start, tmp_path, number):
    process = start("run", "--for", 500, "--speed", 5)
    wait_for(lambda: began(tmp_path))
    process.send_signal(number)
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=60)

    assert process.returncode == 128 + number
    assert json.loads(stdout)["status"] == "interrupted"
    closing = log_of(tmp_path)[-1]
    assert (closing["message"], closing["reason"]) == ("run ends", f"stopped by {number.name}")


def test_a_run_under_nohup_outlives_its_terminal(start, tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start("run", "--for", 4, "--speed", 4)
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for(lambda: began(tmp_path))
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)

    assert process.returncode == 0


# -- resuming ---------------------------------------------------------------------------------------------------------


def numbers(lines: Sequence[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines if line.startswith("printed ")]


def test_a_resumed_run_does_not_log_its_past_again(start, spawn, tmp_path):
    process = start("run", "--strategy", "s.py:Loud", "--for", 100, "--speed", 10)
    wait_for((tmp_path / "loud").exists)
    process.send_signal(signal.SIGTERM)
    _, before = process.communicate(timeout=60)
    after = spawn("run", "--resume", "last", "--speed", "max", "--json").stderr

    printed = numbers(before.splitlines()) + numbers(after.splitlines())
    logged = [line["n"] for line in log_of(tmp_path) if line["message"] == "logged"]
    assert len(printed) > 100
    assert printed == logged == sorted(set(printed))
    once_more = spawn("run", "--resume", "last", "--speed", "max", "--json").stderr
    assert all(line.startswith("tickdeck: ") for line in once_more.splitlines())
