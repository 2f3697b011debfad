"""``tickdeck report``, and the report that ``backtest`` leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def test_the_report_of_any_run_is_written_into_its_folder_and_has_its_figures(tickdeck, simulated, tmp_path):
    figures = json.loads((simulated / "figures.json").read_text())

    result = tickdeck("report", "last", "--data", simulated, "--out", tmp_path / "out", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 0
    assert Path(told["html"]) == tmp_path / "out" / "report.html"
    assert Path(told["png"]).is_file()
    for name in ("run", "pnl", "fees", "equity", "fills"):
        assert told[name] == figures[name]


def test_people_are_told_where_the_files_are(tickdeck, simulated, tmp_path):
    result = tickdeck("report", "last", "--data", simulated, "--out", tmp_path)

    assert result.stdout.splitlines() == [f"page     {tmp_path}/report.html", f"picture  {tmp_path}/report.png"]


def test_a_backtest_leaves_a_report_whose_figures_are_its_own(tickdeck, trades):
    shown = tickdeck("backtest", "--tape", trades)
    asked = tickdeck("backtest", "--tape", trades, "--json", "--report")
    figures = json.loads(asked.stdout)
    told = json.loads(tickdeck("report", "last", "--json").stdout)

    assert (shown.exit_code, asked.exit_code) == (0, 0)
    assert sum(1 for _ in Path("tickdeck-data").glob("*/report.html")) == 2
    for name in ("pnl", "fees", "fills", "trades", "win_rate", "max_drawdown", "sharpe"):
        assert told[name] == figures[name]


def test_a_session_of_hours_that_ends_by_its_duration_has_the_backtest_s_figures(tickdeck, capture):
    figures = json.loads(tickdeck("backtest", "--tape", capture, "--for", 100, "--json").stdout)

    told = json.loads(tickdeck("report", "last", "--json").stdout)

    for name in ("pnl", "fees", "trades", "win_rate", "max_drawdown", "sharpe"):
        assert told[name] == figures[name]


@pytest.mark.parametrize("words", [("backtest", "--json"), ("backtest", "--no-report"), ("run", "--speed", "max")])
def test_no_report_is_written_without_a_request(tickdeck, trades, words):
    command, *options = words

    assert tickdeck(command, "--tape", trades, *options).exit_code == 0
    assert list(Path("tickdeck-data").glob("*/report.*")) == []


def test_without_the_extra_a_backtest_succeeds_and_says_how_to_install_it(tickdeck, trades, monkeypatch):
    monkeypatch.setattr("tickdeck.infrastructure.reporting.report.find_spec", lambda name: None)

    result = tickdeck("backtest", "--tape", trades)
    asked = tickdeck("report", "last")

    assert result.exit_code == 0
    assert "pip install 'tickdeck[report]'" in result.stderr
    assert asked.exit_code == 2
    assert asked.stderr.count("\n") == 1
    assert "pip install 'tickdeck[report]'" in asked.stderr


def test_a_run_that_does_not_exist_is_reported_in_one_line(tickdeck):
    result = tickdeck("report", "no-such-run")

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
