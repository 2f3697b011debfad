"""Gate: a run whose code has changed is resumed. Its state is restored from its record, and both stretches are
proven.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from core_state import state_of_core
from gate_runs import (
    DIP,
    STRATEGIES,
    TRIGGERS,
    config,
    finish,
    head_of_capture,
    looking_up_often,
    play,
    play_until,
    resume,
    rows,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from many_examples import SEEDS

from tickdeck import bootstrap
from tickdeck.application.bus import ambient_bus
from tickdeck.application.engines import take_snapshot
from tickdeck.application.kernel import Agenda, money_context
from tickdeck.application.proof import RecallingKernel, RecordCheck, verify
from tickdeck.bootstrap import Run, open_record, start_run, verify_run
from tickdeck.bootstrap.core import Core
from tickdeck.bootstrap.recall import recall
from tickdeck.bootstrap.strategies import load_strategies
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    RunResumed,
    SignalSnapshotEvent,
    StrategyDecisionEvent,
    StrategyPaused,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config_copy import CopyConfig
from tickdeck.infrastructure.strategies import CODE

# -- the oracle: restoring the state from a record gives the same state as executing it -----------------------------


class Recorded:
    """A run, and the cores that its record leads to."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.events = list(open_record(run.folder))
        self.begins = [place for place, event in enumerate(self.events) if event.is_input]

    def executed(self, events: Sequence[DomainEvent]) -> dict[str, Any]:
        return self._state(*self._executed(events))

    def snapshots(self, events: Sequence[DomainEvent]) -> dict[str, str]:
        """The snapshots of the strategies that have any, after ``events``."""
        core, kernel, _ = self._executed(events)
        return {
            strategy_id: msgspec.json.encode(take_snapshot(strategy, kernel.seq)).decode()
            for strategy_id, strategy in core.strategies.strategies.items()
            if strategy.has_snapshots
        }

    def taken_up(self, events: Sequence[DomainEvent], snapshots: Mapping[str, str]) -> dict[str, Any]:
        core, kernel, agenda, _ = self._core(())
        with money_context(), ambient_bus(kernel):
            for _ in recall(iter(events), kernel, core, agenda, snapshots=snapshots):
                pass
        assert kernel.failed_in_past == {}
        return self._state(core, kernel, agenda)

    def _executed(self, events: Sequence[DomainEvent]) -> tuple[Core, RecallingKernel, Agenda]:
        core, kernel, agenda, check = self._core(events)
        verdict = verify(kernel, check, iter(()), agenda)
        assert verdict.identical, verdict.divergence
        return core, kernel, agenda

    def _core(self, events: Sequence[DomainEvent]) -> tuple[Core, RecallingKernel, Agenda, RecordCheck]:
        strategies, _ = load_strategies(self.run.config)
        check, agenda = RecordCheck(iter(events)), Agenda()
        kernel = RecallingKernel(tape=check, agenda=agenda, max_cascade=self.run.config.max_cascade)
        with ambient_bus(kernel):
            return Core(self.run.config, self.run.manifest, strategies, kernel), kernel, agenda, check

    def _state(self, core: Core, kernel: RecallingKernel, agenda: Agenda) -> dict[str, Any]:
        with money_context():
            return state_of_core(core, kernel, agenda)


COMMANDS = {
    300: ("strategy-pause", {"strategy_id": "ema-cross"}),
    400: ("halt", {}),
    450: ("halt", {"by": "surroundings"}),
    500: ("resume", {}),
    600: ("flatten", {}),
    700: ("strategy-update", {"strategy_id": "Busy", "quantity": "0.005"}),
    800: ("strategy-activate", {"strategy_id": "ema-cross"}),
    900: ("close", {"symbol": "BTCUSDT"}),
    1_000: ("halt", {"by": "surroundings"}),
    1_100: ("resume", {"by": "surroundings"}),
    1_300: ("strategy-delete", {"strategy_id": "Rests"}),
    1_320: (
        "strategy-create",
        {"strategy_id": "late", "enter": "price > 1", "quantity": "0.001", "cooldown": "100ms", "exit": "price > 2"},
    ),
    1_350: ("trigger-create", {"trigger_id": "late", "when": "price(BTCUSDT) > 1", "then": "notify", "once": "false"}),
    1_400: ("trigger-update", {"trigger_id": "level", "every": "1s"}),
    1_450: ("trigger-delete", {"trigger_id": "late"}),
}
"""Commands by the number of the input after which they are sent."""


