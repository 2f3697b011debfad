"""Gate: after a kill in the middle of an update of rules, the rules in force are exactly the recorded ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from gate_processes import kill, killed
from gate_runs import DIP, config, prove

from tickdeck.application.strategies import Rules
from tickdeck.bootstrap import Run, open_record, resume_run, start_run
from tickdeck.domain.events import CommandReceived, StrategyCreated, StrategyDecisionEvent, StrategyUpdated
from tickdeck.infrastructure.control import Answer, CommandDesk, ControlServer, Request, ask, desk

WANTED = msgspec.structs.replace(config("Busy", seconds=600, state_every=400), strategies=(DIP,))
WITHOUT_STOP = {"enter": "price > 1 and position == 0", "exit": "price > 2", "quantity": "0.003", "stop_loss": ""}
UPDATES = [
    Request(command="strategy-update", id="u-1", arguments={"strategy_id": "dip", **WITHOUT_STOP}),
    Request(command="strategy-update", id="u-2", arguments={"strategy_id": "dip", "enter": "price > 3", "exit": ""}),
]


def is_second(command: CommandReceived) -> bool:
    return command.arguments.get("enter") == "price > 3"


def has_changed(updated: StrategyUpdated) -> bool:
    return updated.parameters.get("enter") == "price > 3"


class SecondAnswer:
    """Kills the process instead of giving its second answer."""

    def __init__(self, answer: Callable[..., Answer]) -> None:
        self._answer = answer
        self._given = 0

    def __call__(self, *arguments: object, **named: object) -> Answer:
        self._given += 1
        return self._answer(*arguments, **named) if self._given == 1 else kill()


def asked(run: Run, *requests: Request) -> list[Answer]:
    """Drive a run, send it the updates, and stop it after the answers."""

    async def play() -> list[Answer]:
        async with ControlServer(run.folder, CommandDesk(run.kernel, run.tape.read, caught_up=run.caught_up)):
            driving = asyncio.create_task(run.drive(20))
            while run.kernel.seq < 500 or not run.caught_up():  # noqa: ASYNC110 (nothing tells that it came there)
                await asyncio.sleep(0)
            given = [await asyncio.to_thread(ask, run.folder, request, timeout=60) for request in requests]
            run.driver.request_stop()
            await driving
            return [answer for answer in given if answer is not None]

    return asyncio.run(play())


def play_until(where: str, form: str, data: Path) -> None:
    """Kill this process at the second update: ``taken``, before the rules change; ``changed``, when they have, and
    nothing of it is on disk; ``durable``, before the answer is sent; or return: ``answered``, after that."""
    run = start_run(msgspec.structs.replace(WANTED, tape_format=form), data, name="r")
    if where == "taken":
        run.kernel.subscribe(CommandReceived, kill, where=is_second, priority=-1_000)
    elif where == "changed":
        run.kernel.subscribe(StrategyUpdated, kill, where=has_changed, priority=1_000)
    elif where == "durable":
        desk._answer = SecondAnswer(desk._answer)
    asked(run, *UPDATES)


def recorded(folder: Path) -> dict[str, str]:
    """The parameters of the strategy, as its events say."""
    known: dict[str, str] = {}
    for event in open_record(folder):
        if isinstance(event, StrategyCreated | StrategyUpdated) and event.strategy_id == "dip":
            known |= event.parameters
    return known


def in_force(run: Run) -> dict[str, str]:
    return {name: str(value) for name, value in run.core.strategies.strategies["dip"].parameters().items()}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
@pytest.mark.parametrize("where", ["taken", "changed", "durable", "answered"])
def test_the_rules_in_force_are_the_recorded_ones(tmp_path: Path, where: str, form: str) -> None:
    killed(lambda: play_until(where, form, tmp_path))
    left = recorded(tmp_path / "r")
    *_, end = (event.seq for event in open_record(tmp_path / "r"))
    is_known = where in ("durable", "answered")
    assert left["enter"] == ("price > 3" if is_known else WITHOUT_STOP["enter"])

    run = resume_run(tmp_path / "r")
    assert isinstance(run, Run)
    asked(run)
    run.close()

    assert in_force(run) == recorded(tmp_path / "r") == left
    rules = run.core.strategies.strategies["dip"]
    assert isinstance(rules, Rules)
    conditions = {name: str(one) for name, one in rules.conditions.items()}
    assert conditions == {name: left[name] for name in ("enter", "exit") if left[name]}
    later = [
        event.reason
        for event in open_record(tmp_path / "r")
        if isinstance(event, StrategyDecisionEvent) and event.strategy_id == "dip" and event.seq > end
    ]
    assert all(reason.startswith(tuple(f"{name}: {text} (" for name, text in conditions.items())) for reason in later)
    prove(tmp_path / "r")

    again = resume_run(tmp_path / "r")
    assert isinstance(again, Run)
    [answer] = asked(again, UPDATES[1])
    again.close()
    assert answer.accepted
    assert answer.repeated is is_known
    assert in_force(again) == recorded(tmp_path / "r") == left | {"enter": "price > 3", "exit": ""}
    prove(tmp_path / "r")
