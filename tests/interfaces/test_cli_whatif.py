"""``tickdeck whatif``: other settings on a recorded session."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

SAME = """
from decimal import Decimal
from tickdeck import Strategy

class Turns(Strategy):
    every: int = 50
    note: str = ""

    def on_start(self):
        self.n = 0

    def on_trade(self, trade):
        self.n += 1
        if self.n % self.every == 0:
            if self.position(trade.symbol).quantity:
                self.sell(trade.symbol, Decimal("0.01"), reason=self.note)
            else:
                self.buy(trade.symbol, Decimal("0.01"), reason=self.note)
"""


@pytest.fixture
def turns(tmp_path: Path) -> str:
    (tmp_path / "turns.py").write_text(SAME)
    return "turns.py:Turns"


def recorded(tickdeck, turns, *words) -> dict:
    return json.loads(tickdeck("run", "--speed", "max", "--strategy", turns, "--json", *words).stdout)


@pytest.mark.parametrize("source", ["simulated", "file"])
def test_a_change_that_changes_nothing_gives_the_same_decisions_and_figures(tickdeck, turns, trades, source):
    figures = recorded(tickdeck, turns, *(("--for", 10) if source == "simulated" else ("--tape", trades)))

    result = tickdeck("whatif", "last", "--param", "note=other", "--json")

    told = json.loads(result.stdout)
    assert result.exit_code == 0, result.stderr
    assert told["original"] == figures["run"]
    assert told["decisions"] == {"same": figures["decisions"], "only_original": 0, "only_run": 0}
    assert figures["decisions"] > 1
    assert told["differences"] == []
    assert told["figures"]["original"] == told["figures"]["run"]
    assert told["figures"]["original"]["pnl"] == figures["pnl"]


def test_the_first_decisions_that_differ_come_with_the_causes_of_both_sides(tickdeck, turns, trades):
    recorded(tickdeck, turns, "--tape", trades)

    told = json.loads(tickdeck("whatif", "last", "--param", "every=30", "--json").stdout)

    first = told["differences"][0]
    assert first["original"] is None
    assert first["run"]["intents"][0]["side"] == "buy"
    assert [cause["event_type"] for cause in first["run"]["causes"]] == ["market.trade"]
    assert first["run"]["causes"][0]["trade_id"] == 30
    assert told["decisions"]["only_original"] == 3  # of 50, 100, 150, 200, only 150 is in both
    assert told["figures"]["run"]["decisions"] == 6


def test_the_what_if_is_a_run_of_its_own_that_names_the_original_and_can_be_proven(tickdeck, turns, trades):
    figures = recorded(tickdeck, turns, "--tape", trades)
    told = json.loads(tickdeck("whatif", "last", "--param", "every=30", "--json").stdout)

    manifest = json.loads((Path("tickdeck-data") / told["run"] / "manifest.json").read_text())
    verified = tickdeck("verify", told["run"], "--json")

    assert manifest["whatif_of"] == figures["run"]
    assert json.loads(verified.stdout)["identical"] is True


def test_people_see_settings_differences_and_figures_side_by_side(tickdeck, turns, trades):
    recorded(tickdeck, turns, "--tape", trades)

    shown = tickdeck("whatif", "last", "--param", "every=30").stdout

    for part in (
        "Turns: every 50 -> 30",
        "decisions: 1 the same, 3 only in the run, 5 only in the what-if",
        "what-if  Turns BTCUSDT buy 0.01 at market",
        "because market.trade",
        "run      nothing",
        "and 5 more",
        "pnl after fees, USDT",
        "largest drawdown",
    ):
        assert part in shown, shown


def test_another_strategy_runs_over_the_same_session(tickdeck, simulated, tmp_path):
    data = tmp_path / "copy"
    shutil.copytree(simulated, data)  # the what-if is a run of its own
    result = tickdeck("whatif", "last", "--data", data, "--strategy", "rsi-reversion", "--json")

    told = json.loads(result.stdout)
    figures = json.loads((simulated / "figures.json").read_text())
    assert result.exit_code == 0
    assert told["figures"]["original"]["pnl"] == figures["pnl"]
    assert told["original"] == figures["run"]


def test_people_see_if_nothing_differs(tickdeck, turns, trades):
    recorded(tickdeck, turns, "--tape", trades)

    assert "every decision is the same: 4" in tickdeck("whatif", "last", "--param", "note=x").stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing to change"),
        (("--param", "every"), "name=value"),
        (("--param", "nonsense=1"), "no parameter 'nonsense'"),
        (("--strategy", "nonsense"), "nonsense"),
        (("--strategy", "turns.py:Turns"), "the settings are the same"),
    ],
)
def test_mistakes_are_reported_in_one_line_and_leave_no_run(tickdeck, turns, trades, words, told):
    recorded(tickdeck, turns, "--tape", trades)

    result = tickdeck("whatif", "last", *words)

    assert result.exit_code == 2
    assert told in result.stderr
    assert result.stderr.count("\n") == 1
    assert len(list(Path("tickdeck-data").iterdir())) == 1


def test_an_input_that_has_changed_since_is_refused(tickdeck, turns, trades):
    recorded(tickdeck, turns, "--tape", trades)
    trades.write_text(trades.read_text().replace("60003", "60004", 1))

    result = tickdeck("whatif", "last", "--param", "every=30")

    assert result.exit_code == 2
    assert "has changed" in result.stderr
