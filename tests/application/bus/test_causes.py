"""An event that an edge publishes on its bus while it handles an event has that event as its cause."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from application_kit import MemoryTape, Ping, Pong

from tickdeck.application.bus import InMemoryEventBus, Retry, ambient_bus, get_event_bus
from tickdeck.application.kernel import Kernel

REQUEST: ContextVar[str] = ContextVar("request", default="")


def causes(tape: MemoryTape) -> list[tuple[str, str]]:
    return [(event.causation_id, event.correlation_id) for event in tape.events if isinstance(event, Pong)]


def test_an_event_published_by_a_synchronous_edge_has_the_edges_event_as_cause() -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()), edge=True)
    kernel.publish(Ping())
    kernel.publish(Ping())
    kernel.publish(Pong())
    assert causes(tape) == [("1", "1"), ("3", "3"), ("", "5")]


def test_an_event_that_an_edge_publishes_on_another_bus_has_no_cause() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel, other = Kernel(tape=MemoryTape()), Kernel(tape=tape)
        other.publish(Ping())

        async def bridge(event: Ping) -> None:
            other.publish(Pong())

        kernel.subscribe(Ping, bridge)
        kernel.subscribe(Ping, lambda e: other.publish(Pong()), edge=True)
        kernel.publish(Ping())
        await kernel.drain()
        assert causes(tape) == [("", "2"), ("", "3")]

    asyncio.run(run())


def test_a_task_that_an_edge_started_is_caused_by_its_event_until_the_edge_is_done() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel, tasks = Kernel(tape=tape), list[asyncio.Task[None]]()
        over = asyncio.Event()

        async def background() -> None:
            kernel.publish(Pong())
            await over.wait()
            kernel.publish(Pong())

        async def edge(event: Ping) -> None:
            asyncio.get_running_loop().call_later(0, lambda: over.is_set() and kernel.publish(Pong()))
            tasks.append(asyncio.create_task(background()))
            await asyncio.sleep(0)

        kernel.subscribe(Ping, edge)
        kernel.publish(Ping())
        await kernel.drain()
        over.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)
        assert causes(tape)[:2] == [("1", "1"), ("", "3")]

    asyncio.run(run())


def test_a_task_left_by_a_failed_attempt_has_no_cause_during_the_pause() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel, tasks = Kernel(tape=tape), list[asyncio.Task[None]]()

        async def background() -> None:
            await asyncio.sleep(0)
            kernel.publish(Pong())

        async def edge(event: Ping) -> None:
            if not tasks:
                tasks.append(asyncio.create_task(background()))
                raise OSError

        kernel.subscribe(Ping, edge, retry=Retry(attempts=2, backoff=0.01))
        kernel.publish(Ping())
        await kernel.drain()
        assert causes(tape) == [("", "2")]

    asyncio.run(run())


def test_events_that_an_edge_posts_or_hands_over_have_its_event_as_cause() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel = Kernel(tape=tape)

        async def edge(event: Ping) -> None:
            kernel.post(Pong())
            await asyncio.to_thread(kernel.publish_threadsafe, Pong())

        kernel.subscribe(Ping, edge)
        kernel.publish(Ping())
        await kernel.drain()
        kernel.run_pending()
        assert causes(tape) == [("1", "1"), ("1", "1")]

    asyncio.run(run())


def test_an_event_that_an_edge_publishes_during_a_pause_keeps_its_cause() -> None:
    async def run() -> None:
        tape = MemoryTape()
        kernel = Kernel(tape=tape)

        async def edge(event: Ping) -> None:
            kernel.publish(Pong())

        kernel.subscribe(Ping, edge)
        kernel.publish(Ping())
        kernel.pause()
        await kernel.drain()
        kernel.resume()
        assert causes(tape) == [("1", "1")]

    asyncio.run(run())


def test_an_edge_runs_in_the_context_in_which_it_was_subscribed() -> None:
    async def run() -> None:
        bus, seen = InMemoryEventBus(), list[tuple[str, str]]()

        async def edge(event: Ping) -> None:
            seen.append(("async", REQUEST.get()))
            REQUEST.set("the edge's own")

        def sync_edge(event: Ping) -> None:
            seen.append(("sync", REQUEST.get()))
            REQUEST.set("the sync edge's own")

        async def request(name: str) -> str:
            REQUEST.set(name)
            bus.publish(Ping())
            return REQUEST.get()

        REQUEST.set("start-up")
        bus.subscribe(Ping, edge)
        bus.subscribe(Ping, sync_edge, edge=True)
        assert await asyncio.create_task(request("first")) == "first"
        await asyncio.create_task(request("second"))
        await bus.drain()
        assert ("async", "start-up") in seen
        assert not any(value in ("first", "second") for _, value in seen)
        assert [value for kind, value in seen if kind == "sync"] == ["start-up", "start-up"]

    asyncio.run(run())


def test_the_ambient_bus_of_an_edge_is_its_own_bus() -> None:
    async def run() -> None:
        kernel, other, found = Kernel(tape=MemoryTape()), InMemoryEventBus(), list[object]()

        async def edge(event: Ping) -> None:
            found.append(get_event_bus())

        kernel.subscribe(Ping, edge)
        kernel.subscribe(Ping, lambda e: found.append(get_event_bus()), edge=True)
        with ambient_bus(other):
            kernel.publish(Ping())
            await kernel.drain()
            assert get_event_bus() is other
        assert found == [kernel, kernel]

    asyncio.run(run())
