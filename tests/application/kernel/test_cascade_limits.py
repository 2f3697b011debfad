"""Cascades that do not end."""

from __future__ import annotations

from application_kit import Ping, Pong, trade
from kernel_kit import kernel_with, ping

from tickdeck.domain.events import TradingHalted


def test_a_cascade_without_end_halts_trading_with_its_causes_shown_and_the_edges_learn_of_it() -> None:
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


def test_a_cascade_that_goes_on_after_the_halt_is_ended_in_silence() -> None:
    kernel, tape = kernel_with(max_cascade=20)
    kernel.subscribe("*", lambda e: kernel.publish_all([Pong(), Pong()]))

    kernel.feed(ping())
    ended_at = len(tape.events)
    kernel.feed(trade("1"))

    assert [e.event_type for e in tape.events[:ended_at]].count("trading.halted") == 1
    assert ended_at == 20 + 1_000
    assert len(tape.cascades) == 2


def test_a_chain_without_end_is_ended_before_its_ids_grow_out_of_hand() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe("test.*", lambda e: kernel.publish(Pong()))

    kernel.feed(ping())

    halt = tape.events[-1]
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("one input caused a chain without end; the last and its causes: test.pong ")
    assert len(halt.reason) < 500
    assert len(tape.events) == 501
    assert max(len(event.event_id) for event in tape.events) <= 1_003


def test_a_cascade_of_exactly_the_bound_is_let_through() -> None:
    kernel, tape = kernel_with(max_cascade=3)
    kernel.subscribe(Ping, lambda e: kernel.publish_all([Pong(), Pong()]))

    kernel.feed(ping())

    assert [e.event_type for e in tape.events] == ["test.ping", "test.pong", "test.pong"]
    assert not kernel.halted
