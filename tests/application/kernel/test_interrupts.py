"""A real Ctrl-C ends a kernel; a ``KeyboardInterrupt`` that a strategy raises is that strategy's error."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest
from application_kit import MemoryTape, Ping

from tickdeck.application.kernel import Kernel
from tickdeck.errors import TickdeckError


def kernel_with(handler: Callable[[Ping], object]) -> Kernel:
    kernel = Kernel(tape=MemoryTape())
    kernel.subscribe(Ping, handler, component="strategy:s")
    return kernel


def raises(ping: Ping) -> None:
    raise KeyboardInterrupt


def raises_within_a_call(ping: Ping) -> None:
    sorted([2, 1], key=raises)  # type: ignore[arg-type]


def raises_again(ping: Ping) -> None:
    try:
        raises(ping)
    except KeyboardInterrupt:  # noqa: TRY203 (as a strategy does that cleans up)
        raise


@pytest.mark.parametrize("handler", [raises, raises_within_a_call, raises_again])
def test_a_strategy_that_raises_keyboard_interrupt_is_paused_and_the_kernel_continues(
    handler: Callable[[Ping], object],
) -> None:
    kernel = kernel_with(handler)
    kernel.feed(Ping())
    kernel.feed(Ping())
    assert (kernel.inputs, kernel.statistics().failures) == (2, 1)


def works(ping: Ping) -> None:
    signal.raise_signal(signal.SIGINT)
    for _ in range(1_000):
        len("")


def works_and_cleans_up(ping: Ping) -> None:
    try:
        works(ping)
    except KeyboardInterrupt:  # noqa: TRY203 (as a strategy does that cleans up)
        raise


def sleeps(ping: Ping) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(30)


def handled_in_python(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


class Handler:
    def handle(self, first: object, number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt


@pytest.mark.parametrize("handler", [works, works_and_cleans_up])
@pytest.mark.parametrize("caught_by", [signal.default_int_handler, handled_in_python, partial(Handler().handle, 1)])
def test_a_real_ctrl_c_within_a_strategy_ends_the_kernel(
    handler: Callable[[Ping], object], caught_by: Callable[[int, FrameType | None], None]
) -> None:
    kernel, before = kernel_with(handler), signal.signal(signal.SIGINT, caught_by)
    try:
        with pytest.raises(KeyboardInterrupt):
            kernel.feed(Ping())
    finally:
        signal.signal(signal.SIGINT, before)

    with pytest.raises(TickdeckError, match="ended in KeyboardInterrupt"):
        kernel.feed(Ping())


def test_a_ctrl_c_in_the_middle_of_a_call_into_the_system_is_real_too() -> None:
    kernel = kernel_with(sleeps)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            kernel.feed(Ping())
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_second_ctrl_c_of_asyncio_is_real() -> None:
    kernel = kernel_with(lambda ping: [signal.raise_signal(signal.SIGINT) for _ in range(2)] and None)

    async def run() -> None:
        kernel.feed(Ping())

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(run())