ACCOUNTS = {
    "alice": AccountConfig(exchange="paper", owner="Alice", balances={"USDT": Decimal(3_000)}),
    "bob": AccountConfig(exchange="paper", risk=RiskLimits(max_daily_loss=Decimal(2))),
    "carol": AccountConfig(exchange="paper", owner="Carol"),
    "dora": AccountConfig(exchange="paper", leverage=Decimal(10)),
    "erin": AccountConfig(exchange="paper"),
}
OF_THE_RUN = RiskLimits(
    max_daily_loss=Decimal(4), max_drawdown=Decimal("0.1"), max_orders_per_second=20, max_total_notional=Decimal(5_000)
)
TRADERS = ("alice", "bob", "carol", "alice", "bob", "carol", "carol")
COMMANDS_TO_ACCOUNTS = {
    400: ("halt", {"account": "carol"}),
    450: ("close", {"symbol": "BTCUSDT"}),
    600: ("flatten", {"account": "alice"}),
    700: ("resume", {}),
    750: ("submit", {"account": "bob", "side": "buy", "symbol": "BTCUSDT", "quantity": "0.01"}),
    900: ("halt", {"by": "surroundings"}),
    1_000: ("resume", {"by": "surroundings"}),
    1_100: ("resume", {"account": "bob"}),
}


