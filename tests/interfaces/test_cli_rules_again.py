"""A run that a configuration alone describes is proven from its bundle, and played again with other conditions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bundle_kit import all_gone

FILE = """
symbols = ["BTCUSDT"]
duration = 30

[[strategies]]
name = "dip"
spec = "rules"
enter = "rsi(3, 250ms) < 60 and close(500ms) > 0"
exit = "price crosses_above ema(5, 250ms)"
quantity = "0.002"
stop_loss = "0.1%"
cooldown = "300ms"

[[triggers]]
name = "level"
when = "price crosses_above ema(5, 250ms)"
then = "buy BTCUSDT 0.01"
once = false
every = "500ms"

[[triggers]]
name = "late"
when = "time >= 00:00:25 UTC"
then = "pause dip"
"""


@pytest.fixture
def figures(tickdeck) -> dict:
    Path("rules.toml").write_text(FILE)
    figures = json.loads(tickdeck("run", "--config", "rules.toml", "--speed", "max", "--json").stdout)
    assert figures["decisions"] > 5
    return figures


def fired(tickdeck, run: str) -> list[str]:
    """The triggers that fired, with the time."""
    lines = tickdeck("events", run, "--type", "trigger.fired", "--json").stdout.splitlines()
    return [f"{event['trigger_id']} {event['ts']}" for event in map(json.loads, lines)]


@pytest.mark.long
def test_the_bundle_of_rules_and_triggers_is_proven_where_nothing_else_is(tickdeck, figures):
    assert len(fired(tickdeck, "last")) > 2
    assert tickdeck("bundle", "last", "--out", "b.zip").exit_code == 0
    all_gone()

    result = tickdeck("verify", "b.zip", "--json")

    assert json.loads(result.stdout)["identical"] is True, result.output


@pytest.mark.long
def test_rules_and_triggers_are_played_again_with_other_conditions(tickdeck, figures):
    before = fired(tickdeck, "last")

    def whatif(change: str) -> dict:
        told = json.loads(tickdeck("whatif", figures["run"], "--param", change, "--json").stdout)
        assert json.loads(tickdeck("verify", told["run"], "--json").stdout)["identical"] is True
        return told

    same = whatif("dip.trades_a_day=1000")
    assert same["decisions"] == {"same": figures["decisions"], "only_original": 0, "only_run": 0}
    assert fired(tickdeck, same["run"]) == before
    other = whatif("dip.enter=rsi(3, 250ms) < 1")
    assert other["decisions"]["only_original"] > 0
    assert fired(tickdeck, other["run"]) == before
