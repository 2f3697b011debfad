"""A run on live data: each frame is on disk before its effects, and the run is proven like a backtest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from gate_processes import kill_live
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.application.ports import Frame
from tickdeck.bootstrap import LiveRun, open_record, start_live_run, verify_run
from tickdeck.bootstrap.feeds import FEEDS
from tickdeck.domain.events import DomainEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError, RunError
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.frames import FOLDER, FrameReader, FrameWriter
from tickdeck.infrastructure.runs import overview

START = 1_723_161_600_000_000_000
STRATEGIES = Path(__file__).resolve().parent / "gate_strategies.py"


class ToyFeed:
    """A venue whose frames are prices, one every 10 ms, up and down. It ends for good after ``breaks_after``."""

    name = "toy"

    def __init__(self, breaks_after: int | None = None) -> None:
        self._breaks_after = breaks_after
        self._trade_id = 0

    async def run(self, put: Callable[[Frame], Awaitable[object]]) -> None:
        loop = asyncio.get_running_loop()
        n = 0
        while n != self._breaks_after:
            n += 1
            await asyncio.sleep(0.01)
            now = START + loop.now_ns if isinstance(loop, VirtualLoop) else time.time_ns()
            await put(Frame(now, b"%d" % (60_000 + (n * 7919) % 997)))
        raise RunError("toy: the venue is gone for good")

    def continue_after(self, trades: Mapping[str, int]) -> None:
        self._trade_id = trades.get("BTCUSDT", 0)

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        self._trade_id += 1
        yield TradeEvent(
            symbol="BTCUSDT",
            price=Decimal(frame.data.decode()),
            quantity=Decimal(1),
            side=Side.BUY if self._trade_id % 2 else Side.SELL,
            trade_id=self._trade_id,
            ts=frame.received,
            ts_ingress=frame.received,
            source="toy",
        )


FEEDS["toy"] = lambda config, symbols, clock: ToyFeed()
FEEDS["broken"] = lambda config, symbols, clock: ToyFeed(breaks_after=300)


def config(seconds: int = 20, **settings: object) -> RunConfig:
    return RunConfig(
        strategies=(StrategyConfig(spec=f"{STRATEGIES}:Busy"),),
        duration=Decimal(seconds),
        **{"exchange": "toy", "state_every": 100, **settings},  # type: ignore[arg-type]
    )


def play(wanted: RunConfig, data: Path) -> LiveRun:
    run = start_live_run(wanted, data, clock=VirtualWall(START))
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(run.drive(None))
        finally:
            run.close()
    return run


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_live_run_is_proven_as_a_backtest_is(tmp_path: Path, form: str) -> None:
    run = play(config(tape_format=form), tmp_path)
    verdict, changes = verify_run(run.folder)

    assert run.driver.market_events > 1_900
    assert verdict.orders > 10
    assert verdict.identical
    assert verdict.complete
    assert not changes


def test_the_record_of_a_live_run_has_its_market_data_in_their_places(tmp_path: Path) -> None:
    run = play(config(2), tmp_path)
    events = list(open_record(run.folder))

    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert sum(isinstance(event, TradeEvent) for event in events) >= 190
    assert [event.ts_ingress for event in events] == sorted(event.ts_ingress for event in events)


def test_a_frame_that_was_changed_afterwards_is_found(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    run = play(config(5), tmp_path)
    meant_to_differ.add(run.folder)

    folder = run.folder / FOLDER
    frames = list(FrameReader(folder))
    for path in folder.iterdir():
        path.unlink()
    writer = FrameWriter(folder)
    for number, frame in enumerate(frames):
        writer.write(frame if number != 100 else frame._replace(data=b"1"))
    writer.close()

    verdict, _ = verify_run(run.folder)

    assert not verdict.identical
    assert verdict.faults == ("the frames are not those with which the run ended",)


def test_missing_frames_are_reported_in_one_line(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    run = play(config(5), tmp_path)
    meant_to_differ.add(run.folder)
    for path in (run.folder / FOLDER).iterdir():
        path.unlink()

    with pytest.raises(RunError, match="there is no event with seq"):
        verify_run(run.folder)


def test_two_live_runs_of_one_configuration_have_different_ids(tmp_path: Path) -> None:
    one, other = play(config(1), tmp_path), play(config(1), tmp_path)

    assert one.manifest.nonce != other.manifest.nonce


def test_a_feed_that_ends_for_good_ends_the_run_and_the_record_remains(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="gone for good"):
        play(config(exchange="broken"), tmp_path)
    (folder,) = tmp_path.iterdir()
    verdict, _ = verify_run(folder)

    assert verdict.identical
    assert not verdict.complete


def test_an_unknown_exchange_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="exchange is 'nowhere'; give one of paper"):
        start_live_run(RunConfig(exchange="nowhere"), tmp_path)

    assert not list(tmp_path.iterdir())


def test_a_killed_live_run_has_every_frame_that_had_effects(tmp_path: Path) -> None:
    kill_live(tmp_path, config, 86_400, when=lambda told: told.taken > 900)

    (folder,) = tmp_path.iterdir()
    verdict, _ = verify_run(folder)

    assert verdict.identical
    assert not verdict.complete
    assert verdict.orders


def test_a_stopped_live_run_is_executed_to_its_last_frame(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    run = start_live_run(config(), tmp_path, clock=VirtualWall(START))
    kernel = run.kernel

    def stop_after_market_data(ts: int) -> None:
        if kernel.seq > run.tape.last_seq + 2 > 300:
            run.driver.request_stop()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(run.drive(None, progress=stop_after_market_data))
        finally:
            run.close()
    verdict, _ = verify_run(run.folder)
    listed = overview(run.folder)

    assert verdict.identical
    assert run.tape.last_seq < kernel.seq
    assert (verdict.events, verdict.inputs, verdict.last_seq) == (kernel.seq, kernel.inputs, kernel.seq)
    assert (listed.events, listed.inputs) == (kernel.seq, kernel.inputs)

    meant_to_differ.add(run.folder)
    frames = list(FrameReader(run.folder / FOLDER))
    for path in (run.folder / FOLDER).iterdir():
        path.unlink()
    writer = FrameWriter(run.folder / FOLDER)
    for frame in frames[:-1]:
        writer.write(frame)
    writer.close()
    assert "the frames are not those with which the run ended" in verify_run(run.folder)[0].faults
