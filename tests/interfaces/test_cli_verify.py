"""``tickdeck verify``: what it reports of honest and of changed runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tickdeck.bootstrap import start_run
from tickdeck.domain.events import RunStarted
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.runs import find_run
from tickdeck.infrastructure.tape import SqliteTape

LUCKY = """
import random
from decimal import Decimal
from tickdeck import Strategy

class Lucky(Strategy):
    def on_trade(self, trade):
        if trade.trade_id == 50:
            self.buy(trade.symbol, Decimal(random.randrange(1, 10**9)).scaleb(-5), reason="luck")
"""
SILENT = """
from decimal import Decimal
from pathlib import Path
from tickdeck import Strategy

class Silent(Strategy):
    def on_trade(self, trade):
        if (trade.trade_id == 50) == Path("odd").exists():
            self.buy(trade.symbol, Decimal("0.001"))
"""


def test_verify_of_an_unchanged_run_is_identical(tickdeck, simulated):
    figures = json.loads((simulated / "figures.json").read_text())

    result = tickdeck("verify", "last", "--data", simulated, "--json")

    verdict = json.loads(result.stdout)
    assert result.exit_code == 0
    assert verdict["identical"] is True
    assert verdict["first_divergence"] is None
    assert verdict["notes"] == []
    assert all(verdict[name] == figures[name] for name in ("run", "decisions", "orders", "events", "inputs"))
    assert verdict["decisions"] > 0


def test_people_see_what_was_proven(tickdeck, simulated):
    result = tickdeck("verify", "last", "--data", simulated)

    assert result.exit_code == 0
    assert "is identical: " in result.stdout


def test_a_strategy_that_uses_random_numbers_is_caught_with_the_difference_and_its_causes(tickdeck):
    Path("lucky.py").write_text(LUCKY)
    tickdeck("run", "--strategy", "lucky.py:Lucky", "--for", 20, "--speed", "max")

    result = tickdeck("verify", "last", "--json")
    for_people = tickdeck("verify", "last")

    verdict = json.loads(result.stdout)
    first = verdict["first_divergence"]
    assert (result.exit_code, for_people.exit_code) == (1, 1)
    assert verdict["identical"] is False
    assert first["recorded"]["event_type"] == first["executed"]["event_type"] == "strategy.decision"
    assert first["recorded"]["intents"] != first["executed"]["intents"]
    assert [cause["event_type"] for cause in first["causes"]] == ["market.trade"]
    assert first["causes"][0]["trade_id"] == 50
    assert "NOT identical" in for_people.stdout
    assert "intents.0.quantity" in for_people.stdout
    assert "intents.0.symbol" not in for_people.stdout
    assert "causes, from the first input on:" in for_people.stdout


@pytest.mark.parametrize("first_odd", [True, False])
def test_an_event_on_only_one_side_is_shown_with_its_causes(tickdeck, first_odd):
    Path("silent.py").write_text(SILENT)
    states = [lambda: Path("odd").write_text(""), lambda: Path("odd").unlink(missing_ok=True)]
    now, then = states if first_odd else states[::-1]
    now()
    tickdeck("run", "--strategy", "silent.py:Silent", "--for", 20, "--speed", "max")
    then()

    result = tickdeck("verify", "last", "--json")
    for_people = tickdeck("verify", "last").stdout

    first = json.loads(result.stdout)["first_divergence"]
    sides = [side["event_type"] if side else None for side in (first["recorded"], first["executed"])]
    assert result.exit_code == 1
    assert sides.count("strategy.decision") == 1
    assert [cause["event_type"] for cause in first["causes"]] == ["market.trade"]
    assert "about" in for_people
    assert "Silent BTCUSDT buy 0.001 at market" in for_people


def test_changed_code_is_noted(tickdeck):
    Path("lucky.py").write_text(LUCKY.replace("random.randrange(1, 10**9)", "7"))
    tickdeck("run", "--strategy", "lucky.py:Lucky", "--for", 5, "--speed", "max")
    with Path("lucky.py").open("a") as file:
        file.write("# a remark\n")

    result = tickdeck("verify", "last", "--json")
    for_people = tickdeck("verify", "last")

    assert result.exit_code == 0
    assert ["lucky.py" in text for text in json.loads(result.stdout)["notes"]] == [True]
    assert "note: " in for_people.stdout


def test_an_error_of_the_run_is_not_reported_again_by_verify(tickdeck):
    Path("broken.py").write_text(
        "from tickdeck import Strategy\nclass Broken(Strategy):\n    def on_trade(self, trade):\n        1 / 0\n"
    )
    tickdeck("run", "--strategy", "broken.py:Broken", "--for", 5, "--speed", "max")

    result = tickdeck("verify", "last")
    with_debug = tickdeck("verify", "last", "--debug")

    assert (result.exit_code, result.stderr) == (0, "")
    assert "ZeroDivisionError" in with_debug.stderr


def test_an_input_file_that_changed_since_is_reported(tickdeck, trades):
    tickdeck("backtest", "--tape", trades)
    trades.write_text(trades.read_text() + "\n")

    for command in ("verify", "events"):
        result = tickdeck(command, "last")
        assert result.exit_code == 2, command
        assert "has changed" in result.stderr


def test_a_run_is_named_by_its_id_or_by_its_folder(tickdeck, simulated):
    folder = find_run(simulated, "last")

    assert tickdeck("verify", folder.name, "--data", simulated).exit_code == 0
    assert tickdeck("verify", folder).exit_code == 0
    assert tickdeck("verify", "20200101-000000-0000", "--data", simulated).exit_code == 2


def test_an_unclosed_tape_is_readable(tickdeck, tmp_path, lines):
    run = start_run(RunConfig(), tmp_path / "tickdeck-data")
    assert isinstance(run.tape, SqliteTape)
    run.kernel.feed(RunStarted(ts=1, ts_ingress=1))
    run.tape.wait_durable(run.tape.last_seq)
    try:
        assert len(lines(tickdeck("events", "last", "--json"))) == run.kernel.seq
    finally:
        run.close()


@pytest.mark.parametrize("digest", ["abc", "g" * 64, "0" * 63, ""])
def test_a_malformed_digest_is_a_wrong_call_and_no_verdict(tickdeck, simulated, digest):
    result = tickdeck("verify", simulated, "--digest", digest)

    assert result.exit_code == 2
    assert "is not a digest; give the 64 hex digits" in result.stderr
    assert "NOT identical" not in result.stdout
