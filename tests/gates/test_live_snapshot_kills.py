"""Gate: a run with real orders is killed again and again, also while it writes a snapshot, is resumed from a snapshot
each time, and ends as the exchange says to the last digit."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import test_live_accounts
import test_live_orders
from gate_processes import environment_of
from test_live_accounts import keys, venue
from test_live_orders import finish, key, short_lag, venue_process

from tickdeck.bootstrap import open_record
from tickdeck.domain.events import RunResumed

assert key, keys  # fixtures
assert short_lag, (venue, venue_process)

TRADER = """
import asyncio, os, signal, sys
from pathlib import Path
import {tests} as t
from test_live_orders import shorten_lag
from msgspec.structs import replace
from tickdeck.bootstrap import resume_run, start_live_run
from tickdeck.infrastructure.runs import snapshot_files

url, data, dies_at = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
shorten_lag(setattr)
whole, written = snapshot_files.replace_file, 0

def torn(path, content, **options):
    global written
    written += 1
    if written == dies_at:
        path.with_name("half").write_bytes(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    whole(path, content, **options)

snapshot_files.replace_file = torn
folders = sorted(data.iterdir())
run = resume_run(folders[0]) if folders else start_live_run(replace(t.config(url, 600), state_every=10), data)
print(run.restored_from or 0, flush=True)

def progress(ts):
    if run.caught_up():
        print(len(list(run.folder.glob("states/*.json"))), flush=True)

asyncio.run(run.drive(None, progress=progress))
"""


def killed(tests: str, url: str, data: Path, *, turns: int, dies_at: int) -> int:
    """One life of the run: at least ``turns`` of its event loop after it has a snapshot, or until it kills itself while
    it writes snapshot number ``dies_at``. Returns the ``seq`` of the snapshot from which it continued."""
    here = Path(__file__).resolve().parent
    paths = [str(here), str(here.parent / "kit"), str(here.parents[1] / "src")]
    with subprocess.Popen(
        [sys.executable, "-c", TRADER.format(tests=tests), url, str(data), str(dies_at)],
        env=environment_of(PYTHONPATH=":".join(paths)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        restored_from = process.stdout.readline()
        while turns and (line := process.stdout.readline()):
            turns -= line != "0\n"
        process.kill()
        assert process.wait() == -9, process.stderr.read()
        assert "is not used" not in process.stderr.read()
    return int(restored_from)


def kill_again_and_again(tests: str, url: str, data: Path, seed: int) -> Path:
    """Returns the folder of a run that was killed twenty times."""
    rng = random.Random(seed)
    restored = []
    for _ in range(20):
        at_random = rng.random() < 0.7
        turns = rng.randrange(1, 60) if at_random else 100_000
        restored.append(killed(tests, url, data, turns=turns, dies_at=0 if at_random else rng.randrange(2, 8)))
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
    folder = kill_again_and_again("test_live_orders", venue_process, tmp_path, 5)

    run = finish(folder)

    assert run.restored_from is not None
    test_live_orders.check(run, venue_process)
    assert sum(isinstance(event, RunResumed) for event in open_record(folder)) == 20


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["seed=3 drop_ack=0.05 late_fill=0.2:500ms"], indirect=True)
def test_three_accounts_that_copy_survive_the_same(tmp_path: Path, venue: str) -> None:
    folder = kill_again_and_again("test_live_accounts", venue, tmp_path, 6)

    run = test_live_accounts.finish(folder)

    assert run.restored_from is not None
    trades = test_live_accounts.check(run, venue)
    assert len({event.trade_id for event in trades if event.account_id == "bob"}) > 3
    assert all(copy.status.is_final for engine in run.core.copies for copy in engine.ledger.copies.values())
