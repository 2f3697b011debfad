"""Gate: the state of a run with real orders is the same at every commit, whether the run lived, was executed again from
its beginning or from a snapshot, or was folded from its record."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from many_examples import SEEDS
from test_changed_code import Recorded, check_equal
from test_live_orders import ALL, DAY, STRATEGIES, config, key, short_lag

from tickdeck.application.kernel import Kernel
from tickdeck.bootstrap import LiveRun, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.runs import CoreState, CoreStates

assert short_lag, key  # fixtures of every test here

States = dict[int, bytes]


class Commits:
    """Notes the state of a run's core after each of its inputs, by ``seq``."""

    def __init__(self) -> None:
        self._run: LiveRun | None = None
        self._states: States = {}

    def note(self, kernel: Kernel) -> None:
        if self._run is not None and kernel is self._run.kernel and kernel.is_at_rest:
            self._states[kernel.seq] = state_of(self._run)

    @contextmanager
    def of(self, run: LiveRun) -> Iterator[States]:
        self._run, self._states = run, {}
        try:
            yield self._states
        finally:
            self._run = None


def state_of(run: LiveRun) -> bytes:
    """All that the next event may depend on, as a snapshot has it. The driver is left out: it counts a market event
    after its cascade. So is how often this process sent something."""
    assert run._state is not None
    state = run._state.write()
    del state["contents"]["driver"]
    state["subscriptions"] = [entry for entry in state["subscriptions"] if entry[2] != "VenueGateway._take_durable"]
    return msgspec.json.encode(state)


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    """Snapshots are taken as often as possible, and all are kept."""
    commits, take = Commits(), Kernel.take

    def noted(kernel: Kernel, event: Any, record: bool = True) -> None:
        take(kernel, event, record)
        commits.note(kernel)

    monkeypatch.setattr(Kernel, "take", noted)
    monkeypatch.setattr("tickdeck.bootstrap.core_snapshots._SHARE", 0)
    monkeypatch.setattr("tickdeck.infrastructure.runs.core_states._KEPT", 1_000_000)
    return commits


def snapshots_in(folder: Path) -> list[Path]:
    return sorted((folder / "states").glob("*.json"), key=lambda path: int(path.stem))


def copy_of(folder: Path, place: Path, snapshot: Path | None) -> Path:
    """A copy of a run's folder with no other snapshot than this."""
    copy = place / folder.name
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("states", "*.lock"))
    if snapshot is not None:
        (copy / "states").mkdir()
        shutil.copy(snapshot, copy / "states")
    return copy


def executed(folder: Path, commits: Commits) -> tuple[LiveRun, States]:
    """Execute what the record has behind the newest snapshot, without a connection to the exchange."""
    run = resume_run(folder)
    assert isinstance(run, LiveRun)
    if run.restored_from is not None:
        assert run._state is not None
        kept = dict(CoreStates(folder).newest_first())[run.restored_from]
        assert isinstance(kept, CoreState)
        assert run._state.write() == {name: part for name, part in kept.state.items() if name != "place"}
    with commits.of(run) as states:
        asyncio.run(run.driver.begin())
    run.abandon()
    run.tape.close()
    return run, states


def first_difference(one: States, other: States) -> str:
    """Where the states of two runs first differ; empty if they do not."""
    for seq, text in one.items():
        if other.get(seq) != text:
            a, b = (_parts(each.get(seq, b"{}")) for each in (one, other))
            found = [f"{name}: {a.get(name)} and {b.get(name)}" for name in a | b if a.get(name) != b.get(name)]
            return f"at seq {seq}: {found}"
    return ""


def _parts(state: bytes) -> dict[str, Any]:
    parts = msgspec.json.decode(state)
    return parts | parts.pop("contents", {})


@pytest.mark.long
@pytest.mark.parametrize(
    "seed", [3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 3 + SEEDS // 8))]
)
def test_living_executing_restoring_and_folding_give_one_state_at_every_commit(
    tmp_path: Path, commits: Commits, seed: int
) -> None:
    async def work() -> tuple[LiveRun, States]:
        async with open_venue(("BTCUSDT",), seed=seed, faults=f"seed={seed} {ALL}", speed=2) as venue:
            strategies = tuple(StrategyConfig(spec=f"{STRATEGIES}:{name}") for name in ("Busy", "Rests", "Careful"))
            run = start_live_run(config(venue.url, DAY, strategies=strategies, state_every=1), tmp_path / "data")

            def stop_when_it_has_traded(_: int) -> None:
                if run.kernel.inputs > 250 and run.core.execution.submitted > 5:
                    run.driver.request_stop()

            with commits.of(run) as states:
                try:
                    await run.drive(None, progress=stop_when_it_has_traded)
                finally:
                    run.close()
            return run, states

    run, lived = asyncio.run(work())
    assert verify_run(run.folder)[0].identical
    snapshots = snapshots_in(run.folder)
    assert len(snapshots) > 20

    again, states = executed(copy_of(run.folder, tmp_path / "executed", None), commits)
    assert again.restored_from is None
    assert first_difference(lived, states) == ""

    for number, snapshot in enumerate(snapshots[:: len(snapshots) // 8]):
        again, states = executed(copy_of(run.folder, tmp_path / str(number), snapshot), commits)
        assert again.restored_from == int(snapshot.stem)
        behind = {seq: state for seq, state in lived.items() if seq > again.restored_from}
        assert first_difference(behind, states) == ""

    recorded = Recorded(run)
    for cut in range(1, len(recorded.begins), max(len(recorded.begins) // 20, 1)):
        check_equal(recorded, cut)
