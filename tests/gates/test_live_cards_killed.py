"""Acceptance cards on restart and doubt, played by a process that is really killed in the middle, twice: as soon as its
orders or its cancel have arrived at the exchange, and as soon as the next process has asked what became of it, or is
between two pages of its fills."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path

import pytest
from gate_processes import ask, environment_of
from test_live_orders import STRATEGIES, key

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import answer_from_tape, open_record, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import OrderSubmittedEvent, RunResumed
from tickdeck.infrastructure.venue import RunningVenue
from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

pytestmark = pytest.mark.slow
__all__ = ["key"]  # a fixture

ALL = load_scenarios(CARDS)
CONFIG = """
exchange = "binance"
exchange_url = "{url}"
live = true
duration = "1d"
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
MOVES = f"{STRATEGIES}:Moves"
GRID = f"{STRATEGIES}:Grid"
SENT = {MOVES: 2, GRID: 14}
"""How many orders a strategy has sent in the end, if not one."""
QUESTIONS = {"C52": ("fills", 2)}
"""What the second process has asked for when it is killed, and how often, if not once for an order."""
LOSES = ("C03b", "C08")
"""Where a request may never arrive. There, an order that was not received is known to be so after three seconds."""
WITH_SHORT_LAG = """
from test_live_orders import shorten_lag
from tickdeck.interfaces.cli import main
shorten_lag(setattr)
main(prog_name="tickdeck")
"""


DIES_AMONG_FILLS = """
import os, signal
from tickdeck.infrastructure.exchanges.venue_reports import VenueReports
from tickdeck.infrastructure.tape import process
from tickdeck.interfaces.cli import main

report, reported = VenueReports.fill, 0

def fill(*given):
    global reported
    report(*given)
    reported += 1
    if reported == {count}:
        for tape in list(process._open):
            tape.wait_durable(tape.last_seq)
        os.kill(os.getpid(), signal.SIGKILL)

VenueReports.fill = fill
main(prog_name="tickdeck")
"""


