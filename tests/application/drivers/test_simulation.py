"""The driver on the virtual clock: the order of timers, reports and market data at one instant."""

from __future__ import annotations

from decimal import Decimal
from functools import partial

import pytest
from application_kit import BTC, SECOND, START
from simulation_rig import Rig, market

from tickdeck.domain.events import (
    DomainEvent,
    RunStarted,
    TimerFired,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import Side


def test_a_run_starts_with_the_market_and_stops_when_it_ends() -> None:
    rig = Rig(market(0, 5)).run()

    assert rig.log == ["run.started", "venue sees", "trade 1", "venue sees", "trade 2", "run.stopped"]
    started, stopped = rig.tape.events[0], rig.tape.events[-1]
    assert isinstance(started, RunStarted)
    assert (started.ts, started.ts_ingress, started.strategies, started.symbols, started.seed) == (
        START,
        START,
        ("s",),
        (BTC,),
        3,
    )
    assert (stopped.payload["reason"], stopped.ts) == ("end of market data", START + 5)
    assert rig.simulation.completed


def test_at_one_instant_timers_come_first_then_the_venue_then_the_market() -> None:
    rig = Rig(market(0, 5))

    def schedule(_: DomainEvent) -> None:
        rig.report_at(START + 5, "a")
        rig.kernel.set_timer(START + 5, "one")
        rig.report_at(START + 5, "b")
        rig.kernel.set_timer(START + 5, "two")
        rig.kernel.set_timer(START + 4, "early")

    rig.kernel.subscribe("run.started", schedule)
    rig.run()

    assert rig.log[3:] == [
        "timer early",
        "timer one",
        "timer two",
        "report a",
        "report b",
        "venue sees",
        "trade 2",
        "run.stopped",
    ]


def test_a_timer_set_by_a_report_for_the_same_instant_comes_before_the_next_report() -> None:
    rig = Rig(market(0, 5))
    rig.kernel.subscribe("run.started", lambda e: [rig.report_at(START + 5, name) for name in "ab"] and None)
    rig.kernel.subscribe(
        VenueOrderReported,
        lambda e: rig.kernel.set_timer(rig.kernel.clock.now(), "now"),
        where=lambda e: e.order_id == "a",
    )
    rig.run()

    assert rig.log[3:7] == ["report a", "timer now", "report b", "venue sees"]


def test_reports_of_one_instant_are_taken_by_their_lanes() -> None:
    rig = Rig(market(0, 5))
    fill = VenueFillReported(
        order_id="o",
        symbol=BTC,
        side=Side.BUY,
        price=Decimal(1),
        quantity=Decimal(1),
        venue_trade_id="t",
        ts_ingress=START + 3,
        source="other venue",
    )

    def schedule(_: DomainEvent) -> None:
        rig.report_at(START + 3, "a")
        rig.agenda.at(START + 3, partial(rig.kernel.post, fill))

    rig.kernel.subscribe("run.started", schedule)
    rig.run()

    assert rig.log[3:5] == ["venue.fill_reported", "report a"]


def test_a_cancelled_timer_does_not_change_the_order_of_later_inputs() -> None:
    rig = Rig(market(0, 9))

    def schedule(_: DomainEvent) -> None:
        rig.report_at(START + 5, "first")
        rig.report_at(START + 8, "second")
        rig.kernel.set_timer(START + 5, "cancels")

    rig.kernel.subscribe("run.started", schedule)
    cancelled = rig.kernel.set_timer(START + 6, "cancelled")
    rig.kernel.subscribe(TimerFired, lambda e: rig.kernel.cancel_timer(cancelled))
    rig.run()

    assert rig.log[3:6] == ["timer cancels", "report first", "report second"]
    times = [e.ts_ingress - START for e in rig.tape.events if isinstance(e, VenueOrderReported)]
    assert times == [5, 8]


def test_the_venue_starts_after_the_run_and_its_first_reports_precede_the_market() -> None:
    rig = Rig(market(0), begin=lambda rig, ts: (rig.log.append(f"begin {ts - START}"), rig.report_at(ts))[1])
    rig.run()

    assert rig.log == ["run.started", "begin 0", "report o", "venue sees", "trade 1", "run.stopped"]


def test_market_data_of_files_is_left_off_the_tape() -> None:
    rig = Rig(market(0, 1, 2), record=False).run()

    assert [(e.seq, e.event_type) for e in rig.tape.events] == [
        (1, "run.started"),
        (2, "feed.connected"),
        (6, "feed.disconnected"),
        (7, "run.stopped"),
    ]


def test_a_run_on_an_empty_market_starts_settles_and_stops() -> None:
    rig = Rig([], begin=Rig.report_at).run()

    assert rig.log == ["run.started", "report o", "run.stopped"]
    assert rig.simulation.completed


def test_a_timer_that_is_set_again_for_the_same_instant_can_be_stopped() -> None:
    rig = Rig(market(0, SECOND))

    def again(timer: TimerFired) -> None:
        rig.kernel.set_timer(timer.due, "again")
        if timer.timer_id == 500:
            rig.simulation.request_stop()

    rig.kernel.subscribe("run.started", lambda e: rig.kernel.set_timer(START, "again"))
    rig.kernel.subscribe(TimerFired, again)
    rig.run()

    assert rig.log[-1] == "timer again"
    assert not rig.simulation.completed


@pytest.mark.long
def test_reports_that_answer_each_other_within_one_instant_halt_trading_once() -> None:
    rig = Rig(market(0, SECOND))
    answers = iter(range(150_000))

    def answer(report: VenueOrderReported) -> None:
        if next(answers, None) is not None:
            rig.report_at(report.ts)

    rig.kernel.subscribe("run.started", lambda e: rig.report_at(START))
    rig.kernel.subscribe(VenueOrderReported, answer)
    rig.run()

    halts = [event for event in rig.tape.events if event.event_type == "command.received"]
    assert [halt.payload["command"] for halt in halts] == ["halt"]
    assert "more than 100,000 timers and reports" in halts[0].payload["reason"]


@pytest.mark.long
def test_timers_a_second_apart_may_be_many() -> None:
    rig = Rig(market(0, 20_000 * SECOND))
    rig.kernel.subscribe("run.started", lambda e: rig.kernel.set_timer(START, "tick"))
    rig.kernel.subscribe(TimerFired, lambda e: rig.kernel.set_timer(e.due + SECOND, "tick"))
    rig.run()

    assert rig.log.count("timer tick") == 20_001
    assert "command.received" not in rig.log
