"""A live run that archives or drops its old market data while it works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from test_archive import cli, short_segments
from test_live_orders import STRATEGIES, config, key
from virtual_time import VirtualWall
from virtual_time import run as in_virtual_time

from tickdeck.bootstrap import LiveRun, live_archive, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.live_archive import LiveArchive
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import OrderEvent, SystemWarning
from tickdeck.infrastructure.archive_policy import ArchiveConfig
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.frame_segments import read_gone
from tickdeck.infrastructure.frames import FOLDER

__all__ = ["key", "short_segments"]  # fixtures


def looked(
    folder: Path, policy: ArchiveConfig, answers: list[tuple[int, str]], *between: Callable[[], object]
) -> tuple[list[tuple[str, ...]], list[SystemWarning]]:
    """The commands and the warnings of an archive that looks once, and once more after each of ``between``."""
    asked: list[tuple[str, ...]] = []
    warned: list[SystemWarning] = []

    async def execute(arguments: tuple[str, ...]) -> tuple[int, str]:
        asked.append(arguments)
        return answers.pop(0)

    async def work() -> None:
        archive = LiveArchive(folder, policy, clock=VirtualWall(1), publish=warned.append, execute=execute)
        task = asyncio.ensure_future(archive.run())
        for change in (lambda: None, *between):
            change()
            await asyncio.sleep(live_archive._EVERY)
        task.cancel()

    in_virtual_time(work())
    return asked, warned


def test_old_market_data_goes_at_the_start_and_with_each_new_segment(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "000003.raw.gz").touch()
    policy = ArchiveConfig(market_data="keep 7 days", to="/archive")

    def begin_segment() -> None:
        (tmp_path / FOLDER / "000004.raw.gz").touch()

    asked, warned = looked(tmp_path, policy, [(0, "")] * 2, lambda: None, begin_segment, lambda: None)

    command = ("runs", "archive", str(tmp_path), "--older-than", "7d", "--to", "/archive")
    assert asked == [command, command]
    assert warned == []


def test_what_cannot_be_archived_is_a_warning_and_tried_again(tmp_path: Path) -> None:
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "000001.raw.gz").touch()

    def begin_segment() -> None:
        (tmp_path / FOLDER / "000002.raw.gz").touch()

    answers = [(1, "tickdeck: error: /archive: no space"), (0, "done")]
    asked, warned = looked(tmp_path, ArchiveConfig(market_data="drop"), answers, begin_segment)

    assert asked == [("runs", "archive", str(tmp_path), "--drop")] * 2
    assert [event.message for event in warned] == [
        "old market data could not be archived: tickdeck: error: /archive: no space"
    ]


@pytest.mark.long
@pytest.mark.parametrize("to", [None, "archive"])
def test_a_run_with_real_orders_goes_on_without_its_old_market_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str | None
) -> None:
    monkeypatch.setattr(live_archive, "_EVERY", 0.2)
    place = str(tmp_path / to) if to else None
    policy = ArchiveConfig(market_data="drop", to=place)
    strategies = (StrategyConfig(spec=f"{STRATEGIES}:Busy"),)

    async def driven(run: LiveRun, enough: Callable[[], bool]) -> None:
        def stop(_: int) -> None:
            if run.caught_up() and enough():
                run.driver.request_stop()

        try:
            async with asyncio.timeout(300):
                await run.drive(None, progress=stop)
        finally:
            run.close()

    async def work() -> tuple[LiveRun, int]:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, strategies=strategies, archive=policy), tmp_path / "data")
            gone = lambda: len(read_gone(run.folder / FOLDER))  # noqa: E731
            await driven(run, lambda: gone() > 3 and run.core.execution.submitted > 3)
            before = run.core.execution.submitted
            again = resume_run(run.folder)
            assert isinstance(again, LiveRun)
            await driven(again, lambda: again.core.execution.submitted > before)
            return again, before

    run, before = asyncio.run(work())

    events = list(open_record(run.folder))
    assert len({event.order_id for event in events if isinstance(event, OrderEvent)}) > before
    assert not [event for event in events if isinstance(event, SystemWarning) and event.component == "archive"]
    verdict, _ = verify_run(run.folder)
    assert verdict.identical
    check = cli("tape", "check", run.folder)
    assert check.exit_code == 0
    assert ("was dropped" in check.stderr + check.output) is (to is None)
