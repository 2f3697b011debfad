"""Gate: a command from outside is carried out once, wherever the process is killed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from gate_processes import kill, killed
from gate_runs import config, prove

from tickdeck.bootstrap import Run, open_record, resume_run, start_run
from tickdeck.domain.events import CommandReceived, DomainEvent, OrderSubmittedEvent
from tickdeck.infrastructure.control import Answer, CommandDesk, ControlServer, Request, ask, desk

WANTED = config("Busy", seconds=600)
SUBMIT = Request(
    command="submit",
    id="dip-1",
    arguments={"side": "buy", "symbol": "BTCUSDT", "quantity": "0.01", "limit": "60900"},
    reason="the dip",
)


def asked(run: Run) -> Answer:
    """Drive a run, send it the order, and stop it after the answer."""

    async def play() -> Answer | None:
        async with ControlServer(run.folder, CommandDesk(run.kernel, run.tape.read, caught_up=run.caught_up)):
            driving = asyncio.create_task(run.drive(20))
            while not run.kernel.seq:  # noqa: ASYNC110 (nothing tells that it began)
                await asyncio.sleep(0)
            answer = await asyncio.to_thread(ask, run.folder, SUBMIT, timeout=60)
            run.driver.request_stop()
            await driving
            return answer

    answer = asyncio.run(play())
    assert answer is not None
    return answer


def play_until(where: str, form: str, data: Path) -> None:
    """Kill this process: ``taken``, when the command was handled and nothing of it is on disk; ``durable``, before the
    answer is sent; or return: ``answered``, after that."""
    run = start_run(msgspec.structs.replace(WANTED, tape_format=form), data, name="r")
    if where == "taken":
        run.kernel.subscribe(CommandReceived, kill, priority=-1_000)
    elif where == "durable":
        desk._answer = kill
    asked(run)


@pytest.mark.long
@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
@pytest.mark.parametrize("where", ["taken", "durable", "answered"])
def test_an_order_is_sent_once_wherever_the_run_is_killed(tmp_path: Path, where: str, form: str) -> None:
    killed(lambda: play_until(where, form, tmp_path))
    before = list(open_record(tmp_path / "r"))
    run = resume_run(tmp_path / "r")
    assert isinstance(run, Run)
    answer = asked(run)
    run.close()
    again = resume_run(tmp_path / "r")
    assert isinstance(again, Run)
    third = asked(again)
    again.close()
    events: list[DomainEvent] = list(open_record(tmp_path / "r"))

    assert any(isinstance(event, CommandReceived) for event in before) is (where != "taken")
    assert answer.accepted
    assert answer.repeated is (where != "taken")
    assert third.repeated
    assert (third.event_id, third.seq, third.events) == (answer.event_id, answer.seq, answer.events)
    assert sum(isinstance(event, CommandReceived) for event in events) == 1
    orders = [e for e in events if isinstance(e, OrderSubmittedEvent) and e.strategy_id == "operator"]
    assert [order.event_id for order in orders] == [answer.events[-1]["event_id"]]
    prove(tmp_path / "r")
