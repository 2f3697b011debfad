"""Orders that an exchange on localhost takes late: after every query answered "not found" for longer than we wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest
from gate_processes import ask, kill_live
from test_live_doubt import first, looks_often
from test_live_orders import DAY, STRATEGIES, check, config, finish, key, short_lag, shorten_lag

from tickdeck.bootstrap import LiveRun, open_record, start_live_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    OrderAcceptedEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    RunResumed,
    VenueOrderNotFound,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import OrderStatus
from tickdeck.infrastructure.config import RunConfig, StrategyConfig

pytestmark = pytest.mark.long
__all__ = ["key", "looks_often", "short_lag"]  # fixtures

_RESTS = StrategyConfig(spec=f"{STRATEGIES}:Single")
_TAKES = StrategyConfig(spec=f"{STRATEGIES}:Single", parameters={"share": "1.02"})


def alerts(events: list[DomainEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, NotificationAlert) and event.severity == "critical"]


def trade(
    data: Path, strategy: StrategyConfig, late: str, until: Callable[[LiveRun], bool]
) -> tuple[LiveRun, list[DomainEvent]]:
    """A live run with one order, which the venue takes ``late``. It is stopped when ``until`` holds."""

    async def work() -> LiveRun:
        async with open_venue(("BTCUSDT",), faults=f"late_accept=1:{late}") as venue, asyncio.timeout(300):
            run = start_live_run(config(venue.url, 600, strategies=(strategy,)), data)

            def stop(_: int) -> None:
                if until(run):
                    run.driver.request_stop()

            try:
                await run.drive(None, progress=stop)
            finally:
                run.close()
            await asyncio.to_thread(check, run, venue.url)
            assert len(await asyncio.to_thread(ask, venue.url, "orders?account=demo")) == 1
            return run

    run = asyncio.run(work())
    return run, list(open_record(run.folder))


def only(run: LiveRun) -> OrderStatus | None:
    """The state of the run's one order."""
    return next((order.status for order in run.core.execution.orders.values()), None)


def test_an_order_that_was_taken_for_dead_and_is_accepted_late_is_ours_again(tmp_path: Path) -> None:
    """The exchange has it after 6 s, and we wait for 3 s."""
    reserved: dict[OrderStatus | None, Decimal] = {}

    def until(run: LiveRun) -> bool:
        reserved[only(run)] = run.core.portfolio.account.reserved("USDT")
        return only(run) is OrderStatus.ACCEPTED

    _, events = trade(tmp_path, _RESTS, "6s", until)

    assert first(events)[:4] == [OrderSubmittedEvent, OrderUnknownEvent, OrderRejectedEvent, OrderAcceptedEvent]
    assert sum(isinstance(event, VenueOrderNotFound) for event in events) == 1
    assert reserved[OrderStatus.UNKNOWN] == reserved[OrderStatus.ACCEPTED] > 0 == reserved[OrderStatus.REJECTED]
    (text,) = alerts(events)
    assert "was taken for dead, but the venue reports it: it is accepted and counts as ours again" in text


def test_an_order_that_was_taken_for_dead_and_is_filled_late_counts(tmp_path: Path) -> None:
    run, events = trade(tmp_path, _TAKES, "6s", lambda run: only(run) is OrderStatus.FILLED)

    kinds = first(events)
    assert kinds[:3] == [OrderSubmittedEvent, OrderUnknownEvent, OrderRejectedEvent]
    assert kinds[-1] is OrderFilledEvent
    assert any("counts as ours again" in text for text in alerts(events))
    assert run.core.portfolio.account.position("BTCUSDT").quantity > Decimal(2)  # with those of the beginning


def test_an_order_that_a_person_settled_and_that_is_accepted_late_is_ours_again(tmp_path: Path) -> None:
    settled: list[str] = []

    def until(run: LiveRun) -> bool:
        if only(run) is OrderStatus.UNKNOWN and not settled:
            settled.extend(run.core.execution.orders)
            run.kernel.publish(CommandReceived(command="settle", arguments={"order_id": settled[0]}, reason="gone"))
        return only(run) is OrderStatus.ACCEPTED

    _, events = trade(tmp_path, _RESTS, "2s", until)

    rejected = next(event for event in events if isinstance(event, OrderRejectedEvent))
    assert (rejected.reason, rejected.concluded) == ("settled by a person: gone", True)
    assert first(events)[3] is OrderAcceptedEvent
    assert len(alerts(events)) == 1


# -- killed meanwhile ---------------------------------------------------------------------------------------------


def single(url: str, share: str) -> RunConfig:
    shorten_lag(setattr)
    strategy = StrategyConfig(spec=f"{STRATEGIES}:Single", parameters={"share": share})
    return config(url, DAY, strategies=(strategy,))


def on_tape(data: Path) -> OrderStatus | None:
    (folder,) = data.iterdir()
    events = [event for event in open_record(folder) if isinstance(event, OrderEvent)]
    return Order.fold(events).status if events else None


def killed_when(url: str, data: Path, share: str, status: OrderStatus) -> None:
    """Start or resume the run, and kill it when its order has a state on the tape."""
    kill_live(data, single, url, share, when=lambda _: on_tape(data) is status)


def wait_until_taken(url: str) -> None:
    while not ask(url, "orders?account=demo"):
        pass


@pytest.mark.parametrize("venue_process", ["late_accept=1:1h"], indirect=True)
@pytest.mark.parametrize("share", ["0.96", "1.02"], ids=["rests", "filled"])
@pytest.mark.parametrize("before", [OrderStatus.UNKNOWN, OrderStatus.REJECTED])
def test_an_order_that_is_accepted_while_the_run_is_down_is_ours_again(
    tmp_path: Path, venue_process: str, share: str, before: OrderStatus
) -> None:
    """Killed while the order is in doubt, or when it was taken for dead; and again when it is known."""
    killed_when(venue_process, tmp_path, share, before)
    ask(venue_process, "advance", {"by": "1h"})  # what waits there is due
    wait_until_taken(venue_process)
    killed_when(venue_process, tmp_path, share, OrderStatus.ACCEPTED if share < "1" else OrderStatus.FILLED)
    (folder,) = tmp_path.iterdir()
    run = finish(folder)
    check(run, venue_process)

    events = list(open_record(folder))
    assert sum(isinstance(event, OrderSubmittedEvent) for event in events) == 1
    assert sum(isinstance(event, RunResumed) for event in events) == 2
    assert (OrderRejectedEvent in first(events)) is (before is OrderStatus.REJECTED)
    assert any("ours again" in text for text in alerts(events)) is (before is OrderStatus.REJECTED)