def start(folder: Path, name: str, program: str = "") -> subprocess.Popen[bytes]:
    """``program``: it runs the command line in its own way."""
    words = "run", "--name", "card", "--resume-or-start", "--config", "run.toml", "--data", ".", "--plain"
    program = program or (WITH_SHORT_LAG if name in LOSES else "")
    return subprocess.Popen(
        [sys.executable, *(("-c", program) if program else ("-m", "tickdeck")), *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment_of(DEMO_API_KEY="demo-key", DEMO_API_SECRET="demo-secret"),
    )


async def until(
    venue: RunningVenue, prices: Iterator[int], process: subprocess.Popen[bytes], fact: Callable[[], bool]
) -> None:
    """Keep the market moving, far from the price, until ``fact`` holds."""
    while not fact():
        assert process.poll() is None or fact()
        cents = next(prices)  # a best bid that does not change is no news
        venue.traders.quote("BTCUSDT", True, Decimal(cents) / 100, Decimal(1), venue.venue.now())
        await asyncio.sleep(0.02)  # the run is another process


async def play(name: str, folder: Path, spec: str, parameters: str, *, fills: int = 0) -> None:
    """``fills``: the second process is killed when it has so many of them on the tape."""
    async with open_venue(scenario=ALL[name]) as venue, asyncio.timeout(1_200):
        player, prices, orders = venue.player, count(100), SENT.get(spec, 1)
        assert player is not None
        (folder / "run.toml").write_text(CONFIG.format(url=venue.url, spec=spec, parameters=parameters))
        venue.traders.quote("BTCUSDT", False, Decimal(70_000), Decimal(1), venue.venue.now())

        def asked(what: str) -> int:
            return venue.venue.asked.get(f"requests.{what}", 0)

        process = start(folder, name)
        cancels = spec in (WITHDRAWS, MOVES)
        await until(venue, prices, process, lambda: asked("cancel") > 0 if cancels else asked("place") >= orders)
        process.kill()
        process.wait()
        question, times = QUESTIONS.get(name, ("query", 1))
        before = asked(question)
        if fills:
            process = start(folder, name, DIES_AMONG_FILLS.format(count=fills))
            await until(venue, prices, process, lambda: process.poll() == -signal.SIGKILL)
            assert fills <= booked(folder / "card") < player.figures()["fills"]
        else:
            process = start(folder, name)
            await until(venue, prices, process, lambda: asked(question) >= before + times)
            process.kill()
            process.wait()
        resumed = resumes(folder / "card")
        process = start(folder, name)

        def is_over() -> bool:
            holds = all(result.holds for result in player.results())
            done = player.finished and holds and settled(folder / "card", player.figures(), orders)
            return done and resumes(folder / "card") > resumed  # else the last process has not begun

        await until(venue, prices, process, is_over)
        process.send_signal(signal.SIGINT)
        await asyncio.to_thread(process.wait)

        assert player.problems == []
        assert [result.check.figure for result in player.results() if not result.holds] == []
        truth = {order["client_id"]: order for order in await asyncio.to_thread(ask, venue.url, "orders?account=demo")}
        filled = await asyncio.to_thread(ask, venue.url, "fills?account=demo")
        balances = await asyncio.to_thread(ask, venue.url, "balances?account=demo")
    check(folder / "card", truth, filled, balances["demo"])


def booked(folder: Path) -> int:
    """How many fills are on the tape."""
    return len({e.venue_trade_id for e in open_record(folder, TapeQuery(types=("venue.fill_reported",)))})


def resumes(folder: Path) -> int:
    return len(list(open_record(folder, TapeQuery(types=("run.resumed",)))))


def settled(folder: Path, figures: dict[str, Decimal], sent: int) -> bool:
    """Whether the strategy has sent all its orders, and the tape has what the exchange has: its open orders, its fills
    and its balances."""
    if (
        booked(folder) != figures["fills"]
        or len(list(open_record(folder, TapeQuery(types=("order.submitted",))))) < sent
    ):
        return False
    open_orders = answer_from_tape(folder, "orders", {})["orders"]
    accepted = [order for order in open_orders if order["status"] in ("accepted", "partially_filled")]
    held = {each["currency"]: Decimal(each["total"]) for each in answer_from_tape(folder, "balances", {})["balances"]}
    there = {name.removeprefix("balance."): at for name, at in figures.items() if name.startswith("balance.")}
    return len(accepted) == len(open_orders) == figures.get("orders.open", 0) and all(
        held.get(currency, Decimal(0)) == total for currency, total in there.items()
    )


def check(
    folder: Path, truth: dict[str, dict[str, str]], fills: list[object], balances: dict[str, dict[str, str]]
) -> None:
    """The run has the orders, fills and balances of the exchange, and its record is proven."""
    events = list(open_record(folder))
    sent = [event.order_id for event in events if isinstance(event, OrderSubmittedEvent)]
    ours = {o["order_id"]: o for what in ("orders", "history") for o in answer_from_tape(folder, what, {})["orders"]}
    held = {each["currency"]: Decimal(each["total"]) for each in answer_from_tape(folder, "balances", {})["balances"]}

    assert sum(isinstance(event, RunResumed) for event in events) in (1, 2)  # or the second was killed before
    assert len(set(sent)) == len(sent)
    assert set(truth) <= set(sent)
    for order_id, there in truth.items():
        assert Decimal(ours[order_id]["filled"]) == Decimal(there["filled"]), order_id
        assert (ours[order_id]["status"] in ("accepted", "partially_filled")) == (there["status"] == "NEW"), order_id
    assert booked(folder) == len(fills)
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
        ("C03b", ONCE, '{ quantity = "0.1", limit = "40000" }'),
        ("C07a", WITHDRAWS, '{ quantity = "0.1", limit = "40000" }'),
        ("C07b", WITHDRAWS, '{ quantity = "0.1", limit = "40000" }'),
        ("C08", MOVES, '{ quantity = "1", limit = "40000" }'),
        ("C13", ONCE, '{ quantity = "0.3", limit = "40000" }'),
        ("C45", ONCE, '{ quantity = "0.2", limit = "40000" }'),
        ("C47", GRID, "{ count = 14 }"),
        ("C49", ONCE, '{ quantity = "0.1", limit = "40000" }'),
        ("C52", ONCE, '{ quantity = "26", limit = "50" }'),
    ],
)
def test_a_run_that_is_killed_in_the_middle_passes_the_card(
    tmp_path: Path, name: str, spec: str, parameters: str
) -> None:
    asyncio.run(play(name, tmp_path, spec, parameters))


def test_a_run_that_is_killed_with_half_of_the_pages_of_fills_on_its_tape_fetches_the_rest(tmp_path: Path) -> None:
    """Two pages of three: what is on the tape is not booked again, and what is not is not passed over."""
    asyncio.run(play("C52", tmp_path, ONCE, '{ quantity = "26", limit = "50" }', fills=1_500))
