"""Users' signals from the configuration to the proof: loaded, computed, recorded, proven, bundled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

SIGNAL = """
from tickdeck import Signal, TickEvent


class Middle(Signal):
    publish_at = "event"
    every: int = 1

    def on_tick(self, tick: TickEvent) -> None:
        self.value = float(tick.bid_price + tick.ask_price) / 2
"""
STRATEGY = """
from decimal import Decimal

from tickdeck import SignalSnapshotEvent, Strategy


class Follow(Strategy):
    def on_start(self) -> None:
        self.last = 0.0

    def on_signal(self, signal: SignalSnapshotEvent) -> None:
        middle = self.signal("middle", signal.symbol)
        if middle > self.last and not self.position(signal.symbol).quantity and not self.open_orders():
            self.buy(signal.symbol, Decimal("0.01"))
        self.last = middle
"""
CONFIG = """
duration = 5
[[strategies]]
spec = "follow.py:Follow"
[signals.middle]
class = "middle.py:Middle"
parameters = { every = 2 }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "middle.py").write_text(SIGNAL)
    (tmp_path / "follow.py").write_text(STRATEGY)
    (tmp_path / "run.toml").write_text(CONFIG)
    return tmp_path


def test_a_run_with_a_signal_of_the_users_is_recorded_proven_and_bundled(tickdeck, project: Path) -> None:
    ran = tickdeck("run", "--config", "run.toml", "--speed", "max", "--json")
    assert ran.exit_code == 0, ran.stderr
    assert json.loads(ran.stdout)["orders"] >= 1

    events = tickdeck("events", "last", "--type", "signal.snapshot", "--limit", "1", "--json")
    assert list(json.loads(events.stdout)["values"]) == ["middle"]
    assert json.loads(tickdeck("verify", "last", "--json").stdout)["identical"] is True

    assert tickdeck("bundle", "last", "--out", "run.zip").exit_code == 0
    (project / "middle.py").unlink()
    (project / "follow.py").unlink()
    verified = tickdeck("verify", "run.zip", "--json")
    assert json.loads(verified.stdout)["identical"] is True, verified.stderr


def test_a_changed_signal_is_reported_by_the_proof(tickdeck, project: Path) -> None:
    assert tickdeck("run", "--config", "run.toml", "--speed", "max", "--json").exit_code == 0

    (project / "middle.py").write_text(SIGNAL.replace("/ 2", "/ 3"))
    assert tickdeck("verify", "last").exit_code == 0  # with the copy in the folder of the run
    (run,) = (project / "tickdeck-data").iterdir()
    shutil.rmtree(run / "code")
    verified = tickdeck("verify", "last")

    assert verified.exit_code == 4
    assert "was made with OTHER CODE" in verified.stdout
    assert "middle.py:Middle' has changed since the run" in verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ('middle.py:Middle"', 'middle.py:Mddle"'),
            "{0}/middle.py has no class 'Mddle'; it has: Middle",
        ),
        (("every = 2", "evry = 2"), "signal Middle has no parameter 'evry'; it has: every"),
        (("signals.middle", "signals.ema-12"), "signals.ema-12: not a name for a signal of yours"),
        (("class =", "clas ="), "there is no key 'clas'"),
        (('middle.py:Middle"', 'follow.py:Follow"'), "Follow is not a subclass of tickdeck.Signal"),
    ],
)
def test_a_mistake_in_a_signals_configuration_is_reported_in_one_line(
    tickdeck, project: Path, change: tuple[str, str], told: str
) -> None:
    (project / "run.toml").write_text(CONFIG.replace(*change))

    refused = tickdeck("run", "--config", "run.toml")

    assert refused.exit_code == 2
    assert told.format(project) in refused.stderr
    assert "Traceback" not in refused.stderr
