"""``--candles`` on files of candles, and several files of candles in one run."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

BEGIN = datetime(2024, 11, 11, tzinfo=UTC)
STRATEGY = """
from tickdeck import Strategy

class Count(Strategy):
    def on_start(self):
        self.intervals = []
    def on_candle(self, candle):
        self.intervals.append(candle.interval // 60_000_000_000)
    def on_stop(self):
        self.notify(f"{len(self.intervals)} candles of {sorted(set(self.intervals))} minutes")

class Hours(Count):
    def required_candles(self):
        return ("1h",)
"""


def candles(path: Path, count: int, *, minutes: int = 1, first: int = 0, price: int = 100) -> Path:
    """``first`` counts candles from midnight."""
    times = (BEGIN + n * timedelta(minutes=minutes) for n in range(first, first + count))
    rows = [f"{time.isoformat()},{price},{price},{price},{price},5\n" for time in times]
    path.write_text("date,open,high,low,close,volume\n" + "".join(rows))
    return path


@pytest.fixture
def strategy(tmp_path: Path) -> Path:
    path = tmp_path / "count.py"
    path.write_text(STRATEGY)
    return path


def heard(tickdeck, *words: object) -> str:
    result = tickdeck("backtest", "--symbol", "BTCUSDT", *words, "--json")
    assert result.exit_code == 0, result.stderr
    events = tickdeck("events", "last", "--type", "notification.alert", "--json")
    assert tickdeck("verify", "last").exit_code == 0
    return json.loads(events.stdout.splitlines()[-1])["text"]


def test_candles_of_a_file_are_combined_to_the_requested_interval(tickdeck, tmp_path, strategy):
    tape = candles(tmp_path / "BTCUSDT-1m.csv", 300)
    count = ("--tape", tape, "--strategy", f"{strategy}:Count")

    assert heard(tickdeck, *count) == "300 candles of [1] minutes"
    assert heard(tickdeck, *count, "--candles", "1h") == "5 candles of [60] minutes"
    assert heard(tickdeck, *count, "--candles", "1m") == "300 candles of [1] minutes"
    assert heard(tickdeck, "--tape", tape, "--strategy", f"{strategy}:Hours") == "5 candles of [60] minutes"


@pytest.mark.parametrize("asked", ["1m", "7m", "250ms"])
def test_an_interval_that_the_candles_do_not_fit_is_refused(tickdeck, tmp_path, strategy, asked):
    tape = candles(tmp_path / "BTCUSDT-5m.csv", 30, minutes=5)

    result = tickdeck("backtest", "--tape", tape, "--strategy", f"{strategy}:Count", "--candles", asked)

    assert result.exit_code == 2
    assert f"candles of {asked} cannot be made from the one of 5m at 2024-11-11T0" in result.stderr
    assert "ask for a multiple of its interval (--candles" in result.stderr


def test_an_invalid_interval_is_refused(tickdeck, tmp_path, strategy):
    tape = candles(tmp_path / "BTCUSDT-5m.csv", 30, minutes=5)

    result = tickdeck("backtest", "--tape", tape, "--strategy", f"{strategy}:Count", "--candles", "90")

    assert result.exit_code == 2
    assert "'90' is not an interval; give a whole number with a unit" in result.stderr


def test_candles_in_two_files_come_once(tickdeck, tmp_path, strategy):
    one = candles(tmp_path / "BTCUSDT-1m-a.csv", 60)
    two = candles(tmp_path / "BTCUSDT-1m-b.csv", 60, first=50)
    words = ("--tape", one, "--tape", two, "--strategy", f"{strategy}:Count")

    assert heard(tickdeck, *words) == "110 candles of [1] minutes"


@pytest.mark.parametrize(
    ("other", "message"),
    [({"minutes": 5}, "overlap (they last 1m and 5m)"), ({"price": 101}, "differ")],
    ids=["another interval", "other prices"],
)
def test_contradicting_candles_of_two_files_are_refused(tickdeck, tmp_path, strategy, other, message):
    one = candles(tmp_path / "BTCUSDT-1m.csv", 60)
    two = candles(tmp_path / "BTCUSDT-other.csv", 12, **other)

    tapes = ("--tape", one, "--tape", two)
    result = tickdeck("backtest", "--symbol", "BTCUSDT", *tapes, "--strategy", f"{strategy}:Count")

    assert result.exit_code == 2
    assert f"candles of BTCUSDT in two input files {message} at 2024-11-11T00:00:00Z" in result.stderr
