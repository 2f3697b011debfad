"""Async handlers are edges. Each has a bounded mailbox that releases only durable events."""

from __future__ import annotations

import asyncio
import functools
import gc

from application_kit import MemoryTape, Ping, Pong
from queue_kit import other_tasks, turns

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import HandlerFailed


def test_a_mailbox_keeps_the_order_however_long_each_event_takes() -> None:
    async def run() -> list[int]:
        bus, heard = InMemoryEventBus(), list[int]()

        async def slow(event: Ping) -> None:
            for _ in range(3 if event.n % 2 else 0):
                await asyncio.sleep(0)
            heard.append(event.n)

        bus.subscribe(Ping, slow)
        bus.publish_all([Ping(n=n) for n in range(6)])
        assert heard == []  # the publisher did not wait
        await bus.drain()
        return heard

    assert asyncio.run(run()) == [0, 1, 2, 3, 4, 5]


def test_draining_waits_for_events_that_async_handlers_publish_and_leaves_no_task() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[str]()

        async def first(event: Ping) -> None:
            await asyncio.sleep(0)
            heard.append(f"ping {event.n}")
            if event.n:
                bus.publish(Pong(n=event.n))

        async def second(event: Pong) -> None:
            await asyncio.sleep(0)
            heard.append(f"pong {event.n}")
            bus.publish(Ping(n=event.n - 1))

        bus.subscribe(Pong, second)
        bus.subscribe(Ping, first)
        bus.publish(Ping(n=2))
        await bus.aclose()

        assert heard == ["ping 2", "pong 2", "ping 1", "pong 1", "ping 0"]
        assert other_tasks() == []

    asyncio.run(run())


def test_a_slow_handler_does_not_delay_others() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[str]()
        gate = asyncio.Event()

        async def stuck(_: Ping) -> None:
            await gate.wait()
            heard.append("stuck")

        async def quick(_: Ping) -> None:
            heard.append("quick")

        bus.subscribe(Ping, stuck)
        bus.subscribe(Ping, quick)
        bus.publish(Ping())
        await turns()
        assert heard == ["quick"]
        gate.set()
        await bus.drain()
        assert heard == ["quick", "stuck"]

    asyncio.run(run())


def test_a_full_mailbox_drops_counts_and_reports() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Ping) -> None:
            heard.append(event.n)

        bus.subscribe(Ping, edge, mailbox=2, name="narrow")
        with bus.collect(HandlerFailed) as failures:
            bus.publish_all([Ping(n=n) for n in range(5)])

        assert [f.payload["error"] for f in failures] == ["BufferFull"]  # reported once, then counted
        assert "2 wait already" in str(failures[0].payload["message"])
        assert bus.statistics().dropped == {"test.ping": 3}
        await bus.drain()
        assert heard == [0, 1]
        bus.publish(Ping(n=9))
        await bus.drain()
        assert heard == [0, 1, 9]

    asyncio.run(run())


def test_without_a_loop_events_wait_until_there_is_one() -> None:
    bus, heard = InMemoryEventBus(), list[int]()

    async def edge(event: Ping) -> None:
        heard.append(event.n)

    subscription = bus.subscribe(Ping, edge)
    bus.publish_all([Ping(n=1), Ping(n=2)])
    subscription.cancel()  # events handed over earlier stay so
    bus.publish(Ping(n=3))
    assert heard == []

    asyncio.run(bus.drain())

    assert heard == [1, 2]
    assert bus._edges.busy == {}


def test_a_partial_and_an_object_with_an_async_call_are_async_handlers_too() -> None:
    heard: list[str] = []

    async def hear(name: str, event: Ping) -> None:
        heard.append(f"{name} {event.n}")

    class Notifier:
        async def __call__(self, event: Ping) -> None:
            heard.append(f"object {event.n}")

    async def run() -> None:
        bus = InMemoryEventBus()
        bus.subscribe(Ping, functools.partial(hear, "partial"))
        bus.subscribe(Ping, Notifier())
        bus.publish(Ping(n=1))
        assert [s.name for s in bus.statistics().handlers] == ["partial", "Notifier"]
        await bus.drain()

    asyncio.run(run())
    assert heard == ["partial 1", "object 1"]


def test_a_weak_async_method_ends_with_its_object() -> None:
    class Notifier:
        heard: list[int] = []

        async def hear(self, event: Ping) -> None:
            self.heard.append(event.n)

    async def run() -> None:
        bus, notifier = InMemoryEventBus(), Notifier()
        bus.subscribe(Ping, notifier.hear, weak=True)
        bus.publish(Ping(n=1))
        await bus.drain()
        bus.publish(Ping(n=2))
        del notifier
        gc.collect()
        bus.publish(Ping(n=3))
        await bus.drain()
        assert bus.statistics().handlers == ()
        assert bus._edges.busy == {}

    asyncio.run(run())
    assert Notifier.heard == [1]


def test_an_async_error_is_reported_without_its_text_and_the_handler_gets_the_next_event() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Ping) -> None:
            if event.n == 1:
                raise OSError("https://venue.example/?apiKey=SECRET refused")
            heard.append(event.n)

        bus.subscribe(Ping, edge, name="notifier")
        with bus.collect(HandlerFailed) as failures:
            bus.publish_all([Ping(n=1), Ping(n=2)])
            await bus.drain()

        assert heard == [2]
        (failure,) = failures
        assert (failure.payload["handler"], failure.payload["error"]) == ("notifier", "OSError")
        assert failure.payload["message"] == ""

    asyncio.run(run())


def test_edges_receive_cascades_in_order_each_after_its_end() -> None:
    kernel, log = Kernel(tape=MemoryTape()), list[str]()

    def answer(event: Ping) -> None:
        log.append(f"edge 1 ping {event.n}")
        if event.n == 1:
            kernel.publish(Ping(n=2))

    kernel.subscribe(Ping, lambda e: kernel.publish(Pong(n=e.n)))
    kernel.subscribe(Ping, answer, edge=True)
    kernel.subscribe("test.*", lambda e: log.append(f"edge 2 {e.event_type[5:]} {e.n}"), edge=True)
    kernel.subscribe(Pong, lambda e: log.append(f"core pong {e.n}"))

    kernel.publish(Ping(n=1))

    first = ["core pong 1", "edge 1 ping 1", "core pong 2", "edge 2 ping 1", "edge 2 pong 1"]
    assert log == [*first, "edge 1 ping 2", "edge 2 ping 2", "edge 2 pong 2"]
