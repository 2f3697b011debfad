"""``tickdeck record``: an exchange's market data on disk, however the process ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tickdeck.bootstrap import open_record, verify_run
from tickdeck.bootstrap.record import market_of
from tickdeck.domain.events import TickEvent, VenueInstrumentReported
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.runs import read_manifest


def tickdeck(*words: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tickdeck", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)  # type: ignore[call-overload,no-any-return]


@pytest.fixture
def venue_url() -> Iterator[str]:
    """A venue with a simulated market in another process."""
    process = tickdeck("venue", "--port", "0", "--symbols", "BTCUSDT", "--simulated", "--speed", "20", "--json")
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.communicate()


def recording(data: Path, segment: int) -> Path | None:
    """The folder of the run, as soon as its segment number ``segment`` has some frames."""
    for path in data.glob(f"*/frames/{segment:06d}.raw.gz"):
        if path.stat().st_size > 2_000:
            return path.parent.parent
    return None


def ticks(folder: Path) -> int:
    """The number of best prices in the frames, including those after the last event of the tape."""
    manifest = read_manifest(folder)
    market = market_of(config_from_dict(manifest.config), manifest, folder)
    return sum(isinstance(event, TickEvent) for event in market)


def wait_for(data: Path, segment: int, process: subprocess.Popen[str]) -> Path:
    end = time.monotonic() + 60
    while (folder := recording(data, segment)) is None:
        assert time.monotonic() < end
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return folder


@pytest.mark.slow
def test_a_recording_is_replayed_proven_and_backtested(venue_url: str, tmp_path: Path) -> None:
    words = ("record", "btcusdt", "--url", venue_url, "--for", "3", "--data", tmp_path / "data", "--json")
    told, errors = tickdeck(*words).communicate(timeout=60)
    found = json.loads(told)
    folder = Path(found["folder"])

    assert "recording BTCUSDT of binance" in errors
    assert found["market_events"] > 20
    assert (found["gaps"], found["connections_lost"]) == (0, 0)
    assert verify_run(folder)[0].identical
    events = list(open_record(folder))
    assert any(isinstance(event, VenueInstrumentReported) for event in events)
    ticks = sum(isinstance(event, TickEvent) for event in events)

    words = ("backtest", "--tape", folder, "--data", tmp_path / "data", "--json")
    told, errors = tickdeck(*words).communicate(timeout=60)
    assert json.loads(told)["ticks"] >= ticks > 0, errors


@pytest.mark.slow
def test_a_recording_that_is_killed_can_be_read_and_continued(venue_url: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    process = tickdeck("record", "BTCUSDT", "--url", venue_url, "--data", data)
    folder = wait_for(data, 1, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    before = ticks(folder)
    assert before
    told, errors = tickdeck("backtest", "--tape", folder, "--data", data, "--json").communicate(timeout=60)
    assert json.loads(told)["ticks"] > 0, errors

    process = tickdeck("run", "--resume", folder.name, "--data", data, "--plain")
    wait_for(data, 2, process)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert ticks(folder) > before, errors
    assert verify_run(folder)[0].identical


def test_a_recording_of_a_venue_that_does_not_list_the_symbol_ends_in_one_line(venue_url: str, tmp_path: Path) -> None:
    process = tickdeck("record", "ABCUSDT", "--url", venue_url, "--for", 120, "--data", tmp_path / "data")
    _, errors = process.communicate(timeout=180)

    assert process.returncode != 0
    assert "ABCUSDT is not listed; correct the symbol" in errors
    assert "Traceback" not in errors


def test_a_live_run_whose_key_is_refused_leaves_no_folder(venue_url: str, tmp_path: Path) -> None:
    config = tmp_path / "live.toml"
    config.write_text(
        f'exchange = "binance"\nexchange_url = "{venue_url}"\nlive = true\nsymbols = ["BTCUSDT"]\n'
        '[[strategies]]\nspec = "ema-cross"\n'
        "[risk]\nmax_order_notional = 500\nmax_position_notional = 2_000\nmax_daily_loss = 100\n"
        '[accounts.main]\nexchange = "binance"\ncredentials = "env:WRONG"\n'
    )
    keys = {"WRONG_API_KEY": "wrong", "WRONG_API_SECRET": "wrong"}

    process = tickdeck("run", "--config", config, "--data", tmp_path / "data", env=os.environ | keys)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 3, errors
    assert "-2015" in errors
    assert not list((tmp_path / "data").glob("*/manifest.json"))
