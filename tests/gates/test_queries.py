"""Gate: queries change nothing, and a run answers from its memory what its tape says."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_runs import config, looking_up_often, prove, resume, rows
from test_core_states import RUNS, drive, rewrite

from tickdeck.application.kernel import money_context
from tickdeck.application.results import QUERIES, trade_statistics
from tickdeck.bootstrap import Run, SessionQueries, answer_from_tape, resume_run, start_run, trade_journal
from tickdeck.bootstrap.account_engines import AccountEngines
from tickdeck.domain.events import CommandReceived, DomainEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.runs import CoreStates
from tickdeck.infrastructure.triggers import TriggerConfig

WANTED = config("Busy", "ema-cross", seconds=8)
_OF_PRICES = ("price", "unrealized_pnl")


def asked(run: Run, *, stop_at: int | None = None) -> list[dict[str, Any]]:
    """Execute a run while somebody asks everything, again and again. The last answers, by query."""
    queries = SessionQueries(run)
    answers: list[dict[str, Any]] = []

    async def ask() -> None:
        while True:
            if run.caught_up():
                answers[:] = [await queries.answer(query, {}) for query in QUERIES]
            await asyncio.sleep(0)

    async def play() -> None:
        asking = asyncio.create_task(ask())
        await run.simulation.run(stop=lambda: stop_at is not None and run.kernel.inputs >= stop_at)
        asking.cancel()
        answers[:] = [await queries.answer(query, {}) for query in QUERIES]

    with looking_up_often():
        asyncio.run(play())
    run.close()
    return answers


def without_prices(rows_: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in _OF_PRICES} for row in rows_]


def test_a_run_that_is_asked_everything_records_the_same(tmp_path: Path) -> None:
    silent = start_run(WANTED, tmp_path / "silent")
    asyncio.run(silent.simulation.run())
    silent.close()
    run = start_run(WANTED, tmp_path / "asked")
    asked(run)

    assert rows(run.folder)["events"] == rows(silent.folder)["events"]
    prove(run.folder)


def test_a_run_that_is_asked_everything_still_has_snapshots(tmp_path: Path) -> None:
    run = start_run(msgspec.structs.replace(WANTED, state_every=200), tmp_path)
    asked(run, stop_at=500)

    (snapshot, *_) = CoreStates(run.folder).newest_first()
    assert not isinstance(snapshot[1], str)


@pytest.mark.parametrize("stop_at", [500, None])
def test_the_tape_gives_the_answers_that_the_run_gave_at_its_end(tmp_path: Path, stop_at: int | None) -> None:
    run = start_run(WANTED, tmp_path)
    live = {answer["query"]: answer for answer in asked(run, stop_at=stop_at)}
    tape = {query: answer_from_tape(run.folder, query, {}) for query in QUERIES}

    assert {answer["running"] for answer in live.values()} == {True}
    assert {answer["running"] for answer in tape.values()} == {False}
    assert tape["orders"]["orders"] == live["orders"]["orders"]
    assert tape["history"]["orders"] == live["history"]["orders"] != []
    assert tape["balances"]["balances"] == live["balances"]["balances"] != []
    assert without_prices(tape["positions"]["positions"]) == without_prices(live["positions"]["positions"])
    assert tape["pnl"]["closed"] == live["pnl"]["closed"] != []
    assert (tape["pnl"]["equity"], tape["pnl"]["pnl"]) == (live["pnl"]["equity"], live["pnl"]["pnl"])
    assert [leave_out(one, "legs") for one in tape["strategies"]["strategies"]] == [
        leave_out(one, "legs") for one in live["strategies"]["strategies"]
    ]
    for name in ("halted", "open_orders", "unknown_orders", "paused", "figures"):
        assert tape["health"][name] == live["health"][name]


def leave_out(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


def test_the_answers_are_the_figures_of_the_summary_and_of_the_trades(tmp_path: Path) -> None:
    run = start_run(WANTED, tmp_path)
    live = {answer["query"]: answer for answer in asked(run)}
    summary = run.summary(1.0).to_dict()
    with money_context():
        expected = trade_statistics(trade_journal(run.folder).closed, "strategy")

    for name in ("equity", "cash", "pnl", "fees", "currency", "left_out"):
        assert live["pnl"][name] == summary[name]
    held = {position["symbol"]: position["quantity"] for position in live["positions"]["positions"]}
    assert held == {symbol: quantity for symbol, quantity in summary["position"].items() if quantity != "0"}
    assert len(live["pnl"]["closed"]) == len(expected)
    earned = sum(Decimal(trade["pnl"]) for trade in (*live["pnl"]["closed"], *live["pnl"]["open"]))
    assert abs(earned - Decimal(summary["pnl"])) < Decimal("1E-12")  # two strategies share the account


def test_a_resumed_run_answers_as_if_it_had_never_stopped(tmp_path: Path) -> None:
    whole = asked(start_run(WANTED, tmp_path / "whole"))
    stopped = start_run(WANTED, tmp_path / "stopped")
    asked(stopped, stop_at=500)
    again = asked(resume_run(stopped.folder))

    for before, after in zip(whole, again, strict=True):
        ignored = {"run", "tape_waiting"}
        assert {k: v for k, v in after.items() if k not in ignored} == {
            k: v for k, v in before.items() if k not in ignored
        }


def test_the_journal_waits_for_the_end_of_the_record(tmp_path: Path) -> None:
    run = start_run(msgspec.structs.replace(WANTED, state_every=0), tmp_path)  # with one, it would not execute it
    asked(run, stop_at=500)
    again = resume_run(run.folder)
    queries = SessionQueries(again)

    async def play() -> None:
        with pytest.raises(ConfigError, match="executes its record again"):
            await queries.answer("pnl", {})
        assert (await queries.answer("health", {}))["status"] == "catching up"

    asyncio.run(play())
    again.close()
    resume(run.folder)


def test_an_order_of_the_operator_is_executed_again_by_proof_and_resume(tmp_path: Path) -> None:
    def commanded(run: Run, stop_at: int | None) -> Run:
        sent: list[int] = []
        order = {"side": "buy", "symbol": "BTCUSDT", "quantity": "0.01"}

        def look() -> bool:
            for at, more in ((200, {}), (500, {"limit": "1"}), (700, {"quantity": "none"})):
                if run.kernel.inputs >= at and at not in sent:
                    sent.append(at)
                    run.kernel.publish(CommandReceived(command="submit", arguments=order | more))
            return stop_at is not None and run.kernel.inputs >= stop_at

        with looking_up_often():
            asyncio.run(run.simulation.run(stop=look))
        run.close()
        return run

    whole = commanded(start_run(WANTED, tmp_path / "whole"), None)
    stopped = commanded(start_run(WANTED, tmp_path / "stopped"), 800)
    resume(stopped.folder)

    assert rows(stopped.folder)["events"] == rows(whole.folder)["events"]
    prove(stopped.folder)
    orders = answer_from_tape(whole.folder, "history", {"strategy": "operator"})["orders"]
    assert [order["status"] for order in orders] == ["filled"]


def test_a_run_whose_triggers_name_a_strategy_answers_from_its_tape(tmp_path: Path) -> None:
    triggers = (
        TriggerConfig(name="calm", when="price < 1", then="pause ema-cross"),
        TriggerConfig(name="profit", when='pnl("ema-cross") < -100000', then="halt"),
    )
    run = start_run(msgspec.structs.replace(WANTED, triggers=triggers), tmp_path)
    asked(run, stop_at=500)

    for query in QUERIES:
        assert answer_from_tape(run.folder, query, {})["query"] == query


# -- from a snapshot ---------------------------------------------------------------------------------------------------


@pytest.fixture
def folded(monkeypatch: pytest.MonkeyPatch) -> list[DomainEvent]:
    """The events of the record that are folded into the engines of an account."""
    events: list[DomainEvent] = []
    recall = AccountEngines.recall

    def count(engines: AccountEngines, event: DomainEvent) -> None:
        events.append(event)
        recall(engines, event)

    monkeypatch.setattr(AccountEngines, "recall", count)
    return events


def answers_of(folder: Path) -> dict[str, dict[str, Any]]:
    """What the tape says. The price of a trailing stop follows the market, which is not read."""
    answers = {query: answer_from_tape(folder, query, {}) for query in QUERIES}
    for position in answers["positions"]["positions"]:
        for protection in position["protections"]:
            if protection["trails"]:
                del protection["stop"]
    return answers


@pytest.mark.parametrize("forgotten", [0, 1])
@pytest.mark.parametrize("kind", RUNS)
def test_a_stopped_run_answers_from_its_snapshot_what_its_whole_tape_says(
    tmp_path: Path, kind: str, forgotten: int, folded: list[DomainEvent], monkeypatch: pytest.MonkeyPatch
) -> None:
    """``forgotten``: of its two snapshots, so many are not there, and what followed is folded."""
    monkeypatch.setattr("tickdeck.bootstrap.core_snapshots._SHARE", 0)  # however long a snapshot takes
    run = start_run(msgspec.structs.replace(RUNS[kind](), state_every=300), tmp_path)
    drive(run, stop=lambda: run.kernel.seq >= 1_500)
    states = sorted((run.folder / "states").glob("*.json"), key=lambda path: int(path.stem))
    assert len(states) == 2
    for path in states[2 - forgotten :]:
        path.unlink()

    from_snapshot, behind = answers_of(run.folder), len(folded)
    for path in states[: 2 - forgotten]:
        path.unlink()
    from_tape, everything = answers_of(run.folder), len(folded) - behind

    assert from_snapshot == from_tape
    assert from_tape["history"]["orders"] != []
    assert behind < everything if forgotten else behind == 0


def test_a_snapshot_of_other_code_answers_nothing(tmp_path: Path, folded: list[DomainEvent]) -> None:
    run = start_run(WANTED, tmp_path)
    drive(run, stop=lambda: run.kernel.seq >= 500)
    expected = answers_of(run.folder)
    assert not folded
    [path] = (run.folder / "states").glob("*.json")
    rewrite(path, lambda kept: kept | {"code": "other"})

    assert answers_of(run.folder) == expected
    assert folded


def test_the_health_of_a_run_that_is_not_running_has_the_parameters_that_it_had(tmp_path: Path) -> None:
    run = start_run(WANTED, tmp_path)
    while_it_ran = asked(run)

    [told] = [answer for answer in while_it_ran if answer["query"] == "health"]
    after = answer_from_tape(run.folder, "health", {})
    assert after["parameters"] == told["parameters"]
    assert after["parameters"]
    [account] = run.core.accounts
    assert answer_from_tape(run.folder, "health", {"account": account.account_id})["parameters"] == told["parameters"]
