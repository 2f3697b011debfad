"""Live runs play acceptance cards at an exchange on localhost: its ledger shows what the card demands, and the proof of
the run is identical."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path

import pytest
from gate_processes import ask
from test_live_orders import STRATEGIES, config, key

from tickdeck.bootstrap import LiveRun, open_record, start_live_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import VenueFillReported
from tickdeck.domain.risk import RiskLimits
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.venue import RunningVenue
from tickdeck.infrastructure.venue.scenarios import CARDS, load_scenarios

pytestmark = pytest.mark.long
__all__ = ["key"]  # a fixture

ALL = load_scenarios(CARDS)
LIMITS = RiskLimits(
    max_order_notional=Decimal(100_000), max_position_notional=Decimal(900_000), max_daily_loss=Decimal(900_000)
)


async def _move_the_market(venue: RunningVenue, run: LiveRun) -> None:
    """Change the book again and again, far from the price, and stop the run when the card is over."""
    player, at = venue.player, 1_000
    assert player is not None
    venue.traders.quote("BTCUSDT", False, Decimal(70_000), Decimal(1), venue.venue.now())
    while not (player.finished and all(result.holds for result in player.results()) and _settled(run)):
        at += 1
        venue.traders.quote("BTCUSDT", True, Decimal(at), Decimal(1), venue.venue.now())
        await asyncio.sleep(0.05)  # the market is another process in truth
    run.driver.request_stop()


def _settled(run: LiveRun) -> bool:
    return not list(run.core.execution.open_of())


async def play(name: str, data: Path, quantity: str, limit: str) -> None:
    async with open_venue(scenario=ALL[name]) as venue, asyncio.timeout(300):
        strategy = StrategyConfig(spec=f"{STRATEGIES}:Once", parameters={"quantity": quantity, "limit": limit})
        run = start_live_run(config(venue.url, 600, strategies=(strategy,), risk=LIMITS), data)
        moving = asyncio.ensure_future(_move_the_market(venue, run))
        try:
            await run.drive(None)
        finally:
            run.close()
            moving.cancel()
        assert venue.player is not None
        assert venue.player.problems == []
        assert [result.check.figure for result in venue.player.results() if not result.holds] == []
        balances = await asyncio.to_thread(ask, venue.url, "balances?account=demo")
        fills = await asyncio.to_thread(ask, venue.url, "fills?account=demo")
    booked = [event.venue_trade_id for event in open_record(run.folder) if isinstance(event, VenueFillReported)]
    if quantity != "0":
        assert sorted(set(booked)) == sorted(str(fill["number"]) for fill in fills)
    for currency, amounts in balances["demo"].items():
        total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
        assert run.core.portfolio.account.balances.get(currency, Decimal(0)) == total, currency
    verdict, _ = verify_run(run.folder)
    assert verdict.identical


@pytest.mark.parametrize(
    ("name", "quantity", "limit"),
    [
        ("C01", "1", "0"),
        ("C13", "0.3", "40000"),
        ("C17", "0", "0"),
        ("C45", "0.2", "40000"),
        ("C51", "0", "0"),
        pytest.param("C02a", "0.1", "40000", marks=pytest.mark.slow),
        pytest.param("C02b", "0.1", "40000", marks=pytest.mark.slow),
        pytest.param("C02c", "0.1", "40000", marks=pytest.mark.slow),
        pytest.param("C49", "0.1", "40000", marks=pytest.mark.slow),
    ],
)
def test_a_live_run_passes_the_card(tmp_path: Path, name: str, quantity: str, limit: str) -> None:
    asyncio.run(play(name, tmp_path, quantity, limit))
