"""Gate: two runs of the same code, inputs and configuration write the same tape, to the last byte.

This holds for any hash seed, pace, folder and order of equal handlers. A strategy that depends on the order of a set
shows that these tests would see a difference.
"""

from __future__ import annotations

import asyncio
import functools
import random
import shutil
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from gate_processes import Driven
from gate_runs import CAPTURES, config, dump, finish, first_seq, play, play_until, rows, state

from tickdeck import bootstrap
from tickdeck.application.kernel import Kernel
from tickdeck.infrastructure.config import RunConfig

HASH_SEEDS = ("0", "1", "4242")
SIMULATED = config("Busy", "ema-cross", "Faulty", "rsi-reversion", symbols=("BTCUSDT", "ETHUSDT"))


class FastClock:
    """A wall clock that advances a little each time it is read, and by the whole time of a sleep."""

    def __init__(self) -> None:
        self.now = 0
        self.slept = 0.0

    def monotonic_ns(self) -> int:
        self.now += 10
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept += seconds
        self.now += int(seconds * 1e9)
        await asyncio.sleep(0)


def in_processes(wanted: RunConfig, data: Path, hash_seeds: tuple[str, ...] = HASH_SEEDS) -> list[Path]:
    """The folders of a run made by several processes at once, each with its own hash seed."""
    settings = msgspec.to_builtins(wanted)
    with ExitStack() as stack:
        drivers = [
            stack.enter_context(Driven("run", data / seed, hash_seed=seed, config=settings)) for seed in hash_seeds
        ]
        for driven in drivers:
            driven.answer()
        return [driven.folder for driven in drivers]


def events(folder: Path) -> list[bytes]:
    return [row[-1] for row in rows(folder)["events"]]


@pytest.mark.parametrize("market", ["simulated", "recorded"])
def test_runs_under_different_hash_seeds_write_the_same_bytes(
    request: pytest.FixtureRequest, tmp_path: Path, market: str
) -> None:
    wanted = SIMULATED
    if market == "recorded":
        captures = request.getfixturevalue("shared") / "market-data"
        wanted = config("Busy", "ema-cross", "Faulty", tapes=tuple(captures / name for name in CAPTURES), seconds=30)

    folders = in_processes(wanted, tmp_path)

    assert first_seq(folders[0], "order.filled")
    for one, other in pairwise(folders):
        assert rows(one) == rows(other)
        assert dump(one) == dump(other)


def test_a_strategy_that_depends_on_set_order_writes_different_bytes(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    one, other = in_processes(config("ReadsSetOrder", seconds=4), tmp_path, ("1", "2"))
    meant_to_differ.update((one, other))
    assert rows(one) != rows(other)
    assert dump(one) != dump(other)


@pytest.mark.parametrize("speed", [0.5, 1_000.0])
@pytest.mark.parametrize("market", ["simulated", "recorded"])
def test_a_paced_run_writes_the_tape_of_one_at_full_speed(
    request: pytest.FixtureRequest, tmp_path: Path, market: str, speed: float
) -> None:
    wanted = config("Busy", "ema-cross", seconds=6)
    if market == "recorded":
        capture = request.getfixturevalue("shared") / "market-data" / CAPTURES[0]
        wanted = config("Busy", "ema-cross", tapes=(capture,), seconds=6)
    clock = FastClock()

    paced = play(wanted, tmp_path / "paced", speed=speed, wall=clock)
    fast = play(wanted, tmp_path / "fast")

    assert clock.slept == pytest.approx(6 / speed, rel=0.2)
    assert rows(paced.folder) == rows(fast.folder)
    assert state(paced) == state(fast)
    assert first_seq(paced.folder, "order.submitted")


def test_a_run_that_was_stopped_while_it_was_paced_and_resumed_at_another_pace_writes_the_same_tape(
    tmp_path: Path,
) -> None:
    wanted = config("Busy", "ema-cross", seconds=6)
    run = bootstrap.start_run(wanted, tmp_path / "stopped", wall=FastClock())
    finish(run, speed=2.0, stop=lambda: run.kernel.inputs >= 321)
    assert not run.simulation.completed

    resumed = bootstrap.resume_run(run.folder, wall=FastClock())
    finish(resumed, speed=50.0)

    assert resumed.simulation.completed
    assert rows(run.folder) == rows(play(wanted, tmp_path / "whole").folder)


def test_an_interrupted_run_is_a_prefix_of_the_complete_one(tmp_path: Path) -> None:
    wanted = config("Busy", seconds=30)
    part = events(play_until(wanted, tmp_path / "part", 1_500))
    whole = events(play(wanted, tmp_path / "whole").folder)
    assert 1_500 <= len(part) < len(whole)
    assert whole[: len(part)] == part


def test_another_seed_is_another_market_and_another_tape(tmp_path: Path) -> None:
    one, other = (play(config("ema-cross", seconds=4, seed=seed), tmp_path).folder for seed in (1, 2))
    prices = [[event for event in events(folder) if b'"price"' in event] for folder in (one, other)]
    assert prices[0]
    assert not set(prices[0]) & set(prices[1])


def test_an_input_file_in_another_folder_gives_the_same_tape(shared: Path, tmp_path: Path) -> None:
    capture = shared / "market-data" / CAPTURES[0]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copied = Path(shutil.copy(capture, elsewhere))
    one, other = (play(config("Busy", tapes=(path,), seconds=5), tmp_path) for path in (capture, copied))
    assert rows(one.folder) == rows(other.folder)


@pytest.mark.parametrize("shuffle_seed", range(2))
@pytest.mark.parametrize("strategy", ["ema-cross", "Restless"])
def test_the_order_of_equal_handlers_does_not_matter_with_one_strategy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, shuffle_seed: int
) -> None:
    """Priorities determine the order of the engines. Two strategies that act on the same event do so in the order in
    which they were named, which is their choice; so this is promised for a single strategy.
    """
    wanted = config(strategy, symbols=("BTCUSDT", "ETHUSDT"), seconds=12)
    straight = rows(play(wanted, tmp_path / "straight").folder)
    shuffled = functools.partial(Kernel, shuffle=random.Random(shuffle_seed).shuffle)

    monkeypatch.setattr(bootstrap.run, "Kernel", shuffled)
    found = rows(play(wanted, tmp_path / "shuffled").folder)

    assert found == straight


def test_shuffling_shows_where_two_strategies_act_on_one_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meant_to_differ: set[Path]
) -> None:
    """Otherwise the test above would prove nothing."""
    tapes = []
    for seed in range(8):
        monkeypatch.setattr(bootstrap.run, "Kernel", functools.partial(Kernel, shuffle=random.Random(seed).shuffle))
        folder = play(config("Busy", "Restless", "Restless", seconds=4), tmp_path).folder
        meant_to_differ.add(folder)
        tapes.append(events(folder))
    assert any(one != other for one, other in pairwise(tapes))
