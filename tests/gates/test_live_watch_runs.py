"""Whole live runs in virtual time, with something going wrong around them: they say so, trade on, and are proven."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest
from test_live_run import START, config
from virtual_time import VirtualLoop, VirtualWall

from tickdeck.bootstrap import LiveRun, live_watch, open_record, resume_run, start_live_run, verify_run
from tickdeck.domain.events import (
    DomainEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
    SystemWarning,
    TradingHalted,
    TradingResumed,
)
from tickdeck.infrastructure.surroundings import WatchConfig

pytestmark = pytest.mark.long

S = 1_000_000_000
HOUR = 3_600 * S


class SetWall(VirtualWall):
    """A wall clock that somebody sets after five seconds."""

    def __init__(self, by: int) -> None:
        super().__init__(START)
        self._by = by

    def time_ns(self) -> int:
        passed = self.monotonic_ns()
        return START + passed + (self._by if passed > 5 * S else 0)


def drive(run: LiveRun, stop_after: float | None = None) -> list[DomainEvent]:
    async def work() -> None:
        if stop_after is not None:
            asyncio.get_running_loop().call_later(stop_after, run.driver.request_stop)
        await run.drive(None)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        try:
            runner.run(work())
        finally:
            run.close()
    assert verify_run(run.folder)[0].identical
    return list(open_record(run.folder))


def seconds_of(events: list[DomainEvent], kind: type[DomainEvent]) -> list[float]:
    return [(event.ts_ingress - START) / S for event in events if isinstance(event, kind)]


@pytest.mark.parametrize("by", [HOUR, -HOUR])
def test_a_run_goes_on_evenly_when_the_wall_clock_is_set_by_an_hour(tmp_path: Path, by: int) -> None:
    events = drive(start_live_run(config(20), tmp_path, clock=SetWall(by)))

    (warning,) = [event for event in events if isinstance(event, SystemWarning)]
    assert warning.message.startswith(f"the wall clock was set {'forward' if by > 0 else 'back'} by 3600.0 s")
    assert warning.source == "surroundings"
    times = [event.ts_ingress for event in events]
    assert times == sorted(times)
    assert max(after - before for before, after in pairwise(times)) < S
    assert times[-1] <= START + 21 * S
    ((halted,), (resumed,)) = seconds_of(events, TradingHalted), seconds_of(events, TradingResumed)
    assert 5 <= halted < resumed < 8
    sent = seconds_of(events, OrderSubmittedEvent)
    assert not [at for at in sent if halted < at < resumed]
    assert [at for at in sent if at > resumed]


def test_a_run_with_too_much_memory_refuses_orders_until_it_has_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start_live_run(config(20, watch=WatchConfig(memory="1GB")), tmp_path, clock=VirtualWall(START))
    size = lambda: 1_100_000_000 if 5 * S < run.kernel.clock.now() - START < 10 * S else 800_000_000  # noqa: E731
    (check,) = [check for check in run.watch._checks if check.name == "memory"]
    monkeypatch.setattr(check, "_resident", size)
    events = drive(run)

    ((halted,), (resumed,)) = seconds_of(events, TradingHalted), seconds_of(events, TradingResumed)
    assert 5 <= halted < 6
    assert 10 <= resumed < 11
    assert not [at for at in seconds_of(events, OrderSubmittedEvent) if halted < at < resumed]
    refused = [event for event in events if isinstance(event, RiskLimitBreachedEvent)]
    assert {event.limit for event in refused} == {"trading_halted"}
    assert {event.detail for event in refused} == {"the process uses more than 1,000 MB of memory"}


def test_a_run_that_was_stopped_while_something_was_wrong_trades_again_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_watch, "resident_memory", lambda: 2_000_000_000)
    first = start_live_run(config(600, watch=WatchConfig(memory="1GB")), tmp_path, clock=VirtualWall(START))
    drive(first, stop_after=5)
    assert first.core.risk.gate.closed_because

    monkeypatch.setattr(live_watch, "resident_memory", lambda: 1_000)
    again = resume_run(first.folder, clock=VirtualWall(START + 60 * S))
    assert isinstance(again, LiveRun)
    events = drive(again, stop_after=5)

    assert not again.core.risk.gate.closed_because
    (resumed,) = seconds_of(events, TradingResumed)
    assert resumed > 60
    assert [at for at in seconds_of(events, OrderSubmittedEvent) if at > resumed]


def test_a_run_that_is_resumed_with_a_clock_an_hour_behind_goes_on_where_its_record_ends(tmp_path: Path) -> None:
    first = start_live_run(config(600), tmp_path, clock=VirtualWall(START))
    drive(first, stop_after=5)
    again = resume_run(first.folder, clock=VirtualWall(START - HOUR))
    assert isinstance(again, LiveRun)
    events = drive(again, stop_after=5)

    (remark,) = again.remarks
    assert remark.startswith("the wall clock is 360")
    assert remark.endswith(" s behind the record, so the run goes on from there")
    times = [event.ts_ingress for event in events]
    assert times == sorted(times)
    assert 9 < (times[-1] - START) / S < 11
    assert [at for at in seconds_of(events, OrderSubmittedEvent) if at > 6]
