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


@pytest.mark.parametrize("recorded", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_demo_trades_on_the_venue_and_one_ctrl_c_ends_both(tmp_path: Path, recorded: bool) -> None:
    tape = tmp_path / "market.raw"
    tape.write_text("".join(f"{1_790_000_000_000_000_000 + n * 10**8} {message(n)}\n" for n in range(600)))
    command = [sys.executable, str(DEMO), "--plain", "--data", str(tmp_path)]
    command += ["--tape", str(tape)] if recorded else []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        started = [demo.stdout.readline() for _ in range(2)]
        url = started[0].split()[5].rstrip(",")
        while not state(url)["requests"]:
            time.sleep(0.1)  # until the run has contacted the venue
        os.killpg(demo.pid, signal.SIGINT)  # as a terminal does it
        rest, told = demo.communicate(timeout=60)

    assert ("recorded traders of market.raw trade ETHUSDT" in started[0]) is recorded
    assert "interrupted: stopped by Ctrl-C" in rest, told
    assert "It is stopped.\nThe run needs it, and cannot be resumed." in rest
    assert "--resume" not in rest + told
    with pytest.raises(OSError, match="refused"):
        state(url)


@pytest.mark.long
@pytest.mark.parametrize(
    "number",
    [
        signal.SIGTERM,
        signal.SIGHUP,
        pytest.param(signal.SIGKILL, marks=pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")),
    ],
)
def test_the_exchange_and_the_run_end_with_the_demo_whatever_ends_it(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, str(DEMO), "--plain", "--data", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as demo:
        assert demo.stdout is not None
        url = demo.stdout.readline().split()[5].rstrip(",")
        while not state(url)["requests"]:
            time.sleep(0.1)  # until the run has contacted the venue
        demo.send_signal(number)  # to the demo alone
        demo.communicate(timeout=60)  # returns when nobody can write to its pipes, which it shares with both

    assert demo.returncode == (-number if number == signal.SIGKILL else 128 + number)
    with pytest.raises(OSError, match="refused"):
        state(url)


def message(number: int) -> str:
    """Two levels of an order book, further apart with each message."""
    data = {"e": "depthUpdate", "E": 1_790_000_000_000 + number * 100, "s": "ETHUSDT", "U": number + 1, "u": number + 1}
    data |= {"b": [["2000.00", str(5 + number)]], "a": [["2001.00", str(5 + number)]]}
    return json.dumps({"stream": "ethusdt@depth@100ms", "data": data}, separators=(",", ":"))


def state(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/admin/state", timeout=60) as answer:
        return json.load(answer)
