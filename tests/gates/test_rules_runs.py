"""Gate: a configuration file alone trades a recorded market, is proven, and survives kills."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_processes import check_killed, left_alone
from gate_runs import CAPTURES, play, prove

from tickdeck.bootstrap import triggers_of
from tickdeck.domain.events import StrategyCreated, StrategyDecisionEvent, TriggerExpired, TriggerFired
from tickdeck.infrastructure.config import RunConfig, load_config
from tickdeck.infrastructure.tape import SqliteTapeReader

FILE = """
[[tapes]]
path = "{bitcoin}"

[[tapes]]
path = "{ether}"

[[strategies]]
name = "dip"
spec = "rules"
symbol = "BTCUSDT"
enter = "rsi(14, 1s) < 40 and position == 0 and imbalance(5) > -1"
exit = "rsi(14, 1s) > 60 or price < low(5s) * 0.99"
quantity = "0.01"
cooldown = "5s"
trades_a_day = 4
stop_loss = "0.02%"
take_profit = "0.2%"
trailing = "0.05%"

[[strategies]]
name = "ether"
spec = "rules"
symbol = "ETHUSDT"
enter = "price(BTCUSDT) crosses_above ema(BTCUSDT, 5, 1s) and equity > 0"
exit = "time >= 23:54:40 UTC or position * price > 0 and price crosses_below vwap(50)"
share = "2%"

[[triggers]]
name = "level"
when = "price(BTCUSDT) crosses_above 61830 or price(BTCUSDT) crosses_below 61825"
then = "notify"
once = false
every = "2s"

[[triggers]]
name = "pause"
when = "position(ETHUSDT) > 0 and rsi(BTCUSDT, 14, 1s) > 50 and close(BTCUSDT, 10s) > 0"
then = "pause ether"

[[triggers]]
name = "again"
when = "time >= 23:54:38 UTC and equity > 0"
then = "activate ether"

[[triggers]]
name = "order"
when = "time >= 23:54:25 UTC"
then = "buy ETHUSDT 0.1"

[[triggers]]
name = "never"
when = "price(ETHUSDT) < 1"
then = "halt"
expires = "10s"
"""


def settings(shared: Path, tmp_path: Path, seconds: int = 60) -> RunConfig:
    bitcoin, ether = (shared / "market-data" / name for name in CAPTURES)
    path = tmp_path / "rules.toml"
    path.write_text(f"duration = {seconds}\n" + FILE.format(bitcoin=bitcoin, ether=ether))
    return load_config(path)


@pytest.mark.long
def test_a_file_alone_trades_a_recorded_market_and_is_proven(shared: Path, tmp_path: Path) -> None:
    run = play(settings(shared, tmp_path), tmp_path / "data")

    prove(run.folder)
    with SqliteTapeReader(run.folder / "tape.db") as tape:
        events = list(tape.read())
    created = [event for event in events if isinstance(event, StrategyCreated)]
    assert [(event.strategy_id, event.name, event.strategy_type) for event in created] == [
        ("dip", "dip", "Rules"),
        ("ether", "ether", "Rules"),
    ]
    decisions = [event for event in events if isinstance(event, StrategyDecisionEvent)]
    for name in ("dip", "ether"):
        sides = [intent.side for one in decisions if one.strategy_id == name for intent in one.intents]
        assert sides[:2] == ["buy", "sell"]
    reasons = ("enter: ", "exit: ", "trigger order: ")
    assert all(decision.reason.startswith(reasons) for decision in decisions)
    fired = [event.trigger_id for event in events if isinstance(event, TriggerFired)]
    assert {"level", "order", "pause", "again"} <= set(fired)
    assert [event.trigger_id for event in events if isinstance(event, TriggerExpired)] == ["never"]
    assert [trigger.trigger_id for trigger in triggers_of(run.folder)] == ["level", "pause", "again", "order", "never"]


@pytest.mark.long
def test_it_is_killed_and_ends_as_if_uninterrupted(shared: Path, tmp_path: Path) -> None:
    alone = left_alone(settings(shared, tmp_path, 30), tmp_path)

    check_killed(alone, tmp_path, 0.3, 0.7)
