"""Tracing: why something happened, and what followed."""

from __future__ import annotations

import pytest
from application_kit import BTC, SECOND, Core, D, MemoryTape, Ping, Pong

from tickdeck.application.kernel import Kernel
from tickdeck.application.proof import Effect, trace
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CandleEvent, DomainEvent
from tickdeck.errors import RunError


def tree(effects: tuple[Effect, ...]) -> list[object]:
    return [(e.event.event_id, tree(e.effects)) if e.effects else e.event.event_id for e in effects]


@pytest.fixture(scope="module")
def record() -> list[DomainEvent]:
    class Buyer(Strategy):
        def on_candle(self, candle: CandleEvent) -> None:
            if not self.position(BTC).quantity:
                self.buy(BTC, D(1))

    core = Core({"buyer": Buyer()}, candles=SECOND).start().trades("100", "101")
    core.fill(core.orders[0], "101").trades("102")
    return core.tape.events


def test_a_fill_is_traced_to_the_report_the_order_and_the_trade(record: list[DomainEvent]) -> None:
    filled = next(e for e in record if e.event_type == "order.filled")

    found = trace(lambda: record, filled.event_id)

    assert found.event is filled
    assert [e.event_type for e in found.causes] == [
        "venue.fill_reported",
        "order.submitted",
        "risk.approved",
        "strategy.decision",
        "market.candle",
        "market.trade",
    ]
    assert [e.event.event_type for e in found.effects] == [
        "position.opened",
        "balance.updated",
        "balance.updated",
        "state.updated",
    ]


def test_effects_extend_across_inputs_in_order(record: list[DomainEvent]) -> None:
    submitted = next(e for e in record if e.event_type == "order.submitted")
    (report,) = trace(lambda: record, submitted.event_id).effects

    assert report.event.event_type == "venue.fill_reported"
    (filled,) = report.effects
    assert tree(filled.effects) == [f"{filled.event.event_id}-{k}" for k in (1, 2, 3, 4)]


def test_an_input_has_no_causes_and_an_end_no_effects(record: list[DomainEvent]) -> None:
    assert trace(lambda: record, "1").causes == ()
    last = next(e for e in reversed(record) if e.event_type == "balance.updated")
    assert trace(lambda: record, last.event_id).effects == ()


def test_siblings_and_their_effects_are_distinguished() -> None:
    tape = MemoryTape()
    kernel = Kernel(tape=tape)
    kernel.subscribe(Ping, lambda e: kernel.publish_all([Pong(n=2), Pong(n=1)]))
    kernel.subscribe(Pong, lambda e: kernel.publish_all([Pong()] * e.n))
    kernel.feed(Ping())
    kernel.feed(Ping())

    assert tree(trace(lambda: tape.events, "1").effects) == [("1-1", ["1-1-1", "1-1-2"]), ("1-2", ["1-2-1"])]
    assert [e.event_id for e in trace(lambda: tape.events, "2-1-2").causes] == ["2-1", "2"]


def test_a_chain_of_thousands_of_steps_is_traced_completely() -> None:
    events = [
        Ping(event_id=str(n), causation_id=str(n - 1) if n > 1 else "", correlation_id="1", seq=n)
        for n in range(1, 5_001)
    ]

    found = trace(lambda: events, "1")
    depth, effects = 0, found.effects
    while effects:
        depth, effects = depth + 1, effects[0].effects

    assert depth == 4_999
    assert len(trace(lambda: events, "5000").causes) == 4_999


def test_an_unknown_event_is_reported(record: list[DomainEvent]) -> None:
    with pytest.raises(RunError, match="no event '99-1' in this run; `tickdeck events` lists them"):
        trace(lambda: record, "99-1")
