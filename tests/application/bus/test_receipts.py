"""Receipts, and the events that a bus holds: paused, disabled, in a batch."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from application_kit import MemoryTape, Ping, Pong

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.errors import ConfigError, TapeError, TickdeckError


def test_receipts_of_events_published_before_an_error_raise(bus: InMemoryEventBus) -> None:
    kept: list[Any] = []

    def good(ping: Ping) -> object:
        kept.append(bus.publish(Pong(n=1)))
        return kept[-1]

    def bad(ping: Ping) -> None:
        kept.append(bus.publish(Pong(n=2)))
        kept.append(bus.publish(Pong(n=3)))
        raise ValueError("no")

    bus.subscribe(Ping, good, name="good")
    bus.subscribe(Ping, bad, name="bad")
    bus.subscribe(Ping, good, name="again")
    bus.publish(Ping())

    async def look() -> list[str]:
        said = []
        for receipt in kept:
            for stage in (receipt.durable(), receipt.handled(), dispatched(receipt)):
                try:
                    await stage
                except TickdeckError as error:
                    said.append(str(error))
                else:
                    said.append("")
        return said

    discarded = "the event was discarded: bad, which published it, raised ValueError"
    assert asyncio.run(look()) == [*[""] * 3, *[discarded] * 6, *[""] * 3]
    with pytest.raises(TickdeckError, match="discarded"):
        kept[1].wait(0)
    assert bus.statistics().failures == 1


async def dispatched(receipt: Any) -> None:
    await receipt


@pytest.mark.parametrize("end", ["refused", "broken"])
def test_receipts_of_waiting_events_raise_when_the_kernel_ends(end: str) -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    kernel.publish(Ping())
    kernel.pause()
    waiting = [kernel.publish(Pong()), kernel.publish_threadsafe(Pong())]
    if end == "refused":
        kernel.refuse_inputs("it is over")
    else:
        tape.error = TapeError("full")
        with pytest.raises(TapeError):
            kernel.feed(Ping())

    for receipt in waiting:
        with pytest.raises(TickdeckError, match=r"not taken, because (it is over|input 2 \(test.ping\) ended)"):
            receipt.wait(60)
    with pytest.raises(TickdeckError):
        kernel.publish_threadsafe(Pong())


def test_receipts_of_held_events_wait_and_those_of_discarded_ones_raise(bus: InMemoryEventBus) -> None:
    async def run() -> None:
        bus.pause()
        receipt = bus.publish(Ping())
        durable = asyncio.create_task(receipt.durable())
        await asyncio.sleep(0)
        assert not durable.done()
        bus.resume()
        await durable
        await receipt

        bus.enabled = False
        discarded = bus.publish(Ping())
        bus.enabled = True
        for stage in (discarded.durable(), discarded.handled()):
            with pytest.raises(TickdeckError, match="discarded"):
                await stage

        lost = []
        with contextlib.suppress(ValueError), bus.batch():
            lost.append(bus.publish(Ping()))
            raise ValueError("broken")
        with pytest.raises(TickdeckError, match="its batch ended in ValueError"):
            await lost[0]
        assert bus.statistics().discarded == 2

    asyncio.run(run())


def test_handled_waits_for_every_mailbox_and_does_not_raise_for_a_dead_letter(bus: InMemoryEventBus) -> None:
    async def run() -> None:
        gate, done = asyncio.Event(), list[int]()

        async def slow(event: Ping) -> None:
            await gate.wait()
            done.append(event.n)
            raise ValueError("broken")

        bus.subscribe(Ping, slow)
        receipt = bus.publish(Ping(n=1))
        handled = asyncio.create_task(receipt.handled())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not handled.done()
        gate.set()
        await handled
        assert done == [1]
        assert len(bus.dead_letters()) == 1

    asyncio.run(run())


def test_an_edge_cannot_wait_for_itself(bus: InMemoryEventBus) -> None:
    async def run() -> None:
        errors: list[str] = []
        drained: list[int] = []

        async def edge(event: Ping) -> None:
            try:
                await bus.publish(Pong()).handled()
            except ConfigError as error:
                errors.append(str(error))
            await asyncio.wait_for(bus.drain(), 60)
            drained.append(event.n)

        async def other(_: Ping) -> None:
            await bus.drain()

        bus.subscribe(Ping, edge)
        bus.subscribe(Ping, other)
        bus.publish_all([Ping(n=1), Ping(n=2)])
        await asyncio.wait_for(bus.drain(), 60)
        assert drained == [1, 2]
        assert "would wait for itself" in errors[0]

    asyncio.run(run())


# -- the gate is the same for every way in ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["publish", "post", "publish_threadsafe"])
def test_pause_disabled_and_batch_mean_the_same_for_every_way_in(bus: InMemoryEventBus, way: str) -> None:
    seen: list[int] = []
    bus.subscribe(Ping, lambda e: seen.append(e.n))

    def give(n: int) -> None:
        getattr(bus, way)(Ping(n=n))
        bus.run_pending()

    bus.pause()
    give(1)
    assert seen == []
    bus.resume()
    assert seen == [1]
    bus.enabled = False
    give(2)
    bus.enabled = True
    bus.run_pending()
    assert (seen, bus.statistics().discarded) == ([1], 1)
    with bus.batch():
        give(3)
        assert seen == [1]
    bus.run_pending()
    assert seen == [1, 3]


def test_a_batch_is_all_or_nothing_inside_a_pause_a_batch_and_a_handler(bus: InMemoryEventBus) -> None:
    seen: list[int] = []
    bus.subscribe(Pong, lambda e: seen.append(e.n))

    def failing_batch(n: int) -> None:
        try:
            with bus.batch():
                bus.publish(Pong(n=n))
                raise ValueError
        except ValueError:
            bus.publish(Pong(n=n + 1))

    bus.pause()
    failing_batch(1)
    bus.resume()
    with bus.batch():
        failing_batch(3)
    bus.subscribe(Ping, lambda e: failing_batch(5))
    bus.publish(Ping())
    assert seen == [2, 4, 6]


def test_a_resume_inside_a_handler_delivers_after_its_cascade(bus: InMemoryEventBus) -> None:
    seen: list[str] = []
    bus.subscribe(Pong, lambda e: seen.append(f"pong {e.n}"))

    def handler(_: Ping) -> None:
        bus.resume()
        bus.publish(Pong(n=2))

    bus.subscribe(Ping, handler)
    bus.pause()
    bus.publish(Pong(n=1))
    (bus.feed if isinstance(bus, Kernel) else bus._take_input)(Ping())
    assert seen == ["pong 2", "pong 1"]
    assert not bus.paused
