"""Real orders at an exchange on localhost, while it halts a symbol or the disk of the run writes nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from gate_processes import ask
from test_live_orders import STRATEGIES, config

from tickdeck.bootstrap import LiveRun, open_record, start_live_run, verify_run
from tickdeck.bootstrap.venue import RunningVenue, open_venue
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    RiskLimitBreachedEvent,
    SystemWarning,
    TradingHalted,
    TradingResumed,
)
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.surroundings import WatchConfig

pytestmark = pytest.mark.slow

Act = Callable[[LiveRun, RunningVenue], Coroutine[Any, Any, None]]


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEMO_API_KEY", "demo-key")
    monkeypatch.setenv("DEMO_API_SECRET", "demo-secret")


async def until(fact: Callable[[], Awaitable[bool]] | Callable[[], bool]) -> None:
    """Wait until ``fact`` is true, at most two minutes."""
    async with asyncio.timeout(120):
        while not (await found if isinstance(found := fact(), Awaitable) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def traded(data: Path, act: Act, **settings: Any) -> list[DomainEvent]:
    """The events of a live run that trades until ``act`` is over, with its proof checked."""

    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",)) as venue:
            run = start_live_run(config(venue.url, 600, **settings), data)
            acting = asyncio.create_task(act(run, venue))
            acting.add_done_callback(lambda _: run.driver.request_stop())
            try:
                await run.drive(None)
            finally:
                run.close()
            await acting
            return run

    run = asyncio.run(work())
    assert verify_run(run.folder)[0].identical
    return list(open_record(run.folder))


def test_a_symbol_that_the_exchange_halts_gets_no_orders_until_it_is_traded_again(tmp_path: Path) -> None:
    async def act(run: LiveRun, venue: RunningVenue) -> None:
        execution, why_closed = run.core.execution, run.core.instruments.why_closed
        await until(lambda: execution.submitted > 1)
        venue.faults.set("halt_symbol", "BTCUSDT")
        await until(lambda: bool(why_closed("BTCUSDT")))
        sent = execution.submitted
        await asyncio.sleep(1)
        assert execution.submitted == sent
        venue.faults.set("halt_symbol", "off")
        await until(lambda: not why_closed("BTCUSDT"))
        await until(lambda: execution.submitted > sent + 1)

    events = traded(tmp_path, act)

    alerts = [event.text for event in events if isinstance(event, NotificationAlert) and "BTCUSDT" in event.text]
    assert alerts == [
        "the venue does not trade BTCUSDT now: halt (HALT); only cancels leave for it",
        "the venue trades BTCUSDT again",
    ]
    assert {event.limit for event in events if isinstance(event, RiskLimitBreachedEvent)} >= {"instrument"}


def test_a_key_that_is_revoked_while_the_run_works_halts_trading(tmp_path: Path) -> None:
    async def act(run: LiveRun, venue: RunningVenue) -> None:
        def change_key(key: str) -> None:
            body = {"name": "demo", "key": key, "secret": "demo-secret"}
            assert venue.server.admin.handle("POST", "account", body)[0] == 200

        execution, gate = run.core.execution, run.core.risk.gate
        await until(lambda: execution.submitted > 1)
        change_key("another")
        await until(lambda: bool(gate.closed_because))
        change_key("demo-key")

    events = traded(tmp_path, act)

    (halt,) = [event for event in events if isinstance(event, TradingHalted)]
    assert halt.reason == "binance/orders does not work (AuthenticationFailed)"
    alerts = [event.text for event in events if isinstance(event, NotificationAlert)]
    assert any(halt.reason in text for text in alerts)


def test_only_cancels_leave_while_the_disk_writes_nothing_and_trading_resumes_when_it_does(tmp_path: Path) -> None:
    disk = threading.Event()
    disk.set()

    async def act(run: LiveRun, venue: RunningVenue) -> None:
        async def statuses() -> list[str]:
            return [order["status"] for order in await asyncio.to_thread(ask, venue.url, "orders?account=demo")]

        async def are(*wanted: str) -> bool:
            return await statuses() == [*wanted]

        sync, tape, gate = run.tape.before_commit, run.tape, run.core.risk.gate  # type: ignore[attr-defined]
        tape.before_commit = lambda: (disk.wait(300), sync())  # type: ignore[attr-defined]
        await until(lambda: are("NEW"))
        disk.clear()
        run.kernel.publish(CommandReceived(command="note", source="control"))  # something waits for the disk
        try:
            await until(lambda: bool(gate.closed_because))
            run.kernel.publish(CommandReceived(command="cancel", source="control"))
            await until(lambda: are("CANCELED"))
        finally:
            disk.set()
        await until(lambda: not gate.closed_because)
        await until(lambda: are("CANCELED", "NEW"))

    settings = {"strategies": (StrategyConfig(spec=f"{STRATEGIES}:Rests"),), "watch": WatchConfig(disk="1s")}
    events = traded(tmp_path, act, **settings)

    assert any(isinstance(event, TradingResumed) for event in events)
    warnings = [event.message for event in events if isinstance(event, SystemWarning)]
    assert "the disk has written nothing for 1 s, so the tape is behind; only cancels leave" in warnings
