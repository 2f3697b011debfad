"""The driver on the virtual clock: what comes before what at an instant, and how a wall clock only paces it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import partial

import pytest
from application_kit import BTC, MS, SECOND, START, MemoryTape, Ping, trade

from tickdeck.application.drivers import Simulation, simulation
from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.domain.events import (
    BacktestCompleted,
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    RunStarted,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TradeEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side
from tickdeck.errors import InputError, TapeError


class FakeWall:
    """A wall clock that moves by what is slept, and by ``cost`` ns for each input that is looked at."""

    def __init__(self) -> None:
        self.now = 1_000
        self.slept = 0.0
        self.yields = 0

    def monotonic_ns(self) -> int:
        return self.now

    async def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 0.1  # never so long that stop() would be heard late
        self.slept += seconds
        self.now += round(seconds * 1e9)
        self.yields += not seconds
        await asyncio.sleep(0)


class Rig:
    """A simulation over given market data, with a log of what happened in which order."""

    def __init__(
        self,
        market: Iterable[DomainEvent],
        *,
        record: bool = True,
        duration: int | None = None,
        observe: Callable[[int], int] | None = None,
        begin: Callable[[Rig, int], None] = lambda rig, ts: None,
        figures: Callable[[int], BacktestCompleted] | None = None,
    ) -> None:
        self.log: list[str] = []
        self.tape = MemoryTape()
        self.agenda = Agenda()
        self.kernel = Kernel(tape=self.tape, agenda=self.agenda)
        self.wall = FakeWall()
        quiet = (FeedConnected, FeedDisconnected, TimerSet, TimerCancelled)  # what the driver does not order
        self.kernel.subscribe(
            "*", lambda e: self.log.append(_name(e)), priority=-1, where=lambda e: not isinstance(e, quiet)
        )
        self.simulation = Simulation(
            self.kernel,
            self.agenda,
            iter(market),
            wall=self.wall,
            started=RunStarted(strategies=("s",), symbols=(BTC,), seed=3),
            record_market=record,
            on_market=lambda e: self.log.append("venue sees"),
            begin=lambda ts: begin(self, ts),
            feed="test",
            duration=duration,
            observe=observe,
            figures=figures,
        )

    def run(self, speed: float | None = None, **options: Callable[..., object]) -> Rig:
        asyncio.run(self.simulation.run(speed, **options))  # type: ignore[arg-type]
        return self

    def report_at(self, due: int, order_id: str = "o") -> None:
        """Let the venue schedule a report, as the paper venue does."""
        event = VenueOrderReported(
            order_id=order_id, symbol=BTC, status=OrderStatus.ACCEPTED, ts=due, ts_ingress=due, source="venue"
        )
        self.agenda.at(due, partial(self.kernel.post, event))


def _name(event: DomainEvent) -> str:
    if isinstance(event, TradeEvent):
        return f"trade {event.price}"
    if isinstance(event, TimerFired):
        return f"timer {event.name}"
    if isinstance(event, VenueOrderReported):
        return f"report {event.order_id}"
    return event.event_type


def market(*at: int) -> list[TradeEvent]:
    """A trade at each time, ns after the start, whose price is its number."""
    return [trade(str(n), ts=START + ts) for n, ts in enumerate(at, 1)]


# -- order ------------------------------------------------------------------------------------------------------


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


def test_a_cancelled_timer_lets_nothing_pass_that_is_later_than_what_waits() -> None:
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


def test_the_venue_is_begun_after_the_start_and_its_first_reports_come_before_the_market() -> None:
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


def test_an_empty_market_is_a_run_that_starts_settles_and_stops() -> None:
    rig = Rig([], begin=Rig.report_at).run()

    assert rig.log == ["run.started", "report o", "run.stopped"]
    assert rig.simulation.completed


# -- the end ----------------------------------------------------------------------------------------------------


def test_a_duration_ends_the_run_before_the_first_input_at_its_end() -> None:
    rig = Rig(market(0, 5, 10, 15), duration=10)
    rig.kernel.subscribe("run.started", lambda e: [rig.kernel.set_timer(START + d, str(d)) for d in (10, 11)] and None)
    rig.run()

    assert rig.log[1:] == ["venue sees", "trade 1", "venue sees", "trade 2", "timer 10", "run.stopped"]
    assert rig.tape.events[-1].payload["reason"] == "duration reached"


def test_a_duration_longer_than_the_market_is_the_end_of_the_market() -> None:
    rig = Rig(market(0, 5), duration=100).run()
    assert rig.tape.events[-1].payload["reason"] == "end of market data"


def test_the_last_reports_of_the_venue_still_come_in_and_nothing_else_does() -> None:
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
def test_a_run_that_is_told_to_stop_is_left_as_it_is(speed: float | None) -> None:
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


# -- looking on -------------------------------------------------------------------------------------------------


def test_an_observer_looks_at_the_start_and_then_as_often_as_it_asks_after_all_else_of_its_instant() -> None:
    looks: list[tuple[int, int]] = []

    def observe(ts: int) -> int:
        looks.append((ts - START, len(rig.log)))
        return 10

    rig = Rig(market(0, 10, 10, 35), observe=observe, begin=Rig.report_at)
    rig.run()

    assert [ts for ts, _ in looks] == [0, 10, 20, 30]
    assert looks[0][1] == 2  # run.started and the report of the opening balance
    assert [name for name in rig.log if name.startswith("trade")] == ["trade 1", "trade 2", "trade 3", "trade 4"]


def test_progress_is_told_the_time_of_the_run() -> None:
    told: list[int] = []
    Rig(market(0, 7)).run(progress=told.append)
    assert told == [START + 7]


def test_one_input_in_sixteen_is_timed_and_only_so_many_times_are_kept() -> None:
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


# -- pacing -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("speed", "seconds"), [(1.0, 3.0), (10.0, 0.3), (0.5, 6.0)])
def test_a_paced_run_sleeps_as_long_as_its_market_took_by_the_speed(speed: float, seconds: float) -> None:
    at = [0, 1, 2 * MS, 700 * MS, 701 * MS, 1_650 * MS, 3_000 * MS]
    rig = Rig(market(*at))
    began: list[float] = []
    rig.kernel.subscribe(TradeEvent, lambda e: began.append((rig.wall.now - 1_000) / 1e9))
    rig.run(speed)

    assert rig.wall.slept == pytest.approx(seconds, abs=1e-6)
    assert began == pytest.approx([ts / 1e9 / speed for ts in at], abs=1e-6)


def test_time_that_handlers_take_is_made_up_for_so_that_nothing_drifts() -> None:
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


def test_progress_never_goes_back_for_a_timer_of_the_past() -> None:
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


# -- the feed, and a backtest's course --------------------------------------------------------------------------------


def figures(inputs: int) -> BacktestCompleted:
    return BacktestCompleted(
        inputs=inputs, equity=Decimal(1), pnl=Decimal(0), fees=Decimal(0), max_drawdown=0.0, trades=0
    )


def test_the_feed_is_connected_before_the_first_market_data_and_disconnected_when_it_ends() -> None:
    rig = Rig(market(0, 5), begin=Rig.report_at)
    rig.kernel.subscribe("run.started", lambda e: rig.report_at(START + 7))
    rig.run()

    types = [e.event_type for e in rig.tape.events]
    assert types == [
        "run.started",
        "feed.connected",
        "venue.order_reported",
        "market.trade",
        "market.trade",
        "feed.disconnected",
        "venue.order_reported",
        "run.stopped",
    ]
    connected, disconnected = rig.tape.events[1], rig.tape.events[5]
    assert connected.payload == {"feed": "test", "symbols": (BTC,)}
    assert disconnected.payload == {"feed": "test", "symbols": (BTC,), "reason": "end of market data"}
    assert (connected.ts_ingress, disconnected.ts_ingress, connected.source) == (START, START + 5, "driver")


def test_a_run_that_is_stopped_from_outside_is_still_connected() -> None:
    rig = Rig(market(*range(0, 20_000 * MS, MS))).run(stop=lambda: True)
    assert rig.tape.events[-1].event_type == "feed.connected"


def test_a_backtest_tells_its_course_and_at_the_end_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "_PROGRESS", 32)
    rig = Rig(market(*range(100)), figures=figures).run()

    told = [e for e in rig.tape.events if e.event_type.startswith("backtest.")]
    assert [e.event_type for e in told] == ["backtest.started", *["backtest.progressed"] * 3, "backtest.completed"]
    assert told[0].payload == {"strategies": ("s",), "symbols": (BTC,), "first_ts": START}
    assert [(e.payload["inputs"], e.payload["reached_ts"] - START) for e in told[1:4]] == [(32, 31), (64, 63), (96, 95)]
    assert told[4].payload["inputs"] == 100
    assert rig.log[-2:] == ["backtest.completed", "run.stopped"]


@pytest.mark.parametrize("speed", [1.0, 1e9])
def test_a_backtests_course_is_the_same_at_any_speed(speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation, "_PROGRESS", 32)

    def events(speed: float | None, **options: Callable[..., object]) -> list[DomainEvent]:
        return Rig(market(*range(0, 100 * MS, MS)), figures=figures, duration=90 * MS).run(speed, **options).tape.events

    assert events(speed) == events(None)
    looks = iter([False, True])
    assert events(speed, pace_from=lambda: next(looks, True)) == events(None)


def test_a_backtest_in_which_a_fault_halted_trading_has_failed() -> None:
    rig = Rig(market(0, 1), figures=figures)
    rig.kernel.subscribe(TradeEvent, lambda e: 1 / 0, component="risk")
    rig.run()

    assert rig.log[-2:] == ["backtest.failed", "run.stopped"]
    assert rig.tape.events[-2].payload == {"inputs": 2, "reason": "an error in the core halted trading"}


@pytest.mark.parametrize("speed", [None, 1e9])
@pytest.mark.parametrize("backtest", [True, False])
def test_broken_market_data_is_told_on_the_tape_before_the_run_breaks_off(speed: float | None, backtest: bool) -> None:
    def broken() -> Iterator[TradeEvent]:
        yield from market(*range(20))
        raise InputError("line 21: not a trade")

    rig = Rig(broken(), figures=figures if backtest else None)
    with pytest.raises(InputError, match="line 21"):
        rig.run(speed)

    failed = ["backtest.failed"] if backtest else []
    assert [e.event_type for e in rig.tape.events[23 + backtest - 1 :]] == [
        "system.error",
        "feed.disconnected",
        *failed,
    ]
    error = next(e for e in rig.tape.events if e.event_type == "system.error")
    assert error.payload == {"component": "driver", "error": "InputError", "message": "line 21: not a trade"}
    if backtest:
        assert rig.tape.events[-1].payload == {"inputs": 20, "reason": "InputError: line 21: not a trade"}
    assert not rig.simulation.completed


# -- a clock that stands still ------------------------------------------------------------------------------------


def test_a_request_to_stop_is_honoured_after_the_running_cascade() -> None:
    rig = Rig(market(*range(0, 100 * MS, MS)))
    rig.kernel.subscribe(TradeEvent, lambda e: rig.simulation.request_stop(), where=lambda e: e.price == 7)
    rig.run()

    assert rig.log[-1] == "trade 7"
    assert not rig.simulation.completed


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
