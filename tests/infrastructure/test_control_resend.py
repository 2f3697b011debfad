"""Dead letters that are sent again through the control socket."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from application_kit import MemoryTape, Ping

from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import CommandReceived, DeadLetterHandled, DomainEvent, RunStarted
from tickdeck.infrastructure.control import Answer, CommandDesk, ControlServer, Request, ask


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("tickdeck.bus")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


class Mailer:
    def __init__(self) -> None:
        self.works = False
        self.sent: list[int] = []

    async def mail(self, event: Ping) -> None:
        if not self.works:
            raise OSError
        self.sent.append(event.n)


Client = Callable[[Callable[..., Awaitable[Answer | None]]], Awaitable[None]]


def play(
    folder: Path, mailer: Mailer, client: Client, *, past: list[DomainEvent] | None = None, caught_up: bool = True
) -> tuple[Kernel, list[DomainEvent]]:
    """Let ``client(send)`` talk to a run in which ``mailer`` failed to handle an event, or, with ``past``, to one that
    continues such a record."""
    tape = MemoryTape()
    kernel = Kernel(tape=tape)

    def recorded(query: TapeQuery) -> list[DomainEvent]:
        return [event for event in (*(past or ()), *tape.events) if event.seq >= query.first_seq]

    async def send(**arguments: str) -> Answer | None:
        command_id = arguments.pop("id", "")
        return await asyncio.to_thread(ask, folder, Request(command="resend", id=command_id, arguments=arguments))

    async def run() -> None:
        kernel.subscribe(Ping, mailer.mail, name="mail")
        if past:
            kernel.continue_from(past[-1])
        kernel.feed(RunStarted())
        if past is None:
            kernel.feed(Ping(n=7))
            await kernel.drain()
        async with ControlServer(folder, CommandDesk(kernel, recorded, caught_up=lambda: caught_up)):
            await client(send)
            await kernel.drain()

    asyncio.run(run())
    return kernel, tape.events


def test_a_dead_letter_is_handled_and_the_command_says_who_sent_it(tmp_path: Path) -> None:
    mailer = Mailer()

    async def client(send: Callable[..., Awaitable[Answer | None]]) -> None:
        mailer.works = True
        answer = await send(event_id="2", id="again")
        repeated = await send(event_id="2", id="again")
        assert answer is not None
        assert answer.accepted
        assert repeated is not None
        assert (repeated.repeated, repeated.seq) == (True, answer.seq)

    kernel, events = play(tmp_path, mailer, client)

    assert mailer.sent == [7]
    assert kernel.dead_letters() == ()
    (command,) = (event for event in events if isinstance(event, CommandReceived))
    assert (command.command, command.arguments["handler"], command.source) == ("resend", "mail", "control")
    assert command.metadata["who"]
    assert any(isinstance(event, DeadLetterHandled) for event in events)


def test_a_letter_that_fails_again_is_kept(tmp_path: Path) -> None:
    mailer = Mailer()

    async def client(send: Callable[..., Awaitable[Answer | None]]) -> None:
        answer = await send(event_id="2", handler="mail")
        assert answer is not None
        assert answer.accepted

    kernel, _ = play(tmp_path, mailer, client)

    assert [letter.event.event_id for letter in kernel.dead_letters()] == ["2"]


def test_a_letter_of_an_earlier_process_is_sent_again(tmp_path: Path) -> None:
    mailer = Mailer()

    async def nothing(send: Callable[..., Awaitable[Answer | None]]) -> None:
        """The first process ends here."""

    _, past = play(tmp_path, mailer, nothing)
    later = Mailer()
    later.works = True

    async def client(send: Callable[..., Awaitable[Answer | None]]) -> None:
        answer = await send(event_id="2")
        assert answer is not None
        assert answer.accepted

    kernel, _ = play(tmp_path, later, client, past=past)

    assert later.sent == [7]
    assert kernel.dead_letters() == ()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"event_id": "9"}, "there is no dead letter of event '9'"),
        ({}, "there is no dead letter of event ''"),
        ({"event_id": "2", "handler": "other"}, "there is no dead letter of event '2'"),
    ],
)
def test_a_letter_that_is_not_there_is_refused_and_not_recorded(
    tmp_path: Path, arguments: dict[str, str], why: str
) -> None:
    async def client(send: Callable[..., Awaitable[Answer | None]]) -> None:
        answer = await send(**arguments)
        assert answer is not None
        assert why in answer.problems[0]

    _, events = play(tmp_path, Mailer(), client)

    assert not any(isinstance(event, CommandReceived) for event in events)


def test_nothing_is_sent_again_while_a_run_catches_up(tmp_path: Path) -> None:
    async def client(send: Callable[..., Awaitable[Answer | None]]) -> None:
        answer = await send(event_id="2")
        assert answer is not None
        assert "executes its record again" in answer.problems[0]

    play(tmp_path, Mailer(), client, caught_up=False)
