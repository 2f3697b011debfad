"""Retries of edges, and the dead letters of those that never succeed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from bus_kit import FakeClock, Note, failing

from tickdeck import (
    CommandReceived,
    ConfigError,
    DomainEvent,
    EventDeadLettered,
    InMemoryEventBus,
    Kernel,
    Retry,
    dead_letters_on,
)
from tickdeck.infrastructure.tape import SqliteTape


def test_an_edge_is_retried_with_growing_pauses_until_it_succeeds() -> None:
    async def run() -> None:
        clock, heard = FakeClock(), list[DomainEvent]()
        bus = InMemoryEventBus(clock=clock)
        bus.subscribe(Note, failing(2, heard), retry=Retry(attempts=3, backoff=0.5))
        bus.publish(Note(n=1))
        await bus.drain()
        assert len(heard) == 1
        assert clock.slept == [0.5, 1.0]
        assert bus.statistics().failures == 0

    asyncio.run(run())


def test_an_event_that_failed_every_attempt_is_a_dead_letter_and_can_be_resent() -> None:
    async def run() -> None:
        heard = list[DomainEvent]()
        bus = InMemoryEventBus(clock=FakeClock())
        bus.subscribe(Note, failing(3, heard), retry=Retry(attempts=2), name="mailer")
        with bus.collect("*") as told:
            bus.publish(Note(n=1))
            await bus.drain()
            (letter,) = bus.dead_letters()
            bus.resend(letter)  # fails once more, then succeeds
            await bus.drain()

        assert (letter.handler, letter.error, letter.attempts) == ("mailer", "ConnectionError", 2)
        assert [e.event_type for e in told] == [
            "bustest.note",
            "system.handler_failed",
            "system.event_dead_lettered",
            "command.received",
        ]
        assert not any("secret" in repr(e) for e in told)
        assert [e.payload for e in heard] == [{"n": 1}]
        assert bus.dead_letters() == ()

    asyncio.run(run())


def test_a_letter_without_a_handler_is_kept() -> None:
    async def run() -> None:
        bus = InMemoryEventBus(clock=FakeClock())
        subscription = bus.subscribe(Note, failing(9, []), name="mailer")
        bus.publish(Note(n=1))
        await bus.drain()
        subscription.cancel()
        (letter,) = bus.dead_letters()
        with pytest.raises(ConfigError, match="mailer"):
            bus.resend(letter)
        assert bus.dead_letters() == (letter,)

    asyncio.run(run())


def test_dead_letters_outlive_the_process_on_the_tape(tmp_path: Path) -> None:
    async def first() -> None:
        with SqliteTape(tmp_path / "tape.db") as tape:
            kernel = Kernel(tape=tape, clock=FakeClock())
            kernel.subscribe(Note, failing(9, []), name="mailer")
            kernel.publish(Note(n=1))
            kernel.publish(Note(n=2))
            await kernel.drain()
            kernel.resend(kernel.dead_letters()[0])  # fails again: a letter again
            await kernel.drain()

    async def second() -> list[DomainEvent]:
        heard = list[DomainEvent]()
        with SqliteTape(tmp_path / "tape.db") as tape:
            letters = dead_letters_on(tape.read())
            last = list(tape.read())[-1]
            kernel = Kernel(tape=tape, clock=FakeClock())
            kernel.continue_from(last)
            kernel.restore_dead_letters(letters)
            kernel.subscribe(Note, failing(0, heard), name="mailer")
            for letter in kernel.dead_letters():
                kernel.resend(letter)
            await kernel.drain()
            assert dead_letters_on(tape.read()) == ()
        return heard

    asyncio.run(first())
    heard = asyncio.run(second())
    assert [e.payload["n"] for e in heard] == [2, 1]
    assert all(isinstance(e, Note) and e.event_id in ("1", "2") for e in heard)


def test_the_log_of_an_edges_error_omits_its_text(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        bus = InMemoryEventBus(clock=FakeClock())
        bus.subscribe(Note, failing(1, []))
        bus.publish(Note())
        await bus.drain()

    asyncio.run(run())
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text


def test_the_record_of_dead_letters_ignores_other_commands() -> None:
    dead = EventDeadLettered(dead_event_id="1", handler="h", error="E", payload_json=Note(n=3).to_json().decode())

    (letter,) = dead_letters_on([dead, CommandReceived(command="halt")])

    assert letter.event == Note(n=3)
