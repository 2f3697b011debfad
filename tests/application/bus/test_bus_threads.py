"""Events that other threads publish."""

from __future__ import annotations

import asyncio
import threading

from bus_kit import Note

from tickdeck import (
    InMemoryEventBus,
)


def test_events_of_other_threads_are_dispatched_in_the_loops_thread_and_none_is_lost() -> None:
    async def run() -> tuple[list[int], list[int]]:
        bus, heard, owners = InMemoryEventBus(), list[int](), list[int]()
        done = asyncio.Event()

        def handler(event: Note) -> None:
            heard.append(event.n)
            owners.append(threading.get_ident())
            if len(heard) == 4_000:
                done.set()

        bus.subscribe(Note, handler)
        bus.bind()
        workers = [
            threading.Thread(
                target=lambda first=first: [bus.publish_threadsafe(Note(n=first + k)) for k in range(1_000)]
            )
            for first in range(0, 4_000, 1_000)
        ]
        for worker in workers:
            worker.start()
        await asyncio.wait_for(done.wait(), 60)
        for worker in workers:
            worker.join()
        return heard, owners

    heard, owners = asyncio.run(run())
    assert sorted(heard) == list(range(4_000))
    assert set(owners) == {threading.get_ident()}


def test_without_a_loop_the_owner_dispatches_events_of_other_threads() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(Note, lambda e: heard.append(e.n))
    thread = threading.Thread(target=bus.publish_threadsafe, args=(Note(n=5),))
    thread.start()
    thread.join()
    assert heard == []
    assert bus.statistics().waiting == 1
    assert bus.run_pending() == 1
    assert heard == [5]
