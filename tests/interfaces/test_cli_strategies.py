"""Users' strategies in ``run``: their output, their mistakes, and the error messages."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

QUICK = ("--for", 3, "--speed", "max", "--json")


def write(body: str, *, method: str = "on_trade(self, trade)") -> str:
    """A strategy with one method; its body begins at line 4."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    Path("mine.py").write_text(
        f"from decimal import Decimal; from tickdeck import Strategy\nclass Mine(Strategy):\n    def {method}:\n{lines}"
    )
    return "mine.py:Mine"


def test_what_a_strategy_prints_is_not_on_stdout(tickdeck):
    result = tickdeck("run", "--strategy", write("print('hello', trade.trade_id)"), *QUICK)

    assert json.loads(result.stdout)["status"] == "completed"
    assert "hello 1" in result.stderr


def test_output_of_a_strategy_during_a_proof_is_not_on_stdout(tickdeck):
    tickdeck("run", "--strategy", write("print('hello')"), *QUICK)

    assert json.loads(tickdeck("verify", "last", "--json").stdout)["identical"] is True


@pytest.mark.parametrize(
    ("call", "told"),
    [
        ("self.buy(trade.symbol, Decimal(-1))", "quantity is -1; give a decimal.Decimal above 0"),
        ("self.buy(trade.symbol, Decimal(0))", "quantity is 0; give a decimal.Decimal above 0"),
        ("self.sell(trade.symbol, 0.5)", "quantity is 0.5; give a decimal.Decimal above 0"),
        ("self.sell(trade.symbol, Decimal(1), limit=Decimal('-90'))", "limit is -90; give a decimal.Decimal above 0"),
        ("self.buy(5, Decimal(1))", "symbol is 5; give text"),
    ],
)
def test_a_faulty_call_is_reported_with_the_line_of_the_strategy(tickdeck, call, told):
    result = tickdeck("run", "--strategy", write(call), *QUICK)

    assert result.exit_code == 3
    assert told in result.stderr
    assert "(mine.py, line 4)" in result.stderr
    assert "strategy.py" not in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("ema-cross", "fast=30"), "fast is 30 and slow is 26; fast must be above 0 and below slow"),
        (("ema-cross", "quantity=0"), "quantity is 0; give an amount above 0"),
        (("rsi-reversion", "period=0"), "period is 0; give a number above 0"),
        (("rsi-reversion", "low=80"), "low is 80.0 and high is 70.0"),
        (("market-maker", "size=0"), "size is 0; give an amount above 0"),
        (("market-maker", "threshold=-1"), "threshold is -1; give a number that is not negative"),
        (("market-maker", "max_inventory=0"), "min_inventory is 0 and max_inventory is 0"),
        (("ema-cross", "fast=quick"), "parameter fast='quick': give a whole number"),
    ],
)
def test_invalid_parameters_are_refused_at_the_start(tickdeck, words, told):
    strategy, param = words

    result = tickdeck("run", "--strategy", strategy, "--param", param)

    assert result.exit_code == 2
    assert told in result.stderr
    assert not Path("tickdeck-data").exists()


def test_a_wrong_type_in_the_configuration_is_reported(tickdeck):
    Path("run.toml").write_text('[paper]\nshort_selling = "perhaps"\n')

    result = tickdeck("run", "--config", "run.toml")

    assert "paper.short_selling is 'perhaps': give true or false" in result.stderr


def test_an_error_takes_precedence_over_ctrl_c(tickdeck):
    body = "import signal\nsignal.raise_signal(2) if trade.trade_id == 50 else None\n1 / (trade.trade_id - 50)"
    result = tickdeck("run", "--strategy", write(body), "--for", 60, "--speed", "max", "--json")

    figures = json.loads(result.stdout)
    assert (figures["failures"], figures["reason"]) == (1, "stopped by Ctrl-C")
    assert result.exit_code == 3


def test_a_run_that_is_complete_says_so_when_it_is_resumed(tickdeck):
    first = tickdeck("run", *QUICK)
    again = tickdeck("run", "--resume", "last", "--speed", "max", "--json")

    assert again.exit_code == 0
    assert "is already complete" in again.stderr
    same = ("run", "events", "orders", "pnl")
    assert [json.loads(again.stdout)[k] for k in same] == [json.loads(first.stdout)[k] for k in same]


def test_a_writer_that_starts_in_between_is_reported_like_any_other(tickdeck, tmp_path, monkeypatch):
    from tickdeck.bootstrap import start_run
    from tickdeck.infrastructure.config import RunConfig

    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    monkeypatch.setattr("tickdeck.infrastructure.runs.run_overview.writer_of", lambda _: None)
    try:
        result = tickdeck("run", "--resume", "last")
    finally:
        run.close()

    assert result.exit_code == 2
    assert f"is running in process {os.getpid()}; stop it first" in result.stderr


def test_a_neighbour_of_a_strategy_that_changed_is_noticed(tickdeck):
    Path("rules.py").write_text("LIMIT = 1\n")
    spec = write("import rules")
    Path("mine.py").write_text(
        "from rules import LIMIT\n" + Path("mine.py").read_text().replace("import rules", "pass")
    )
    tickdeck("run", "--strategy", spec, *QUICK)
    Path("rules.py").write_text("LIMIT = 2\n")

    assert "has changed" in tickdeck("run", "--resume", "last").stderr
    assert any("has changed" in text for text in json.loads(tickdeck("verify", "last", "--json").stdout)["notes"])


def test_all_mistakes_of_a_file_and_of_parameters_give_one_line_each(tickdeck):
    Path("run.toml").write_text('seed = "x"\n[paper]\nshort_selling = "perhaps"\n')

    result = tickdeck("run", "--config", "run.toml", "--json")
    parameters = tickdeck("run", "--param", "fast=x", "--param", "quick=1")

    assert result.exit_code == parameters.exit_code == 2
    assert result.stderr.splitlines() == [
        "tickdeck: error: run.toml: seed is 'x': give a whole number",
        "tickdeck: error: run.toml: paper.short_selling is 'perhaps': give true or false",
    ]
    assert json.loads(result.stdout)["error"].count("run.toml: ") == 2
    assert [line.partition("parameter")[2][:8] for line in parameters.stderr.splitlines()] == [" fast='x", " 'quick'"]


def test_a_share_may_be_given_as_a_percentage(tickdeck):
    result = tickdeck("run", "--strategy", "rsi-reversion", "--param", "quantity=2%", "--for", "1s", "--speed", "max")

    assert result.exit_code == 0
    manifest = json.loads(next(Path("tickdeck-data").glob("*/manifest.json")).read_text())
    assert manifest["strategies"][0]["parameters"]["quantity"] == "0.02"
