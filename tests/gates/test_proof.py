"""Gate: ``verify`` executes the strategies again. Every unchanged run is identical, and everything that is not
reproducible is caught.

The fixture in ``conftest.py`` proves each run that the tests of this folder make, so a test that only makes a run tests
the proof.
"""

from __future__ import annotations

import random
import shutil
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_processes import verify_elsewhere
from gate_runs import (
    CAPTURES,
    STRATEGIES,
    causes,
    config,
    event_at,
    finish,
    first_seq,
    head_of_capture,
    play,
    play_until,
    prove,
    prove_all,
    rows,
    tape_of,
    verdict_of,
)

from tickdeck.bootstrap import Run, start_run, verify_run
from tickdeck.domain.events import CommandReceived
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.strategies import CODE
from tickdeck.infrastructure.tape import SqliteTapeReader


def types_of(run: Run) -> dict[str, int]:
    return run.kernel.statistics().published


# -- identical: the fixture proves each of these ------------------------------------------------------------------


def test_a_run_on_the_simulated_market_with_several_strategies_and_timers_is_proven(tmp_path: Path) -> None:
    run = play(config("Busy", "ema-cross", "rsi-reversion", symbols=("BTCUSDT", "ETHUSDT")), tmp_path)
    counts = types_of(run)
    for event_type in ("timer.fired", "order.filled", "order.cancelled", "position.closed", "strategy.decision"):
        assert counts.get(event_type), f"no {event_type}: {counts}"
    verdict = verdict_of(run.folder)
    assert verdict.identical
    assert verdict.events == run.kernel.seq
    assert (verdict.decisions, verdict.orders) == (counts["strategy.decision"], counts["order.submitted"])


def test_a_run_on_two_captures_played_together_is_proven(shared: Path, tmp_path: Path) -> None:
    captures = tuple(shared / "market-data" / name for name in CAPTURES)
    run = play(config("Busy", "ema-cross", tapes=captures, seconds=40), tmp_path)
    assert run.manifest.symbols == ("BTCUSDT", "ETHUSDT")
    assert types_of(run)["order.filled"] > 5


@pytest.mark.parametrize("strategy", ["ema-cross", "rsi-reversion"])
@pytest.mark.parametrize(
    ("name", "seconds"),
    [("candles-1m-BTCUSDT-20241001-20241104.csv.gz", 40_000), ("trades-merged-20240808.csv.gz", 60)],
)
def test_a_run_on_candles_or_trades_from_a_file_is_proven(
    shared: Path, tmp_path: Path, name: str, seconds: int, strategy: str
) -> None:
    run = play(config(strategy, tapes=(shared / "market-data" / name,), seconds=seconds), tmp_path)
    assert types_of(run)["order.submitted"]


def test_a_run_on_another_runs_tape_is_proven(tmp_path: Path) -> None:
    first = play(config("ema-cross"), tmp_path)
    second = play(config("Busy", tapes=(first.folder,)), tmp_path)
    assert types_of(second)["market.tick"] == types_of(first)["market.tick"]
    assert types_of(second)["order.filled"]


def test_a_run_whose_strategy_raises_is_proven_with_the_pause_of_that_strategy(tmp_path: Path) -> None:
    run = play(config("Faulty", "ema-cross", seconds=10), tmp_path)
    assert run.core.strategies.paused == ["Faulty"]
    assert types_of(run)["system.handler_failed"] == 1
    asked = [order for order in run.core.execution.orders.values() if order.strategy_id == "Faulty"]
    assert len(asked) == 4  # the fifth was discarded with the failure


def test_a_run_that_the_daily_loss_halted_is_proven(tmp_path: Path) -> None:
    run = play(config("Restless", risk=RiskLimits(max_daily_loss=Decimal(5))), tmp_path)
    assert types_of(run)["trading.halted"] == 1
    assert types_of(run)["risk.limit_breached"]


def test_a_run_that_an_endless_cascade_halted_is_proven(tmp_path: Path) -> None:
    run = play(config("Restless", max_cascade=4), tmp_path)
    assert run.kernel.halted
    assert "one input caused more than 4 events" in str(event_at(run.folder, first_seq(run.folder, "trading.halted")))


def test_a_run_that_a_command_halted_is_proven(tmp_path: Path) -> None:
    run = start_run(config("Restless"), tmp_path)

    def stop() -> bool:
        if run.kernel.inputs > 1_000 and not run.core.risk.gate.closed_because:
            run.kernel.feed(CommandReceived(command="halt", reason="enough"))
        return False

    finish(run, stop=stop)
    assert types_of(run)["trading.halted"] == 1


def test_a_run_whose_strategy_publishes_at_the_end_is_proven(tmp_path: Path) -> None:
    run = play(config("Parting", seconds=2), tmp_path)
    assert types_of(run)["risk.limit_breached"] == 1


