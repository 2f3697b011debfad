"""Live runs with stops and targets against the exchange on localhost: pairs (OCO), partial fills, kills."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_processes import ask, halted_for_the_last_look, kill_live
from many_examples import SEEDS
from test_live_orders import STRATEGIES, config, drive, finish, key, killable, short_lag

from tickdeck.bootstrap import open_record, start_live_run, verify_run
from tickdeck.bootstrap.live import LiveRun
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    AccountDifferenceFound,
    BracketOpenedEvent,
    DomainEvent,
    OrderSubmittedEvent,
    ProtectionDecidedEvent,
    VenueFillReported,
)
from tickdeck.domain.trading import BracketStatus
from tickdeck.infrastructure.config import StrategyConfig

__all__ = ["key", "short_lag"]

BRACKETED = (StrategyConfig(spec=f"{STRATEGIES}:Bracketed"),)
CAREFUL = (StrategyConfig(spec=f"{STRATEGIES}:Careful"),)


def check(run: LiveRun, url: str) -> list[DomainEvent]:
    """The run's orders, fills and balances are the exchange's, with both orders of a pair as one, and it is proven."""
    there: dict[str, list[Any]] = {}
    for order in ask(url, "orders?account=demo"):
        there.setdefault(order["client_id"][:30], []).append(order)
    events = list(open_record(run.folder))
    ours = run.core.execution.orders
    assert set(there) <= {event.order_id for event in events if isinstance(event, OrderSubmittedEvent)}
    for order_id, legs in there.items():
        pair = ours[order_id].stop is not None and ours[order_id].limit is not None
        assert len(legs) == (2 if pair else 1)
        assert ours[order_id].filled == sum(Decimal(leg["filled"]) for leg in legs), order_id
        assert ours[order_id].is_open == any(leg["status"] in ("NEW", "PARTIALLY_FILLED") for leg in legs), order_id
    fills = {(event.symbol, event.venue_trade_id) for event in events if isinstance(event, VenueFillReported)}
    assert len(fills) == len(ask(url, "fills?account=demo"))
    for currency, amounts in ask(url, "balances?account=demo")["demo"].items():
        total = Decimal(amounts["free"]) + Decimal(amounts["locked"])
        assert run.core.portfolio.account.balances.get(currency, Decimal(0)) == total, currency
    assert not [event for event in events if isinstance(event, AccountDifferenceFound)]
    assert verify_run(run.folder)[0].identical
    return events


def check_brackets(run: LiveRun, events: list[DomainEvent]) -> None:
    """Each bracket is over or says what it holds, and what they hold together is never unprotected in silence."""
    assert len(brackets(events)) > 3
    for bracket in run.core.brackets.brackets.values():
        protection = run.core.risk.protections.book.protections.get(bracket.saga_id)
        if protection is None:
            assert bracket.status is BracketStatus.FAILED
        else:
            assert bracket.held == (0 if bracket.status.is_over else protection.held)  # what is left then is dust
            assert bracket.status.is_over == (
                protection.ended and not run.core.execution.orders[bracket.saga_id].is_open
            )


async def driven(
    venue: Any, strategies: tuple[StrategyConfig, ...], data: Path, enough: Callable[[list[DomainEvent]], bool]
) -> LiveRun:
    """A run that has ended, after eight seconds and ``enough(events)``, of its protections and brackets."""
    run = start_live_run(config(venue.url, 600, strategies=strategies), data)
    events: list[DomainEvent] = []
    for kind in (OrderSubmittedEvent, ProtectionDecidedEvent, BracketOpenedEvent):
        run.kernel.subscribe(kind, events.append)
    await drive(halted_for_the_last_look(run), seconds=8, until=lambda: enough(events))
    return run


def pairs(events: list[DomainEvent]) -> list[OrderSubmittedEvent]:
    """The stops with a target."""
    orders = [event for event in events if isinstance(event, OrderSubmittedEvent)]
    return [order for order in orders if order.stop is not None and order.limit is not None]


def brackets(events: list[DomainEvent]) -> list[DomainEvent]:
    return [event for event in events if isinstance(event, BracketOpenedEvent)]


def reasons(events: list[DomainEvent]) -> set[str]:
    return {event.reason for event in events if isinstance(event, ProtectionDecidedEvent)}


@pytest.mark.long
@pytest.mark.parametrize("faults", ["", "seed=1 drop_ack=0.1 late_fill=0.2:1s"])
def test_a_protected_live_run_agrees_with_the_exchange(tmp_path: Path, faults: str) -> None:
    async def work() -> None:
        async with open_venue(("BTCUSDT",), seed=1, faults=faults) as venue:
            moved = {"protect", "move"}
            run = await driven(venue, CAREFUL, tmp_path, lambda some: len(pairs(some)) > 3 and reasons(some) >= moved)
            events = await asyncio.to_thread(check, run, venue.url)
            assert len(pairs(events)) > 3
            assert reasons(events) >= moved

    asyncio.run(work())


@pytest.mark.long
@pytest.mark.parametrize("venue_process", ["seed=3 drop_ack=0.1 late_fill=0.2:1s"], indirect=True)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, SEEDS))])
def test_a_protected_live_run_killed_repeatedly_agrees_with_the_exchange(
    tmp_path: Path, venue_process: str, seed: int
) -> None:
    rng = random.Random(seed)
    for _ in range(3):
        kill_live(tmp_path, killable, venue_process, "Careful", turns=rng.randrange(20, 100))
    (folder,) = tmp_path.iterdir()
    run = finish(folder)

    assert "protect" in reasons(check(run, venue_process))


@pytest.mark.long
@pytest.mark.parametrize("faults", ["", "seed=1 drop_ack=0.1 late_fill=0.2:1s"])
def test_a_live_run_with_brackets_agrees_with_the_exchange(tmp_path: Path, faults: str) -> None:
    async def work() -> None:
        async with open_venue(("BTCUSDT",), seed=1, faults=faults) as venue:
            run = await driven(venue, BRACKETED, tmp_path, lambda some: len(brackets(some)) > 3)
            check_brackets(run, await asyncio.to_thread(check, run, venue.url))

    asyncio.run(work())


@pytest.mark.slow
@pytest.mark.parametrize("venue_process", ["seed=3 drop_ack=0.1 late_fill=0.2:1s"], indirect=True)
def test_a_live_run_with_brackets_killed_repeatedly_agrees_with_the_exchange(
    tmp_path: Path, venue_process: str
) -> None:
    rng = random.Random(4)
    for _ in range(3):
        kill_live(tmp_path, killable, venue_process, "Bracketed", turns=rng.randrange(20, 100))
    (folder,) = tmp_path.iterdir()
    run = finish(folder)

    check_brackets(run, check(run, venue_process))
