"""An error or a Ctrl-C at every line of the kernel and the bus: no half-processed input is built upon."""

from __future__ import annotations

import contextlib
import sys
from decimal import Context, Decimal, getcontext, localcontext, setcontext
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from application_kit import START, Core, MemoryTape, Ping, Pong

from tickdeck.application import bus as bus_room
from tickdeck.application import kernel as kernel_room
from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import MONEY_CONTEXT, Kernel
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import DomainEvent, HandlerFailed, TradeEvent
from tickdeck.errors import ConfigError, EventValidationError, TickdeckError

_WATCHED = {
    str(Path(room.__file__).with_name(name))
    for room, names in (
        (
            bus_room,
            (
                "in_memory_bus.py",
                "waiting_inputs.py",
                "ownership.py",
                "throttles.py",
                "edges.py",
                "mailbox.py",
                "gate.py",
                "handover.py",
                "ingress.py",
                "receipt.py",
            ),
        ),
        (kernel_room, ("kernel.py", "outside_inputs.py", "timed_bus.py", "timers.py")),
    )
    for name in names
    if room.__file__ is not None
}


class Injected:
    """Raises ``error`` at the ``at``-th line of the watched files that is executed in the block."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.left = at
        self.error = error
        self.where = ""

    def __enter__(self) -> Injected:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> Any:
        if frame.f_code.co_filename not in _WATCHED:
            return None
        if event == "line":
            self.left -= 1
            if self.left == 0:
                self.where = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
                sys.settrace(None)
                raise self.error("injected")
        return self._trace


def scene(bus: InMemoryEventBus, seen: list[tuple[str, int]]) -> None:
    """Handlers, an edge, a filter; a handler's event has its own handler."""
    bus.subscribe(Ping, lambda e: bus.publish(Pong(n=e.n)))
    bus.subscribe(Pong, lambda e: seen.append(("core", e.n)))
    bus.subscribe(Pong, lambda e: seen.append(("edge", e.n)), edge=True, where=lambda e: e.n >= 0)


def drive(bus: InMemoryEventBus) -> None:
    """All ways to publish: publish, post, from a thread, in a batch, in a pause."""
    bus.publish(Ping(n=1))
    bus.post(Ping(n=2))
    bus.publish_threadsafe(Ping(n=3))
    bus.run_pending()
    with bus.batch():
        bus.publish(Ping(n=4))
    bus.pause()
    bus.publish(Ping(n=5))
    bus.resume()


def lines_of(make: Any) -> int:
    """The number of lines that an undisturbed drive executes."""
    bus = make()
    scene(bus, [])
    with Injected(1 << 30, KeyboardInterrupt) as injected:
        drive(bus)
    return (1 << 30) - injected.left


@pytest.mark.long
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
def test_an_error_at_any_line_of_a_kernel_leaves_no_half_processed_input(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> Kernel:
        return Kernel(tape=MemoryTape())

    for at in range(1, lines_of(make) + 1):
        tape = MemoryTape()
        kernel, seen = Kernel(tape=tape), list[tuple[str, int]]()
        scene(kernel, seen)
        with Injected(at, error) as injected, contextlib.suppress(error):
            drive(kernel)
        where = f"line {at}, {injected.where}"

        assert not kernel.busy, where
        assert not kernel._edges.releasing, where
        for cascade in tape.cascades:  # each completely: a ping and the events of its handlers
            if not cascade[0].event_type.startswith("system."):  # an edge's error
                assert isinstance(cascade[0], Ping), where
                assert any(isinstance(e, Pong | HandlerFailed) for e in cascade[1:]), where
        before = len(tape.cascades)
        try:
            kernel.resume()
            kernel.enabled = True
            kernel.run_pending()
            kernel.publish(Ping(n=9))
        except TickdeckError:  # it ended for good, and reports it
            assert len(tape.cascades) == before, where
            with pytest.raises(TickdeckError, match="takes no more inputs"):
                kernel.publish(Ping(n=10))
        else:
            assert tape.cascades[-1][0].event_type == "test.ping", where
            assert [e.n for e in tape.cascades[-1]] == [9, 9], where  # type: ignore[attr-defined]
            assert ("edge", 9) in seen, where


@pytest.mark.long
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_at_any_line_of_a_plain_bus_leaves_it_usable(error: type[BaseException]) -> None:
    for at in range(1, lines_of(InMemoryEventBus) + 1):
        bus, seen = InMemoryEventBus(), list[tuple[str, int]]()
        scene(bus, seen)
        with Injected(at, error) as injected, contextlib.suppress(error):
            drive(bus)
        where = f"line {at}, {injected.where}"
        assert not bus.busy, where
        bus.resume()
        bus.run_pending()
        assert len(bus.ingress) == 0, where
        bus.publish(Ping(n=9))
        assert seen[-1] == ("edge", 9), where
        assert ("core", 9) in seen, where


def test_an_interrupt_drops_no_waiting_input() -> None:
    for at in range(1, 200):
        bus, seen = InMemoryEventBus(), list[int]()
        bus.subscribe(Ping, lambda e, seen=seen: seen.append(e.n))
        bus.post(Ping(n=1))
        bus.post(Ping(n=2))
        interrupted = True
        with Injected(at, KeyboardInterrupt) as injected, contextlib.suppress(KeyboardInterrupt):
            bus.run_next()
            interrupted = False
        bus.run_pending()
        # A cascade that has begun is not started again: its caller got the interrupt.
        began = sum(bus.statistics().published.values())
        assert began == 2, f"line {at}, {injected.where}"
        if not interrupted:
            return
    pytest.fail("the drive never ended")


def test_taking_inputs_inside_a_handler_is_refused_and_drops_none() -> None:
    kernel, errors = Kernel(tape=MemoryTape()), list[str]()

    def handler(_: Ping) -> None:
        try:
            kernel.run_pending()
        except ConfigError as error:
            errors.append(str(error))

    kernel.subscribe(Ping, handler)
    kernel.post(Pong(n=7))
    kernel.publish(Ping())
    assert errors == ["run_pending inside a handler: handlers publish events, they do not take inputs"]
    assert kernel.run_pending() == 1


@pytest.mark.parametrize("given", [Decimal(1), "text", None])
def test_a_non_event_is_refused_and_nothing_changes(given: Any) -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    for call in (kernel.publish, kernel.feed, kernel.post, kernel.publish_threadsafe):
        with pytest.raises((ConfigError, EventValidationError)):
            call(given)
    kernel.publish(Ping())
    assert [e.event_id for e in tape.events] == ["1"]


def test_a_time_in_the_future_does_not_stop_the_clock() -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape, wall_now=lambda: START)
    kernel.publish(Ping(ts_ingress=START + 10**18))
    kernel.publish(Ping())
    assert [e.ts_ingress for e in tape.events] == [START, START]


