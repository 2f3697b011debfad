"""Runs with stops and targets: proven, the same at any speed, and the same after any number of kills."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from gate_processes import left_alone
from gate_runs import CAPTURES, config, play
from test_kill_and_resume import kill_again_and_again

from tickdeck.bootstrap import open_record, verify_run
from tickdeck.domain.events import ProtectionDecidedEvent, ProtectionEndedEvent
from tickdeck.infrastructure.config import RunConfig

SIMULATED = config("Careful", symbols=("BTCUSDT", "ETHUSDT"), seconds=12)


def recorded(shared: Path) -> RunConfig:
    return config("Careful", tapes=(shared / "market-data" / CAPTURES[0],), seconds=60)


def test_a_protected_run_is_proven_and_has_every_kind_of_decision(tmp_path: Path) -> None:
    run = play(SIMULATED, tmp_path)
    verdict, changes = verify_run(run.folder)

    assert verdict.identical, verdict.divergence
    assert changes == []
    decided = {e.reason for e in open_record(run.folder) if isinstance(e, ProtectionDecidedEvent)}
    assert decided >= {"protect", "move", "yield", "stop", "target"}
    assert sum(isinstance(e, ProtectionEndedEvent) for e in open_record(run.folder)) > 20


def test_a_protected_run_on_a_capture_is_the_same_at_any_speed(shared: Path, tmp_path: Path) -> None:
    fast, slow = play(recorded(shared), tmp_path / "fast"), play(recorded(shared), tmp_path / "slow", speed=100)

    assert [e.to_json() for e in open_record(fast.folder)] == [e.to_json() for e in open_record(slow.folder)]
    assert verify_run(fast.folder)[0].identical


@pytest.mark.slow
def test_a_protected_run_killed_at_random_instants_ends_as_if_uninterrupted(tmp_path: Path) -> None:
    found = kill_again_and_again(tmp_path, left_alone(SIMULATED, tmp_path), random.Random(5), 4)

    assert len(set(found)) >= 2, f"it got no further between the kills: {found}"
