"""A bus that is paused, disabled or halted."""

from __future__ import annotations

import asyncio

from bus_kit import Note

from tickdeck import (
    Halt,
    InMemoryEventBus,
)


def test_a_paused_bus_holds_events_and_delivers_them_in_order_on_resume() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(Note, lambda e: heard.append(e.n))
    bus.pause()
    bus.publish(Note(n=1))
    with bus.batch():
        bus.publish(Note(n=2))
    assert heard == []
    assert bus.paused

    bus.resume()
    bus.publish(Note(n=3))
    bus.resume()

    assert heard == [1, 2, 3]
    assert not bus.paused


def test_a_pause_inside_a_handler_takes_effect_after_the_cascade() -> None:
    bus, heard = InMemoryEventBus(), list[int]()

    def handler(event: Note) -> None:
        heard.append(event.n)
        if event.n == 1:
            bus.pause()
            bus.publish(Note(n=2))

    bus.subscribe(Note, handler)
    bus.publish(Note(n=1))
    bus.publish(Note(n=3))
    assert heard == [1, 2]
    bus.resume()
    assert heard == [1, 2, 3]


def test_a_disabled_bus_discards_and_counts() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(Note, lambda e: heard.append(e.n))
    bus.pause()
    bus.publish(Note(n=1))
    bus.enabled = False  # what was held is delivered first
    bus.publish(Note(n=2))
    bus.enabled = True
    bus.publish(Note(n=3))

    assert heard == [1, 3]
    assert bus.statistics().discarded == 1
    assert bus.enabled


def test_halt_can_be_chosen_on_a_plain_bus_and_lasts() -> None:
    async def run() -> list[int]:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Note) -> None:
            heard.append(event.n)

        bus.subscribe(Note, edge, mailbox=1, overflow=Halt())
        bus.publish_all([Note(n=1), Note(n=2)])
        await bus.drain()
        bus.publish(Note(n=3))
        await bus.drain()
        return heard

    assert asyncio.run(run()) == [1]
