"""Real orders at an exchange on localhost, which delists a symbol while the run is down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import pytest
from test_live_interruptions import until
from test_live_orders import STRATEGIES, config, key, short_lag

from tickdeck.bootstrap import LiveRun, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.venue import RunningVenue, open_venue
from tickdeck.domain.events import (
    NotificationAlert,
    OrderExpiredEvent,
    OrderSubmittedEvent,
    RunResumed,
    VenueInstrumentReported,
)
from tickdeck.errors import TickdeckError
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.venue.matching import Market, MatchingEngine

__all__ = ["key", "short_lag"]

pytestmark = pytest.mark.slow

BOTH = ("BTCUSDT", "ETHUSDT")


class Listed(dict[str, Market]):
    """The markets that clients see. The venue itself still finds those that it has delisted."""

    def __init__(self, markets: Mapping[str, Market], gone: str) -> None:
        super().__init__({symbol: market for symbol, market in markets.items() if symbol != gone})
        self._all = markets

    def __missing__(self, symbol: str) -> Market:
        return self._all[symbol]


def delist(venue: RunningVenue, gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exchange ends all orders in ``gone``, and then knows nothing about them any more."""
    engine, whole = venue.exchange.engine, MatchingEngine.markets.fget
    for order in engine.open_orders("demo", gone):
        engine.expire(order, 0)
    assert whole is not None
    monkeypatch.setattr(MatchingEngine, "markets", property(lambda engine: Listed(whole(engine), gone)))


async def stopped_after(run: LiveRun, fact: Callable[[], bool]) -> None:
    async def act() -> None:
        try:
            await until(fact)
        finally:
            run.driver.request_stop()

    acting = asyncio.create_task(act())
    try:
        await run.drive(None)
    finally:
        run.close()
    await acting


def rests(run: LiveRun, *symbols: str) -> bool:
    return all(any(order.venue_order_id for order in run.core.execution.open_of(symbol)) for symbol in symbols)


@pytest.mark.parametrize("state_every", [0, 200])
def test_the_run_goes_on_with_the_others_and_says_what_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state_every: int
) -> None:
    async def work() -> LiveRun:
        settings = {"symbols": BOTH, "orders_at_end": "leave", "state_every": state_every}
        async with open_venue(BOTH) as venue:
            strategies = (StrategyConfig(spec=f"{STRATEGIES}:Rests", parameters={"quantity": "0.05"}),)
            run = start_live_run(config(venue.url, 600, strategies=strategies, **settings), tmp_path)
            await stopped_after(run, lambda: rests(run, *BOTH))
            delist(venue, "ETHUSDT", monkeypatch)
            again = resume_run(run.folder)
            assert isinstance(again, LiveRun)
            await stopped_after(
                again,
                lambda: (
                    rests(again, "BTCUSDT")
                    and not again.core.execution.open_of("ETHUSDT")
                    and again.core.market_data.price("BTCUSDT") != run.core.market_data.price("BTCUSDT")
                ),
            )
            return again

    run = asyncio.run(work())
    recorded = list(open_record(run.folder))
    since = next(event.seq for event in recorded if isinstance(event, RunResumed))
    later = [event for event in recorded if event.seq > since]

    (told,) = [event for event in later if isinstance(event, NotificationAlert) and "was delisted" in event.text]
    assert "ETHUSDT was delisted: 40 ETHUSDT in its position and 1 open order" in told.text
    (report, *_) = [e for e in later if isinstance(e, VenueInstrumentReported) and e.symbol == "ETHUSDT"]
    assert told.causation_id == report.event_id  # one cascade: after a kill, the tape has both or none
    statuses = [e.status for e in later if isinstance(e, VenueInstrumentReported) and e.symbol == "ETHUSDT"]
    assert statuses[0] == "delisted"
    (expired,) = [event for event in later if isinstance(event, OrderExpiredEvent)]
    assert expired.symbol == "ETHUSDT"
    assert expired.reason == "ETHUSDT was delisted, and the order is not among the open ones"
    assert not [e for e in later if isinstance(e, OrderSubmittedEvent) and e.symbol == "ETHUSDT"]
    assert run.core.portfolio.account.reserved("USDT") > Decimal(0)
    assert verify_run(run.folder)[0].identical


def test_a_run_whose_symbols_are_all_delisted_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        async with open_venue(BOTH) as venue:
            strategies = (StrategyConfig(spec=f"{STRATEGIES}:Rests", parameters={"quantity": "0.05"}),)
            settings = {"symbols": ("ETHUSDT",), "orders_at_end": "leave", "strategies": strategies}
            run = start_live_run(config(venue.url, 600, **settings), tmp_path)
            await stopped_after(run, lambda: rests(run, "ETHUSDT"))
            delist(venue, "ETHUSDT", monkeypatch)
            again = resume_run(run.folder)
            assert isinstance(again, LiveRun)
            try:
                with pytest.raises(TickdeckError, match="binance lists none of the run's symbols any more") as raised:
                    await again.drive(None)
            finally:
                again.close()
            assert "\n" not in str(raised.value)

    asyncio.run(work())
