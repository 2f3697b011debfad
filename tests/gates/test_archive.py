"""Segments of market data that were archived or dropped: what is left is read, and what is gone is reported."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from test_live_resume import SECOND, drive
from test_live_run import START, ToyFeed, config
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.application.ports import Frame
from tickdeck.bootstrap import LiveRun, archive_market, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.feeds import FEEDS
from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    RunResumed,
    TradeEvent,
)
from tickdeck.domain.values import Side
from tickdeck.errors import RunError
from tickdeck.infrastructure import frame_archive, frames
from tickdeck.infrastructure.frame_segments import GONE, read_gone, segments
from tickdeck.infrastructure.frames import FOLDER, FrameWriter
from tickdeck.infrastructure.runs import backup_run
from tickdeck.interfaces.cli import main


class PlainFeed(ToyFeed):
    """The same prices. Each frame is decoded alone, as those of a venue are."""

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        for event in super().decode(frame):
            number = frame.received // 10_000_000
            yield msgspec.structs.replace(event, trade_id=number, side=Side.BUY if number % 2 else Side.SELL)


FEEDS["plain"] = lambda config, symbols, clock: PlainFeed()


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = FrameWriter.__init__.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "segment", 500)
    monkeypatch.setattr(frames, "_BUFFER", 2_000)  # segments do not depend on when the tape commits


def made(data: Path, *, seconds: int = 600, stop_after: float | None = 20) -> Path:
    run = start_live_run(config(seconds, exchange="plain"), data, clock=VirtualWall(START))
    drive(run, stop_after)
    return run.folder


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    return made(tmp_path / "data", seconds=20, stop_after=None)


def cli(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], prog_name="tickdeck")


NOW = START + 1_000 * SECOND


def test_an_archived_run_is_read_proven_and_resumed_from_its_archive(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    before, count = list(open_record(folder)), len(segments(folder / FOLDER))

    went = archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")

    assert count > 3
    assert [Path(segment.place or "").name for segment in went] == [segment.name for segment in went]
    assert len(went) == len(list((tmp_path / "archive" / folder.name).iterdir())) >= count - 2
    assert 1 <= len(segments(folder / FOLDER)) <= 2  # the newest may be empty
    assert list(open_record(folder)) == before
    assert verify_run(folder)[0].identical
    again = resume_run(folder, clock=VirtualWall(START + 60 * SECOND))
    assert isinstance(again, LiveRun)
    drive(again, 5)
    assert verify_run(folder)[0].identical
    assert archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")  # those since then


def test_what_is_left_of_a_run_keeps_its_places_and_what_is_gone_is_reported(
    complete: Path, meant_to_differ: set[Path]
) -> None:
    meant_to_differ.add(complete)
    before = {event.seq: event for event in open_record(complete)}
    half = START + 10 * SECOND
    went = archive_market(complete, older_than=NOW - half, now=NOW, to=None)
    left = {event.seq: event for event in open_record(complete)}
    gone = [event for seq, event in before.items() if seq not in left]

    assert left == {seq: before[seq] for seq in left}
    assert len(gone) == sum(segment.events for segment in went) > 0
    assert all(isinstance(event, TradeEvent) and event.ts_ingress < half for event in gone)
    with pytest.raises(RunError, match=r"again: the market data from .* was dropped; its tape agrees with its digest"):
        verify_run(complete)


@pytest.mark.long
def test_archiving_says_what_went_and_how_large_it_was(complete: Path) -> None:
    done = cli("runs", "archive", complete.name, "--to", complete.parent.parent / "kept", "--data", complete.parent)

    assert re.search(r" was archived in .*/kept/[^ ]+; [\d,]+ bytes\n$", done.stderr)


def test_the_commands_say_what_is_gone(complete: Path, meant_to_differ: set[Path]) -> None:
    meant_to_differ.add(complete)
    data = complete.parent
    archived = cli("runs", "archive", complete.name, "--drop", "--data", data, "--json")
    listed = cli("events", complete.name, "--type", "order.submitted", "--data", data, "--json")
    orders = ("--type", "order.*", "--data", data)
    out = data / "orders.csv"
    others = [
        cli("export", complete.name, "--format", "csv", "--out", out, *orders),
        cli("replay", complete.name, "--speed", "max", "--json", *orders),
    ]
    market = cli("events", complete.name, "--type", "*.trade", "--data", data, "--json")
    checked = cli("tape", "check", complete.name, "--data", data)
    as_json = cli("tape", "check", complete.name, "--data", data, "--json")
    verified = cli("verify", complete.name, "--data", data)
    again = cli("runs", "archive", complete.name, "--drop", "--data", data)

    assert archived.exit_code == 0
    assert len(json.loads(archived.stdout)["segments"]) > 3
    assert (listed.exit_code, checked.exit_code) == (0, 0)
    assert listed.stdout.count("order.submitted") > 5
    assert listed.stderr == ""  # nothing of what was asked for is gone
    assert all(said.exit_code == 0 and "dropped" not in said.stderr for said in others)
    for said in (market.stderr, verified.stderr):
        assert "was dropped" in said
    assert "not checked: the market data from 2024-" in checked.stdout
    assert "was dropped" in json.loads(as_json.stdout)["gone"]
    assert verified.exit_code == 2
    assert "nothing to archive" in again.stderr


def test_a_run_whose_market_data_was_dropped_goes_on_with_what_it_has(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    folder = made(tmp_path)
    meant_to_differ.add(folder)
    before = list(open_record(folder))
    went = archive_market(folder, older_than=None, now=NOW, to=None)
    run = resume_run(folder, clock=VirtualWall(START + 60 * SECOND))
    assert isinstance(run, LiveRun)
    drive(run, 5)
    events = list(open_record(folder))
    again = next(event for event in events if isinstance(event, RunResumed))

    assert went
    assert "was dropped. The state is restored from the record" in run.resumed
    assert again.seq > before[-1].seq
    assert again.how == "folded"
    orders = [event.order_id for event in events if isinstance(event, OrderSubmittedEvent)]
    assert len(set(orders)) == len(orders)
    assert any(event.seq > again.seq for event in events if isinstance(event, OrderSubmittedEvent))
    filled = [event for event in events if isinstance(event, OrderFilledEvent | OrderPartiallyFilledEvent)]
    bought = sum((fill.quantity if fill.side is Side.BUY else -fill.quantity for fill in filled), Decimal(0))
    assert run.core.portfolio.account.position("BTCUSDT").quantity == bought
    verdict, notes = verify_run(folder)
    assert verdict.identical
    assert verdict.decisions > 0
    assert [stretch.first_seq for stretch in verdict.stretches] == [again.seq]
    assert any(
        note.startswith(f"the events up to seq {again.seq - 1:,} were not executed again: the market data from 2024-")
        for note in notes
    )
    assert verdict.events == verdict.last_seq - again.seq + 1 == run.kernel.seq - again.seq + 1
    assert f"identical from seq {again.seq:,} on: " in cli("verify", folder.name, "--data", folder.parent).stdout
    archive_market(folder, older_than=None, now=NOW, to=None)
    with pytest.raises(RunError, match="was dropped; its tape agrees with its digest"):
        verify_run(folder)


def test_an_archive_out_of_reach_is_named(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = made(tmp_path / "data")
    meant_to_differ.add(folder)
    archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")
    (tmp_path / "archive").rename(tmp_path / "elsewhere")
    segments_gone = len(read_gone(folder / FOLDER))
    where = tmp_path / "archive" / folder.name

    with pytest.raises(
        RunError, match=f"{segments_gone} segments, .* was archived in {where}; move it back there"
    ) as found:
        resume_run(folder, clock=VirtualWall(START + 60 * SECOND))
    with pytest.raises(RunError, match=f"{segments_gone} segments, .* was archived in {where}"):
        verify_run(folder)

    assert found.value.exit_code == 2
    assert segments_gone > 1
    assert len(list(open_record(folder))) > 10
    (tmp_path / "elsewhere").rename(tmp_path / "archive")
    assert verify_run(folder)[0].identical


def test_nothing_young_is_archived(tmp_path: Path) -> None:
    folder = made(tmp_path)

    assert archive_market(folder, older_than=1_000 * SECOND, now=NOW, to=tmp_path / "a") == []
    assert not (folder / FOLDER / GONE).exists()


def test_a_run_that_works_is_archived_behind_it(tmp_path: Path) -> None:
    run = start_live_run(config(20, exchange="plain"), tmp_path / "data", clock=VirtualWall(START))
    taken: list[int] = []

    def archive() -> None:
        run.tape.wait_durable(run.tape.last_seq)
        taken.append(len(archive_market(run.folder, older_than=None, now=NOW, to=tmp_path / "archive")))

    async def work() -> None:
        loop = asyncio.get_running_loop()
        for second in (5, 10, 15):
            loop.call_later(second, archive)
        await run.drive(None)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(work())
    run.close()

    assert all(taken)
    assert len(read_gone(run.folder / FOLDER)) == sum(taken)
    verdict, _ = verify_run(run.folder)
    assert verdict.identical
    assert verdict.complete


@pytest.mark.parametrize("steps", range(4))
def test_an_archiving_that_was_interrupted_is_finished_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    folder = made(tmp_path / "data")
    before = list(open_record(folder))
    calls = iter(range(100))
    unlink = Path.unlink

    def interrupted(path: Path, missing_ok: bool = False) -> None:
        if next(calls) == steps:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(frame_archive.Path, "unlink", interrupted)
        with pytest.raises(KeyboardInterrupt):
            archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")
    between = list(open_record(folder))
    archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")

    assert between == before == list(open_record(folder))
    assert len(segments(folder / FOLDER)) <= 2


def test_a_file_in_the_way_is_kept(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    first = segments(folder / FOLDER)[0].name
    (tmp_path / "archive" / folder.name).mkdir(parents=True)
    (tmp_path / "archive" / folder.name / first).write_text("precious")

    with pytest.raises(RunError, match="is in the way, because it is a different file"):
        archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")

    assert (folder / FOLDER / first).exists()
    assert (tmp_path / "archive" / folder.name / first).read_text() == "precious"


def test_a_backup_of_an_archived_run_knows_its_archive(tmp_path: Path) -> None:
    folder = made(tmp_path / "data")
    archive_market(folder, older_than=None, now=NOW, to=tmp_path / "archive")

    backup_run(folder, tmp_path / "copy")

    assert list(open_record(tmp_path / "copy")) == list(open_record(folder))


def test_one_of_two_is_asked_for(complete: Path) -> None:
    assert "give either --to DIR or --drop" in cli("runs", "archive", complete).stderr
    assert "give either --to DIR or --drop" in cli("runs", "archive", complete, "--to", "x", "--drop").stderr
