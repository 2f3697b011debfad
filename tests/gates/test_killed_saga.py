"""The saga of docs/commands.md, killed before and after each of its steps, ends in the next process like one that was
left alone."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tickdeck import TapeQuery, open_store

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"

KILLING = """
import builtins, os, signal, sys
from tickdeck.application.commands import UnitOfWork
from tickdeck.bootstrap import RecordedBus

left = int(sys.argv[1])


def step():
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1


def around(call):
    def stepping(*given, **named):
        step()
        result = call(*given, **named)
        step()
        return result

    return stepping


async def commit(work, commit=UnitOfWork.commit):
    step()
    await commit(work)
    step()


UnitOfWork.commit = commit
RecordedBus.set_timer = around(RecordedBus.set_timer)
builtins.print = around(print)
"""


@pytest.mark.parametrize("step", range(8))
def test_a_saga_that_is_killed_at_any_step_goes_on(tmp_path: Path, step: int) -> None:
    (block,) = re.findall(r"```python\n((?:(?!```).)*wait_for_payment.*?)```", PAGE.read_text(), re.DOTALL)
    tape = tmp_path / "trips.db"
    (tmp_path / "saga.py").write_text(KILLING + block.replace('"memory://"', repr(str(tape))))

    def run(kill_at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "saga.py", str(kill_at)],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    killed, resumed = run(step), run(-1)

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (resumed.returncode, resumed.stdout) == (0, "t1 not paid in time\n"), resumed.stderr
    with open_store(tape, read_only=True) as store:
        assert store.stream_version("trip/t1") == 2  # booked and cancelled, once each
        assert len(list(store.read(TapeQuery(types=("trip.booked", "trip.cancelled"))))) == 2
