"""The thread that owns a bus, and what other threads may do."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from application_kit import MemoryTape, Ping, Pong

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.errors import ConfigError, TickdeckError


def in_thread(call: Callable[[], Any]) -> Any:
    """The result of ``call()`` in another thread, or the error that it raised."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001 (the outcome)
            outcome.append(error)

    thread = threading.Thread(target=run, name="other")
    thread.start()
    thread.join(60)
    return outcome[0]


def test_another_thread_is_refused_with_advice(bus: InMemoryEventBus) -> None:
    bus.publish(Ping())
    for call in (lambda: bus.publish(Ping()), bus.run_pending, lambda: bus.batch().__enter__()):
        assert "call publish_threadsafe(event)" in str(in_thread(call))
    assert bus.statistics().total == 1

    seen: list[str] = []

    def handler(_: Pong) -> None:
        seen.append(str(in_thread(lambda: bus.publish(Ping(n=2)))))

    bus.subscribe(Pong, handler)
    bus.publish(Pong())
    assert "does not own the bus" in seen[0]


def test_the_first_publishing_thread_owns_the_bus_and_after_its_end_the_next(
    bus: InMemoryEventBus,
) -> None:
    bus.subscribe(Ping, lambda e: None)
    assert in_thread(lambda: bus.publish(Ping())) is bus._receipt
    bus.publish(Ping())  # the first owner has ended


def test_several_loops_in_several_threads_one_after_another_each_bind(bus: InMemoryEventBus) -> None:
    bus.publish(Ping())

    async def run() -> int:
        bus.bind()
        receipt = await asyncio.to_thread(bus.publish_threadsafe, Ping())
        await receipt
        await asyncio.to_thread(receipt.wait, 5)
        return bus.statistics().total

    assert in_thread(lambda: asyncio.run(run())) == 2
    assert asyncio.run(run()) == 3


def test_a_thread_can_wait_for_its_event_with_a_time_out(bus: InMemoryEventBus) -> None:
    receipt = in_thread(lambda: bus.publish_threadsafe(Ping()))
    assert isinstance(in_thread(lambda: receipt.wait(0.01)), TimeoutError)
    bus.publish(Pong())
    with pytest.raises(ConfigError, match="would wait for itself"):
        receipt.wait(1)
    bus.run_pending()
    assert in_thread(lambda: receipt.wait(60)) is None


def test_taking_inputs_ends_while_other_threads_hand_over_more(bus: InMemoryEventBus) -> None:
    bus.subscribe(Ping, lambda _: in_thread(lambda: bus.publish_threadsafe(Ping())))
    bus.subscribe(Pong, lambda _: bus.post(Pong(n=1)), where=lambda pong: pong.n == 0)
    bus.post(Ping())
    bus.post(Pong(n=0))

    assert [bus.run_pending(), bus.run_pending()] == [3, 2]  # one more in each turn, for what a handler posts


def test_closing_ends_while_other_threads_hand_over_more(bus: InMemoryEventBus) -> None:
    refusals: list[str] = []

    async def main() -> None:
        bus.bind()

        @bus.on(Ping)
        async def edge(_: Ping) -> None:
            try:
                bus.publish_threadsafe(Ping())
            except TickdeckError as error:
                refusals.append(str(error))

        for _ in range(100):
            bus.publish(Ping())
        await asyncio.wait_for(bus.close(), timeout=60)

    asyncio.run(main())

    assert len(refusals) == 100
    assert "the bus is being closed" in refusals[0]


def test_closing_dispatches_what_threads_handed_over_and_then_refuses_more() -> None:
    async def run() -> None:
        kernel, seen = Kernel(tape=MemoryTape()), list[int]()
        kernel.subscribe(Ping, lambda e: seen.append(e.n))
        kernel.bind()
        errors: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
        in_thread(lambda: kernel.publish_threadsafe(Ping(n=1)))
        await kernel.aclose()
        kernel.close_tape()
        assert seen == [1]
        assert "the bus is" in str(in_thread(lambda: kernel.publish_threadsafe(Ping(n=2))))
        with pytest.raises(TickdeckError, match="the bus is closed"):
            kernel.publish(Ping(n=3))
        await asyncio.sleep(0)
        assert errors == []

    asyncio.run(run())
