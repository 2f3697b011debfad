"""A paced simulation: the wall clock sets the pace and changes nothing else."""

from __future__ import annotations

import pytest
from application_kit import MS, SECOND, START, Ping
from simulation_rig import Rig, _name, market

from tickdeck.domain.events import (
    DomainEvent,
    TimerFired,
    TradeEvent,
)


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 3.0), (10.0, 0.3), (0.5, 6.0)])
def test_a_paced_run_sleeps_in_proportion_to_its_speed(speed: float, seconds: float) -> None:
    at = [0, 1, 2 * MS, 700 * MS, 701 * MS, 1_650 * MS, 3_000 * MS]
    rig = Rig(market(*at))
    began: list[float] = []
    rig.kernel.subscribe(TradeEvent, lambda e: began.append((rig.wall.now - 1_000) / 1e9))
    rig.run(speed)

    assert rig.wall.slept == pytest.approx(seconds, abs=1e-6)
    assert began == pytest.approx([ts / 1e9 / speed for ts in at], abs=1e-6)


def test_the_time_of_handlers_is_compensated_so_pacing_does_not_drift() -> None:
    rig = Rig(market(*range(0, 1_000 * MS, 10 * MS)))

    def work(_: TradeEvent) -> None:
        rig.wall.now += 7 * MS

    rig.kernel.subscribe(TradeEvent, work)
    rig.run(1.0)

    assert rig.wall.now - 1_000 == pytest.approx(990 * MS + 7 * MS, abs=10)
    assert rig.wall.slept == pytest.approx(99 * 0.003, abs=1e-6)


def test_timers_and_reports_keep_their_time_when_paced() -> None:
    rig = Rig(market(0, 1_000 * MS))
    times: dict[str, float] = {}
    rig.kernel.subscribe("*", lambda e: times.setdefault(_name(e), (rig.wall.now - 1_000) / 1e9))

    def schedule(_: DomainEvent) -> None:
        rig.kernel.set_timer(START + 250 * MS, "quarter")
        rig.report_at(START + 500 * MS, "half")
        rig.kernel.set_timer(START + 1_000 * MS, "one")

    rig.kernel.subscribe("run.started", schedule)
    rig.run(2.0)

    assert times["timer quarter"] == pytest.approx(0.125)
    assert times["report half"] == pytest.approx(0.25)
    assert times["timer one"] == times["trade 2"] == pytest.approx(0.5)


def test_a_paced_run_ends_at_its_duration() -> None:
    rig = Rig(market(0, 5_000 * MS), duration=400 * MS).run(1.0)

    assert rig.wall.slept == pytest.approx(0.4)
    assert rig.tape.events[-1].payload["reason"] == "duration reached"
    assert rig.log[-2] == "trade 1"


@pytest.mark.parametrize("speed", [0.5, 1.0, 60.0, 1e12])
def test_speed_changes_nothing_on_the_tape(speed: float) -> None:
    def events(speed: float | None) -> list[DomainEvent]:
        rig = Rig(market(*range(0, 3_000 * MS, 37 * MS)), duration=2_500 * MS)

        def act(event: TradeEvent) -> None:
            if event.price % 5 == 0:
                now = rig.kernel.clock.now()
                rig.kernel.publish(Ping())
                rig.kernel.set_timer(now + (int(event.price) % 7) * 20 * MS, str(event.price))
                rig.report_at(now + 11 * MS, str(event.price))
                rig.kernel.set_timer(now - MS, "past")

        rig.kernel.subscribe(TradeEvent, act)
        return rig.run(speed).tape.events

    assert events(speed) == events(None)
    assert len(events(None)) > 100


def test_progress_never_goes_back_for_an_overdue_timer() -> None:
    rig = Rig(market(*range(0, 1_000 * MS, 50 * MS)))
    rig.kernel.subscribe(TradeEvent, lambda e: rig.kernel.set_timer(START - SECOND, "past"))
    rig.kernel.subscribe(TimerFired, lambda e: setattr(rig.wall, "now", rig.wall.now + 100 * MS))
    told: list[int] = []
    rig.run(1.0, progress=told.append)

    assert told == sorted(told)
    assert told[0] >= START


def test_pacing_begins_when_a_resumed_run_has_caught_up() -> None:
    rig = Rig(market(*range(0, 6_000 * MS, MS)))
    rig.run(1.0, pace_from=lambda: len(rig.log) > 4_000)

    caught_up = 2_048 * 1  # a turn at full speed is that many inputs
    assert rig.wall.slept == pytest.approx((6_000 - 1 - caught_up) / 1_000, abs=0.01)
    assert rig.log[-1] == "run.stopped"
