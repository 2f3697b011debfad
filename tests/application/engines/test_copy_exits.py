"""Copied exits, and the stops and targets of copies."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import BTC, D
from copy_kit import BOB, Rig, alerts

from tickdeck.domain.events import (
    CommandReceived,
)
from tickdeck.domain.values import OrderStatus


def test_exits_close_the_same_share_of_what_was_copied() -> None:
    rig = Rig({**BOB, "size": {"fixed": 100}})
    rig.tip("buy", "4")
    rig.fill(rig.open_orders()[0])
    assert rig.held("bob") == 1

    rig.tip("sell", "1")
    rig.fill(rig.open_orders()[0])
    assert rig.held("bob") == D("0.75")
    rig.tip("sell", "3")
    rig.fill(rig.open_orders()[0])

    assert rig.held("bob") == 0


def test_own_exits_ignore_those_of_the_leader_and_may_protect_each_copy() -> None:
    rig = Rig({**BOB, "exits": "own", "stop_loss": "2%"})
    rig.tip("buy", "1")
    rig.fill(rig.open_orders()[0])

    rig.tip("sell", "1")

    (stop,) = rig.open_orders()
    assert (stop.side, stop.stop, stop.strategy_id) == ("sell", D("98.49"), "copy-bob")
    assert [kind for kind, _ in rig.outcomes("bob")] == ["reserved", "executed"]


STOPS = [
    {"stop_loss": "5%"},
    {"take_profit": "5%"},
    {"trailing": "5%"},
    {"stop_loss": "5%", "take_profit": "5%"},
]


def test_a_copied_exit_is_not_hindered_by_the_stop_of_the_copy() -> None:
    for stops in STOPS:
        rig = Rig({**BOB, **stops})
        rig.tip("buy", "2")
        rig.fill(rig.open_orders()[0])
        (stop,) = rig.open_orders()
        assert (stop.quantity, rig.copier("bob").ledger.free("BTC")) == (2, 0)

        rig.tip("sell", "1")
        assert rig.venue.cancels == [stop.order_id]
        rig.report(stop, OrderStatus.CANCELLED)
        exit_, stop = sorted(rig.open_orders(), key=lambda order: order.protects)
        assert (exit_.quantity, exit_.protects) == (1, "")
        assert (stop.quantity, bool(stop.protects)) == (1, True)  # of the rest
        rig.fill(exit_)
        assert rig.open_orders() == [stop]

        assert [kind for kind, _ in rig.outcomes("bob")] == ["reserved", "executed"] * 2
        rig.tip("sell", "1")
        rig.report(stop, OrderStatus.CANCELLED)
        rig.fill(rig.open_orders()[0])
        assert (rig.held("bob"), rig.open_orders()) == (0, [])


def test_a_copied_exit_that_the_venue_does_not_fill_is_ordered_again_although_the_stop_is_back() -> None:
    rig = Rig({**BOB, "stop_loss": "5%"})
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    rig.tip("sell", "2")
    rig.report(rig.open_orders()[0], OrderStatus.CANCELLED)

    rig.report(rig.open_orders()[0], OrderStatus.EXPIRED)
    for order in rig.open_orders():
        if order.protects:
            rig.report(order, OrderStatus.CANCELLED)

    (exit_,) = rig.open_orders()
    rig.fill(exit_)
    assert rig.held("bob") == 0
    assert [kind for kind, _ in rig.outcomes("bob")][-3:] == ["failed", "reserved", "executed"]


def test_what_the_target_closes_before_it_yields_is_not_sold_again() -> None:
    rig = Rig({**BOB, "take_profit": "5%"})
    for _ in range(2):
        rig.tip("buy", "2")
        rig.fill(rig.open_orders()[-1])
    first, second = rig.open_orders()
    rig.tip("sell", "2")

    rig.fill(first, D("0.5"))
    rig.report(first, OrderStatus.CANCELLED, D("0.5"))
    rig.report(second, OrderStatus.CANCELLED)
    exit_ = next(order for order in rig.open_orders() if not order.protects)
    assert exit_.quantity == D("1.5")
    rig.fill(exit_, D(1))
    rig.report(exit_, OrderStatus.EXPIRED, D(1))
    for order in rig.open_orders():
        if order.protects:
            rig.report(order, OrderStatus.CANCELLED)
    (rest,) = (order for order in rig.open_orders() if not order.protects)
    assert rest.quantity == D("0.5")
    rig.fill(rest)

    assert rig.held("bob") == 2


def test_a_copied_exit_fails_if_the_stop_closes_everything_first() -> None:
    rig = Rig({**BOB, "stop_loss": "5%"})
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    (stop,) = rig.open_orders()
    rig.tip("sell", "2")

    rig.fill(stop)

    assert (rig.held("bob"), rig.open_orders()) == (0, [])
    kind, reason = rig.outcomes("bob")[-1]
    assert (kind, "closed meanwhile" in reason) == ("failed", True)


def test_the_time_of_a_copied_exit_begins_when_the_stop_has_yielded() -> None:
    rig = Rig({**BOB, "stop_loss": "5%"})
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    (stop,) = rig.open_orders()
    rig.tip("sell", "2")

    rig.wait(25)
    assert rig.open_orders() == [stop]
    rig.report(stop, OrderStatus.CANCELLED)
    (exit_,) = (order for order in rig.open_orders() if not order.protects)
    assert rig.venue.cancels == [stop.order_id]
    rig.wait(11)
    assert rig.venue.cancels == [stop.order_id, exit_.order_id]
    rig.report(exit_, OrderStatus.CANCELLED)

    assert all(copy.status.is_final for copy in rig.copier("bob").ledger.copies.values())
    assert rig.copier("bob").ledger._waiting == {}
    (stop,) = rig.open_orders()  # the position stays, and is protected again
    assert (bool(stop.protects), stop.quantity) == (True, 2)
    assert alerts(rig) == [
        "copy-bob: up to 2 BTCUSDT stay open, which the leader has closed: as the test says. Its next exit closes its "
        "share of them; `tickdeck close` closes them now"
    ]


def test_a_late_exit_may_be_tried_again_and_the_next_exit_closes_what_is_left() -> None:
    rig = Rig({**BOB, "stop_loss": "5%", "attempts": 2})
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    (stop,) = rig.open_orders()
    rig.tip("sell", "1")
    rig.wait(11)
    rig.report(stop, OrderStatus.CANCELLED)
    for _ in range(2):
        (exit_,) = (order for order in rig.open_orders() if not order.protects)
        rig.report(exit_, OrderStatus.EXPIRED)
        for order in rig.open_orders():
            if order.protects and any(one for one in rig.venue.cancels if one == order.order_id):
                rig.report(order, OrderStatus.CANCELLED)
    assert (rig.held("bob"), len(alerts(rig))) == (2, 1)

    rig.tip("sell", "1")
    for order in rig.open_orders():
        if order.order_id in rig.venue.cancels:
            rig.report(order, OrderStatus.CANCELLED)
    (exit_,) = (order for order in rig.open_orders() if not order.protects)
    assert exit_.quantity == 2
    rig.fill(exit_)
    assert (rig.held("bob"), rig.open_orders()) == (0, [])


def test_a_copied_exit_is_not_hindered_by_a_stop_of_the_operator() -> None:
    rig = Rig(BOB)
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    stops = {"account": "bob", "symbol": BTC, "stop_loss": "5%"}
    rig.feed(CommandReceived(command="protect", arguments=stops))
    (stop,) = rig.open_orders()
    assert (stop.strategy_id, stop.quantity) == ("operator", 2)

    rig.tip("sell", "1")
    assert rig.venue.cancels == [stop.order_id]
    rig.report(stop, OrderStatus.CANCELLED)
    exit_, stop = sorted(rig.open_orders(), key=lambda order: order.protects)
    assert (exit_.quantity, stop.quantity, stop.strategy_id) == (1, 1, "operator")
    rig.fill(exit_)
    assert rig.open_orders() == [stop]
    rig.tip("sell", "1")
    rig.fill(stop)  # it was faster

    assert (rig.held("bob"), rig.open_orders()) == (0, [])
    assert rig.outcomes("bob")[-1][0] == "failed"


def test_what_an_operator_closed_is_not_closed_again() -> None:
    rig = Rig(BOB)
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    rig.feed(CommandReceived(command="flatten", arguments={"account": "bob"}))
    rig.fill(rig.open_orders()[0])
    submit = {"account": "bob", "side": "buy", "symbol": BTC, "quantity": "3"}
    rig.feed(CommandReceived(command="submit", arguments=submit))
    rig.fill(rig.open_orders()[0])

    rig.tip("sell", "2")

    assert rig.outcomes("bob")[-1] == ("failed", "nothing was copied that could be closed")
    assert (rig.held("bob"), rig.open_orders(), alerts(rig)) == (3, [], [])


@pytest.mark.parametrize(
    ("copy", "tip", "why"),
    [
        ({"stop_loss": "120"}, {}, "stop_loss is 120; it must be below the limit of the order, 100.5"),
        ({"take_profit": "90"}, {}, "take_profit is 90; it must be above the limit of the order, 100.5"),
        ({"size": {"risk": "1%"}}, {"stop": D(120)}, "the leader's stop is 120; it must be below its price, 100"),
        (
            {"size": {"risk": "1%", "stop_distance": "5%"}},
            {"stop": D(100)},
            "the leader's stop is 100; it must be below its price, 100",
        ),
    ],
)
def test_a_stop_on_the_wrong_side_is_told(copy: dict[str, Any], tip: dict[str, Any], why: str) -> None:
    rig = Rig({**BOB, **copy})

    rig.tip("buy", "1", **tip)

    kind, reason = rig.outcomes("bob")[-1]
    assert (kind, why in reason) == ("failed", True)
    assert rig.open_orders() == []
    assert rig.copier("bob").ledger.free("USDT") == 10_000


def test_an_exit_waits_for_the_copy_that_it_closes() -> None:
    rig = Rig(BOB)
    rig.tip("buy", "2")
    (entry,) = rig.open_orders()

    rig.tip("sell", "2")
    assert rig.open_orders() == [entry]
    rig.fill(entry)

    (exit_,) = rig.open_orders()
    assert (exit_.side, exit_.quantity) == ("sell", 2)
