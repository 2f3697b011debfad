"""What async handlers get of a bus with a tape: only what is durable, also when the tape fails."""

from __future__ import annotations

import asyncio
import logging

import pytest
from application_kit import MemoryTape, Ping, Pong
from queue_kit import turns

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError, TickdeckError


def test_an_event_reaches_an_async_handler_only_when_its_whole_cascade_is_durable() -> None:
    async def run() -> None:
        tape = MemoryTape(synced=False)
        kernel, heard = Kernel(tape=tape), list[int]()

        async def edge(event: Ping) -> None:
            heard.append(event.n)

        kernel.subscribe(Ping, edge)
        kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
        kernel.publish(Ping(n=1))  # seq 1, 2
        kernel.publish(Ping(n=2))  # seq 3, 4
        await turns()
        assert heard == []
        tape.sync(1)
        await turns()
        assert heard == []  # its effect, seq 2, could still be lost
        tape.sync(2)
        await turns()
        assert heard == [1]
        tape.sync()
        await kernel.drain()
        assert heard == [1, 2]

    asyncio.run(run())


def test_a_receipt_distinguishes_dispatched_and_durable() -> None:
    async def run() -> None:
        tape = MemoryTape(synced=False)
        kernel, log = Kernel(tape=tape), list[str]()
        kernel.subscribe(Ping, lambda e: log.append("handled"))

        receipt = kernel.publish(Ping())
        await receipt
        assert log == ["handled"]

        durable = asyncio.create_task(receipt.durable())
        await turns()
        assert not durable.done()
        tape.sync()
        await durable

    asyncio.run(run())


def test_without_a_tape_everything_counts_as_durable() -> None:
    async def run() -> None:
        await InMemoryEventBus().publish(Ping())
        await InMemoryEventBus().publish(Ping()).durable()
        await Kernel(tape=MemoryTape(synced=False)).publish_all([]).durable()

    asyncio.run(run())


def test_an_event_published_by_an_async_handler_is_an_input_with_its_event_as_cause() -> None:
    async def run() -> list[DomainEvent]:
        tape = MemoryTape()
        kernel = Kernel(tape=tape)

        async def later(event: Ping) -> None:
            kernel.publish(Pong(n=event.n))

        async def edge(event: Ping) -> None:
            await asyncio.sleep(0)
            kernel.publish(Pong(n=event.n))
            await asyncio.create_task(later(event))

        kernel.subscribe(Ping, edge)
        kernel.publish(Ping(n=1))
        kernel.publish(Ping(n=2))
        await kernel.drain()
        kernel.publish(Pong(n=3))
        return tape.events

    events = asyncio.run(run())
    stamps = [(e.event_id, e.causation_id, e.correlation_id) for e in events if isinstance(e, Pong)]
    assert stamps == [("3", "1", "1"), ("4", "1", "1"), ("5", "2", "2"), ("6", "2", "2"), ("7", "", "7")]


def test_a_tape_that_fails_releases_nothing_and_is_raised_by_drain(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> list[int]:
        tape = MemoryTape(synced=False)
        kernel, heard = Kernel(tape=tape), list[int]()

        async def edge(event: Ping) -> None:
            heard.append(event.n)

        kernel.subscribe(Ping, edge)
        kernel.publish(Ping(n=1))
        tape.error = TapeError("the disk is gone")
        for _ in range(2):
            with pytest.raises(TapeError, match="the disk is gone"):
                await kernel.drain()
        return heard

    assert asyncio.run(run()) == []


def test_a_handler_that_publishes_into_a_failed_tape_ends_in_an_error_that_drain_raises() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel = Kernel(tape=tape)

        async def edge(event: Ping) -> None:
            tape.error = TapeError("the disk is full")
            kernel.publish(Pong())

        kernel.subscribe(Ping, edge)
        kernel.publish(Ping(n=1))
        with pytest.raises(TickdeckError, match=r"takes no more inputs.*TapeError: the disk is full"):
            await kernel.drain()
        await kernel.drain()  # nothing waits any more

    logging.getLogger("tickdeck.bus").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("tickdeck.bus").setLevel(logging.NOTSET)


def test_a_loop_that_ends_early_keeps_unreleased_events() -> None:
    tape = MemoryTape(synced=False)
    kernel, heard = Kernel(tape=tape), list[int]()

    async def edge(event: Ping) -> None:
        heard.append(event.n)

    async def publish_and_leave() -> None:
        kernel.publish(Ping(n=1))
        await turns()

    kernel.subscribe(Ping, edge)
    asyncio.run(publish_and_leave())
    assert heard == []
    tape.sync()
    asyncio.run(kernel.drain())

    assert heard == [1]
