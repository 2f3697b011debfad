"""An edge that was interrupted has not handled its event: cancelled tasks, loops that end, handlers that disappear."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging

import pytest
from application_kit import Ping, trade

from tickdeck.application.bus import Conflate, DropOldest, InMemoryEventBus, Retry
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, HandlerFailed, TradeEvent
from tickdeck.infrastructure.tape import NullTape

pytestmark = pytest.mark.filterwarnings("error")


async def cancelled_request() -> None:
    """What the handler awaits is cancelled, not the handler itself, as when a connection pool shuts down."""
    request = asyncio.ensure_future(asyncio.sleep(9))
    request.cancel()
    await request


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def letters(bus: InMemoryEventBus) -> list[int]:
    return [letter.event.n for letter in bus.dead_letters()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_handler_cancelled_from_inside_leaves_a_dead_letter_and_handles_later_events(
    attempts: int,
) -> None:
    async def run() -> None:
        bus, heard, calls = InMemoryEventBus(), list[int](), list[int]()

        async def edge(event: Ping) -> None:
            calls.append(event.n)
            if event.n == 0:
                await cancelled_request()
            heard.append(event.n)

        bus.subscribe(Ping, edge, name="edge", retry=Retry(attempts=attempts, backoff=0))
        with bus.collect(HandlerFailed) as failures:
            bus.publish_all([Ping(n=n) for n in range(3)])
            await asyncio.wait_for(bus.drain(), 60)

        assert heard == [1, 2]
        assert calls.count(0) == attempts
        assert letters(bus) == [0]
        assert [f.payload["error"] for f in failures] == ["CancelledError"]
        assert bus.statistics().failures == 1

    asyncio.run(run())


def test_an_event_whose_task_was_cancelled_from_outside_is_retried_even_without_drain() -> None:
    async def run() -> None:
        bus, heard, calls = InMemoryEventBus(), list[int](), list[int]()
        go = asyncio.Event()

        async def edge(event: Ping) -> None:
            calls.append(event.n)
            await go.wait()
            heard.append(event.n)

        bus.subscribe(Ping, edge)
        bus.publish_all([Ping(n=1), Ping(n=2)])
        await turns()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await turns()
        go.set()
        await turns()
        assert (heard, calls) == ([1, 2], [1, 1, 2])
        assert bus.dead_letters() == ()

    asyncio.run(run())


def test_an_event_on_which_the_task_is_cancelled_repeatedly_becomes_a_dead_letter() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Ping) -> None:
            if event.n == 0:
                await asyncio.Event().wait()
            heard.append(event.n)

        bus.subscribe(Ping, edge)
        bus.publish_all([Ping(n=0), Ping(n=1)])
        rounds = 0
        while not letters(bus):
            await turns()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            rounds += 1
            assert rounds < 10
        await asyncio.wait_for(bus.drain(), 60)
        assert heard == [1]

    asyncio.run(run())


def test_a_handler_that_suppresses_its_cancellation_has_handled_its_event() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Ping) -> None:
            if event.n == 0:
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.Event().wait()
            heard.append(event.n)
            if event.n == 1:
                await cancelled_request()  # still distinguished from a cancellation of the task

        bus.subscribe(Ping, edge)
        bus.publish_all([Ping(n=0), Ping(n=1), Ping(n=2)])
        await turns()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait_for(bus.drain(), 60)
        assert heard == [0, 1, 2]
        assert letters(bus) == [1]

    asyncio.run(run())


def test_an_event_interrupted_by_the_end_of_a_loop_is_delivered_again_in_the_next() -> None:
    bus, started, done = InMemoryEventBus(), list[int](), list[int]()
    go = False

    async def edge(event: Ping) -> None:
        started.append(event.n)
        if not go:
            await asyncio.Event().wait()
        done.append(event.n)

    async def publish_and_leave() -> None:
        bus.publish_all([Ping(n=1), Ping(n=2)])
        await turns()

    bus.subscribe(Ping, edge, retry=Retry(attempts=3))
    asyncio.run(publish_and_leave())
    go = True
    asyncio.run(bus.drain())

    assert (started, done) == ([1, 1, 2], [1, 2])
    assert bus.dead_letters() == ()
    assert bus.statistics().failures == 0


@pytest.mark.long
def test_a_loop_that_was_closed_with_a_task_in_it_does_not_poison_the_bus(caplog: pytest.LogCaptureFixture) -> None:
    bus, done = InMemoryEventBus(), list[int]()
    go = False

    async def edge(event: Ping) -> None:
        if not go:
            await asyncio.Event().wait()
        done.append(event.n)

    async def publish(n: int) -> None:
        bus.publish(Ping(n=n))
        await turns()

    bus.subscribe(Ping, edge)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(publish(1))
    loop.close()  # without cancelling its tasks
    go = True

    async def again() -> None:
        await publish(2)
        await asyncio.wait_for(bus.drain(), 60)

    asyncio.run(again())
    gc.collect()
    assert done == [1, 2]


def test_a_stopped_loop_leaves_its_work_to_the_running_one() -> None:
    bus, done = InMemoryEventBus(), list[int]()
    go = False

    async def edge(event: Ping) -> None:
        if not go:
            await asyncio.Event().wait()
        done.append(event.n)

    async def publish() -> None:
        bus.publish(Ping(n=1))
        await turns()

    bus.subscribe(Ping, edge)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(publish())
        go = True
        asyncio.run(bus.drain())
        assert done == [1]
        loop.run_until_complete(turns())  # the old task ends, and handles nothing a second time
        assert done == [1]
    finally:
        loop.close()


class Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [Odd, GeneratorExit])
def test_a_base_exception_is_an_error_on_its_event_only(error: type[BaseException]) -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Ping) -> None:
            if event.n == 0:
                raise error
            heard.append(event.n)

        bus.subscribe(Ping, edge, retry=Retry(attempts=3))
        bus.publish_all([Ping(n=0), Ping(n=1)])
        await asyncio.wait_for(bus.drain(), 60)
        assert heard == [1]
        assert letters(bus) == [0]

    asyncio.run(run())


def test_a_handler_that_exits_the_program_leaves_a_dead_letter() -> None:
    bus, heard = InMemoryEventBus(), list[int]()

    async def edge(event: Ping) -> None:
        if event.n == 0:
            raise SystemExit(3)
        heard.append(event.n)

    async def run() -> None:
        bus.publish_all([Ping(n=0), Ping(n=1)])
        await bus.drain()

    bus.subscribe(Ping, edge)
    with pytest.raises(SystemExit):
        asyncio.run(run())
    assert letters(bus) == [0]
    asyncio.run(bus.drain())
    assert heard == [1]


def test_an_event_interrupted_by_ctrl_c_is_delivered_again() -> None:
    bus, heard, interrupt = InMemoryEventBus(), list[int](), True

    async def edge(event: Ping) -> None:
        nonlocal interrupt
        if interrupt:
            interrupt = False
            raise KeyboardInterrupt
        heard.append(event.n)

    async def run() -> None:
        bus.publish_all([Ping(n=0), Ping(n=1)])
        await bus.drain()

    bus.subscribe(Ping, edge)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run())
    asyncio.run(bus.drain())
    assert heard == [0, 1]
    assert bus.dead_letters() == ()


def test_waiting_events_of_a_weak_handler_that_dies_are_counted() -> None:
    class Notifier:
        async def hear(self, event: Ping) -> None:
            raise AssertionError

    async def run() -> None:
        bus, notifier = InMemoryEventBus(), Notifier()
        bus.subscribe(Ping, notifier.hear, weak=True)
        bus.publish_all([Ping(n=1), Ping(n=2)])
        del notifier
        gc.collect()
        await asyncio.wait_for(bus.drain(), 60)
        assert bus.statistics().dropped == {"test.ping": 2}

    asyncio.run(run())


def test_an_edge_unsubscribed_during_retries_still_leaves_a_dead_letter() -> None:
    async def run() -> None:
        bus = InMemoryEventBus()
        calls = 0

        async def edge(event: Ping) -> None:
            nonlocal calls
            calls += 1
            subscription.cancel()
            raise OSError

        subscription = bus.subscribe(Ping, edge, retry=Retry(attempts=2, backoff=0))
        bus.publish_all([Ping(n=1), Ping(n=2)])
        await asyncio.wait_for(bus.drain(), 60)
        assert calls == 4
        assert letters(bus) == [1, 2]

    asyncio.run(run())


def test_an_edge_that_republishes_its_events_receives_them_in_turn() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Ping) -> None:
            if event.n:
                bus.publish(Ping(n=event.n - 1))
            heard.append(event.n)

        bus.subscribe(Ping, edge)
        bus.publish_all([Ping(n=2), Ping(n=1)])
        await asyncio.wait_for(bus.drain(), 60)
        assert heard == [2, 1, 1, 0, 0]

    asyncio.run(run())


@pytest.mark.parametrize("policy", [DropOldest(), Conflate("symbol")])
def test_the_counts_of_an_ended_mailbox_remain(policy: DropOldest | Conflate) -> None:
    async def edge(event: TradeEvent) -> None: ...

    bus = InMemoryEventBus()
    subscription = bus.subscribe("market.trade", edge, overflow=policy, mailbox=1)
    bus.publish_all([trade("1"), trade("2"), trade("3")])
    assert bus.statistics().dropped == {"market.trade": 2}
    subscription.cancel()
    assert bus.statistics().dropped == {"market.trade": 2}
    asyncio.run(bus.drain())


def test_an_event_refused_in_a_run_is_a_dead_letter_and_resending_one_ends_the_overrun() -> None:
    async def run() -> None:
        kernel, heard = Kernel(tape=NullTape()), list[int]()

        async def edge(event: Ping) -> None:
            heard.append(event.n)

        kernel.subscribe(Ping, edge, mailbox=2)
        for n in range(4):
            kernel.publish(Ping(n=n))
        await kernel.drain()
        kernel.publish(Ping(n=4))
        await kernel.drain()
        assert heard == [0, 1]
        assert letters(kernel) == [2, 3, 4]
        assert [letter.attempts for letter in kernel.dead_letters()] == [0, 0, 0]

        for letter in kernel.dead_letters():
            kernel.resend(letter)
            await kernel.drain()
        kernel.publish(Ping(n=5))
        await kernel.drain()
        assert heard == [0, 1, 2, 3, 4, 5]
        assert kernel.dead_letters() == ()

    logging.getLogger("tickdeck.bus").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run())
    finally:
        logging.getLogger("tickdeck.bus").setLevel(logging.NOTSET)


def test_an_overrun_handled_by_its_subscriber_ends_when_the_mailbox_is_empty() -> None:
    async def run() -> None:
        kernel, heard, refused = Kernel(tape=NullTape()), list[int](), list[DomainEvent]()

        async def edge(event: Ping) -> None:
            heard.append(event.n)

        kernel.subscribe(Ping, edge, mailbox=1, refused=refused.append)
        for n in range(3):
            kernel.publish(Ping(n=n))
        await kernel.drain()
        kernel.publish(Ping(n=3))
        await kernel.drain()
        assert heard == [0, 3]
        assert len(refused) == 2
        assert kernel.dead_letters() == ()

    asyncio.run(run())
