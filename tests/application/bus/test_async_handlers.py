"""Async handlers are edges. Each has a bounded mailbox that releases only durable events."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
from contextvars import ContextVar

import pytest
from application_kit import MemoryTape, Ping, Pong

from tickdeck.application.bus import InMemoryEventBus, leave_mailbox
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, HandlerFailed
from tickdeck.errors import TapeError, TickdeckError


async def turns(count: int = 5) -> None:
    """Give every task that can continue a turn."""
    for _ in range(count):
        await asyncio.sleep(0)


def other_tasks() -> list[asyncio.Task[object]]:
    return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]


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


# -- with a tape ------------------------------------------------------------------------------------------------


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


def test_a_handler_that_leaves_its_mailbox_delays_no_other_event() -> None:
    async def run() -> None:
        bus, began, ended, gate = InMemoryEventBus(), list[int](), list[int](), asyncio.Event()
        number: ContextVar[int] = ContextVar("number")

        async def edge(event: Ping) -> None:
            number.set(event.n)
            assert leave_mailbox()
            assert not leave_mailbox()  # it has left
            began.append(event.n)
            await gate.wait()
            ended.append(number.get())  # what runs meanwhile does not share the context
            bus.publish(Pong(n=event.n))

        pongs = list[Pong]()
        bus.subscribe(Pong, pongs.append)
        bus.subscribe(Ping, edge)
        bus.publish_all([Ping(n=n) for n in range(3)])
        await bus.drain()  # nobody waits for those that have left
        assert began == [0, 1, 2]
        assert ended == []
        bus.publish(Ping(n=3))
        await bus.drain()
        assert began == [0, 1, 2, 3]

        gate.set()
        await turns()
        assert ended == [0, 1, 2, 3]
        assert [pong.causation_id for pong in pongs] == [""] * 4
        assert other_tasks() == []

    asyncio.run(run())


def test_an_error_after_a_handler_has_left_is_its_tasks_own() -> None:
    async def run() -> None:
        bus, tasks = InMemoryEventBus(), list[asyncio.Task[object]]()

        async def edge(event: Ping) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.append(task)
            leave_mailbox()
            if not event.n:
                raise ValueError("after leaving")

        bus.subscribe(Ping, edge)
        bus.publish_all([Ping(n=n) for n in range(2)])
        await bus.drain()
        await turns()

        assert isinstance(tasks[0].exception(), ValueError)
        assert tasks[1].exception() is None
        assert bus.dead_letters() == ()

    asyncio.run(run())


def test_only_a_handler_in_its_own_task_leaves_its_mailbox() -> None:
    async def run() -> list[bool]:
        bus, left = InMemoryEventBus(), [leave_mailbox()]

        async def elsewhere() -> None:
            left.append(leave_mailbox())

        async def edge(_: Ping) -> None:
            await asyncio.create_task(elsewhere())

        bus.subscribe(Ping, lambda _: left.append(leave_mailbox()), edge=True)
        bus.subscribe(Ping, edge)
        bus.publish(Ping())
        await bus.drain()
        return left

    assert asyncio.run(run()) == [False] * 3


def test_a_dead_letter_that_is_handled_keeps_its_mailbox() -> None:
    async def run() -> None:
        bus, left = InMemoryEventBus(), list[bool]()

        async def failing(_: Ping) -> None:
            if not failed:
                failed.append(True)
                raise ValueError("once")
            left.append(leave_mailbox())

        failed = list[bool]()
        bus.subscribe(Ping, failing, name="failing")
        bus.publish(Ping())
        await bus.drain()
        bus.resend(bus.dead_letters()[0])
        await bus.drain()
        assert left == [False]
        assert bus.dead_letters() == ()

    asyncio.run(run())
