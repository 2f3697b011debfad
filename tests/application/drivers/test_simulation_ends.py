"""The end of a simulated run; observers, progress and latencies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from application_kit import MS, SECOND, START
from simulation_rig import Rig, market

from tickdeck.domain.events import (
    DomainEvent,
    TradeEvent,
)
from tickdeck.errors import TapeError


def test_a_duration_ends_the_run_before_the_first_input_at_its_end() -> None:
    rig = Rig(market(0, 5, 10, 15), duration=10)
    rig.kernel.subscribe("run.started", lambda e: [rig.kernel.set_timer(START + d, str(d)) for d in (10, 11)] and None)
    rig.run()

    assert rig.log[1:] == ["venue sees", "trade 1", "venue sees", "trade 2", "timer 10", "run.stopped"]
    assert rig.tape.events[-1].payload["reason"] == "duration reached"


def test_a_duration_longer_than_the_market_ends_with_the_market() -> None:
    rig = Rig(market(0, 5), duration=100).run()
    assert rig.tape.events[-1].payload["reason"] == "end of market data"


def test_after_the_end_only_the_venues_last_reports_arrive() -> None:
    rig = Rig(market(0, 5))

    def schedule(_: DomainEvent) -> None:
        for due in (SECOND + 5, SECOND + 6):
            rig.report_at(START + due, str(due))
        rig.kernel.set_timer(START + 500 * MS, "never")
        rig.agenda.at(START + 10, lambda: rig.report_at(START + 20, "follow-up"))

    rig.kernel.subscribe("run.started", schedule)
    rig.run()

    assert rig.log[-3:] == ["report follow-up", f"report {SECOND + 5}", "run.stopped"]
    assert "timer never" not in rig.log


@pytest.mark.parametrize("speed", [None, 1.0])
def test_a_run_that_is_asked_to_stop_has_no_end_event(speed: float | None) -> None:
    rig = Rig(market(*range(0, 20_000 * MS, MS)))
    looks = iter([False] * 3)
    rig.run(speed, stop=lambda: next(looks, True))

    assert rig.log[-1].startswith("trade")
    assert not rig.simulation.completed
    assert len(rig.log) < 15_000


def test_a_tape_error_ends_the_run() -> None:
    rig = Rig(market(0, 1, 2))
    rig.kernel.subscribe(
        TradeEvent, lambda e: setattr(rig.tape, "error", TapeError("full")), where=lambda e: e.price == 2
    )
    with pytest.raises(TapeError, match="full"):
        rig.run()
    assert rig.log[-1] == "trade 2"


# -- observing --------------------------------------------------------------------------------------------------


def test_an_observer_runs_at_the_start_and_at_its_own_intervals_after_everything_else() -> None:
    looks: list[tuple[int, int]] = []

    def observe(ts: int) -> int:
        looks.append((ts - START, len(rig.log)))
        return 10

    rig = Rig(market(0, 10, 10, 35), observe=observe, begin=Rig.report_at)
    rig.run()

    assert [ts for ts, _ in looks] == [0, 10, 20, 30]
    assert looks[0][1] == 2  # run.started and the report of the opening balance
    assert [name for name in rig.log if name.startswith("trade")] == ["trade 1", "trade 2", "trade 3", "trade 4"]


def test_progress_receives_the_time_of_the_run() -> None:
    told: list[int] = []
    Rig(market(0, 7)).run(progress=told.append)
    assert told == [START + 7]


def test_one_input_in_sixteen_is_timed_and_old_timings_are_dropped() -> None:
    rig = Rig(market(*range(100)))
    rig.run()

    assert len(rig.simulation.latencies_ns) == 7
    assert rig.simulation.latencies_ns.maxlen is not None


@pytest.mark.long
def test_other_tasks_get_their_turn_at_full_speed_and_when_a_paced_run_is_late() -> None:
    for speed in (None, 1e9):
        rig = Rig(market(*range(10_000)))
        seen: list[int] = []
        rig.kernel.subscribe(TradeEvent, lambda e, wall=rig.wall: setattr(wall, "now", wall.now + MS))

        async def look(rig: Rig = rig, seen: list[int] = seen) -> None:
            while not rig.simulation.completed:
                seen.append(len(rig.log))
                await asyncio.sleep(0)

        async def both(rig: Rig = rig, speed: float | None = speed, look: Callable[[], object] = look) -> None:
            await asyncio.gather(look(), rig.simulation.run(speed))  # type: ignore[call-overload]

        asyncio.run(both())
        assert len(seen) >= 4


# -- a clock that stops -------------------------------------------------------------------------------------------


def test_a_request_to_stop_takes_effect_after_the_running_cascade() -> None:
    rig = Rig(market(*range(0, 100 * MS, MS)))
    rig.kernel.subscribe(TradeEvent, lambda e: rig.simulation.request_stop(), where=lambda e: e.price == 7)
    rig.run()

    assert rig.log[-1] == "trade 7"
    assert not rig.simulation.completed
