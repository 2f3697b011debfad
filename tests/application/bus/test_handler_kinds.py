"""Which callables can be handlers, and which arguments are refused."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, ClassVar

import pytest
from application_kit import MemoryTape, Ping, Pong, ScriptedVenue

from tickdeck.application.bus import DropOldest, EventFilter, InMemoryEventBus, Retry
from tickdeck.application.engines import VenueGateway
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import CommandReceived, HandlerFailed
from tickdeck.errors import ConfigError, TickdeckError


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
def test_an_option_with_an_invalid_value_is_refused(bus: InMemoryEventBus, option: dict[str, Any]) -> None:
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
def test_async_callables_of_any_form_run(bus: InMemoryEventBus, handler: Callable[[Any], Any]) -> None:
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
def test_a_handler_that_returns_an_awaitable_is_an_error(
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
def test_a_plain_handler_that_raises_a_coroutine_exception_fails_alone(
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


def test_closing_a_bus_inside_a_handler_is_refused_and_it_continues() -> None:
    kernel = Kernel(tape=MemoryTape())
    kernel.subscribe(Ping, lambda ping: kernel.close_tape())
    kernel.publish(Ping())
    kernel.publish(Ping())

    assert (kernel.inputs, kernel.statistics().failures) == (2, 2)


class TakesNothing:
    """Calling it, or the class itself, takes no argument."""

    def __call__(self) -> None: ...

    def method(self) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        lambda: None,
        lambda one, two: None,
        lambda *, event: None,
        TakesNothing,
        TakesNothing(),
        TakesNothing().method,
        functools.partial(lambda one: None, 1),
    ],
)
def test_a_handler_or_condition_that_does_not_take_one_argument_is_refused(
    bus: InMemoryEventBus, handler: Callable[..., Any]
) -> None:
    with pytest.raises(ConfigError, match=r"^subscribe: .* cannot be called with an event .*must take one argument"):
        bus.subscribe(Ping, handler)
    with pytest.raises(ConfigError, match=r"^where: .* must take one argument"):
        bus.subscribe(Ping, lambda event: None, where=handler)


def test_a_decorated_handler_counts_as_what_the_decorator_returns(bus: InMemoryEventBus) -> None:
    def with_connection(function: Callable[[str, Any], None]) -> Callable[[Any], None]:
        @functools.wraps(function)
        def call(event: Any) -> None:
            function("connection", event)

        return call

    got: list[tuple[str, Any]] = []
    bus.subscribe(Ping, with_connection(lambda connection, event: got.append((connection, event.event_type))))
    bus.subscribe(Ping, lambda event, more=1, *rest, **options: got.append(("more", more)))
    bus.subscribe(Ping, print)
    bus.publish(Ping())
    assert got == [("connection", Ping.event_type), ("more", 1)]
