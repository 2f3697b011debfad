"""Gate: a run with real orders is killed again and again, also while it writes a snapshot, is resumed from a snapshot
each time, and ends as the exchange says to the last digit."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import test_live_accounts
import test_live_orders
from gate_processes import kill_live
from msgspec.structs import replace
from test_live_accounts import keys, venue
from test_live_orders import finish, key, short_lag, shorten_lag

from tickdeck.bootstrap import open_record
from tickdeck.domain.events import RunResumed
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import snapshot_files

__all__ = ["key", "keys", "short_lag", "venue"]  # fixtures


def dying(tests: str, url: str, dies_at: str) -> RunConfig:
    """The run of a gate, which kills itself while it writes snapshot number ``dies_at`` of its process."""
    whole, written = snapshot_files.replace_file, 0

    def torn(path: Path, content: bytes, **options: Any) -> None:
        nonlocal written
        written += 1
        if written == int(dies_at):
            path.with_name("half").write_bytes(content[: len(content) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        whole(path, content, **options)

    snapshot_files.replace_file = torn
    shorten_lag(setattr)
    module = test_live_accounts if tests == "accounts" else test_live_orders
    return replace(module.config(url, test_live_orders.DAY), state_every=10)


def kill_again_and_again(tests: str, url: str, data: Path, seed: int) -> Path:
    """Returns the folder of a run that was killed twenty times."""
    rng = random.Random(seed)
    restored = []
    for _ in range(20):
        at_random = rng.random() < 0.7
        turns = rng.randrange(1, 60) if at_random else 1
        dies_at = 0 if at_random else rng.randrange(2, 8)
        has_one = {"when": lambda told: told.snapshots, "by_itself": not at_random}
        restored.append(kill_live(data, dying, tests, url, dies_at, turns=turns, **has_one))
    assert restored[0] == 0
    assert 0 not in restored[1:]
    assert restored == sorted(restored)
    assert len(set(restored)) > 10
    (folder,) = data.iterdir()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("venue_process", ["", "seed=3 drop_ack=0.1 late_fill=0.2:1s"], indirect=True)
def test_killed_twenty_times_and_resumed_from_snapshots_it_ends_as_the_exchange_says(
    tmp_path: Path, venue_process: str
) -> None:
    folder = kill_again_and_again("orders", venue_process, tmp_path, 5)

    run = finish(folder)

    assert run.restored_from is not None
    test_live_orders.check(run, venue_process)
    test_live_orders.check_requests(run, venue_process)
    assert sum(isinstance(event, RunResumed) for event in open_record(folder)) == 20


@pytest.mark.slow
@pytest.mark.parametrize("venue_process", ["seed=3 drop_ack=0.05 late_fill=0.2:500ms"], indirect=True)
def test_three_accounts_that_copy_survive_the_same(tmp_path: Path, venue: str) -> None:
    folder = kill_again_and_again("accounts", venue, tmp_path, 6)

    run = finish(folder)

    assert run.restored_from is not None
    trades = test_live_accounts.check(run, venue)
    assert len({event.trade_id for event in trades if event.account_id == "bob"}) > 3
    assert all(copy.status.is_final for engine in run.core.copies for copy in engine.ledger.copies.values())
