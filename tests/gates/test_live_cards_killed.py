"""Acceptance cards on restart and doubt, played by a process that is really killed in the middle, twice: as soon as its
orders or its cancel have arrived at the exchange, and as soon as the next process has asked what became of it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from gate_processes import ask
from test_live_orders import STRATEGIES, key

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import answer_from_tape, open_record, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import OrderSubmittedEvent, RunResumed, VenueFillReported
from tickdeck.infrastructure.venue import RunningVenue
from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

pytestmark = pytest.mark.slow
__all__ = ["key"]  # a fixture

ALL = load_scenarios(CARDS)
CONFIG = """
exchange = "binance"
exchange_url = "{url}"
live = true
duration = "10m"
orders_at_end = "leave"
[accounts.main]
exchange = "binance"
credentials = "env:DEMO"
[risk]
max_order_notional = 100000
max_position_notional = 900000
max_daily_loss = 900000
max_orders_per_second = "none"
price_band = "none"
[[strategies]]
spec = "{spec}"
parameters = {parameters}
"""
ONCE = f"{STRATEGIES}:Once"
WITHDRAWS = f"{STRATEGIES}:Withdraws"
GRID = f"{STRATEGIES}:Grid"


def start(folder: Path) -> subprocess.Popen[bytes]:
    words = "run", "--name", "card", "--resume-or-start", "--config", "run.toml", "--data", ".", "--plain"
    environment = os.environ | {"DEMO_API_KEY": "demo-key", "DEMO_API_SECRET": "demo-secret"}
    return subprocess.Popen(
        [sys.executable, "-m", "tickdeck", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


async def until(venue: RunningVenue, process: subprocess.Popen[bytes], fact: Callable[[], bool]) -> None:
    """Keep the market moving, far from the price, until ``fact`` holds."""
    price = 1_000
    while not fact():
        assert process.poll() is None
        price += 1
        venue.traders.quote("BTCUSDT", True, Decimal(price), Decimal(1), venue.venue.now())
        await asyncio.sleep(0.02)  # the run is another process


async def play(name: str, folder: Path, spec: str, parameters: str, orders: int) -> None:
    async with open_venue(scenario=ALL[name]) as venue, asyncio.timeout(120):
        player = venue.player
        assert player is not None
        (folder / "run.toml").write_text(CONFIG.format(url=venue.url, spec=spec, parameters=parameters))
        venue.traders.quote("BTCUSDT", False, Decimal(70_000), Decimal(1), venue.venue.now())

        def asked(what: str) -> int:
            return venue.venue.asked.get(f"requests.{what}", 0)

        process = start(folder)
        await until(venue, process, lambda: asked("cancel" if spec == WITHDRAWS else "place") >= orders)
        process.kill()
        process.wait()
        before = asked("query")
        process = start(folder)
        await until(venue, process, lambda: asked("query") > before)
        process.kill()
        process.wait()
        resumed = resumes(folder / "card")
        process = start(folder)

        def is_over() -> bool:
            holds = all(result.holds for result in player.results())
            done = player.finished and holds and settled(folder / "card", player.figures())
            return done and resumes(folder / "card") > resumed  # else the last process has not begun

        await until(venue, process, is_over)
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait)

        assert player.problems == []
        assert [result.check.figure for result in player.results() if not result.holds] == []
        truth = {order["client_id"]: order for order in await asyncio.to_thread(ask, venue.url, "orders?account=demo")}
        fills = await asyncio.to_thread(ask, venue.url, "fills?account=demo")
        balances = await asyncio.to_thread(ask, venue.url, "balances?account=demo")
    check(folder / "card", truth, fills, balances["demo"])


def resumes(folder: Path) -> int:
    return len(list(open_record(folder, TapeQuery(types=("run.resumed",)))))


def settled(folder: Path, figures: dict[str, object]) -> bool:
    """Whether the tape has what the exchange has: its open orders and its fills."""
    open_orders = answer_from_tape(folder, "orders", {})["orders"]
    accepted = [order for order in open_orders if order["status"] in ("accepted", "partially_filled")]
    booked = {e.venue_trade_id for e in open_record(folder, TapeQuery(types=("venue.fill_reported",)))}
    there = int(str(figures["orders.open"])), int(str(figures["fills"]))
    return (len(accepted), len(booked)) == there and len(accepted) == len(open_orders)


def check(
    folder: Path, truth: dict[str, dict[str, str]], fills: list[object], balances: dict[str, dict[str, str]]
) -> None:
    """The run has the orders, fills and balances of the exchange, and its record is proven."""
    events = list(open_record(folder))
    sent = [event.order_id for event in events if isinstance(event, OrderSubmittedEvent)]
    ours = {o["order_id"]: o for what in ("orders", "history") for o in answer_from_tape(folder, what, {})["orders"]}
    booked = {event.venue_trade_id for event in events if isinstance(event, VenueFillReported)}
    held = {each["currency"]: Decimal(each["total"]) for each in answer_from_tape(folder, "balances", {})["balances"]}

    assert sum(isinstance(event, RunResumed) for event in events) in (1, 2)  # or the second was killed before
    assert len(set(sent)) == len(sent)
    assert set(truth) <= set(sent)
    for order_id, there in truth.items():
        assert Decimal(ours[order_id]["filled"]) == Decimal(there["filled"]), order_id
        assert (ours[order_id]["status"] in ("accepted", "partially_filled")) == (there["status"] == "NEW"), order_id
    assert len(booked) == len(fills)
    for currency, amounts in balances.items():
        assert held.get(currency, Decimal(0)) == Decimal(amounts["free"]) + Decimal(amounts["locked"]), currency
    assert verify_run(folder)[0].identical


@pytest.mark.parametrize(
    ("name", "spec", "parameters"),
    [
        ("C01", ONCE, '{ quantity = "1" }'),
        ("C02a", ONCE, '{ quantity = "0.1", limit = "40000" }'),
        ("C02b", ONCE, '{ quantity = "0.1", limit = "40000" }'),
        ("C03a", ONCE, '{ quantity = "0.1", limit = "40000" }'),
        ("C07a", WITHDRAWS, '{ quantity = "0.1", limit = "40000" }'),
        ("C07b", WITHDRAWS, '{ quantity = "0.1", limit = "40000" }'),
        ("C13", ONCE, '{ quantity = "0.3", limit = "40000" }'),
        ("C47", GRID, "{ count = 14 }"),
        ("C49", ONCE, '{ quantity = "0.1", limit = "40000" }'),
    ],
)
def test_a_run_that_is_killed_in_the_middle_passes_the_card(
    tmp_path: Path, name: str, spec: str, parameters: str
) -> None:
    asyncio.run(play(name, tmp_path, spec, parameters, 14 if spec == GRID else 1))