@pytest.mark.parametrize("inputs", [1, 2_500])
def test_an_interrupted_run_is_proven_up_to_its_end(tmp_path: Path, inputs: int) -> None:
    folder = play_until(config("Busy", seconds=60), tmp_path, inputs)
    verdict = verdict_of(folder)
    assert verdict.identical
    with SqliteTapeReader(tape_of(folder)) as tape:
        assert verdict.events == tape.last_seq >= inputs


def test_a_run_is_proven_while_it_is_still_being_written(tmp_path: Path) -> None:
    run = start_run(config("Busy"), tmp_path)
    checked = []

    def stop() -> bool:
        run.tape.wait_durable(run.tape.last_seq)
        checked.append(verdict_of(run.folder))
        return len(checked) == 3

    finish(run, stop=stop)
    assert all(verdict.identical for verdict in checked)
    assert checked[0].events < checked[-1].events


def test_a_run_is_proven_by_another_process_with_another_hash_seed(tmp_path: Path) -> None:
    run = play(config("Busy", "Faulty"), tmp_path)
    assert verify_elsewhere(run.folder, hash_seed="7") is None


# -- it executes; it does not read decisions back ----------------------------------------------------------------


def test_a_strategy_changed_after_the_run_diverges_at_its_first_different_decision(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    source = tmp_path / "own.py"
    source.write_text(STRATEGIES.read_text())
    folder = play(config(f"{source}:Restless", seconds=5), tmp_path).folder
    meant_to_differ.add(folder)
    source.write_text(STRATEGIES.read_text().replace('Decimal("0.01")', 'Decimal("0.02")'))
    copied, (note,) = verify_run(folder)
    assert copied.identical
    assert note.endswith("has changed since the run; the copy in its folder was executed")
    shutil.rmtree(folder / CODE)

    verdict, changes = verify_run(folder)

    assert changes == [f"the source of strategy '{source}:Restless' has changed since the run"]
    assert not verdict.identical
    assert verdict.other_code
    assert verdict.divergence is not None
    assert verdict.divergence.seq == first_seq(folder, "strategy.decision")
    was, now = verdict.divergence.recorded, verdict.divergence.executed
    assert was is not None
    assert now is not None
    assert was.event_type == now.event_type == "strategy.decision"
    assert was.event_id == now.event_id
    assert [str(event.intents[0].quantity) for event in (was, now)] == ["0.01", "0.02"]  # type: ignore[attr-defined]


def test_a_strategy_that_no_longer_decides_is_caught_by_missing_events(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    source = tmp_path / "own.py"
    source.write_text(STRATEGIES.read_text())
    folder = play(config(f"{source}:Restless", seconds=5), tmp_path).folder
    meant_to_differ.add(folder)
    source.write_text(STRATEGIES.read_text().replace("def on_candle", "def not_on_candle"))
    shutil.rmtree(folder / CODE)

    divergence = verdict_of(folder).divergence

    assert divergence is not None
    assert divergence.seq == first_seq(
        folder, "market.candle"
    )  # nobody needs candles now, so they are the first missing events
    assert divergence.executed is None


# -- caught: what a strategy must not read ------------------------------------------------------------------------


def check_caught(folder: Path, difference: dict[str, Any] | None) -> None:
    """The first difference is the first decision, and its causes lead back to the trade on which it was taken."""
    assert difference is not None
    was, now, chain = difference["recorded"], difference["executed"], difference["causes"]
    assert difference["seq"] == first_seq(folder, "strategy.decision")
    assert was["event_type"] == now["event_type"] == "strategy.decision"
    assert was["reason"] != now["reason"]
    assert [cause["event_type"] for cause in chain] == ["market.trade"]
    assert was["causation_id"] == chain[0]["event_id"]
    assert not chain[0]["causation_id"]
    assert Decimal(chain[0]["price"]) > 0


@pytest.mark.parametrize("impure", ["ReadsRandom", "ReadsWallClock"])
@pytest.mark.parametrize("market", ["simulated", "recorded"])
def test_a_strategy_that_reads_random_numbers_or_the_wall_clock_is_caught(
    request: pytest.FixtureRequest, tmp_path: Path, meant_to_differ: set[Path], impure: str, market: str
) -> None:
    tapes = (head_of_capture(request.getfixturevalue("shared"), tmp_path),) if market == "recorded" else ()
    folder = play(config(impure, tapes=tapes, seconds=5), tmp_path).folder
    meant_to_differ.add(folder)
    check_caught(folder, verify_elsewhere(folder))


def test_a_strategy_that_reads_the_environment_is_caught(
    tmp_path: Path, meant_to_differ: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TICKDECK_GATE_MOOD", "good")
    folder = play(config("ReadsEnvironment", seconds=5), tmp_path).folder
    meant_to_differ.add(folder)
    assert verdict_of(folder).identical  # as long as nobody changes it
    check_caught(folder, verify_elsewhere(folder, TICKDECK_GATE_MOOD="bad"))


def test_a_strategy_that_reads_the_order_of_a_set_is_caught_under_another_hash_seed(
    tmp_path: Path, meant_to_differ: set[Path]
) -> None:
    folder = play(config("ReadsSetOrder", seconds=5), tmp_path).folder
    meant_to_differ.add(folder)
    assert verdict_of(folder).identical  # in a process with the same seed
    differences = [verify_elsewhere(folder, hash_seed=seed) for seed in ("1", "2")]
    check_caught(folder, next(filter(None, differences)))


def test_a_strategy_that_sorts_by_address_is_caught(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    folder = play(config("ReadsAddresses", seconds=5), tmp_path).folder
    meant_to_differ.add(folder)
    rng = random.Random(1)
    ballast = [object() for _ in range(20_000)]
    rng.shuffle(ballast)
    del ballast[::2]  # free memory is in another order now, as in another process

    divergence = verdict_of(folder).divergence

    assert divergence is not None
    assert divergence.seq == first_seq(folder, "strategy.decision")
    assert ballast


def test_a_strategy_with_module_state_across_runs_is_caught(
    tmp_path: Path, meant_to_differ: set[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keeps_a_global.py").write_text(
        "from decimal import Decimal\n"
        "from tickdeck import Strategy\n"
        "_candles = 0\n"
        "class Counts(Strategy):\n"
        "    def on_candle(self, candle):\n"
        "        global _candles\n"
        "        _candles += 1\n"
        "        self.buy(candle.symbol, Decimal('0.001'), reason=f'candle {_candles}')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    wanted = config("keeps_a_global:Counts", seconds=5)

    try:
        first, second = (play(wanted, tmp_path / name).folder for name in ("first", "second"))
    finally:
        sys.modules.pop("keeps_a_global", None)

    meant_to_differ.update((first, second))
    assert verify_elsewhere(first, modules=str(tmp_path)) is None  # it started with a fresh module, as the proof does
    difference = verify_elsewhere(second, modules=str(tmp_path))
    assert difference is not None
    assert difference["seq"] == first_seq(second, "strategy.decision")
    assert difference["executed"]["reason"] == "candle 1"
    assert [cause["event_type"] for cause in difference["causes"]] == ["market.candle", "market.trade"]


def test_a_global_of_a_strategy_file_is_fresh_in_every_run(tmp_path: Path) -> None:
    source = tmp_path / "own.py"
    source.write_text(
        "from decimal import Decimal\n"
        "from tickdeck import Strategy\n"
        "seen = []\n"
        "class Counts(Strategy):\n"
        "    def on_trade(self, trade):\n"
        "        seen.append(trade)\n"
        "        if len(seen) % 20 == 0:\n"
        "            self.buy(trade.symbol, Decimal('0.001'), reason=f'trade {len(seen)}')\n"
    )
    first, second = (play(config(f"{source}:Counts", seconds=5), tmp_path / name) for name in ("first", "second"))
    assert rows(first.folder) == rows(second.folder)
    assert types_of(second)["strategy.decision"]


@pytest.mark.parametrize(("then", "now"), [("300", "200"), ("300", "400"), ("9000", "300")])
def test_a_timer_set_from_the_wall_clock_is_caught_even_with_equal_decisions(
    tmp_path: Path, meant_to_differ: set[Path], monkeypatch: pytest.MonkeyPatch, then: str, now: str
) -> None:
    monkeypatch.setenv("TICKDECK_GATE_DELAY", then)
    run = play(config("TimerFromEnvironment", seconds=2), tmp_path)
    meant_to_differ.add(run.folder)
    assert verdict_of(run.folder).identical
    monkeypatch.setenv("TICKDECK_GATE_DELAY", now)

    divergence = verdict_of(run.folder).divergence

    assert divergence is not None
    if "timer.fired" in types_of(run):
        assert divergence.seq <= first_seq(run.folder, "timer.fired")
    sides = [side for side in (divergence.recorded, divergence.executed) if side is not None]
    assert "timer.set" in [side.event_type for side in sides]
    assert [cause.event_type for cause in causes(run.folder, divergence)] == ["run.started"]


def test_a_failed_proof_names_the_run_the_difference_and_its_causes(tmp_path: Path, meant_to_differ: set[Path]) -> None:
    good = play(config("ema-cross", seconds=2), tmp_path).folder
    bad = play(config("ReadsRandom", seconds=2), tmp_path).folder
    meant_to_differ.add(bad)

    assert prove_all(tmp_path, {bad}) == 1
    prove(good)
    with pytest.raises(AssertionError) as failure:
        prove_all(tmp_path)

    seq = first_seq(bad, "strategy.decision")
    lines = str(failure.value).splitlines()
    assert lines[0].startswith(f"{bad}: not identical at seq {seq}")
    assert [line.split()[0] for line in lines[1:]] == ["recorded", "executed", "because"]
    assert "TradeEvent" in lines[-1]
