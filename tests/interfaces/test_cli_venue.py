"""``tickdeck venue`` as a process: it serves, ends on a signal, and survives a kill."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "tickdeck", "venue", "--port", "0", "--json", "--no-simulated"]


def start(*args: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    process = subprocess.Popen([*COMMAND, *args], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout as lines:
        return process, json.loads(lines.readline())


def admin(venue: dict[str, Any], path: str, **values: Any) -> Any:
    data = json.dumps(values).encode() if values else None
    with urllib.request.urlopen(f"{venue['admin']}/{path}", data) as answer:
        return json.loads(answer.read())


def test_the_venue_serves_until_it_is_stopped() -> None:
    process, venue = start()
    with urllib.request.urlopen(f"{venue['url']}/api/v3/exchangeInfo") as answer:
        assert json.loads(answer.read())["symbols"][0]["symbol"] == "BTCUSDT"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_acknowledged_changes_survive_a_kill(tmp_path: Path) -> None:
    journal = str(tmp_path / "venue.journal")
    process, venue = start("--journal", journal)
    admin(venue, "deposit", account="demo", asset="BTC", amount="1.5")
    process.kill()
    process.wait(60)

    process, venue = start("--journal", journal)
    assert admin(venue, "balances")["demo"]["BTC"] == {"free": "3.5", "locked": "0"}
    process.kill()
    process.wait(60)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--faults", "drop_akc=1"], "did you mean 'drop_ack'"),
        (["--tape", "absent.gz"], "absent.gz"),
        (["--symbols", "NOPE"], "BASE/QUOTE"),
        (["--speed", "0"], "above 0"),
    ],
)
def test_a_wrong_call_gives_one_line(tickdeck: Any, args: list[str], message: str) -> None:
    result = tickdeck("venue", "--port", "0", *args)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_port_in_use_gives_one_line(tickdeck: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = tickdeck("venue", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 2
    assert "is in use" in result.stderr
