"""A live run that a configuration alone describes: rules with a stop and a target, and triggers that order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from gate_processes import kill_live
from test_live_orders import finish, key, short_lag
from test_live_stops import check, reasons

from tickdeck.bootstrap import open_record
from tickdeck.domain.events import OrderSubmittedEvent, RunResumed, StrategyDecisionEvent, TriggerFired
from tickdeck.infrastructure.config import RunConfig, load_config

__all__ = ["key", "short_lag"]

FILE = """
exchange = "binance"
exchange_url = "{url}"
live = true
duration = "1d"

[accounts.main]
exchange = "binance"
credentials = "env:DEMO"
owner = "ops"

[risk]
max_order_notional = "20000"
max_position_notional = "900000"
max_daily_loss = "5000"

[[strategies]]
name = "dip"
spec = "rules"
enter = "price < sma(3, 250ms) * 1.01 and position == 0"
exit = "profit_pct > 0.001 and rsi(3, 250ms) > 60"
quantity = "0.01"
stop_loss = "0.05%"
take_profit = "0.05%"
cooldown = "300ms"

[[triggers]]
name = "more"
when = "price crosses_above vwap(10)"
then = "buy BTCUSDT 0.002"
once = false
every = "300ms"

[[triggers]]
name = "less"
when = "position > 0.004 and price crosses_below vwap(10)"
then = "sell BTCUSDT 0.001"
once = false
every = "500ms"

[[triggers]]
name = "held"
when = "position > 0.012"
then = "notify"
"""


def from_file(path: str) -> RunConfig:
    """For a process that is killed (``kill_live``)."""
    return load_config(Path(path))


def has_traded(data: Path) -> bool:
    """Whether each trigger has fired, and both the rules and a trigger have ordered repeatedly."""
    (folder,) = data.iterdir()
    events = list(open_record(folder))
    fired = {event.trigger_id for event in events if isinstance(event, TriggerFired)}
    decided = [event.reason for event in events if isinstance(event, StrategyDecisionEvent)]
    by_trigger = sum(reason.startswith("trigger more: ") for reason in decided)
    entries = sum(reason.startswith("enter: ") for reason in decided)
    return fired == {"more", "less", "held"} and by_trigger > 2 and entries > 1


@pytest.mark.slow
@pytest.mark.parametrize("venue_process", ["", "seed=3 drop_ack=0.1 late_fill=0.2:1s"], indirect=True)
def test_a_configuration_alone_trades_live_is_killed_repeatedly_and_agrees_with_the_exchange(
    tmp_path: Path, venue_process: str
) -> None:
    path, data = tmp_path / "rules.toml", tmp_path / "data"
    path.write_text(FILE.format(url=venue_process))
    rng = random.Random(1)
    kills = 0
    while kills < 4 or (kills < 30 and not has_traded(data)):  # a busy machine does less in as many turns
        kill_live(data, from_file, path, turns=rng.randrange(40, 150))
        kills += 1
    (folder,) = data.iterdir()
    events = check(finish(folder), venue_process)

    assert sum(isinstance(event, RunResumed) for event in events) == kills
    assert has_traded(data)
    fired = [event.trigger_id for event in events if isinstance(event, TriggerFired)]
    assert fired.count("held") == 1
    orders = [event for event in events if isinstance(event, OrderSubmittedEvent)]
    assert {"dip", "operator"} <= {order.strategy_id for order in orders}
    assert "protect" in reasons(events)
