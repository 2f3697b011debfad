"""Every example runs and prints what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
SHOWN = {
    "answer_an_event.py": r"ada earned [\d.]+ USDT with \d+ orders\ntrading was halted: rebates of [\d.]+\n"
    r"the proof of the run: identical",
    "bracket_order.py": r"\d+  Ladder: done: [^\n]+(\n +\d+  Ladder: [^\n]+)+\n +1  operator: [^\n]+\n"
    r"the proof of the run: identical",
    "copy_trade.py": r"(?s)(Carl|Ada |Bob ) .*Ada   buy 0.01000000 BTCUSDT at .*Carl  did not copy: .*",
    "sample_run.py": r"recorded .+",
    "replay_to_bus.py": r"played \d+ events and left [1-9]\d* out\ntrades between [\d.]+ and [\d.]+"
    r"(\n +\d+ [a-z._]+){3}",
    "replay_and_seek.py": r"(?s)ten times as fast\npaused.*at full speed\n\d+ events played, [1-9]\d* of them .*",
    "replay_accuracy.py": r"(event loop: \w+(\n  (  1|100)x +\d+ events  ms late: .*){2}\n?){2}",
}
"""A pattern for an example's stdout. An example that is not listed must print something."""
ARGUMENTS = {"sample_run.py": ["data"]}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_example_runs_and_prints_its_documented_output(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example), *ARGUMENTS.get(example.name, [])],
        cwd=tmp_path,
        env=os.environ | {"PYTHONWARNINGS": "error", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert done.returncode == 0
    assert re.fullmatch(SHOWN.get(example.name, r"(?s).+"), done.stdout.strip())


def test_there_are_examples_of_replay() -> None:
    assert {"replay_to_bus.py", "replay_and_seek.py"} <= {path.name for path in EXAMPLES}
