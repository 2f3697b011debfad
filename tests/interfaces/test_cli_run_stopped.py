"""Runs that a signal stops, and that are resumed."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

SIGNALLED = """
import signal
from pathlib import Path
from tickdeck import Strategy

class Signalled(Strategy):
    flag: str = ""
    number: int = 2

    def on_trade(self, trade):
        if trade.trade_id == 100 and Path(self.flag).exists():
            Path(self.flag).unlink()
            signal.raise_signal(self.number)
"""


@pytest.fixture
def signalled(tmp_path: Path) -> tuple[object, ...]:
    """Options for a run that gets a signal at its hundredth trade, the first time that it gets there."""
    (tmp_path / "signalled.py").write_text(SIGNALLED)
    (tmp_path / "flag").write_text("")
    strategies = ("--strategy", "ema-cross", "--strategy", "signalled.py:Signalled")
    return ("run", *strategies, "--param", f"Signalled.flag={tmp_path / 'flag'}", "--for", 45, "--json")


def test_ctrl_c_stops_in_order_and_the_run_can_be_resumed_to_the_same_end(tickdeck, signalled):
    stopped = tickdeck(*signalled, "--speed", "max")
    figures = json.loads(stopped.stdout)
    resumed = tickdeck("run", "--resume", "last", "--speed", "max", "--json")
    alone = tickdeck(*signalled, "--speed", "max", "--data", "alone")

    assert stopped.exit_code == 130
    assert "continues from its snapshot at seq" in resumed.stderr
    assert figures["status"] == "interrupted"
    assert 0 < figures["events"] < json.loads(resumed.stdout)["events"]
    assert resumed.exit_code == alone.exit_code == 0
    same = ("events", "orders", "fills", "position", "cash", "pnl", "fees")
    assert [json.loads(resumed.stdout)[k] for k in same] == [json.loads(alone.stdout)[k] for k in same]
    assert tickdeck("verify", "last").exit_code == 0


def test_sigterm_stops_in_order_too(tickdeck, signalled):
    result = tickdeck(*signalled, "--speed", "max", "--param", "Signalled.number=15")

    assert result.exit_code == 143
    assert json.loads(result.stdout)["status"] == "interrupted"


def test_ctrl_c_stops_a_run_in_real_time(tickdeck, signalled):
    result = tickdeck(*signalled, "--speed", "50", "--for", 600)

    assert result.exit_code == 130


def test_a_stopped_run_tells_people_how_to_continue_it(tickdeck, signalled):
    words = [word for word in signalled if word != "--json"]

    result = tickdeck(*words, "--speed", "max")

    assert "interrupted" in result.stdout
    assert "next  tickdeck run --resume last\n" in result.stdout


def test_a_run_resumes_from_another_folder(tickdeck, signalled, tmp_path, monkeypatch):
    tickdeck(*signalled, "--speed", "max")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")

    result = tickdeck("run", "--resume", "last", "--speed", "max", "--data", "../tickdeck-data", "--json")

    assert result.exit_code == 0, result.stderr


def test_a_run_with_another_strategy_source_is_resumed_and_says_so(tickdeck, signalled, tmp_path):
    tickdeck(*signalled, "--speed", "max")
    (tmp_path / "signalled.py").write_text(SIGNALLED + "\n# changed\n")

    result = tickdeck("run", "--resume", "last", "--speed", "max", "--json")

    assert result.exit_code == 0, result.stderr
    assert "has changed since the run. The state is restored from the record" in result.stderr
    assert json.loads(result.stdout)["status"] == "completed"


def test_a_run_that_does_not_repeat_itself_is_not_resumed(tickdeck, tmp_path):
    (tmp_path / "flag").write_text("")
    (tmp_path / "fickle.py").write_text(
        SIGNALLED.replace("Path(self.flag).unlink()", "Path(self.flag).unlink(); self.buy('BTCUSDT', 1)")
        .replace("signal.raise_signal(self.number)", "raise SystemExit")
        .replace("Signalled", "Fickle")
        .replace("if trade", "if trade.trade_id == 101: signal.raise_signal(2)\n        if trade")
        .replace("raise SystemExit", "pass")
    )
    words = ("run", "--strategy", "fickle.py:Fickle", "--param", f"flag={tmp_path / 'flag'}", "--for", 60)
    tickdeck(*words, "--speed", "max")

    result = tickdeck("run", "--resume", "last", "--speed", "max")

    assert result.exit_code == 2
    assert "does not reproduce its record" in result.stderr
    assert "tickdeck verify" in result.stderr


def test_a_keyboard_interrupt_outside_of_a_run_ends_with_130(tickdeck, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tickdeck.bootstrap.start_run", interrupted)

    assert tickdeck("run").exit_code == 130


def test_a_run_that_another_process_is_writing_is_not_resumed(tickdeck, tmp_path):
    from tickdeck.bootstrap import start_run
    from tickdeck.infrastructure.config import RunConfig

    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    try:
        result = tickdeck("run", "--resume", "last")
    finally:
        run.close()

    assert result.exit_code == 2
    assert f"is running in process {os.getpid()}" in result.stderr


def test_a_stopped_run_counts_the_same_in_its_summary_in_verify_and_in_the_list(tickdeck, signalled, trades):
    words = [word for word in signalled if word not in ("--for", 45)]

    figures = json.loads(tickdeck(*words, "--speed", "max", "--tape", trades).stdout)
    [listed] = map(json.loads, tickdeck("runs", "--json").stdout.splitlines())
    proven = json.loads(tickdeck("verify", "last", "--json").stdout)

    assert figures["status"] == "interrupted"
    assert (proven["events"], proven["inputs"]) == (figures["events"], figures["inputs"])
    assert (listed["events"], listed["inputs"]) == (figures["events"], figures["inputs"])
    assert proven["last_seq"] == figures["events"]
    resumed = tickdeck("run", "--resume", "last", "--speed", "max", "--json")
    assert json.loads(tickdeck("verify", "last", "--json").stdout)["events"] == json.loads(resumed.stdout)["events"]


@pytest.mark.filterwarnings("always")
def test_a_warning_about_a_strategy_is_printed_once_although_a_resume_loads_it_twice(tickdeck, signalled, tmp_path):
    file = tmp_path / "signalled.py"
    file.write_text(SIGNALLED + "\n    def on_fil(self, fill):\n        pass\n\n")
    started = tickdeck(*signalled, "--speed", "max")
    file.write_text(file.read_text() + "# edited\n")

    resumed = tickdeck("run", "--resume", "last", "--speed", "max", "--json")

    assert "a new stretch" in resumed.stderr, (started.stderr, resumed.stderr)
    for result in (started, resumed):
        assert result.stderr.count("nothing calls on_fil; did you mean on_fill?") == 1
