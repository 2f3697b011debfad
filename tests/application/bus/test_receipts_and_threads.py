"""What a receipt says, whose thread a bus belongs to, and which callables can be handlers."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest
from application_kit import MemoryTape, Ping, Pong, ScriptedVenue

from tickdeck.application.bus import DropOldest, EventFilter, InMemoryEventBus, Retry
from tickdeck.application.engines import VenueGateway
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import CommandReceived, HandlerFailed
from tickdeck.errors import ConfigError, TapeError, TickdeckError


def in_thread(call: Callable[[], Any]) -> Any:
    """What ``call()`` returned, or the error that it raised, in another thread."""
    outcome: list[Any] = []

    def run() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001 (the outcome)
            outcome.append(error)

    thread = threading.Thread(target=run, name="other")
    thread.start()
    thread.join(10)
    return outcome[0]


@pytest.fixture(params=["plain", "kernel"])
def bus(request: pytest.FixtureRequest) -> InMemoryEventBus:
    return InMemoryEventBus() if request.param == "plain" else Kernel(tape=MemoryTape())


# -- receipts ---------------------------------------------------------------------------------------------------


def test_the_receipt_of_what_a_handler_published_before_it_raised_says_so(bus: InMemoryEventBus) -> None:
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
def test_receipts_of_events_that_wait_when_the_kernel_ends_raise(end: str) -> None:
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
            receipt.wait(5)
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
            await asyncio.wait_for(bus.drain(), 5)
            drained.append(event.n)

        async def other(_: Ping) -> None:
            await bus.drain()

        bus.subscribe(Ping, edge)
        bus.subscribe(Ping, other)
        bus.publish_all([Ping(n=1), Ping(n=2)])
        await asyncio.wait_for(bus.drain(), 5)
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


# -- threads ----------------------------------------------------------------------------------------------------


def test_another_thread_is_refused_and_told_what_works(bus: InMemoryEventBus) -> None:
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


def test_the_first_thread_that_publishes_owns_the_bus_and_the_next_where_that_one_is_gone(
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
    assert in_thread(lambda: receipt.wait(5)) is None


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
        await asyncio.wait_for(bus.close(), timeout=20)

    asyncio.run(main())

    assert len(refusals) == 100
    assert "the bus is being closed" in refusals[0]


def test_closing_takes_what_threads_handed_over_and_then_refuses_more() -> None:
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


# -- handlers ---------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_refused_in_one_line(bus: InMemoryEventBus) -> None:
    wrong: Any = 5
    with pytest.raises(ConfigError, match="resend: 5 is not a dead letter"):
        bus.resend(wrong)
    with pytest.raises(ConfigError, match="bind: no event loop is running"):
        bus.bind()
    with pytest.raises(ConfigError, match="EventFilter: 5 is not a topic"):
        EventFilter(wrong)
    with pytest.raises(ConfigError, match="wall_now is 5; give a function"):
        InMemoryEventBus(wall_now=wrong)
    with pytest.raises(ConfigError, match="shuffle is 5; give a function"):
        InMemoryEventBus(shuffle=wrong)


def test_a_filter_takes_classes_and_types_as_subscribe_does() -> None:
    class LouderPing(Ping, frozen=True, kw_only=True):
        event_type: ClassVar[str] = "receipts_test.louder_ping"

    passes = EventFilter(Ping, "command.*")

    assert passes(Ping())
    assert passes(LouderPing())
    assert passes(CommandReceived(command="halt"))
    assert not passes(Pong(n=1))


@pytest.mark.parametrize(
    "option",
    [
        *({"name": name} for name in ("", 5, b"mail", "\ud800")),
        *({"priority": value} for value in ("1", 1.5, True, None)),
        *({"mailbox": value} for value in (0, -1, 1.5, "10", None)),
        *({"overflow": value} for value in ("drop", DropOldest, 5)),
        *({"retry": value} for value in (3, Retry)),
        *({"where": value} for value in (True, "n > 1")),
        {"refused": "print"},
        {"component": None},
        {"weak": 1},
        {"edge": "yes"},
    ],
    ids=str,
)
def test_an_option_with_a_value_that_cannot_work_is_refused(bus: InMemoryEventBus, option: dict[str, Any]) -> None:
    async def handler(_: Ping) -> None: ...

    [name] = option
    with pytest.raises(ConfigError, match=f"^subscribe: {name} is .*; give "):
        bus.subscribe(Ping, handler, **option)
    assert bus.unsubscribe(handler) == 0


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Caller:
    async def __call__(self, event: Ping) -> None:
        HEARD.append(event.n)

    async def method(self, event: Ping) -> None:
        HEARD.append(event.n)


async def plain(event: Ping) -> None:
    HEARD.append(event.n)


HEARD: list[int] = []


@pytest.mark.parametrize(
    "handler",
    [plain, functools.partial(plain), decorated(plain), Caller(), Caller().method, decorated(Caller().method)],
    ids=["function", "partial", "decorated", "object", "method", "decorated method"],
)
def test_what_is_async_in_any_form_runs(bus: InMemoryEventBus, handler: Callable[[Any], Any]) -> None:
    async def run() -> None:
        HEARD.clear()
        bus.subscribe(Ping, handler)
        await bus.publish(Ping(n=7)).handled()
        assert HEARD == [7]

    asyncio.run(run())


async def async_generator(_: Ping) -> AsyncIterator[int]:
    yield 1


def generator(_: Ping) -> Iterator[int]:
    yield 1


@pytest.mark.parametrize("handler", [async_generator, generator, functools.partial(generator)])
def test_generators_are_refused_when_they_subscribe(bus: InMemoryEventBus, handler: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigError, match="contains a yield"):
        bus.subscribe(Ping, handler)


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("function", [plain, generator, async_generator])
def test_work_that_a_handler_returns_and_nobody_does_is_a_fault(
    bus: InMemoryEventBus, function: Callable[[Any], Any], edge: bool
) -> None:
    bus.subscribe(Ping, lambda e: function(e), edge=edge, name="lambda")
    with bus.collect(HandlerFailed) as failures:
        bus.publish(Ping())
    assert "which is never " in str(failures[0].payload["message"])
    assert bus.statistics().failures == 1


def test_conditions_and_keys_that_are_async_are_refused(bus: InMemoryEventBus) -> None:
    async def condition(_: object) -> bool:
        return False

    with pytest.raises(ConfigError, match="where"):
        bus.subscribe(Ping, lambda e: None, where=condition)
    with pytest.raises(ConfigError, match="EventFilter"):
        EventFilter(where=condition)
    heard: list[object] = []
    bus.subscribe(Ping, heard.append, where=lambda e: condition(e))
    with bus.collect(HandlerFailed) as failures:
        bus.publish(Ping())
    assert heard == []
    assert "where returned a coroutine" in str(failures[0].payload["message"])


@pytest.mark.parametrize("method", ["submit", "amend", "cancel"])
def test_a_simulated_venue_with_an_async_method_is_refused(method: str) -> None:
    async def call(_: object) -> None: ...

    venue = ScriptedVenue()
    setattr(venue, method, call)
    with pytest.raises(ConfigError, match="has async methods"):
        VenueGateway(Kernel(tape=MemoryTape()), venue)


def test_a_handler_may_return_the_receipt_of_what_it_published(bus: InMemoryEventBus) -> None:
    seen: list[int] = []
    bus.subscribe(Ping, lambda e: bus.publish(Pong(n=e.n)))
    bus.subscribe(Pong, lambda e: seen.append(e.n))
    bus.publish(Ping(n=3))
    assert (seen, bus.statistics().failures) == ([3], 0)


# -- odd handlers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
def test_a_plain_handler_that_raises_what_only_coroutines_are_sent_fails_alone(
    bus: InMemoryEventBus, edge: bool, error: type[BaseException]
) -> None:
    seen: list[int] = []

    def asks_a_cancelled_future(ping: Ping) -> None:
        raise error

    bus.subscribe(Ping, asks_a_cancelled_future, edge=edge)
    bus.subscribe(Ping, lambda ping: seen.append(ping.n))
    for n in range(2):
        bus.publish(Ping(n=n))

    assert seen == [0, 1]
    assert bus.statistics().failures == 2


def test_refusing_inputs_inside_a_handler_takes_effect_after_its_cascade() -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    kernel.subscribe(Ping, lambda ping: kernel.refuse_inputs("it is over") or kernel.publish(Pong()))

    kernel.publish(Ping())

    assert [event.event_type for event in tape.events] == ["test.ping", "test.pong"]
    for call in (kernel.publish, kernel.publish_threadsafe):
        with pytest.raises(TickdeckError, match="it is over"):
            call(Ping())


def test_a_bus_cannot_be_closed_inside_a_handler_and_works_on() -> None:
    kernel = Kernel(tape=MemoryTape())
    kernel.subscribe(Ping, lambda ping: kernel.close_tape())
    kernel.publish(Ping())
    kernel.publish(Ping())

    assert (kernel.inputs, kernel.statistics().failures) == (2, 2)
