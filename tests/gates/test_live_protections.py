"""Stops and targets of a run with real orders outlive the run, and a resumed run takes them up again."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_processes import ask
from test_live_orders import STRATEGIES, config, shorten_lag

from tickdeck.bootstrap import LiveRun, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.infrastructure.config import StrategyConfig


@pytest.fixture(autouse=True)
def exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    shorten_lag(monkeypatch.setattr)
    monkeypatch.setenv("DEMO_API_KEY", "demo-key")
    monkeypatch.setenv("DEMO_API_SECRET", "demo-secret")


def guarded(**parameters: str) -> tuple[StrategyConfig, ...]:
    return (StrategyConfig(spec=f"{STRATEGIES}:Guarded", parameters=parameters),)


async def stop_when(run: LiveRun, wanted: Any) -> None:
    """Drive the run until ``wanted()`` holds, and stop it as a signal does."""

    def look(_: int) -> None:
        if run.caught_up() and wanted():
            run.driver.request_stop()

    try:
        await run.drive(None, progress=look)
    finally:
        run.close()


def protection(run: LiveRun) -> Any:
    [p] = run.core.risk.protections.book.live()
    return p


def both_rest(run: LiveRun) -> bool:
    """The exit order and the other one are at the venue."""
    orders = run.core.execution.open_of()
    return len(orders) == 2 and all(order.venue_order_id and order.status == "accepted" for order in orders)


def prove(run: LiveRun, url: str) -> None:
    """The balances are the exchange's, only the pair is open there, and the record is proven."""
    for currency, amounts in ask(url, "balances?account=demo")["demo"].items():
        total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
        assert run.core.portfolio.account.balances.get(currency, Decimal(0)) == total, currency
    there = [order for order in ask(url, "orders?account=demo") if order["status"] in ("NEW", "PARTIALLY_FILLED")]
    assert len(there) == 2 * len(run.core.execution.open_of())
    assert verify_run(run.folder)[0].identical


def act(url: str, what: str, **values: str) -> None:
    """What another trader does."""
    body = json.dumps({"symbol": "BTCUSDT", **values}).encode()
    with urllib.request.urlopen(f"{url}/admin/{what}", body, timeout=120):
        pass


@pytest.mark.long
def test_a_stopped_run_leaves_its_stops_and_targets_and_a_resumed_one_takes_them_up(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_venue(("BTCUSDT",), seed=3) as venue:
            run = start_live_run(config(venue.url, 600, strategies=guarded()), tmp_path)
            await stop_when(run, lambda: both_rest(run))
            exit_id = protection(run).exit.order_id
            [left] = run.core.execution.open_of()
            assert (left.order_id, left.protects != "") == (exit_id, True)
            [remark] = run.remarks
            assert remark.startswith(f"order {exit_id} stays at binance and protects 0.00999 BTCUSDT of Guarded: stop ")
            assert ", target " in remark
            assert not run.driver.completed

            again = resume_run(run.folder)
            assert isinstance(again, LiveRun)
            await stop_when(again, lambda: True)
            assert protection(again).exit.order_id == exit_id
            assert again.core.execution.submitted == run.core.execution.submitted
            await asyncio.to_thread(prove, again, venue.url)

    asyncio.run(work())


TO_THE_TARGET = [("quote", "BUY", "70000", "500")]
TO_THE_STOP = [("quote", "BUY", "55000", "9000"), ("trade", "SELL", "55000", "5000")]


@pytest.mark.long
@pytest.mark.parametrize("acts", [TO_THE_TARGET, TO_THE_STOP], ids=["target", "stop"])
def test_a_leg_that_filled_while_the_run_was_down_ends_the_protection(
    tmp_path: Path, acts: list[tuple[str, str, str, str]]
) -> None:
    async def work() -> None:
        async with open_venue(("BTCUSDT",), seed=3) as venue:
            run = start_live_run(config(venue.url, 600, strategies=guarded()), tmp_path)
            await stop_when(run, lambda: both_rest(run))
            for what, side, price, quantity in acts:
                await asyncio.to_thread(act, venue.url, what, side=side, price=price, quantity=quantity)

            again = resume_run(run.folder)
            assert isinstance(again, LiveRun)
            await stop_when(again, lambda: not any(again.core.risk.protections.book.live()))
            assert again.core.execution.submitted == run.core.execution.submitted
            assert again.remarks == []
            await asyncio.to_thread(prove, again, venue.url)

    asyncio.run(work())


@pytest.mark.slow
def test_the_end_of_the_duration_leaves_them_too_and_the_run_is_not_complete(tmp_path: Path) -> None:
    async def work() -> None:
        async with open_venue(("BTCUSDT",), seed=3) as venue:
            run = start_live_run(config(venue.url, 3, strategies=guarded()), tmp_path)
            await stop_when(run, lambda: False)
            assert protection(run).exit is not None
            assert not run.driver.completed
            await asyncio.to_thread(prove, run, venue.url)

    asyncio.run(work())


def test_a_position_that_only_the_run_guarded_gets_a_line(tmp_path: Path) -> None:
    async def work() -> list[str]:
        async with open_venue(("BTCUSDT",), seed=3) as venue:
            strategies = guarded(quantity="0.00009", take_profit="")  # too little at the stop
            run = start_live_run(config(venue.url, 600, strategies=strategies), tmp_path)
            await stop_when(run, lambda: any(p.is_told for p in run.core.risk.protections.book.live()))
            return run.remarks

    [remark] = asyncio.run(work())
    assert remark.startswith("nothing protects BTCUSDT from now on: the run itself watched the price for 0.00")
