"""Gate: one of three accounts loses its private stream for good in a live run. The others go on, and the exchange is
asked what becomes of its orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_processes import ask
from test_live_accounts import NAMES, keys
from test_live_orders import DAY, LIMITS, STRATEGIES, short_lag

from tickdeck.bootstrap import LiveRun, live_trading, open_record, resume_run, start_live_run, verify_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    AccountDifferenceFound,
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    OrderSubmittedEvent,
    TradingHalted,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import RequestRefused
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, StrategyConfig
from tickdeck.infrastructure.exchanges import exchange_venue
from tickdeck.infrastructure.exchanges.binance import trading
from tickdeck.infrastructure.exchanges.binance.trading import BinanceExchange
from tickdeck.infrastructure.resilience import CircuitBreaker

pytestmark = pytest.mark.slow
__all__ = ["keys", "short_lag"]  # fixtures


def config(url: str) -> RunConfig:
    return RunConfig(
        strategies=tuple(StrategyConfig(spec=f"{STRATEGIES}:Busy", account=name) for name in NAMES),
        exchange="binance",
        exchange_url=url,
        live=True,
        accounts={
            name: AccountConfig(exchange="binance", credentials=f"env:{name.upper()}", owner=name.title())
            for name in NAMES
        },
        risk=LIMITS,
        duration=Decimal(DAY),
    )


def sent(run: LiveRun, name: str) -> int:
    return run.core.account(name).execution.submitted


def unknown(run: LiveRun, name: str) -> list[str]:
    orders = run.core.account(name).execution.orders.values()
    return [order.order_id for order in orders if order.status is OrderStatus.UNKNOWN]


def patient_breaker(name: str, **settings: Any) -> CircuitBreaker:
    """A breaker that stays closed: so many requests and answers are lost that five in a row are no rarity."""
    return CircuitBreaker(name, **{**settings, "failures": 1_000})


def agree(run: LiveRun, url: str) -> None:
    """Each account has the orders, fills and balances of the exchange, but for orders in doubt, which may have fills
    that nobody knows of yet."""
    for name in NAMES:
        engines, in_doubt = run.core.account(name), unknown(run, name)
        truth = {order["client_id"]: order for order in ask(url, f"orders?account={name}")}
        for order_id, there in truth.items():
            ours = engines.execution.orders[order_id]
            if order_id not in in_doubt:
                assert ours.filled == Decimal(there["filled"]), (name, order_id, ours.status)
        for order in engines.execution.orders.values():
            assert order.order_id in truth or not order.filled
        for currency, amounts in ask(url, f"balances?account={name}")[name].items():
            total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
            held = engines.portfolio.account.balances.get(currency, Decimal(0))
            assert in_doubt or held == total, (name, currency)


def test_an_account_whose_private_stream_ends_for_good_halts_alone_and_its_orders_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: list[LiveRun] = []
    in_doubt: list[str] = []
    whole = BinanceExchange.private_events

    async def private_events(exchange: Any) -> AsyncIterator[DomainEvent]:
        async for event in whole(exchange):
            is_bobs = isinstance(event, VenueOrderReported) and event.account_id == "bob"
            if is_bobs and unknown(runs[-1], "bob"):
                in_doubt.extend(unknown(runs[-1], "bob"))
                raise RequestRefused("the key was revoked")
            yield event

    async def play() -> None:
        async with open_venue(("BTCUSDT",), seed=1, faults="seed=2 drop_request=0.2 drop_ack=0.2") as venue:
            for name in NAMES:
                body = {"name": name, "key": f"{name}-key", "secret": f"{name}-secret", "deposits": {"USDT": "100000"}}
                assert venue.server.admin.handle("POST", "account", body)[0] == 200
            with monkeypatch.context() as patched:
                patched.setattr(BinanceExchange, "private_events", private_events)
                patched.setattr(exchange_venue, "ASK_EVERY", 0.5)
                patched.setattr(trading, "CircuitBreaker", patient_breaker)
                patched.setattr(live_trading, "_AFTER_A_SIGNAL", 15.0)  # what is in doubt stays so, however long
                runs.append(run := start_live_run(config(venue.url), tmp_path))
                await drive(run, others_went_on(run))
            await asyncio.to_thread(agree, run, venue.url)
            venue.server.admin.handle("POST", "faults", {"reset": True})
            runs.append(again := resume_run(run.folder))
            assert isinstance(again, LiveRun)
            await drive(again, lambda: again.caught_up() and not unknown(again, "bob"))
            await asyncio.to_thread(agree, again, venue.url)

    asyncio.run(play())

    first, again = runs
    events = list(open_record(first.folder))
    halts = [event for event in events if isinstance(event, TradingHalted) and event.reason != "the test ends"]
    assert {halt.account_id for halt in halts} == {"bob"}
    assert "its private stream has ended: the key was revoked" in halts[0].reason
    alerts = [event.text for event in events if isinstance(event, NotificationAlert)]
    assert any(text.startswith("account bob is halted, its private stream has ended") for text in alerts)
    later = [
        event.account_id for event in events if isinstance(event, OrderSubmittedEvent) and event.seq > halts[0].seq
    ]
    assert set(later) == {"ada", "carol"}
    assert not any(isinstance(event, AccountDifferenceFound) for event in events)
    assert in_doubt
    assert set(unknown(first, "bob")) <= set(in_doubt)  # without the stream, silence is no evidence
    assert not any(again.core.account("bob").execution.orders[order_id].is_open for order_id in in_doubt)
    verdict, _ = verify_run(first.folder)
    assert verdict.identical, verdict.divergence


def others_went_on(run: LiveRun) -> Any:
    """Whether the others have sent five orders each since bob was halted."""
    at_halt: dict[str, int] = {}

    def holds() -> bool:
        if not run.core.account("bob").risk.gate.closed_because:
            return False
        if not at_halt:
            at_halt.update({name: sent(run, name) for name in NAMES})
        return all(sent(run, name) >= at_halt[name] + 5 for name in ("ada", "carol"))

    return holds


async def drive(run: LiveRun, until: Any) -> None:
    stopping = False

    def progress(_: int) -> None:
        nonlocal stopping
        if not stopping and until():
            stopping = True
            run.kernel.publish(CommandReceived(command="halt", reason="the test ends"))
            run.driver.request_stop()

    try:
        await run.drive(None, progress=progress)
    finally:
        run.close()