@pytest.fixture(scope="module", params=["calm", "commanded", "accounts"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    wanted = config(
        *("Busy", "ema-cross", "Rests", "market-maker", "Keeps", "Careful"),
        symbols=("BTCUSDT", "ETHUSDT"),
        seconds=8,
        heartbeat="1s",
        stale_after="1s",
        risk=RiskLimits(
            max_daily_loss=Decimal(1_000),
            max_drawdown=Decimal("0.5"),
            max_orders_per_second=8,
            max_order_multiple=Decimal(30),
        ),
        triggers=TRIGGERS,
    )
    wanted = msgspec.structs.replace(wanted, strategies=(*wanted.strategies, DIP))
    waiting = dict(COMMANDS) if request.param == "commanded" else {}
    if request.param == "accounts":
        waiting = dict(COMMANDS_TO_ACCOUNTS)
        traders = tuple(
            msgspec.structs.replace(strategy, account=account)
            for strategy, account in zip(wanted.strategies, TRADERS, strict=True)
        )
        triggers = tuple(msgspec.structs.replace(one, account="alice") for one in TRIGGERS)
        copies = (
            CopyConfig(leader="account:alice", follower="dora", size={"multiple": 3}, timeout="25ms"),
            CopyConfig(leader="strategy:Busy", follower="erin", size={"share": "2%"}, exits="own", trailing="0.1%"),
            CopyConfig(leader="account:dora", follower="bob", size={"fixed": 20}),
        )
        wanted = msgspec.structs.replace(
            wanted, accounts=ACCOUNTS, strategies=traders, triggers=triggers, copy=copies, limits=OF_THE_RUN
        )
    run = start_run(wanted, tmp_path_factory.mktemp("data"))

    def command() -> bool:
        for place in [place for place in waiting if place <= run.kernel.inputs]:
            name, arguments = waiting.pop(place)
            run.kernel.publish(CommandReceived(command=name, arguments=arguments, reason="the test"))
        return False

    with looking_up_often():
        return Recorded(finish(run, stop=command))


def check_equal(recorded: Recorded, cut: int, snapshot: int | None = None) -> None:
    """Both ways lead to the same state at the input of number ``cut``, also with snapshots of an earlier input."""
    events = recorded.events[: recorded.begins[cut]]
    snapshots = recorded.snapshots(recorded.events[: recorded.begins[snapshot]]) if snapshot is not None else {}
    executed, taken_up = recorded.executed(events), recorded.taken_up(events, snapshots)
    for part, state in executed.items():
        assert taken_up[part] == state, part


@pytest.mark.long
@settings(max_examples=max(SEEDS // 2, 1))
@given(st.data())
def test_taking_up_a_record_gives_the_state_that_executing_it_gives(recorded: Recorded, data: st.DataObject) -> None:
    check_equal(recorded, data.draw(st.integers(1, len(recorded.begins) - 1)))


@pytest.mark.long
def test_taking_up_a_record_that_ends_near_its_beginning_gives_the_same_state(recorded: Recorded) -> None:
    """Among them those without a price: there are only the balances."""
    for cut in range(1, 20):
        check_equal(recorded, cut)


@pytest.mark.long
def test_taking_up_a_record_that_ends_with_the_first_value_of_a_signal_gives_the_same_state(recorded: Recorded) -> None:
    """A trigger sees it at the candle, which is made again: it must not be folded before the signals have it."""
    snapshots = [event for event in recorded.events if isinstance(event, SignalSnapshotEvent)]
    firsts = {(event.symbol, name): event.seq for event in reversed(snapshots) for name in event.values}
    for seq in sorted(set(firsts.values())):
        check_equal(recorded, next(cut for cut, at in enumerate(recorded.begins) if recorded.events[at].seq > seq))


@pytest.mark.long
@settings(max_examples=max(SEEDS // 2, 1))
@given(st.data())
def test_a_snapshot_and_what_followed_give_the_state_that_executing_gives(
    recorded: Recorded, data: st.DataObject
) -> None:
    snapshot = data.draw(st.integers(1, len(recorded.begins) - 1))
    check_equal(recorded, data.draw(st.integers(snapshot, len(recorded.begins) - 1)), snapshot)


# -- complete runs ---------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The file of a strategy, to be edited."""
    source = tmp_path / "own.py"
    source.write_text(STRATEGIES.read_text())
    return source


def edit(source: Path, old: str, new: str) -> None:
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))


def forget_code(folder: Path) -> None:
    """Remove the copies of the strategies from a run's folder, so that a proof needs the originals."""
    shutil.rmtree(folder / CODE)


def larger(source: Path) -> None:
    edit(source, 'quantity: Decimal = Decimal("0.002")', 'quantity: Decimal = Decimal("0.003")')


def quantities(events: Sequence[DomainEvent]) -> set[Decimal]:
    """The quantities of the orders that the strategy bought."""
    decisions = (event for event in events if isinstance(event, StrategyDecisionEvent))
    return {i.quantity for event in decisions for i in event.intents if i.action == "order" and i.side == "buy"}


def ways(events: Sequence[DomainEvent]) -> list[tuple[str, dict[str, str]]]:
    return [(event.how, dict(event.strategies)) for event in events if isinstance(event, RunResumed)]


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_run_goes_on_with_its_edited_strategy_and_both_stretches_are_proven(
    tmp_path: Path, source: Path, meant_to_differ: set[Path], form: str
) -> None:
    folder = play_until(config(f"{source}:Busy", seconds=8, tape_format=form), tmp_path, 700)
    meant_to_differ.add(folder)
    before = list(open_record(folder))
    larger(source)

    run = resume(folder)

    assert run.simulation.completed
    assert "own.py:Busy' has changed since the run" in run.resumed
    assert "a new stretch of the proof begins" in run.resumed
    events = list(open_record(folder))
    assert events[: len(before)] == before
    assert ways(events) == [("folded", {"Busy": "warmed up"})]
    assert quantities(before) == {Decimal("0.002")}
    assert quantities(events[len(before) :]) == {Decimal("0.003")}
    verdict, changes = verify_run(folder)  # with the copies in the folder of the run
    assert [(stretch.first_seq, stretch.identical) for stretch in verdict.stretches] == [
        (1, True),
        (len(before) + 1, True),
    ]
    assert (verdict.identical, verdict.complete, changes) == (True, True, [])

    forget_code(folder)
    verdict, changes = verify_run(folder)
    assert [stretch.identical for stretch in verdict.stretches] == [False, True]
    assert (verdict.identical, verdict.other_code) == (False, True)
    assert changes == [f"the source of strategy '{source}:Busy' has changed since the run"]

    source.write_text(STRATEGIES.read_text())
    verdict, changes = verify_run(folder)
    assert [stretch.identical for stretch in verdict.stretches] == [True, False]
    assert (verdict.other_code, len(changes)) == (True, 1)


def test_a_change_without_effects_leaves_a_run_identical(tmp_path: Path, source: Path) -> None:
    folder = play_until(config(f"{source}:Busy", "ema-cross", seconds=6), tmp_path, 500)
    source.write_text(source.read_text() + "# better now\n")

    run = resume(folder)

    assert run.simulation.completed
    verdict, _ = verify_run(folder)
    assert (verdict.identical, verdict.complete, len(verdict.stretches)) == (True, True, 2)


def test_a_run_that_went_on_with_other_code_is_resumed_from_there(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    """The second process is stopped, too, and the third executes what it recorded."""
    folder = play_until(config(f"{source}:Busy", seconds=8), tmp_path, 600)
    meant_to_differ.add(folder)
    larger(source)
    run = bootstrap.resume_run(folder)
    assert isinstance(run, Run)
    with looking_up_often():
        finish(run, stop=lambda: run.kernel.inputs >= 1_100)
    before = rows(folder)["events"]

    run = resume(folder)

    assert "are executed again and compared" in run.resumed
    assert run.simulation.completed
    assert rows(folder)["events"][: len(before)] == before
    assert len(ways(list(open_record(folder)))) == 1
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [True, True]
    forget_code(folder)
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [False, True]


def test_a_run_on_a_capture_goes_on_with_its_edited_strategy(
    shared: Path, tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    wanted = config(f"{source}:Busy", tapes=(head_of_capture(shared, tmp_path),), seconds=60)
    folder = play_until(wanted, tmp_path, 900)
    meant_to_differ.add(folder)
    before = list(open_record(folder))
    larger(source)

    run = resume(folder)

    assert run.simulation.completed
    events = list(open_record(folder))
    assert events[: len(before)] == before
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert [stretch.identical for stretch in verify_run(folder)[0].stretches] == [True, True]


def test_other_code_of_tickdeck_takes_the_run_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = play_until(config("Busy", seconds=6), tmp_path, 500)
    monkeypatch.setattr(bootstrap.strategies, "code_digest", lambda: "other")

    run = resume(folder)

    assert run.simulation.completed
    assert "made with other code of Tickdeck" in run.resumed
    assert verify_run(folder)[0].identical


def test_a_strategy_whose_new_code_fails_on_the_past_is_paused(
    tmp_path: Path, source: Path, meant_to_differ: set[Path]
) -> None:
    folder = play_until(config(f"{source}:Busy", "ema-cross", seconds=6), tmp_path, 500)
    meant_to_differ.add(folder)
    edit(source, "self._turns += 1", "self._turns += 1 // 0")

    run = resume(folder)

    events = list(open_record(folder))
    (paused,) = (event for event in events if isinstance(event, StrategyPaused))
    assert paused.strategy_id == "Busy"
    assert "while it was warmed up, Busy.on_timer failed on timer.fired" in paused.reason
    assert "ZeroDivisionError" in paused.reason
    assert run.simulation.completed
    assert verify_run(folder)[0].stretches[1].identical


def test_a_complete_run_stays_as_it_is_whatever_changed(tmp_path: Path, source: Path) -> None:
    run = play(config(f"{source}:Busy", seconds=3), tmp_path)
    before = rows(run.folder)
    source.write_text(source.read_text() + "# better now\n")

    again = resume(run.folder)

    assert again.simulation.completed
    assert rows(run.folder) == before
    assert again.core.portfolio.equity() == run.core.portfolio.equity()
