"""Cascades that do not end."""

from __future__ import annotations

from application_kit import Ping, Pong, trade
from kernel_kit import kernel_with, ping

from tickdeck.domain.events import TradingHalted


def test_an_endless_cascade_halts_trading_and_the_halt_names_its_causes() -> None:
    kernel, tape = kernel_with(max_cascade=50)
    outside: list[str] = []
    kernel.subscribe("test.*", lambda e: kernel.publish(Pong()))
    kernel.subscribe("*", lambda e: outside.append(e.event_type), edge=True)

    kernel.feed(ping())

    assert len(tape.events) == 51
    halt = tape.events[-1]
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("one input caused more than 50 events; the last and its causes: test.pong ")
    assert halt.reason.count(" <- ") == 4
    assert halt.causation_id == tape.events[-2].event_id
    assert kernel.halted
    assert outside == [e.event_type for e in tape.events]


def test_a_cascade_that_continues_after_the_halt_is_discarded_silently() -> None:
    kernel, tape = kernel_with(max_cascade=20)
    kernel.subscribe("*", lambda e: kernel.publish_all([Pong(), Pong()]))

    kernel.feed(ping())
    ended_at = len(tape.events)
    kernel.feed(trade("1"))

    assert [e.event_type for e in tape.events[:ended_at]].count("trading.halted") == 1
    assert ended_at == 20 + 1_000
    assert len(tape.cascades) == 2


def test_an_endless_chain_is_stopped_before_its_ids_become_too_long() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe("test.*", lambda e: kernel.publish(Pong()))

    kernel.feed(ping())

    halt = tape.events[-1]
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("one input caused a chain without end; the last and its causes: test.pong ")
    assert len(halt.reason) < 500
    assert len(tape.events) == 501
    assert max(len(event.event_id) for event in tape.events) <= 1_003


def test_a_cascade_of_exactly_the_limit_passes() -> None:
    kernel, tape = kernel_with(max_cascade=3)
    kernel.subscribe(Ping, lambda e: kernel.publish_all([Pong(), Pong()]))

    kernel.feed(ping())

    assert [e.event_type for e in tape.events] == ["test.ping", "test.pong", "test.pong"]
    assert not kernel.halted
