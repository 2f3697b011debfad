"""A handler that leaves its mailbox lets the next event pass while it still works."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar

from application_kit import Ping, Pong
from queue_kit import other_tasks, turns

from tickdeck.application.bus import InMemoryEventBus, leave_mailbox


def test_a_handler_that_leaves_its_mailbox_delays_no_other_event() -> None:
    async def run() -> None:
        bus, began, ended, gate = InMemoryEventBus(), list[int](), list[int](), asyncio.Event()
        number: ContextVar[int] = ContextVar("number")

        async def edge(event: Ping) -> None:
            number.set(event.n)
            assert leave_mailbox() is asyncio.current_task()
            assert leave_mailbox() is None  # it has left
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
            task = leave_mailbox()
            assert task is not None
            tasks.append(task)
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
    async def run() -> list[asyncio.Task[None] | None]:
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

    assert asyncio.run(run()) == [None] * 3


def test_a_dead_letter_that_is_handled_keeps_its_mailbox() -> None:
    async def run() -> None:
        bus, left = InMemoryEventBus(), list[object]()

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
        assert left == [None]
        assert bus.dead_letters() == ()

    asyncio.run(run())
