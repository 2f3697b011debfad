"""Gate: the strategies of a run come back from their snapshots if the code has changed."""

from __future__ import annotations

import asyncio
import logging
import random
import re
from decimal import Decimal
from pathlib import Path

import pytest
from gate_runs import STRATEGIES, config, looking_up_often, play, resume
from many_examples import SEEDS
from test_changed_code import edit, forget_code, ways

from tickdeck import Strategy, bootstrap
from tickdeck.bootstrap import Run, open_record, resume_run, start_run, verify_run
from tickdeck.domain.events import DomainEvent, StrategyPaused
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import StrategyStates


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "own.py"
    source.write_text(STRATEGIES.read_text())
    return source


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap.snapshots, "_EVERY", 100)


def played(wanted: RunConfig, data: Path, inputs: int = 1_000_000) -> Run:
    """A run that was driven as the command line does it, and stopped when it had taken some ``inputs``."""
    return drive(start_run(wanted, data), inputs)


def drive(run: Run, inputs: int = 1_000_000) -> Run:
    def stop(_: int) -> None:
        if run.kernel.inputs >= inputs:
            run.driver.request_stop()

    with looking_up_often():
        try:
            asyncio.run(run.drive(None, progress=stop))
        finally:
            run.close()
    return run


def cannot_be_warmed_up(source: Path) -> None:
    edit(source, "self._turns = 0", "self._turns = 1 // 0")


def test_a_strategy_is_restored_and_gets_what_followed(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    folder = played(config(f"{source}:Keeps", "ema-cross", seconds=8), tmp_path, 700).folder
    meant_to_differ.add(folder)
    cannot_be_warmed_up(source)

    run = resume(folder)

    assert run.simulation.completed
    assert "Keeps is restored, ema-cross is warmed up" in run.resumed
    events = list(open_record(folder))
    assert ways(events) == [("folded", {"Keeps": "restored", "ema-cross": "warmed up"})]
    assert not [event for event in events if isinstance(event, StrategyPaused)]
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [True, True]
    turns = [e.reason for e in events if e.event_type == "strategy.decision" and e.strategy_id == "Keeps"]
    assert max(int(reason.removeprefix("turn ")) for reason in turns if reason.startswith("turn")) > 15

    assert resume(folder).simulation.completed  # a complete run, with the same code


def test_the_newest_snapshot_on_the_tape_counts(tmp_path: Path, source: Path, meant_to_differ: set[Path]) -> None:
    """A killed process had taken one that is ahead of its tape, and one is damaged."""
    folder = played(config(f"{source}:Keeps", seconds=6), tmp_path, 600).folder
    meant_to_differ.add(folder)
    (newest, *_) = seqs = sorted((int(path.stem) for path in (folder / "snapshots").iterdir()), reverse=True)
    assert len(seqs) == 3
    StrategyStates(folder).write(10_000_000, {"Keeps": "not of this run"})
    damaged = folder / "snapshots" / f"{newest}.json"
    damaged.write_bytes(damaged.read_bytes()[:-5])
    cannot_be_warmed_up(source)

    run = resume(folder)

    assert "Keeps is restored" in run.resumed
    assert not (folder / "snapshots" / "10000000.json").exists()
    assert verify_run(folder)[0].stretches[1].identical


def test_a_snapshot_that_the_new_code_cannot_restore_is_not_needed(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    folder = played(config(f"{source}:Keeps", seconds=6), tmp_path, 600).folder
    meant_to_differ.add(folder)
    edit(source, 'state["turns"]', 'state["rounds"]')

    run = resume(folder)

    assert "Keeps cannot restore its snapshot (KeyError: 'rounds')" in run.resumed
    assert ways(list(open_record(folder))) == [("folded", {"Keeps": "warmed up"})]
    assert run.simulation.completed
    assert verify_run(folder)[0].identical


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ('{"turns": Decimal(1)}', r"Keeps.snapshot\(\)\['turns'\] is of type Decimal; give text, numbers"),
        ('[{1: "one"}]', r"Keeps.snapshot\(\)\[0\] has the key 1; give texts as keys"),
        ('float("nan")', r"Keeps.snapshot\(\) is nan, which JSON does not have"),
        ('self.buy("BTCUSDT", Decimal(1))', "Keeps is not running"),
        ("1 // 0", "ZeroDivisionError"),
    ],
)
def test_a_strategy_that_has_no_snapshot_says_so_once_and_the_run_continues(
    tmp_path: Path, source: Path, caplog: pytest.LogCaptureFixture, state: str, why: str
) -> None:
    edit(source, 'return {"turns": self._turns}', f"return {state}")

    with caplog.at_level(logging.ERROR):
        run = played(config(f"{source}:Keeps", seconds=3), tmp_path)

    assert run.simulation.completed
    (record,) = (record for record in caplog.records if "has no snapshots" in record.message)
    assert re.search(why, record.message), record.message
    assert not (run.folder / "snapshots").exists()


def test_a_run_without_snapshots_writes_none(tmp_path: Path) -> None:
    run = played(config("Busy", seconds=3), tmp_path)

    assert not (run.folder / "snapshots").exists()


def test_a_class_has_both_methods_or_neither() -> None:
    with pytest.raises(ConfigError, match=r"strategy Half: override both snapshot\(\) and restore\(\), or neither"):

        class Half(Strategy):
            def snapshot(self) -> object:
                return Decimal(1)


def test_snapshots_change_no_event(tmp_path: Path) -> None:
    one = played(config("Keeps", seconds=3), tmp_path / "one")
    other = play(config("Keeps", seconds=3), tmp_path / "other")

    assert (one.folder / "snapshots").exists()

    assert list(open_record(one.folder)) == list(open_record(other.folder))


VERSIONS = ("0.002", "0.003", "0.004")
"""Quantities of three versions of the strategy."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(max(SEEDS // 10, 1)))
@pytest.mark.parametrize("cls", ["Busy", "Keeps"])
def test_whatever_code_continues_a_run_however_often_each_stretch_is_proven_by_its_own(
    tmp_path: Path, source: Path, meant_to_differ: set[Path], cls: str, seed: int
) -> None:
    rng = random.Random(f"{cls}/{seed}")

    def becomes(version: str) -> None:
        source.write_text(STRATEGIES.read_text().replace('"0.002"', f'"{version}"', 1))

    becomes(VERSIONS[0])
    run = start_run(
        config(f"{source}:{cls}", "market-maker", seconds=9, symbols=("BTCUSDT", "ETHUSDT")), tmp_path / "data"
    )
    meant_to_differ.add(run.folder)
    versions, before = [VERSIONS[0]], list[DomainEvent]()
    for part in range(1, 4):
        drive(run, inputs=part * 400 + rng.randrange(300))
        events = list(open_record(run.folder))
        assert events[: len(before)] == before
        before = events
        version = rng.choice(VERSIONS)
        becomes(version)
        if version != versions[-1]:
            versions.append(version)
        run = resume_run(run.folder)  # type: ignore[assignment]
    drive(run)

    assert run.simulation.completed
    assert len([way for way, _ in ways(list(open_record(run.folder))) if way == "folded"]) == len(versions) - 1
    assert verify_run(run.folder)[0].complete
    forget_code(run.folder)
    for here in VERSIONS:
        becomes(here)
        stretches = verify_run(run.folder)[0].stretches
        assert len(stretches) == len(versions)
        for version, stretch in zip(versions, stretches, strict=True):
            assert stretch.identical or version != here
