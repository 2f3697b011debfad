"""A live run keeps its trades in a file: the same ones as its tape has, across stops, kills and full disks."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from gate_processes import kill_live
from test_live_resume import endless, resumed, stopped

from tickdeck.bootstrap import LiveRun, open_record, resume_run, trade_journal, verify_run
from tickdeck.infrastructure.exporting import trade_row


@pytest.fixture(autouse=True)
def _no_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Virtual time does not wait for threads."""

    async def call(function: Callable[[], object]) -> object:
        return function()

    monkeypatch.setattr(asyncio, "to_thread", call)


def kept(folder: Path) -> list[dict[str, object]]:
    with closing(sqlite3.connect(folder / "trades.db")) as database:
        database.row_factory = sqlite3.Row
        rows = [dict(row) for row in database.execute("SELECT * FROM trades ORDER BY id")]
    assert [row.pop("id") for row in rows] == list(range(1, len(rows) + 1))
    return rows


def of_tape(folder: Path) -> list[dict[str, object]]:
    """The rows of ``tickdeck trades``."""
    journal = trade_journal(folder)
    return [*map(trade_row, (*journal.closed, *journal.open()))]


@pytest.mark.long
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_run_has_the_trades_of_its_tape_in_a_file_and_the_same_tape_as_without(tmp_path: Path, form: str) -> None:
    folder = stopped(tmp_path / "with", keep_trades=True, tape_format=form)
    without = stopped(tmp_path / "without", tape_format=form)

    assert kept(folder) == of_tape(folder) != []
    one, other = ([(e.seq, e.event_id, e.event_type, e.ts) for e in open_record(run)] for run in (folder, without))
    assert one == other  # only order ids differ from run to run
    assert not (without / "trades.db").exists()
    resumed(folder, 60)
    assert kept(folder) == of_tape(folder)
    assert verify_run(folder)[0].identical


@pytest.mark.long
def test_a_run_whose_file_cannot_be_written_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = stopped(tmp_path, keep_trades=True)
    (folder / "trades.db").unlink()
    (folder / "trades.db").mkdir()
    resumed(folder, 60)

    assert verify_run(folder)[0].identical
    assert caplog.text.count("the trades cannot be written (unable to open database file); they are written later") == 1
    (folder / "trades.db").rmdir()
    resumed(folder, 120)
    assert kept(folder) == of_tape(folder)


@pytest.mark.slow
def test_a_killed_run_has_no_trade_missing_or_twice(tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(4):
        kill_live(tmp_path, endless, "trades", turns=rng.randrange(20, 150), when=lambda told: told.taken > 60)
        (folder,) = tmp_path.iterdir()
        if (folder / "trades.db").exists():
            ended = [row for row in kept(folder) if row["closed_at"]]
            assert ended == of_tape(folder)[: len(ended)]
    run = resume_run(folder)
    assert isinstance(run, LiveRun)
    try:
        asyncio.run(run.drive(None, progress=lambda _: run.caught_up() and run.driver.request_stop()))
    finally:
        run.close()

    assert kept(folder) == of_tape(folder)
    assert verify_run(folder)[0].identical
