"""Errors in handlers, in critical components, in strategies and on the tape."""

from __future__ import annotations

import contextlib

import pytest
from application_kit import Ping, Pong, trade
from kernel_kit import failing, kernel_with, ping

from tickdeck.domain.events import DomainEvent, TradingHalted
from tickdeck.errors import TapeError, TickdeckError


@pytest.mark.parametrize("component", ["risk", "execution", "portfolio"])
def test_an_error_in_a_critical_component_halts_trading_once(component: str) -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, failing, component=component)

    kernel.feed(ping())
    kernel.feed(ping())

    types = [e.event_type for e in tape.events]
    failed = "system.handler_failed"
    assert types == ["test.ping", failed, "trading.halted", "test.ping", failed]
    halt = tape.events[2]
    assert isinstance(halt, TradingHalted)
    assert halt.reason == f"{component} failed on test.ping 1: ValueError: broken"
    assert kernel.halted


def test_an_error_elsewhere_halts_nothing() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, failing, component="signals")

    kernel.feed(ping())

    assert [e.event_type for e in tape.events] == ["test.ping", "system.handler_failed"]
    assert not kernel.halted


def test_events_of_a_failed_handler_are_discarded_and_the_failure_gets_their_id() -> None:
    kernel, tape = kernel_with()

    def publish_and_raise(event: Ping) -> None:
        kernel.publish(Pong())
        failing(event)

    kernel.subscribe(Ping, publish_and_raise)
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
    kernel.feed(ping())

    assert [(e.event_id, e.event_type) for e in tape.events] == [
        ("1", "test.ping"),
        ("1-1", "system.handler_failed"),
        ("1-2", "test.pong"),
    ]
    assert tape.events[1].causation_id == "1"


def test_a_strategys_error_ends_its_subscriptions_before_the_cascade_continues() -> None:
    kernel, tape = kernel_with()
    heard: list[str] = []
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()), priority=1)
    kernel.subscribe(Ping, failing, component="strategy:a")
    kernel.subscribe(Pong, lambda e: heard.append("a"), component="strategy:a")
    kernel.subscribe(Pong, lambda e: heard.append("b"), component="strategy:b")

    kernel.feed(ping())
    kernel.feed(ping())

    assert heard == ["b", "b"]
    assert [e.event_type for e in tape.events].count("system.handler_failed") == 1


def test_after_a_tape_error_no_edge_receives_anything_and_inputs_are_refused() -> None:
    kernel, tape = kernel_with()
    outside: list[DomainEvent] = []
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
    kernel.subscribe("*", outside.append, edge=True)
    kernel.feed(trade("1"))
    outside.clear()
    tape.error = TapeError("the disk is full")

    with pytest.raises(TapeError, match="the disk is full"):
        kernel.feed(ping())

    assert outside == []
    assert len(tape.events) == 1
    tape.error = None
    for take in (kernel.feed, kernel.publish):
        with pytest.raises(
            TickdeckError,
            match=r"no more inputs, because input 2 \(test.ping\) ended in TapeError: the disk is full; resume the run",
        ):
            take(ping())
    assert outside == []
    assert len(tape.events) == 1


def test_an_unrecorded_cascade_reaches_no_edge_even_if_the_error_is_suppressed() -> None:
    kernel, tape = kernel_with()
    outside: list[str] = []

    def answer(_: Ping) -> None:
        tape.error = TapeError("the disk is full")
        with contextlib.suppress(TapeError):
            kernel.publish(Pong())

    kernel.subscribe(Ping, answer, edge=True)
    kernel.subscribe(Pong, lambda e: outside.append(e.event_id), edge=True)
    kernel.feed(ping())

    assert outside == []
    assert [e.event_id for e in tape.events] == ["1"]


def test_an_interrupt_in_the_middle_of_a_cascade_ends_the_kernel() -> None:
    kernel, tape = kernel_with()

    def interrupted(_: Ping) -> None:
        kernel.publish(Pong())
        raise KeyboardInterrupt

    subscription = kernel.subscribe(Ping, interrupted)
    with pytest.raises(KeyboardInterrupt):
        kernel.feed(ping())
    subscription.cancel()

    with pytest.raises(TickdeckError, match="ended in KeyboardInterrupt"):
        kernel.feed(ping())
    assert tape.events == []
