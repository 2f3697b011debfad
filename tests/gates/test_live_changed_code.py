"""Gate: a live run whose strategy was edited goes on, after a stop and after ``SIGKILL``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from test_changed_code import edit, forget_code, larger, quantities, ways
from test_live_resume import SECOND, drive
from test_live_run import START, STRATEGIES, config
from virtual_time import VirtualWall

from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.domain.events import RunResumed
from tickdeck.infrastructure.config import StrategyConfig


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "own.py"
    source.write_text(STRATEGIES.read_text())
    return source


def resumed(folder: Path, later: int, seconds: float = 5) -> LiveRun:
    run = resume_run(folder, clock=VirtualWall(START + later * SECOND))
    assert isinstance(run, LiveRun)
    drive(run, seconds)
    return run


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_live_run_goes_on_with_its_edited_strategy_and_all_stretches_are_proven(
    tmp_path: Path, source: Path, meant_to_differ: set[Path], form: str
) -> None:
    wanted = msgspec.structs.replace(config(600, tape_format=form), strategies=(StrategyConfig(spec=f"{source}:Busy"),))
    run = start_live_run(wanted, tmp_path / "data", clock=VirtualWall(START))
    drive(run, 5)
    folder = run.folder
    meant_to_differ.add(folder)
    before = list(open_record(folder))
    larger(source)

    resumed(folder, 60)
    between = list(open_record(folder))
    resumed(folder, 120)  # with the same code: what followed the change is executed again
    edit(source, '"0.003"', '"0.004"')
    resumed(folder, 180)

    events = list(open_record(folder))
    assert events[: len(between)] == between
    assert between[: len(before)] == before
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [how for how, _ in ways(events)] == ["folded", "executed", "folded"]
    starts = [place for place, event in enumerate(events) if isinstance(event, RunResumed)]
    assert [quantities(events[a:b]) for a, b in zip([0, *starts], [*starts, None], strict=True)] == [
        {Decimal("0.002")},
        {Decimal("0.003")},
        {Decimal("0.003")},
        {Decimal("0.004")},
    ]
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [True, True, True]
    forget_code(folder)
    verdict, _ = verify_run(folder)
    assert [stretch.identical for stretch in verdict.stretches] == [False, False, True]
    assert verdict.other_code
    edit(source, '"0.004"', '"0.003"')
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [False, True, False]


def tickdeck(*words: object) -> list[str]:
    return [sys.executable, "-m", "tickdeck", *map(str, words)]


def test_a_process_that_was_killed_is_resumed_with_an_edited_strategy(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    data = tmp_path / "data"
    meant_to_differ.add(data / "maker")
    start = tickdeck(
        *("run", "--name", "maker", "--data", data, "--strategy", f"{source}:Busy", "--for", "40", "--speed", "20")
    )
    with subprocess.Popen(start, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        wait_for(data / "maker", trades=100)
        process.send_signal(signal.SIGKILL)
    before = list(open_record(data / "maker"))
    larger(source)

    again = subprocess.run(
        tickdeck("run", "--resume", "maker", "--data", data, "--speed", "max", "--json"),
        capture_output=True,
        check=True,
    )

    assert json.loads(again.stdout)["status"] == "completed"
    assert b"a new stretch of the proof begins" in again.stderr
    events = list(open_record(data / "maker"))
    assert events[: len(before)] == before
    assert quantities(events[len(before) :]) == {Decimal("0.003")}
    assert verify_run(data / "maker")[0].complete
    forget_code(data / "maker")
    proof = subprocess.run(tickdeck("verify", "maker", "--data", data), capture_output=True, text=True, check=False)
    assert proof.returncode == 4
    assert "stretch 1, seq 1 to" in proof.stdout
    assert proof.stdout.count("OTHER CODE") == 2
    assert "to " + f"{len(events):,}: identical" in proof.stdout


def wait_for(folder: Path, *, trades: int) -> None:
    """Until the run in ``folder`` has so many trades on its tape."""
    follow = tickdeck("events", folder.name, "--data", folder.parent, "--type", "market.trade", "--follow", "--json")
    while not (folder / "tape.db").exists():
        os.sched_yield()
    with subprocess.Popen(follow, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(trades):
            assert process.stdout.readline()
        process.kill()
