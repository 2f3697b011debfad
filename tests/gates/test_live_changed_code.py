"""Gate: a live run whose strategy was edited goes on, after a stop and after ``SIGKILL``."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from gate_runs import forge_digest, tamper
from test_changed_code import edit, forget_code, larger, quantities, ways
from test_live_resume import SECOND, drive
from test_live_run import START, STRATEGIES, config
from virtual_time import VirtualWall

from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.domain.events import RunResumed, TimerFired
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.runs import read_end, write_end


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
    again = [event for event in events if isinstance(event, RunResumed)]
    assert [event.stopped_at for event in again] == [again[0].seq - 1, 0, again[2].seq - 1]
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


def killed_before_a_timer(data: Path, source: Path) -> tuple[Path, int]:
    """The folder of a live run whose last cascades were not durable when it was killed, although their market data was:
    from the second timer of the strategy on. Also the ``seq`` of the first market event after the tape's last event."""
    wanted = msgspec.structs.replace(config(600), strategies=(StrategyConfig(spec=f"{source}:Busy"),))
    run = start_live_run(wanted, data, clock=VirtualWall(START))
    drive(run, 5)
    events = list(open_record(run.folder))
    cut = [event.seq for event in events if isinstance(event, TimerFired) and event.owner == "Busy"][1]
    kept = max(event.seq for event in events if event.seq < cut and not event.is_market_data)
    beyond = sum(event.seq > kept and not event.is_market_data for event in events)
    tamper(run.folder, "DELETE FROM events WHERE seq > ?", kept, count=beyond)
    forge_digest(run.folder)
    return run.folder, kept + 1


def test_what_was_not_durable_when_a_process_was_killed_never_happened_for_the_proof_either(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    folder, behind = killed_before_a_timer(tmp_path / "data", source)
    larger(source)

    resumed(folder, 60)

    events = list(open_record(folder))
    [again] = [event for event in events if isinstance(event, RunResumed)]
    assert again.stopped_at == 0
    assert again.seq > behind + 100  # the market data is part of the record
    assert all(event.is_market_data for event in events if behind <= event.seq < again.seq)
    assert quantities(events[: again.seq]) == {Decimal("0.002")}
    verdict, notes = verify_run(folder)
    assert verdict.identical, verdict.divergence
    assert [stretch.identical for stretch in verdict.stretches] == [True, True]
    end = read_end(folder)
    assert end is not None
    assert verdict.events == end.reached
    [note] = [note for note in notes if "was not durable" in note]
    first = int(note.split("from seq ")[1].split()[0])
    assert behind < first < again.seq
    assert note.startswith(f"what followed from the market data from seq {first} to {again.seq - 1} ")
    meant_to_differ.add(folder)
    forget_code(folder)  # what was durable is compared as ever
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [False, True]


def test_what_followed_before_an_orderly_stop_is_demanded(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    """The run says that it had stopped in order, so nothing can have been lost: the record was changed."""
    folder, behind = killed_before_a_timer(tmp_path / "data", source)
    copy = shutil.copytree(folder, tmp_path / "copy" / folder.name)
    meant_to_differ.add(folder)
    larger(source)
    resumed(copy, 60)
    [again] = [event for event in open_record(copy) if isinstance(event, RunResumed)]
    assert again.stopped_at == 0
    for reached, identical in ((behind, True), (again.seq - 1, False)):
        place = shutil.copytree(folder, tmp_path / str(reached) / folder.name)
        meant_to_differ.add(place)
        write_end(place, wanted=behind - 1, reached=reached, in_order=True, completed=False)

        resumed(place, 60)

        [event] = [event for event in open_record(place) if isinstance(event, RunResumed)]
        assert event.stopped_at == reached
        verdict, _ = verify_run(place)
        assert [stretch.identical for stretch in verdict.stretches] == [identical, True]
        assert verdict.identical is identical
        assert not verdict.other_code


def test_with_the_same_code_what_was_not_durable_happens_again_when_the_run_is_resumed(
    tmp_path: Path, source: Path
) -> None:
    folder, behind = killed_before_a_timer(tmp_path / "data", source)

    for later in (60, 120):
        resumed(folder, later)

    events = list(open_record(folder))
    again = next(event.seq for event in events if isinstance(event, RunResumed))
    assert any(isinstance(event, TimerFired) for event in events if behind <= event.seq < again)
    verdict, notes = verify_run(folder)
    assert verdict.identical, verdict.divergence
    assert notes == []


def tickdeck(*words: object) -> list[str]:
    return [sys.executable, "-m", "tickdeck", *map(str, words)]


def test_a_process_that_was_killed_is_resumed_with_an_edited_strategy(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    data = tmp_path / "data"
    meant_to_differ.add(data / "maker")
    start = tickdeck(
        *("run", "--name", "maker", "--data", data, "--strategy", f"{source}:Busy", "--for", "60", "--speed", "6")
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
