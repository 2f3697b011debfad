"""New commands that can be carried out, but cannot mean what they say; those of a record are carried out."""

from __future__ import annotations

import pytest
from application_kit import Core

from tickdeck.application.engines import why_meaningless
from tickdeck.application.strategies import Rules
from tickdeck.domain.events import CommandReceived
from tickdeck.domain.risk import RiskLimits

SIDES = "of one account on opposite sides, so its position may be flat, and a stop or a target could close nothing"
COMMANDS = [
    ("trigger-create", {"trigger_id": "t", "when": "price > -5", "then": "halt"}, "trigger-create: when: condition"),
    ("trigger-update", {"trigger_id": "old", "when": "price == price"}, "price == price compares a value with itself"),
    ("strategy-create", {"enter": "price > -5", "quantity": "1"}, "strategy-create: enter: condition 'price > -5'"),
    (
        "strategy-create",
        {"enter": "price < 95", "quantity": "1", "stop_loss": "2%"},
        f"short and new trade ETHUSDT {SIDES}",
    ),
    (
        "strategy-create",
        {"enter": "price < 95", "quantity": "1", "stop_loss": "2"},
        "stop_loss is the amount 2, and the",
    ),
    ("strategy-update", {"strategy_id": "long", "stop_loss": "2%"}, f"long and short trade ETHUSDT {SIDES}"),
    ("strategy-update", {"strategy_id": "long", "exit": "price < -5"}, "strategy-update: exit: condition 'price < -5'"),
]


def core() -> Core:
    """A strategy on each side without a stop, in a run of two symbols."""
    long = Rules(symbol="ETHUSDT", enter="price < 95", exit="price > 120", quantity="1")
    short = Rules(symbol="ETHUSDT", enter="price > 105", exit="price < 80", quantity="1", side="sell")
    core = Core({"long": long, "short": short}, limits=RiskLimits(), symbols=("BTCUSDT", "ETHUSDT")).start()
    told = {"trigger_id": "old", "when": "price(BTCUSDT) > 1", "then": "halt"}
    return core.feed(CommandReceived(command="trigger-create", arguments=told))


@pytest.mark.parametrize(("command", "arguments", "told"), COMMANDS)
def test_a_new_command_is_refused_and_a_recorded_one_is_carried_out(
    command: str, arguments: dict[str, str], told: str
) -> None:
    if command == "strategy-create":
        arguments = {"strategy_id": "new"} | arguments
    run = core()

    assert told in why_meaningless(run.strategies, command, arguments)

    if command.startswith("trigger"):
        arguments = arguments | {"when": arguments["when"].replace("price", "price(BTCUSDT)")}
    run.feed(CommandReceived(command=command, arguments=arguments))
    assert run.of("system.warning") == []


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("halt", {}),
        ("trigger-create", {"trigger_id": "t", "when": "price >", "then": "halt"}),
        ("trigger-update", {"trigger_id": "old", "then": "halt"}),
        ("strategy-create", {"strategy_id": "long", "enter": "price > -5", "quantity": "1"}),
        ("strategy-create", {"strategy_id": "new", "enter": "price >", "quantity": "1"}),
        ("strategy-update", {"strategy_id": "gone", "enter": "price > -5"}),
        ("strategy-update", {"strategy_id": "long", "enter": "price <"}),
        ("strategy-update", {"strategy_id": "long", "enter": "price < 94"}),
    ],
)
def test_other_commands_are_left_to_the_engines(command: str, arguments: dict[str, str]) -> None:
    assert why_meaningless(core().strategies, command, arguments) == ""


def test_an_update_that_is_refused_leaves_the_strategy_as_it_is() -> None:
    run = core()
    before = run.strategies.strategies["long"].parameters()

    why_meaningless(run.strategies, "strategy-update", {"strategy_id": "long", "enter": "price > -5"})

    assert run.strategies.strategies["long"].parameters() == before
