"""Proof: the core runs again on the recorded inputs, and the first difference is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import ClassVar

import pytest
from application_kit import BTC, MS, SECOND, START, Core, D, MemoryTape, trade

from tickdeck.application.proof import RecordCheck, Verdict, verify
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import DomainEvent, OrderSubmittedEvent, TimerCancelled, TimerFired, TimerSet, TradeEvent
from tickdeck.errors import RunError


class Trader(Strategy):
    """Buys and sells alternately, waits for a timer before each order, and can be made unreliable."""

    def __init__(self, quantity: Callable[[], int] = lambda: 1, delay: Callable[[], int] = lambda: 5) -> None:
        super().__init__()
        self.quantity = quantity
        self.delay = delay

    def on_trade(self, trade: TradeEvent) -> None:
        if trade.price % 3 == 0:
            self.set_timer("trade", self.delay() * MS)

    def on_timer(self, timer: TimerFired) -> None:
        (self.sell if self.position(BTC).quantity > 0 else self.buy)(BTC, D(self.quantity()))


def prices(count: int = 30) -> Iterator[TradeEvent]:
    return (trade(str(100 + n), ts=START + n * 10 * MS) for n in range(count))


def record(trader: Strategy, *, files: bool = True) -> MemoryTape:
    """Make a run of ``trader``, whose orders are filled immediately."""
    core = Core({"trader": trader}, candles=50 * MS, signals=("sma-2",)).start()
    for event in prices():
        while (entry := core.agenda.pop(event.ts_ingress)) is not None:
            sent = len(core.orders)
            entry[1]()
            for order in core.orders[sent:]:
                core.fill(order, "100")
        core.kernel.feed(event, record=not files)
    core.stop()
    return core.tape


def proof(events: list[DomainEvent], trader: Strategy, market: Iterator[DomainEvent] | None = None) -> Verdict:
    check = RecordCheck(iter(events))
    core = Core({"trader": trader}, candles=50 * MS, signals=("sma-2",), tape=check)  # type: ignore[arg-type]
    return verify(core.kernel, check, prices() if market is None else market, core.agenda)


@pytest.fixture(scope="module")
def events() -> list[DomainEvent]:
    return record(Trader()).events


def test_the_same_code_on_the_same_inputs_is_identical(events: list[DomainEvent]) -> None:
    verdict = proof(events, Trader())

    assert verdict.identical
    assert verdict.divergence is None
    assert verdict.events == events[-1].seq
    assert (verdict.decisions, verdict.orders) == (9, 9)
    assert verdict.inputs == sum(e.is_input for e in events) + 30


def test_a_run_whose_market_is_on_its_tape_is_proven_from_the_tape_alone() -> None:
    verdict = proof(record(Trader(), files=False).events, Trader(), iter(()))
    assert verdict.identical
    assert verdict.orders == 9


def test_a_strategy_that_decides_randomly_is_caught_at_its_first_different_decision(events: list[DomainEvent]) -> None:
    numbers = iter([1, 1, 2, *[1] * 20])
    verdict = proof(events, Trader(quantity=lambda: next(numbers)))

    assert not verdict.identical
    divergence = verdict.divergence
    assert divergence is not None
    recorded = [e for e in events if e.event_type == "strategy.decision"]
    assert divergence.recorded == recorded[2]
    assert divergence.executed is not None
    assert divergence.executed.payload["intents"][0]["quantity"] == "2"
    assert (verdict.decisions, verdict.orders) == (3, 3)


def test_a_strategy_that_sets_random_timers_is_caught(events: list[DomainEvent]) -> None:
    for delay in (4, 6, 10**6):
        delays = iter([5, delay, *[5] * 20])
        verdict = proof(events, Trader(delay=lambda delays=delays: next(delays)))

        assert not verdict.identical
        assert verdict.divergence is not None
        recorded = verdict.divergence.recorded
        assert isinstance(recorded, TimerSet)
        assert recorded.timer_id == 2


def test_a_module_global_that_changed_between_run_and_proof_is_caught() -> None:
    rng = random.Random(1)
    events = record(Trader(quantity=lambda: rng.randint(1, 1000))).events
    assert not proof(events, Trader(quantity=lambda: rng.randint(1, 1000))).identical


def test_a_decision_that_is_not_taken_again_is_shown_as_missing(events: list[DomainEvent]) -> None:
    class Still(Strategy):
        """Does nothing."""

    Still.__name__ = Trader.__name__  # so that the first difference is in its actions
    verdict = proof(events, Still())

    assert verdict.divergence is not None
    assert isinstance(verdict.divergence.recorded, TimerSet)
    assert verdict.divergence.executed is None
    assert verdict.orders == 0


def test_a_derived_event_that_is_not_made_again_is_shown_as_missing(events: list[DomainEvent]) -> None:
    class Shy(Trader):
        def on_timer(self, timer: TimerFired) -> None:
            """Does nothing this time."""

    Shy.__name__ = Trader.__name__
    verdict = proof(events, Shy())
    assert verdict.divergence is not None
    assert verdict.divergence.recorded == next(e for e in events if e.event_type == "strategy.decision")
    assert verdict.divergence.executed is None


def test_a_decision_that_was_not_taken_then_is_shown_as_extra(events: list[DomainEvent]) -> None:
    class Eager(Trader):
        def on_stop(self) -> None:
            self.buy(BTC, D(1))

    Eager.__name__ = Trader.__name__
    verdict = proof(events, Eager())
    assert verdict.divergence is not None
    assert verdict.divergence.recorded is None
    assert verdict.divergence.executed is not None
    assert verdict.divergence.executed.event_type == "strategy.decision"


def test_an_event_that_was_changed_on_the_tape_is_found(events: list[DomainEvent]) -> None:
    index = next(i for i, e in enumerate(events) if isinstance(e, OrderSubmittedEvent))
    order = events[index]
    fields = {name: getattr(order, name) for name in order.__struct_fields__}
    forged = OrderSubmittedEvent(**{**fields, "quantity": D(2)})

    verdict = proof([*events[:index], forged, *events[index + 1 :]], Trader())

    assert verdict.divergence is not None
    assert verdict.divergence.seq == order.seq
    assert verdict.divergence.recorded == forged
    assert verdict.divergence.executed == order


def test_an_event_that_was_removed_from_the_tape_is_found(events: list[DomainEvent]) -> None:
    index = next(i for i, e in enumerate(events) if e.event_type == "risk.approved")
    verdict = proof(events[:index] + events[index + 1 :], Trader())

    assert verdict.divergence is not None
    assert verdict.divergence.recorded is None
    assert verdict.divergence.executed == events[index]


def test_a_tape_that_ends_early_is_identical_as_far_as_it_goes(events: list[DomainEvent]) -> None:
    ends = [i for i in range(1, len(events)) if events[i].is_input]
    verdict = proof(events[: ends[10]], Trader())

    assert verdict.identical
    assert 0 < verdict.orders < 9


def test_a_tape_that_ends_within_a_cascade_is_not(events: list[DomainEvent]) -> None:
    index = next(i for i, e in enumerate(events) if e.event_type == "risk.approved")
    verdict = proof(events[: index + 1], Trader())

    assert verdict.divergence is not None
    assert verdict.divergence.executed is not None
    assert verdict.divergence.executed.event_type == "order.submitted"


def test_an_empty_tape_proves_nothing_and_its_figures_are_zero() -> None:
    verdict = proof([], Trader())
    assert (verdict.identical, verdict.events, verdict.orders) == (True, 0, 0)


def test_input_files_that_end_early_are_refused(events: list[DomainEvent]) -> None:
    with pytest.raises(RunError, match="on the tape or left in the input files"):
        proof(events, Trader(), prices(20))


def test_a_cancelled_timer_that_the_record_fires_is_a_divergence() -> None:
    class Canceller(Strategy):
        cancels: ClassVar[bool] = False

        def on_trade(self, trade: TradeEvent) -> None:
            if trade.price == 100:
                timer = self.set_timer("x", SECOND // 10)
                if self.cancels:
                    self.cancel_timer(timer)

    events = record(Canceller()).events
    assert proof(events, Canceller()).identical
    other = Canceller()
    other.cancels = True  # type: ignore[misc]
    verdict = proof(events, other)
    assert verdict.divergence is not None
    assert isinstance(verdict.divergence.executed, TimerCancelled)


@pytest.mark.parametrize("files", [True, False])
def test_a_timer_that_only_the_execution_sets_is_caught(files: bool) -> None:
    class Sleeper(Strategy):
        wakes: ClassVar[bool] = False

        def on_start(self) -> None:
            if self.wakes:
                self.set_timer("x", 15 * MS)

    events = record(Sleeper(), files=files).events
    market = prices() if files else iter(())
    waking = Sleeper()
    waking.wakes = True  # type: ignore[misc]
    verdict = proof(events, waking, market)

    assert verdict.divergence is not None
    assert isinstance(verdict.divergence.executed, TimerSet)
