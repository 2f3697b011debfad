"""Runs with a strategy that fails, with a halt, with an unexpected error."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest


def test_a_strategy_that_raises_gives_one_line_and_exit_code_3(tickdeck):
    Path("broken.py").write_text(
        "from tickdeck import Strategy\n"
        "class Broken(Strategy):\n"
        "    def on_trade(self, trade):\n"
        "        raise KeyError('gone')\n"
    )

    result = tickdeck("run", "--for", 3, "--speed", "max", "--strategy", "broken.py:Broken", "--json")

    figures = json.loads(result.stdout)
    assert result.exit_code == 3
    assert figures["status"] == "completed"
    assert (figures["failures"], figures["paused"]) == (1, ["Broken"])
    assert "KeyError: 'gone' (broken.py, line 4)" in result.stderr
    assert result.stderr.count("\n") == 3  # the error, between the lines of the run's start and end


def test_with_debug_the_traceback_of_a_strategy_is_shown(tickdeck):
    Path("broken.py").write_text(
        "from tickdeck import Strategy\nclass Broken(Strategy):\n    def on_trade(self, trade):\n        1 / 0\n"
    )

    result = tickdeck("run", "--for", 3, "--speed", "max", "--strategy", "broken.py:Broken", "--json", "--debug")

    assert "Traceback (most recent call last)" in result.stderr
    assert "broken.py" in result.stderr


def test_people_see_which_strategy_was_paused(tickdeck):
    Path("broken.py").write_text(
        "from tickdeck import Strategy\nclass Broken(Strategy):\n    def on_trade(self, trade):\n        1 / 0\n"
    )

    result = tickdeck("run", "--for", 3, "--speed", "max", "--strategy", "broken.py:Broken")

    assert "paused after an error: Broken" in result.stdout


def test_the_daily_loss_limit_halts_trading_and_is_not_an_error(tickdeck, buy_once):
    Path("run.toml").write_text('[risk]\nmax_daily_loss = "0.01"\n')

    result = tickdeck("run", "--config", "run.toml", "--strategy", buy_once, "--for", 5, "--speed", "max", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["halted"].startswith("max_daily_loss")


def test_a_halt_is_shown_to_people(tickdeck, buy_once):
    Path("run.toml").write_text('[risk]\nmax_daily_loss = "0.01"\n')

    result = tickdeck("run", "--config", "run.toml", "--strategy", buy_once, "--for", 5, "--speed", "max")

    assert "trading was halted: max_daily_loss" in result.stdout


def test_a_halt_by_an_error_ends_with_3(tickdeck):
    Path("endless.py").write_text(
        "from tickdeck import Strategy\n"
        "from decimal import Decimal\n"
        "class Endless(Strategy):\n"
        "    def on_trade(self, trade):\n"
        "        self.buy(trade.symbol, Decimal('1000000000'))\n"
        "    def on_start(self):\n"
        "        [self.buy('BTCUSDT', Decimal(1)) for _ in range(30)]\n"
    )
    Path("run.toml").write_text("max_cascade = 20\n")

    result = tickdeck(
        "run", "--config", "run.toml", "--strategy", "endless.py:Endless", "--for", 2, "--speed", "max", "--json"
    )

    assert result.exit_code == 3
    assert "more than 20 events" in json.loads(result.stdout)["halted"]


def test_an_unexpected_error_gives_one_line_and_exit_code_3(tickdeck, monkeypatch):
    def broken(*_: object, **__: object) -> None:
        raise LookupError("the moon\nis gone")

    monkeypatch.setattr("tickdeck.bootstrap.start_run", broken)

    result = tickdeck("run", "--for", 1)

    assert result.exit_code == 3
    assert re.fullmatch(
        r"tickdeck: error: LookupError: the moon is gone \(test_cli_run_errors\.py, line \d+\); "
        r"add --debug for details\n",
        result.stderr,
    )


@pytest.mark.parametrize("how", ["option", "environment"])
def test_debug_shows_where_an_error_comes_from(tickdeck, monkeypatch, how):
    if how == "environment":
        monkeypatch.setenv("TICKDECK_DEBUG", "1")

    result = tickdeck("run", "--strategy", "nonsense", *(["--debug"] if how == "option" else []))

    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("tickdeck: error: strategy 'nonsense'")


def test_the_log_goes_to_stdout_as_json_and_nothing_else_does(tickdeck):
    result = tickdeck("run", "--for", 2, "--speed", "max", "--log-to", "stdout", "--log-level", "info", "--name", "a")

    logged = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 0
    assert [line["message"] for line in logged if line["logger"] == "tickdeck.run"] == ["run begins", "run ends"]
    assert "run a completed" in result.stderr


def test_the_log_and_the_figures_do_not_share_stdout(tickdeck):
    result = tickdeck("run", "--log-to", "stdout", "--json")

    assert result.exit_code == 2
    assert "omit one of them" in result.stderr


@pytest.mark.parametrize("more", [(), ("--param", "fast=5")])
def test_real_orders_without_a_strategy_are_refused_in_one_line(tickdeck, more):
    Path("live.toml").write_text('exchange = "binance"\nlive = true\n')

    result = tickdeck("run", "--config", "live.toml", "--symbol", "BTCUSDT", *more)

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert (
        "live: real orders need a strategy that you named yourself; give --strategy, or [[strategies]]" in result.stderr
    )


def test_the_strategy_of_real_orders_may_be_an_option(tickdeck):
    Path("live.toml").write_text('exchange = "binance"\nlive = true\n')

    result = tickdeck("run", "--config", "live.toml", "--symbol", "BTCUSDT", "--strategy", "ema-cross")

    assert "real orders need limits" in result.stderr
