"""``tickdeck show``, and the figures of a running run in ``tickdeck runs``, of runs in separate processes."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from running import Running

from tickdeck.application.results import TradeJournal
from tickdeck.bootstrap import start_run, verify_run
from tickdeck.domain.trading import RoundTrips, TripFill
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.control.messages import socket_path

WHAT = ("health", "orders", "positions", "balances", "pnl", "strategies", "history")
ONLY_LIVE = {"feeds", "failures", "dead_letters", "dropped", "tape_waiting", "tape_failure"}


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    run = Running(tmp_path, "--name", "maker", "--strategy", "market-maker")
    yield run
    run.end(signal.SIGKILL)


def shown(tickdeck: Any, data: Path, *words: str) -> dict[str, Any]:
    said = tickdeck("show", "maker", *words, "--data", data, "--json")
    assert (said.exit_code, said.stderr) == (0, "")
    return json.loads(said.stdout)


@pytest.mark.long
def test_a_running_run_shows_an_order_of_the_operator(tickdeck, running: Running, tmp_path: Path) -> None:
    data = ("--data", tmp_path)
    submitted = tickdeck("submit", "maker", "buy", "BTCUSDT", "0.01", "--limit", "60000", *data)
    (order,) = shown(tickdeck, tmp_path, "orders", "--strategy", "operator")["orders"]
    table = tickdeck("show", "maker", "orders", *data)
    tickdeck("cancel", "maker", order["order_id"], *data)
    while shown(tickdeck, tmp_path, "orders", "--strategy", "operator")["orders"]:
        assert running.is_alive
    (ended,) = shown(tickdeck, tmp_path, "history", "--strategy", "operator")["orders"]
    running.end(signal.SIGINT)

    assert f"order {order['order_id']}: buy 0.01 BTCUSDT at 60000\n" in submitted.stderr
    assert (order["quantity"], order["limit"], order["side"]) == ("0.01", "60000", "buy")
    assert order["order_id"] in table.stdout
    assert (ended["order_id"], ended["status"]) == (order["order_id"], "cancelled")
    assert verify_run(tmp_path / "maker")[0].identical


@pytest.mark.long
def test_everything_is_shown_of_a_run_that_runs_and_of_one_that_does_not(
    tickdeck, running: Running, tmp_path: Path
) -> None:
    live = {what: shown(tickdeck, tmp_path, what) for what in WHAT}
    printed = [tickdeck("show", "maker", what, "--data", tmp_path) for what in WHAT]
    (listed,) = map(json.loads, tickdeck("runs", "--data", tmp_path, "--json").stdout.splitlines())
    tickdeck("strategy", "maker", "pause", "market-maker", "--data", tmp_path)
    running.end(signal.SIGKILL)
    tape = {what: shown(tickdeck, tmp_path, what) for what in WHAT}
    dead = [tickdeck("show", "maker", what, "--data", tmp_path) for what in WHAT]

    assert all(answer["running"] for answer in live.values())
    assert not any(answer["running"] for answer in tape.values())
    assert all(said.exit_code == 0 for said in (*printed, *dead))
    assert all("no process runs maker; this is the end of its tape" in said.stderr for said in dead)
    assert tape["health"]["paused"] == ["market-maker"]
    assert all(live[what].keys() - tape[what].keys() <= ONLY_LIVE for what in WHAT)
    assert (listed["status"], listed["halted"], listed["figures"]["currency"]) == ("running", None, "USDT")


@pytest.mark.long
def test_the_list_of_runs_says_what_a_running_run_does(tickdeck, running: Running, tmp_path: Path) -> None:
    data = ("--data", tmp_path)
    tickdeck("strategy", "maker", "update", "market-maker", "--param", "threshold=7", *data)
    tickdeck("halt", "maker", "--reason", "lunch", *data)
    table = tickdeck("runs", *data).stdout
    (listed,) = map(json.loads, tickdeck("runs", *data, "--json").stdout.splitlines())
    socket_path(tmp_path / "maker").unlink()  # as if it did not answer
    silent, busy = tickdeck("show", "maker", *data), tickdeck("runs", *data)

    assert "running, halted" in table
    assert listed["halted"] == "lunch"
    assert listed["parameters"]["market-maker"]["threshold"] == 7
    assert silent.exit_code == 2
    assert "does not listen at its socket" in silent.stderr
    assert "running, no answer" in busy.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nowhere",), "there is no run 'nowhere'"),
        (("last", "secrets"), "'secrets' is not one of"),
        (("last", "history", "--limit", "0"), "limit is '0'"),
        (("last", "balances", "--symbol", "X"), "balances: there is no argument 'symbol'; give account"),
        (("last", "pnl", "--by", "hour"), "'hour' is not one of"),
    ],
)
def test_a_wrong_question_gives_one_line(tickdeck, simulated: Path, words: tuple[str, ...], why: str) -> None:
    said = tickdeck("show", *words, "--data", simulated)

    assert said.exit_code == 2
    assert why in said.stderr
    assert said.stderr.count("\n") == 1


def test_all_columns_are_shown_in_full_however_narrow_the_terminal_is(tickdeck, simulated: Path, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    orders = json.loads(tickdeck("show", "last", "history", "--data", simulated, "--json").stdout)["orders"]
    table = tickdeck("show", "last", "history", "--data", simulated).stdout

    assert orders
    assert all(order["order_id"] in table for order in orders)
    assert len(table.splitlines()) == len(orders) + 1


def test_an_open_trade_that_is_partly_closed_shows_what_is_still_held(tickdeck, simulated: Path, monkeypatch) -> None:
    trips = RoundTrips("BTCUSDT", currency="USDT")
    trips.take(TripFill(ts=1, signed=Decimal("0.04"), price=Decimal(100), strategy_id="dip"))
    trips.take(TripFill(ts=2, signed=Decimal("-0.021"), price=Decimal(110), strategy_id="dip"))
    trip = trips.open(None)
    monkeypatch.setattr(TradeJournal, "open", lambda *_: [trip])

    shown = tickdeck("show", "last", "pnl", "--data", simulated).stdout
    listed = tickdeck("trades", "last", "--data", simulated).stdout

    assert "open: dip: long BTCUSDT, 0.019 of 0.04 entered at 100, " in shown
    assert "long 0.019 of 0.04 BTCUSDT" in listed


def test_rows_name_their_account_if_there_are_several(tickdeck, tmp_path: Path) -> None:
    accounts = {
        "alice": AccountConfig(exchange="paper", owner="Alice", balances={"USDT": Decimal(3_000)}),
        "bob": AccountConfig(exchange="paper", owner="Bob"),
    }
    strategies = tuple(StrategyConfig(spec="ema-cross", account=account) for account in accounts)
    run = start_run(RunConfig(strategies=strategies, accounts=accounts, duration=Decimal(5)), tmp_path)
    asyncio.run(run.drive(None))
    run.close()
    said = tickdeck("show", "last", "balances", "--data", tmp_path)
    rows = json.loads(tickdeck("show", "last", "balances", "--data", tmp_path, "--json").stdout)["balances"]

    assert said.stdout.splitlines()[0].split() == [
        "account", "currency", "total", "free", "reserved", "locked", "by", "others",
    ]  # fmt: skip
    assert {line.split()[0] for line in said.stdout.splitlines()[1:]} == {"alice", "bob"}
    assert {(row["account_id"], row["user_id"]) for row in rows} == {("alice", "Alice"), ("bob", "Bob")}
