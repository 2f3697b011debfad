"""`make demo`: an exchange on localhost, and a run against it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parents[2] / "tools" / "demo.py"


def test_the_demo_trades_on_the_venue_and_one_ctrl_c_ends_both(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "--plain", "--data", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        started = [demo.stdout.readline() for _ in range(2)]
        url = started[0].split()[5].rstrip(",")
        while not state(url)["requests"]:
            time.sleep(0.1)  # until the run has spoken to the venue
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does it
        rest, told = demo.communicate(timeout=60)

    assert "interrupted: stopped by Ctrl-C" in rest, told
    assert rest.rstrip().endswith("It is stopped.")
    with pytest.raises(OSError, match="refused"):
        state(url)


def state(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/admin/state", timeout=10) as answer:
        return json.load(answer)
