"""Dead letters have their own identity, and are removed when their handler has handled them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from application_kit import MemoryTape, Ping

from tickdeck.application.bus import DeadLetter, InMemoryEventBus, dead_letters_on
from tickdeck.application.bus.dead_letters import DeadLetters
from tickdeck.application.kernel import Kernel
from tickdeck.bootstrap import close_bus, open_bus
from tickdeck.domain.events import HandlerFailed
from tickdeck.errors import ConfigError, TickdeckError


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    log = logging.getLogger("tickdeck.bus")
    log.setLevel(logging.CRITICAL)
    yield
    log.setLevel(logging.NOTSET)


class Mailer:
    def __init__(self, *, works: bool = False) -> None:
        self.works = works
        self.sent: list[int] = []

    async def mail(self, event: Ping) -> None:
        if not self.works:
            raise OSError
        self.sent.append(event.n)


def test_two_edges_of_one_class_have_different_names_and_a_letter_goes_to_the_one_that_failed() -> None:
    async def run() -> None:
        bus, alice, bob = InMemoryEventBus(), Mailer(works=True), Mailer()
        names = [bus.subscribe(Ping, mailer.mail).name for mailer in (alice, bob)]
        bus.publish(Ping(n=1))
        await bus.drain()
        bob.works = True
        (letter,) = bus.dead_letters()
        bus.resend(letter)
        await bus.drain()
        assert names == ["Mailer.mail", "Mailer.mail#2"]
        assert letter.handler == "Mailer.mail#2"
        assert (alice.sent, bob.sent) == ([1], [1])

    asyncio.run(run())


def test_a_name_in_use_is_refused_for_another_edge_until_the_first_ends() -> None:
    bus = InMemoryEventBus()
    first = bus.subscribe(Ping, Mailer().mail, name="mail")
    with pytest.raises(ConfigError, match="'mail' exists already"):
        bus.subscribe(Ping, Mailer().mail, name="mail")
    with pytest.raises(ConfigError, match="'mail' exists already"):
        bus.subscribe(Ping, print, name="mail", edge=True)
    first.cancel()
    bus.subscribe(Ping, Mailer().mail, name="mail")


def test_a_letter_stays_until_its_handler_has_handled_it_and_no_other_is_touched() -> None:
    async def run() -> None:
        bus, mailer = InMemoryEventBus(), Mailer()
        bus.subscribe(Ping, mailer.mail, name="mail")
        bus.publish_all([Ping(n=1), Ping(n=1), Ping(n=2)])  # on this bus, events have no ids
        await bus.drain()
        first, second, third = bus.dead_letters()
        assert len({letter.letter_id for letter in (first, second, third)}) == 3

        bus.resend(second)  # fails once more: it is the newest now
        assert second in bus.dead_letters()
        await bus.drain()
        assert [letter.letter_id for letter in bus.dead_letters()] == [
            first.letter_id, third.letter_id, second.letter_id,
        ]  # fmt: skip

        mailer.works = True
        bus.resend(second)
        bus.resend(second)  # already being sent: not sent twice
        assert len(bus.dead_letters()) == 3
        await bus.drain()
        assert bus.dead_letters() == (first, third)
        assert mailer.sent == [1]
        with pytest.raises(ConfigError, match="no longer exists"):
            bus.resend(second)

    asyncio.run(run())


def test_a_letter_without_room_is_kept_and_the_sender_gets_an_error() -> None:
    async def run() -> None:
        bus, mailer = InMemoryEventBus(), Mailer()
        bus.subscribe(Ping, mailer.mail, name="mail", mailbox=1)
        for n in (1, 2):
            bus.publish(Ping(n=n))
            await bus.drain()
        mailer.works = True
        first, second = bus.dead_letters()
        bus.resend(first)
        with pytest.raises(TickdeckError, match="full"):
            bus.resend(second)
        await bus.drain()
        bus.resend(second)
        await bus.drain()
        assert mailer.sent == [1, 2]

    asyncio.run(run())


def test_plain_handlers_that_share_a_name_have_separate_letters() -> None:
    for bus in (InMemoryEventBus(), Kernel(tape=MemoryTape())):
        heard: list[str] = []

        def listener(name: str, bus_heard: list[str]) -> object:
            def listen(event: HandlerFailed) -> None:
                bus_heard.append(name)
                if len(bus_heard) < 3:
                    raise OSError

            return listen

        bus.subscribe(Ping, fail)
        bus.subscribe(HandlerFailed, listener("a", heard))  # type: ignore[arg-type]
        bus.subscribe(HandlerFailed, listener("b", heard))  # type: ignore[arg-type]
        bus.publish(Ping())
        assert heard == ["a", "b"]
        first, second = bus.dead_letters()
        bus.resend(second)
        assert heard == ["a", "b", "b"]
        assert bus.dead_letters() == (first,)


def fail(event: Ping) -> None:
    raise OSError


@pytest.mark.long
@pytest.mark.parametrize("tape_format", ["sqlite", "jsonl"])
def test_a_letter_of_an_earlier_process_is_resent_and_gone_for_the_next(tmp_path: Path, tape_format: str) -> None:
    path = tmp_path / "tape"
    mailer = Mailer()

    async def process(*, works: bool, resend: bool) -> tuple[DeadLetter, ...]:
        bus = open_bus(path, tape_format=tape_format)
        mailer.works = works
        bus.subscribe(Ping, mailer.mail, name="mail")
        if not bus.dead_letters() and not resend:
            bus.publish_all([Ping(n=1), Ping(n=2)])
        elif resend:
            bus.resend(bus.dead_letters()[0])
        await bus.drain()
        left = bus.dead_letters()
        await close_bus(bus)
        return left

    assert [letter.event.n for letter in asyncio.run(process(works=False, resend=False))] == [1, 2]  # type: ignore[attr-defined]
    assert [letter.event.n for letter in asyncio.run(process(works=False, resend=True))] == [2, 1]  # type: ignore[attr-defined]
    left = asyncio.run(process(works=True, resend=True))
    assert [letter.event.n for letter in left] == [1]  # type: ignore[attr-defined]
    assert asyncio.run(process(works=True, resend=True)) == ()
    assert mailer.sent == [2, 1]
    assert asyncio.run(process(works=True, resend=False)) == ()


def test_a_letter_that_was_sent_but_not_handled_before_a_crash_is_still_there() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel, mailer = Kernel(tape=tape), Mailer()
        kernel.subscribe(Ping, mailer.mail, name="mail")
        kernel.publish(Ping(n=1))
        await kernel.drain()
        kernel.resend(kernel.dead_letters()[0])
        assert dead_letters_on(tape.events) == kernel.dead_letters()
        mailer.works = True
        await kernel.drain()
        assert dead_letters_on(tape.events) == ()

    asyncio.run(run())


def test_resending_many_letters_takes_linear_time() -> None:
    def seconds(count: int) -> float:
        letters = DeadLetters(numbered=False)
        ids = [letters.add(DeadLetter(event=Ping(event_id=str(n)), handler="h", error="x")) for n in range(count)]
        began = time.perf_counter()
        for letter in ids:
            letters.mark_sent(letter)
            letters.remove(letter.letter_id)
        return time.perf_counter() - began

    assert min(seconds(8_000) for _ in range(3)) < 0.2  # with a search per letter it took seconds
