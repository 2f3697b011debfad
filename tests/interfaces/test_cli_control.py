"""Commands from a second terminal: a real run in a separate process is halted, flattened and resumed."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from running import Running, tickdeck

from tickdeck.bootstrap import open_record, verify_run
from tickdeck.domain.events import CommandReceived, OrderSubmittedEvent, TradingHalted, TradingResumed
from tickdeck.infrastructure.control import ordered_halt


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    run = Running(tmp_path, "--strategy", "market-maker")
    yield run
    run.end(signal.SIGKILL)


def test_a_run_is_halted_and_resumed_from_a_second_terminal(running: Running, tmp_path: Path) -> None:
    halted = tickdeck("halt", "last", "--reason", "lunch", "--json", data=tmp_path)
    answer = json.loads(halted.stdout)
    flattened = tickdeck("flatten", "last", data=tmp_path)
    resumed = tickdeck("resume", "last", data=tmp_path)
    again = tickdeck("resume", "last", data=tmp_path)
    settled = tickdeck("settle", "last", "tnone", data=tmp_path)
    adopted = tickdeck("adopt", "last", "BTC", data=tmp_path)
    running.end(signal.SIGINT)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    events = list(open_record(folder))

    assert (halted.returncode, answer["command"], answer["accepted"]) == (0, "halt", True)
    assert flattened.returncode == 0
    assert "accepted it and recorded it as event" in resumed.stderr
    assert again.returncode == 1
    assert "it is not halted" in again.stderr
    assert (settled.returncode, settled.stderr) == (1, "tickdeck: settle: order tnone is not known\n")
    assert (adopted.returncode, adopted.stderr) == (1, "tickdeck: adopt: there is no difference in BTC\n")
    commands = [event for event in events if isinstance(event, CommandReceived)]
    assert [command.command for command in commands] == ["halt", "flatten", "resume", "resume", "settle", "adopt"]
    assert commands[0].event_id == answer["event_id"]
    assert commands[0].reason == "lunch"
    assert all(command.metadata["who"] for command in commands)
    (halt,) = (event for event in events if isinstance(event, TradingHalted))
    (go,) = (event for event in events if isinstance(event, TradingResumed))
    between = [e for e in events if isinstance(e, OrderSubmittedEvent) and halt.seq < e.seq < go.seq]
    assert all(order.strategy_id == "risk" for order in between)  # of the flatten
    assert verify_run(folder)[0].identical


def test_a_killed_run_is_ordered_to_continue_halted_and_says_so(running: Running, tmp_path: Path) -> None:
    tickdeck("strategy", "last", "pause", "market-maker", data=tmp_path)
    running.end(signal.SIGKILL)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    refused = tickdeck("flatten", "last", data=tmp_path)
    halted = tickdeck("halt", "last", "--reason", "away", "--cancel-orders", data=tmp_path)
    ordered = ordered_halt(folder)
    replaced = tickdeck("halt", "last", "--reason", "far away", data=tmp_path)
    lifted_before = tickdeck("resume", "last", data=tmp_path)
    tickdeck("halt", "last", "--reason", "away", data=tmp_path)
    again = Running(tmp_path, "--resume", "last")
    while "is paused" not in (log := (folder / "log.jsonl").read_text()):
        assert again.is_alive
    while not any(isinstance(event, TradingHalted) for event in open_record(folder)):  # it is durable
        assert again.is_alive
    again.end(signal.SIGKILL)
    still = tickdeck("resume", "last", data=tmp_path)
    again = Running(tmp_path, "--resume", "last")
    lifted = tickdeck("resume", "last", data=tmp_path)
    again.end(signal.SIGINT)

    assert refused.returncode == 2
    assert "no process runs" in refused.stderr
    assert halted.returncode == 0
    assert ordered is not None
    assert ordered.reason == "away"
    assert f"by the file HALT: away; `tickdeck resume {folder.name}` ends that" in log
    assert f"`tickdeck strategy {folder.name} activate market-maker` ends that" in log
    assert "cancels its open orders then. It replaces one that was there already: away" in replaced.stderr
    assert (lifted_before.returncode, lifted_before.stderr.count("halted")) == (0, 0)
    assert "was removed, but its record says that trading is halted: away" in still.stderr
    assert lifted.returncode == 0
    assert ordered_halt(folder) is None
    assert verify_run(folder)[0].identical


def test_an_order_of_the_operator_is_sent_once_although_the_run_is_killed(running: Running, tmp_path: Path) -> None:
    words = ("submit", "last", "buy", "BTCUSDT", "0.01", "--id", "dip-1", "--reason", "the dip")
    first = tickdeck(*words, "--json", data=tmp_path)
    running.end(signal.SIGKILL)  # right after the answer
    again = Running(tmp_path, "--resume", "last", "--speed", "1")
    second = tickdeck(*words, "--json", data=tmp_path)
    other = tickdeck(*words[:4], "0.02", *words[5:], data=tmp_path)
    again.end(signal.SIGINT)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))
    events = list(open_record(folder))

    assert (first.returncode, second.returncode, other.returncode) == (0, 0, 1), second.stderr
    answer, repeated = json.loads(first.stdout), json.loads(second.stdout)
    assert repeated == answer | {"repeated": True}
    assert other.stderr.startswith("tickdeck: the id dip-1 was given before, for the command 'submit'")
    orders = [e for e in events if isinstance(e, OrderSubmittedEvent) and e.strategy_id == "operator"]
    assert [order.event_id for order in orders] == [answer["events"][-1]["event_id"]]
    assert sum(isinstance(event, CommandReceived) for event in events) == 1
    assert verify_run(folder)[0].identical


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("submit", "last", "buy", "BTCUSDT"), "Missing argument 'QUANTITY'"),
        (("submit", "last", "long", "BTCUSDT", "1"), "'long' is not one of 'buy', 'sell'"),
        (("amend", "last", "x"), "give --quantity, --limit or both"),
        (("cancel", "last"), "give the id of an order, --symbol or --all"),
        (("cancel", "last", "x", "--all"), "only one of them"),
        (("strategy", "last", "update", "a"), "give --param with create and update"),
        (("strategy", "last", "pause", "a", "--param", "x=1"), "give --param with create and update"),
        (("strategy", "last", "update", "a", "--param", "x"), "give NAME=VALUE"),
        (("strategy", "last", "create", "a", "--param", "account=bob"), "give --account with create"),
        (("strategy", "last", "pause", "a", "--account", "bob"), "--account applies to create"),
        (("halt", "nowhere"), "there is no run 'nowhere'"),
    ],
)
def test_a_wrong_call_gives_one_line(tmp_path: Path, words: tuple[str, ...], why: str) -> None:
    said = tickdeck(*words, data=tmp_path)

    assert said.returncode in (2, 3)
    assert why in said.stderr
    assert "Traceback" not in said.stderr


def test_triggers_are_created_listed_changed_and_deleted_from_a_second_terminal(
    running: Running, tmp_path: Path
) -> None:
    watch = ("--when", "price(BTCUSDT) > 1", "--then", "notify hello")
    created = tickdeck("trigger", "last", "create", "low", *watch, "--expires", "90m", data=tmp_path)
    wrong = tickdeck("trigger", "last", "create", "x", "--when", "prise > 1", "--then", "halt", data=tmp_path)
    listed = tickdeck("trigger", "last", "list", "--json", data=tmp_path)
    updated = tickdeck("trigger", "last", "update", "low", "--each-time", "--every", "1m", data=tmp_path)
    shown = tickdeck("trigger", "last", "list", data=tmp_path)
    deleted = tickdeck("trigger", "last", "delete", "low", data=tmp_path)
    gone = tickdeck("trigger", "last", "delete", "low", data=tmp_path)
    none = tickdeck("trigger", "last", "list", data=tmp_path)
    unclear = tickdeck("trigger", "last", "create", "low", data=tmp_path)
    running.end(signal.SIGINT)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))

    assert created.returncode == updated.returncode == deleted.returncode == 0
    assert "effects: trigger.created" in created.stderr
    assert (wrong.returncode, "column 1: there is no 'prise'; did you mean 'price'?" in wrong.stderr) == (1, True)
    row = json.loads(listed.stdout)
    assert (row["trigger_id"], row["once"], row["then"]) == ("low", True, "notify hello")
    assert row["expires"] > 0
    assert "(each time, not within 1 min;" in shown.stdout
    assert (gone.returncode, none.stderr) == (1, "tickdeck: the run has no triggers\n")
    assert (unclear.returncode, "give --when and --then" in unclear.stderr) == (2, True)
    assert verify_run(folder)[0].identical


def test_a_strategy_without_code_joins_a_run_from_a_second_terminal(running: Running, tmp_path: Path) -> None:
    parameters = ("--param", "enter=price > 1", "--param", "quantity=0.01", "--param", "stop_loss=5%")
    created = tickdeck("strategy", "last", "create", "dip", *parameters, data=tmp_path)
    wrong = tickdeck(
        "strategy", "last", "create", "x", "--param", "enter=rsi(3, 1h) < 3", *parameters[2:], data=tmp_path
    )
    running.end(signal.SIGINT)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))

    assert created.returncode == 0, created.stderr
    assert "effects: strategy.created, strategy.activated" in created.stderr
    assert (wrong.returncode, "rsi(3, 1h) is not computed in this run" in wrong.stderr) == (1, True)
    orders = [event for event in open_record(folder) if isinstance(event, OrderSubmittedEvent)]
    bought = next(order for order in orders if order.strategy_id == "dip")
    assert (bought.side, bought.quantity) == ("buy", Decimal("0.01"))
    assert verify_run(folder)[0].identical


SEVERAL = """
[accounts.alice]
exchange = "paper"
[accounts.bob]
exchange = "paper"
[[strategies]]
spec = "market-maker"
account = "alice"
"""


def test_a_strategy_that_joins_a_run_with_several_accounts_names_one(tmp_path: Path) -> None:
    (tmp_path / "several.toml").write_text(SEVERAL, "utf-8")
    parameters = ("--param", "enter=price > 1", "--param", "quantity=0.01")
    running = Running(tmp_path, "--config", str(tmp_path / "several.toml"))
    try:
        unclear = tickdeck("strategy", "last", "create", "dip", *parameters, data=tmp_path)
        created = tickdeck("strategy", "last", "create", "dip", *parameters, "--account", "bob", data=tmp_path)
        watch = ("--when", "price(BTCUSDT) > 1", "--then", "halt")
        tickdeck("trigger", "last", "create", "low", *watch, "--account", "bob", data=tmp_path)
        listed = tickdeck("trigger", "last", "list", data=tmp_path)
    finally:
        running.end(signal.SIGINT)
    (folder,) = (path.parent for path in tmp_path.glob("*/manifest.json"))

    assert (unclear.returncode, "give --account NAME, one of alice, bob" in unclear.stderr) == (1, True)
    assert created.returncode == 0, created.stderr
    orders = [event for event in open_record(folder) if isinstance(event, OrderSubmittedEvent)]
    assert {order.account_id for order in orders if order.strategy_id == "dip"} == {"bob"}
    assert "then halt of account bob" in " ".join(listed.stdout.split())
    assert verify_run(folder)[0].identical