# -- money ------------------------------------------------------------------------------------------------------


class Careless(Strategy):
    """Changes the decimal context wherever it can."""

    own: Decimal = Decimal(0)

    def on_start(self) -> None:
        getcontext().prec = 3

    def on_trade(self, trade: TradeEvent) -> None:
        self.own = Decimal(1) / Decimal(3)
        if not self.position(trade.symbol).quantity:
            self.buy(trade.symbol, Decimal("1.23456"))


def fills_of(core: Core) -> list[dict[str, object]]:
    core.start().trades("100.123456", "101.987654")
    for order in list(core.orders):
        core.fill(order, "100.123456", fee="0.00123456")
    core.trades("103.456789")
    return [event.payload for event in core.tape.events if event.event_type.startswith(("position.", "account."))]


def test_the_money_of_the_core_does_not_depend_on_the_caller_or_the_strategy() -> None:
    plain = fills_of(Core({"s": Careless()}))
    assert plain
    with localcontext() as context:
        context.prec = 4
        careless = Careless()
        core = Core({"s": careless})
        assert fills_of(core) == plain
        assert getcontext() is context, "the caller's context is back"
        assert getcontext().prec == 4
    assert careless.own == Decimal("0.333"), "a strategy keeps the precision that it set"


def test_a_handler_cannot_change_the_context_of_the_core() -> None:
    kernel = Kernel(tape=MemoryTape())

    def careless(_: Ping) -> None:
        getcontext().prec = 3

    kernel.subscribe(Ping, careless)
    with kernel.collect(HandlerFailed) as failures:
        kernel.publish(Ping())
    assert "prec is fixed" in str(failures[0].payload["message"])
    assert MONEY_CONTEXT.prec == 28
    before = dict(MONEY_CONTEXT.traps)
    MONEY_CONTEXT.traps.clear()
    assert MONEY_CONTEXT.traps == before


def test_the_whole_cascade_uses_the_cores_decimal_context() -> None:
    kernel, seen = Kernel(tape=MemoryTape()), list[Context]()
    kernel.subscribe(DomainEvent, lambda _: seen.append(getcontext()))
    mine = Context(prec=5)
    before = getcontext()
    try:
        setcontext(mine)
        kernel.publish(Ping())
        assert getcontext() is mine
    finally:
        setcontext(before)
    assert seen == [MONEY_CONTEXT]


def test_the_statistics_count_an_input_that_was_taken_and_put_back() -> None:
    for at in range(1, 200):
        bus = InMemoryEventBus()
        bus.post(Ping(n=1))
        bus.post(Ping(n=2))
        with Injected(at, KeyboardInterrupt) as injected, contextlib.suppress(KeyboardInterrupt):
            bus.run_next()
        assert bus.statistics().waiting + bus.dispatched == 2, injected.where
        bus.run_pending()
        assert bus.statistics().waiting == 0
        if injected.left > 0:
            return
    pytest.fail("the drive never ended")
