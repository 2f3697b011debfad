"""Copying within a run: the sizes of copies, and what is not copied."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import D
from copy_kit import BOB, Rig

from tickdeck.application.engines.copying import ledger
from tickdeck.domain.events import (
    CommandReceived,
    TradeExecutedEvent,
)


@pytest.mark.parametrize(
    ("size", "more", "quantity"),
    [
        ({"multiple": "0.5"}, {}, "1"),
        ({"fixed": 50}, {}, "0.5"),
        ({"share": "1%"}, {}, "0.99502"),  # of 10,000 at 100.5
        ({"risk": "1%", "stop_distance": "50%"}, {}, "2"),
        ({"risk": "1%"}, {"stop": D(80)}, "5"),
    ],
)
def test_a_copy_has_the_size_of_its_rule(size: dict[str, Any], more: dict[str, Any], quantity: str) -> None:
    rig = Rig({**BOB, "size": size})

    rig.tip("buy", "2", **more)

    (order,) = rig.open_orders()
    assert (order.quantity, order.limit, order.time_in_force) == (D(quantity), D("100.5"), "ioc")
    assert rig.outcomes("bob") == [("reserved", "")]
    rig.fill(order)
    (reserved, executed) = rig.trades("bob")
    assert isinstance(executed, TradeExecutedEvent)
    assert (executed.executed_quantity, executed.order_id) == (D(quantity), order.order_id)
    assert reserved.trade_id == executed.trade_id


@pytest.mark.parametrize(
    ("copy", "quantity", "why"),
    [
        ({"symbols": ["ETHUSDT"]}, "1", "BTCUSDT is not copied; allowed: ETHUSDT"),
        ({"min_notional": 500}, "1", "the copy is worth 100"),
        ({}, "200", "insufficient balance: 20100"),
        ({"size": {"risk": "1%"}}, "1", "the leader has no stop"),
        ({}, "0.0000001", "quantity 0 is not positive"),
        ({}, "150", "insufficient balance"),
    ],
)
def test_what_cannot_be_copied_is_told_with_its_reason(copy: dict[str, Any], quantity: str, why: str) -> None:
    rig = Rig({**BOB, **copy}, {"follower": "carol", "size": {"fixed": 100}})

    rig.tip("buy", quantity)

    ((kind, reason),) = rig.outcomes("bob")
    assert kind == "failed"
    assert why in reason
    assert [order.account_id for order in rig.open_orders()] == ["carol"]


def test_a_copy_that_is_open_is_remembered_however_many_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "_KEPT", 2)
    rig = Rig(BOB)
    for _ in range(4):
        rig.tip("buy", "1")
    first, *_ = rig.open_orders()
    rig.fill(first)

    assert rig.outcomes("bob").count(("reserved", "")) == 4
    assert [event.order_id for event in rig.trades("bob") if isinstance(event, TradeExecutedEvent)] == [first.order_id]


def test_a_refusal_by_risk_frees_what_was_reserved() -> None:
    rig = Rig(BOB)
    rig.feed(CommandReceived(command="halt", arguments={"account": "bob"}, reason="lunch"))

    rig.tip("buy", "1")

    assert rig.outcomes("bob") == [("reserved", ""), ("failed", "risk refused it: trading_halted: lunch")]
    assert rig.copier("bob").ledger.free("USDT") == 10_000


def test_a_leader_that_says_no_trade_is_warned_of() -> None:
    rig = Rig(BOB)

    rig.tip("hold", "1")

    assert rig.trades("bob") == []
    assert [e.event_type for e in rig.tape.events][-1] == "system.warning"
