"""Gate: a run that is killed at any instant, any number of times, and resumed ends like an uninterrupted run.

Real processes (``gate_driver.py``) are really killed: by SIGKILL from outside at random instants, and by themselves at
exact points. At each kill, everything acknowledged as durable is on the tape, the tape is a prefix of that of the
uninterrupted run, and it is proven.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from gate_processes import Driven, LeftAlone, check_beginning, check_end, left_alone
from gate_runs import (
    CAPTURES,
    SIMULATED,
    config,
    tape_of,
)
from many_examples import SEEDS

from tickdeck.bootstrap import resume_run
from tickdeck.errors import RunError
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import find_run
from tickdeck.infrastructure.runs.folder import MANIFEST, list_runs
from tickdeck.infrastructure.tape.opening import open_reader


def recorded(shared: Path, seconds: int = 20) -> RunConfig:
    tapes = (shared / "market-data" / CAPTURES[0],)
    return config("Busy", "ema-cross", tapes=tapes, seconds=seconds, state_every=2_000)


def kill_again_and_again(data: Path, alone: LeftAlone, rng: random.Random, kills: int) -> list[int]:
    """A run that is killed and resumed this many times, and then runs to its end. Returns the tape's last seq at each
    kill.

    Most kills come when the process reports that it and its tape have come further than the last one, some while it
    still repeats its past, and some after a random time, perhaps before it has begun. A run that ended before its kill
    is checked, and another one is started.
    """
    end = alone.rows["events"][-1][0]
    found: list[int] = []
    place, on_tape = ("run", data), 0
    for _ in range(4 * kills):
        if len(found) == kills:
            break
        with Driven(*place, config=alone.settings) as driven:
            chance = rng.random()
            if chance < 0.7:
                killed = driven.kill_at(on_tape + rng.randrange(1, end // kills), durable=on_tape + 1)
            elif chance < 0.85:
                killed = driven.kill_at(rng.randrange(on_tape + 1))
            else:
                killed = driven.kill_in(rng.uniform(0.1, 0.3))
            if killed:
                on_tape = max(check_beginning(driven, alone), on_tape)
                found.append(on_tape)
                place = ("resume", driven.folder) if driven.said("RUN") else place
            else:
                check_end(driven, alone)
                place, on_tape = ("run", data), 0
    assert len(found) == kills, f"the runs were too fast for their killer: {found}"
    with Driven(*place, config=alone.settings) as driven:
        check_end(driven, alone)
    return found


# -- killed at random instants ------------------------------------------------------------------------------------


def test_a_run_killed_at_random_instants_ends_as_if_uninterrupted(tmp_path: Path, alone: LeftAlone) -> None:
    found = kill_again_and_again(tmp_path, alone, random.Random(11), 4)
    assert len(set(found)) >= 2, f"it got no further between the kills: {found}"


def test_a_run_on_a_capture_killed_at_random_instants_ends_as_if_uninterrupted(shared: Path, tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, left_alone(recorded(shared), tmp_path), random.Random(11), 3)
    assert len(set(found)) >= 2, f"it got no further between the kills: {found}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(min(6, SEEDS)))
@pytest.mark.parametrize("market", ["simulated", "recorded"])
def test_a_run_killed_ten_times_ends_as_if_uninterrupted(
    request: pytest.FixtureRequest, tmp_path: Path, market: str, seed: int
) -> None:
    wanted = SIMULATED if market == "simulated" else recorded(request.getfixturevalue("shared"))
    found = kill_again_and_again(tmp_path, left_alone(wanted, tmp_path), random.Random(seed), 10)
    assert len(set(found)) >= 3, f"it got no further between the kills: {found}"


# -- killed at exact points ----------------------------------------------------------------------------------------


def die(data: Path, folder: Path | None, alone: LeftAlone, point: str) -> Driven:
    """A process that starts a run, or resumes it, and dies at a point."""
    start = ("resume", folder) if folder is not None else ("run", data)
    with Driven(*start, config=alone.settings, die=point) as driven:
        assert driven.end() == -9, f"{point} was not reached: {driven.errors}"
        return driven


def test_a_kill_before_the_manifest_is_in_place_leaves_no_run(tmp_path: Path, alone: LeftAlone) -> None:
    data = tmp_path / "data"

    die(data, None, alone, "part")

    (leftover,) = data.iterdir()
    assert leftover.name.startswith(".")
    assert [path.name for path in leftover.glob("*/*")] == [f"{MANIFEST}.part"]
    assert list_runs(data) == []
    for name in ("last", leftover.name, str(leftover)):
        with pytest.raises(RunError, match=r"there (is no run|are no runs)"):
            find_run(data, name)
    with pytest.raises(RunError, match="is not a run"):
        resume_run(next(leftover.glob("*/")))


def test_a_run_killed_at_every_kind_of_point_ends_as_if_uninterrupted(tmp_path: Path, alone: LeftAlone) -> None:
    data = tmp_path / "data"

    die(data, None, alone, "manifest")
    (folder,) = list_runs(data)
    with open_reader(tape_of(folder)) as tape:
        assert tape.last_seq == 0

    sizes = []
    for point in (
        "begin",  # the version is about to be checked
        "commit",
        "append:1",
        "insert:2",
        "commit:3",  # the first one checks the version
        "committed:4",
        "append:700",
        "checkpoint",
        "checkpointed",
    ):
        driven = die(data, folder, alone, point)
        if not driven.said("RUN"):
            driven.lines.append(f"RUN {folder}")
        sizes.append(check_beginning(driven, alone))

    assert sizes == sorted(sizes)
    assert sizes[0] == sizes[1] == 0
    assert sizes[-1] == len(alone.rows["events"])
    with Driven("resume", folder) as driven:
        check_end(driven, alone)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["append:{}", "commit:{}", "committed:{}", "insert:{}"])
@pytest.mark.parametrize("market", ["simulated", "recorded"])
def test_a_run_killed_repeatedly_at_one_kind_of_point_ends_as_if_uninterrupted(
    request: pytest.FixtureRequest, tmp_path: Path, market: str, point: str
) -> None:
    wanted = SIMULATED if market == "simulated" else recorded(request.getfixturevalue("shared"))
    alone = left_alone(wanted, tmp_path)
    data = tmp_path / "data"
    rng = random.Random(point)
    driven = die(data, None, alone, point.format(rng.randrange(2, 5)))
    for _ in range(7):
        check_beginning(driven, alone)
        driven = die(data, driven.folder, alone, point.format(rng.randrange(2, 5)))
    with Driven("resume", driven.folder) as last:
        check_end(last, alone)
