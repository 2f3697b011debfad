"""Orders in doubt in live runs, at an exchange on localhost: public reports of bots that went wrong, to the letter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from gate_processes import ask
from test_live_orders import STRATEGIES, check, config, key, short_lag

from tickdeck.bootstrap import LiveRun, open_record, start_live_run
from tickdeck.bootstrap.venue import open_venue
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    OrderAcceptedEvent,
    OrderCancelledEvent,
    OrderCancelRejectedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    VenueOrderNotFound,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.infrastructure.config import StrategyConfig
from tickdeck.infrastructure.exchanges import doubt
from tickdeck.infrastructure.runs import overview

pytestmark = pytest.mark.long
__all__ = ["key", "short_lag"]  # fixtures

_BROKEN = {"status": 503, "code": -1001, "msg": "Internal error; unable to process your request."}
_RESTS = StrategyConfig(spec=f"{STRATEGIES}:Rests")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doubt, "FIRST_QUERY", 0.1)


async def trade(
    data: Path,
    script: Callable[[Any], object],
    until: Callable[[LiveRun, Any], bool],
    *,
    orders: int = 1,
) -> tuple[LiveRun, list[DomainEvent]]:
    """A live run of ``orders`` strategies with an order each, at a venue that ``script`` prepares. It is stopped when
    ``until`` holds."""
    async with open_venue(("BTCUSDT",)) as venue, asyncio.timeout(300):
        script(venue.server)
        run = start_live_run(config(venue.url, 600, strategies=(_RESTS,) * orders), data)

        def stop(_: int) -> None:
            if until(run, venue):
                run.driver.request_stop()

        try:
            await run.drive(None, progress=stop)
        finally:
            run.close()
        await asyncio.to_thread(check, run, venue.url)
        assert len(await asyncio.to_thread(ask, venue.url, "orders?account=demo")) <= orders
    return run, list(open_record(run.folder))


def first(events: list[DomainEvent]) -> list[type[DomainEvent]]:
    """What became of the first order, by the types of its events."""
    order_id = next(event.order_id for event in events if isinstance(event, OrderSubmittedEvent))
    return [type(event) for event in events if isinstance(event, OrderEvent) and event.order_id == order_id]


def test_an_order_whose_answer_was_lost_and_that_queries_do_not_know_three_times_is_open_all_the_time(
    tmp_path: Path,
) -> None:
    """hummingbot#8457."""
    asked: list[int] = []

    def until(run: LiveRun, venue: Any) -> bool:
        asked.append(venue.venue.asked.get("requests.query", 0))
        return any(order.status is OrderStatus.ACCEPTED for order in run.core.execution.open_of())

    def script(server: Any) -> None:
        server.script({"on": "place", "lost": True})
        server.script(
            {"on": "query", "after": 1, "count": 3, "status": 400, "code": -2013, "msg": "Order does not exist."}
        )
        server.script_reports({"on": "NEW", "drop": True})

    run, events = asyncio.run(trade(tmp_path, script, until))

    assert max(asked) >= 5  # the open orders at the start, three without it, one with it
    assert first(events)[:3] == [OrderSubmittedEvent, OrderUnknownEvent, OrderAcceptedEvent]
    assert not any(isinstance(event, VenueOrderNotFound | OrderRejectedEvent) for event in events)
    assert len(run.core.execution.orders) == 1


def test_an_order_whose_query_keeps_failing_stays_unknown_until_a_person_settles_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """nautilus_trader#4958."""
    settled: list[str] = []
    shown: list[tuple[str, ...]] = []

    def script(server: Any) -> None:
        server.script({"on": "place", "lost": True, "take": False})
        server.script({"on": "query", "after": 1, "count": 10_000, "take": False, **_BROKEN})

    def until(run: LiveRun, venue: Any) -> bool:
        looked = any(record.getMessage() == "an order is in doubt" for record in caplog.records)
        if not looked or venue.venue.asked.get("requests.query", 0) < 5:
            return False
        for order in run.core.execution.open_of():
            if not settled and order.status is OrderStatus.UNKNOWN:
                settled.append(order.order_id)
                shown.append(overview(run.folder).in_doubt)
                run.kernel.publish(CommandReceived(command="halt", reason="first look"))
                run.kernel.publish(CommandReceived(command="settle", arguments={"order_id": order.order_id}))
        return bool(settled) and not run.core.execution.open_of()

    run, events = asyncio.run(trade(tmp_path, script, until))

    assert first(events) == [OrderSubmittedEvent, OrderUnknownEvent, OrderRejectedEvent]
    assert not any(isinstance(event, VenueOrderNotFound) for event in events)
    assert run.core.portfolio.account.reserved("USDT") == Decimal(0)
    assert shown == [tuple(settled)]
    assert overview(run.folder).in_doubt == ()


def test_a_cancel_that_fails_is_repeated_until_there_is_evidence(tmp_path: Path) -> None:
    def script(server: Any) -> None:
        server.script({"on": "cancel", "take": False, **_BROKEN})
        server.script({"on": "cancel", "status": 400, "code": -2011, "msg": "Unknown order sent.", "take": False})

    asked: list[bool] = []

    def until(run: LiveRun, venue: Any) -> bool:
        for order in run.core.execution.open_of():
            if not asked and order.status is OrderStatus.ACCEPTED:
                asked.append(True)
                run.kernel.publish(CommandReceived(command="halt", reason="the test cancels"))
                run.kernel.publish(CommandReceived(command="cancel", arguments={"order_id": order.order_id}))
        return bool(asked) and not run.core.execution.open_of()

    _, events = asyncio.run(trade(tmp_path, script, until))

    kinds = first(events)
    assert kinds.count(OrderCancelRequestedEvent) == 3
    assert kinds.count(OrderCancelRejectedEvent) == 2
    assert kinds[-1] is OrderCancelledEvent


def test_a_cancel_that_hangs_does_not_hold_up_the_cancel_of_another_order(tmp_path: Path) -> None:
    def script(server: Any) -> None:
        server.script({"on": "cancel", "take": False, "delay": "2s", **_BROKEN})

    asked: list[bool] = []

    def until(run: LiveRun, venue: Any) -> bool:
        accepted = [order for order in run.core.execution.open_of() if order.status is OrderStatus.ACCEPTED]
        if not asked and len(accepted) == 2:
            asked.append(True)
            run.kernel.publish(CommandReceived(command="halt", reason="the test cancels"))
            run.kernel.publish(CommandReceived(command="cancel"))
        return bool(asked) and not run.core.execution.open_of()

    _, events = asyncio.run(trade(tmp_path, script, until, orders=2))

    refused, *_ = (event for event in events if isinstance(event, OrderCancelRejectedEvent))
    ended = [event for event in events if isinstance(event, OrderCancelledEvent)]
    assert [event.order_id != refused.order_id for event in ended] == [True, False]
    assert ended[0].seq < refused.seq < ended[1].seq
