"""The kernel of a resumed run: events published from outside while it executes its record again."""

from __future__ import annotations

import asyncio

import pytest
from application_kit import MemoryTape, Ping, Pong

from tickdeck.application.bus import Receipt
from tickdeck.application.kernel import Kernel
from tickdeck.application.proof import CatchingUpKernel, RecordCheck
from tickdeck.errors import TapeError, TickdeckError


def recorded(inputs: int = 3) -> MemoryTape:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    for n in range(inputs):
        kernel.feed(Ping(n=n, source="driver"))
    return tape


def resumed(tape: MemoryTape) -> CatchingUpKernel:
    check = RecordCheck(iter(list(tape.events)), then=tape, from_outside=lambda event: event.source != "driver")
    return CatchingUpKernel(record=check, reserved=frozenset({"driver"}))


async def dispatched(receipt: Receipt) -> None:
    await receipt


def is_dispatched(receipt: Receipt) -> bool:
    try:
        receipt.wait(0)
    except (TimeoutError, TickdeckError):
        return False
    return True


def test_a_receipt_of_an_event_that_waits_for_the_end_of_the_record_waits_too() -> None:
    tape = recorded()
    kernel = resumed(tape)
    kernel.feed(Ping(n=0, source="driver"))

    published = kernel.publish(Pong(source="published"))
    handed = kernel.publish_threadsafe(Pong(source="handed"))
    kernel.run_pending()
    kernel.feed(Ping(n=1, source="driver"))
    assert not is_dispatched(published)
    assert not is_dispatched(handed)

    kernel.feed(Ping(n=2, source="driver"))
    asyncio.run(dispatched(published))
    asyncio.run(dispatched(handed))
    assert [event.source for event in tape.events[3:]] == ["published", "handed"]
    assert is_dispatched(kernel.publish(Pong(source="later")))


@pytest.mark.parametrize("how", ["refused", "broken"])
def test_receipts_of_waiting_events_raise_if_the_kernel_ends_before_its_record(how: str) -> None:
    kernel = resumed(recorded())
    receipt = kernel.publish(Pong())

    if how == "refused":
        kernel.refuse_inputs("the run is over; start another")
    else:
        with pytest.raises(TickdeckError):
            kernel.feed(Ping(n=17, source="driver"))  # different from the record

    with pytest.raises(TickdeckError, match="the event was not taken, because"):
        asyncio.run(dispatched(receipt))


def test_a_tape_error_on_a_waiting_event_reaches_its_publisher() -> None:
    tape = recorded(1)
    kernel = resumed(tape)
    first, second = kernel.publish(Pong(n=1)), kernel.publish(Pong(n=2))
    tape.error = TapeError("full")

    with pytest.raises(TapeError, match="full"):
        kernel.feed(Ping(n=0, source="driver"))

    with pytest.raises(TapeError, match="full"):
        asyncio.run(dispatched(first))
    with pytest.raises(TickdeckError, match="the event was not taken, because input 2"):
        asyncio.run(dispatched(second))


def test_a_real_venue_gets_no_recorded_request_again_and_a_simulated_one_gets_each() -> None:
    """A request that an earlier process sent may be at the venue; what a simulated one had died with the process."""
    sent: dict[str, list[int]] = {"real": [], "simulated": []}

    async def work() -> None:
        kernel = resumed(recorded(2))

        async def send(event: Ping) -> None:
            sent["real"].append(event.n)

        kernel.subscribe(Ping, send, component="gateway")
        kernel.subscribe(Ping, lambda event: sent["simulated"].append(event.n), component="gateway", edge=True)
        for n in range(3):
            kernel.feed(Ping(n=n, source="driver"))
        for _ in range(20):
            await asyncio.sleep(0)

    asyncio.run(work())
    assert sent == {"real": [2], "simulated": [0, 1, 2]}
