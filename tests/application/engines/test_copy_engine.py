"""Copying within a run: sizes, exits, evidence, time-outs, doubt, and followers that fail."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, D
from copy_kit import Rig
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickdeck.application.engines import CopyEngine
from tickdeck.domain.events import (
    CommandReceived,
    NotificationAlert,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeReservedEvent,
    VenueOrderNotFound,
)
from tickdeck.domain.values import OrderStatus

BOB = {"follower": "bob"}


def alerts(rig: Rig) -> list[str]:
    return [event.text for event in rig.tape.events if isinstance(event, NotificationAlert)]


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


def test_a_refusal_by_risk_frees_what_was_reserved() -> None:
    rig = Rig(BOB)
    rig.feed(CommandReceived(command="halt", arguments={"account": "bob"}, reason="lunch"))

    rig.tip("buy", "1")

    assert rig.outcomes("bob") == [("reserved", ""), ("failed", "risk refused it: trading_halted: lunch")]
    assert rig.copier("bob").ledger.free("USDT") == 10_000


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


@pytest.mark.parametrize("status", [OrderStatus.REJECTED, OrderStatus.EXPIRED, OrderStatus.CANCELLED])
def test_after_evidence_the_remainder_is_another_trade(status: OrderStatus) -> None:
    rig = Rig({**BOB, "attempts": 2})
    rig.tip("buy", "2")
    (first,) = rig.open_orders()
    filled = D(0) if status is OrderStatus.REJECTED else D("0.5")
    if filled:
        rig.fill(first, filled)

    rig.report(first, status, filled)

    (second,) = rig.open_orders()
    assert second.quantity == 2 - filled
    assert second.order_id != first.order_id
    rig.report(second, OrderStatus.EXPIRED)
    assert rig.open_orders() == []
    assert len({event.trade_id for event in rig.trades("bob")}) == 2


def test_a_time_out_cancels_and_never_orders_again() -> None:
    rig = Rig({**BOB, "timeout": "5s"})
    rig.tip("buy", "2")
    (order,) = rig.open_orders()

    rig.wait(6)
    assert rig.venue.cancels == [order.order_id]
    rig.report(order, OrderStatus.CANCELLED)

    assert rig.open_orders() == []
    assert rig.outcomes("bob") == [("reserved", ""), ("failed", "as the test says")]


def test_doubt_keeps_the_reservation_until_the_venue_shows_what_became_of_the_order() -> None:
    rig = Rig(BOB)
    rig.tip("buy", "2")
    (order,) = rig.open_orders()

    rig.report(order, OrderStatus.UNKNOWN)
    assert rig.outcomes("bob")[-1] == ("needs_reconciliation", "as the test says")
    assert rig.copier("bob").ledger.free("USDT") == 10_000 - D(201)
    rig.fill(order)

    assert [kind for kind, _ in rig.outcomes("bob")] == ["reserved", "needs_reconciliation", "executed"]


def test_a_fee_without_a_currency_is_in_quote() -> None:
    rig = Rig(BOB)
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0], fee=D("0.1"))

    executed = rig.trades("bob")[-1]
    assert isinstance(executed, TradeExecutedEvent)
    assert executed.fees == {"USDT": D("0.1")}


def taken_for_dead(rig: Rig) -> Any:
    """A copy whose order nobody at the venue knew, so that its trade was rolled back."""
    rig.tip("buy", "2")
    (order,) = rig.open_orders()
    rig.report(order, OrderStatus.UNKNOWN)
    where = {"order_id": order.order_id, "symbol": BTC, "account_id": "bob"}
    rig.feed(VenueOrderNotFound(sources=("order", "open_orders"), waited=60, source="scripted", **where))
    assert rig.outcomes("bob")[-1][0] == "failed"
    return order


@pytest.mark.parametrize("is_accepted", [True, False])
def test_a_trade_whose_order_was_taken_for_dead_and_is_filled_late_is_executed(is_accepted: bool) -> None:
    rig = Rig(BOB)
    order = taken_for_dead(rig)

    if is_accepted:
        rig.report(order, OrderStatus.ACCEPTED)
        assert rig.outcomes("bob")[-1][0] == "needs_reconciliation"
    rig.fill(order, D("0.5"))
    rig.fill(order, D("1.5"))

    assert [kind for kind, _ in rig.outcomes("bob")[3:]] == ["needs_reconciliation", "executed"]
    assert rig.outcomes("bob")[3][1] == "the exchange has its order after all, which was taken for dead"
    executed = rig.trades("bob")[-1]
    assert isinstance(executed, TradeExecutedEvent)
    assert executed.executed_quantity == 2
    assert rig.copier("bob").ledger.copies[executed.trade_id].status == "copied"
    assert recalled(rig) == copies(rig.copier("bob"))


def test_an_order_of_a_copy_that_is_open_after_all_is_cancelled_when_its_time_is_over() -> None:
    rig = Rig({**BOB, "timeout": "5s", "attempts": 3})
    order = taken_for_dead(rig)
    rig.report(order, OrderStatus.ACCEPTED)
    rig.fill(order, D("0.5"))

    rig.wait(6)
    assert rig.venue.cancels == [order.order_id]
    rig.report(order, OrderStatus.CANCELLED, D("0.5"))

    assert rig.open_orders() == []
    executed = rig.trades("bob")[-1]
    assert isinstance(executed, TradeExecutedEvent)
    assert executed.executed_quantity == D("0.5")
    assert recalled(rig) == copies(rig.copier("bob"))


def test_an_order_that_is_found_after_all_and_was_never_filled_fails_again() -> None:
    rig = Rig(BOB)
    order = taken_for_dead(rig)
    rig.report(order, OrderStatus.ACCEPTED)
    rig.report(order, OrderStatus.EXPIRED)

    assert [kind for kind, _ in rig.outcomes("bob")[2:]] == ["failed", "needs_reconciliation", "failed"]
    assert rig.copier("bob").ledger.free("USDT") == 10_000


def copies(engine: CopyEngine) -> dict[str, Any]:
    return {
        name: (copy.status, copy.trade.status, copy.filled, copy.is_over, copy.timer_id)
        for name, copy in engine.ledger.copies.items()
    }


def recalled(rig: Rig) -> dict[str, Any]:
    """The copies of bob as the record says."""
    again = Rig(BOB)
    events = [event for event in rig.tape.events if event.seq > again.tape.events[-1].seq]
    for event in events:
        again.core.recall(event)
    return copies(again.copier("bob"))


def test_a_leader_that_says_no_trade_is_warned_of() -> None:
    rig = Rig(BOB)

    rig.tip("hold", "1")

    assert rig.trades("bob") == []
    assert [e.event_type for e in rig.tape.events][-1] == "system.warning"


ANSWERS = st.sampled_from(["fill", "part", "reject", "expire", "cancel", "doubt", "wait", "nothing"])


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_whatever_the_venue_answers_nothing_is_reserved_twice_and_nothing_leaks(data: st.DataObject) -> None:
    rig = Rig(
        {"follower": "bob", "size": {"multiple": "1.5"}, "timeout": "3s"},
        {"follower": "carol", "size": {"share": "30%"}},
        {"follower": "dora", "size": {"fixed": 6_000}},
        cash="10000",
    )
    for _ in range(data.draw(st.integers(1, 12), label="steps")):
        if data.draw(st.booleans(), label="the leader trades"):
            side = data.draw(st.sampled_from(["buy", "buy", "sell"]), label="side")
            rig.tip(side, str(data.draw(st.integers(1, 30), label="quantity")))
        for order in rig.open_orders():
            answer(rig, order, data.draw(ANSWERS, label="answer"))
            check(rig)
        check(rig)
    for _ in range(20):  # every order ends
        for order in rig.open_orders():
            known = rig.core.account(order.account_id).execution.orders[order.order_id]
            rig.report(order, OrderStatus.CANCELLED, known.filled)
        check(rig)
    assert rig.open_orders() == []
    for name in ("bob", "carol", "dora"):
        engine, account = rig.copier(name), rig.core.account(name).portfolio.account
        assert all(copy.status.is_final for copy in engine.ledger.copies.values())
        assert (engine.ledger._waiting, engine._wishes._later) == ({}, {})
        assert all(not copy.timer_id for copy in engine.ledger.copies.values())
        assert account.free("USDT") == account.balances["USDT"]
        assert engine.ledger.held(BTC) == rig.held(name)


def answer(rig: Rig, order: Any, kind: str) -> None:
    known = rig.core.account(order.account_id).execution.orders[order.order_id]
    if kind == "fill":
        rig.fill(order, known.remaining)
    elif kind == "part" and known.remaining > D("0.01"):
        rig.fill(order, D("0.01"))
    elif kind == "reject" and not known.filled:
        rig.report(order, OrderStatus.REJECTED)
    elif kind in ("expire", "cancel"):
        status = OrderStatus.EXPIRED if kind == "expire" else OrderStatus.CANCELLED
        rig.report(order, status, known.filled)
    elif kind == "doubt":
        rig.report(order, OrderStatus.UNKNOWN, known.filled)
    elif kind == "wait":
        rig.wait(4)


def check(rig: Rig) -> None:
    """At any time: one order a copy, and free is the total minus what is reserved, never below 0."""
    for name in ("bob", "carol", "dora"):
        engine, account = rig.copier(name), rig.core.account(name).portfolio.account
        reserved: dict[str, Decimal] = {"USDT": D(0), "BTC": D(0)}
        for order in rig.core.account(name).execution.open_of():
            reserved["USDT" if order.side == "buy" else "BTC"] += order.reserved
        for currency, amount in reserved.items():
            assert engine.ledger.free(currency) == account.balances.get(currency, D(0)) - amount >= 0
        ended: dict[str, int] = {}
        for event in rig.trades(name):
            if isinstance(event, TradeExecutedEvent | TradeFailedEvent):
                ended[event.trade_id] = ended.get(event.trade_id, 0) + 1
        assert set(ended.values()) <= {1}
        begun = [event.trade_id for event in rig.trades(name) if isinstance(event, TradeReservedEvent)]
        assert len(begun) == len(set(begun))
        open_copies = {order_id for order_id, copy in engine.ledger.orders.items() if not copy.trade.status.is_final}
        assert {order.order_id for order in rig.open_orders(name)} <= open_copies


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.sampled_from(["fill", "part", "expire", "wait"]), min_size=1, max_size=6),
    st.lists(ANSWERS.filter(lambda kind: kind != "wait"), max_size=12),
)
@example(["fill", "fill", "part", "expire"], ["fill", "nothing", "nothing", "nothing"])
@example(["fill", "wait", "part", "wait", "expire", "fill"], ["doubt", "reject", "nothing", "doubt", "expire"])
def test_the_failures_of_one_follower_never_touch_another(kinds: list[str], bobs: list[str]) -> None:
    """Carol's orders are the same, whatever happens to Bob. Time passes for both."""
    results = []
    for answers in ([], bobs):
        rig, waiting = Rig(BOB, {"follower": "carol", "size": {"multiple": "0.5"}}), iter(answers)
        for kind in kinds:
            rig.tip("buy", "2")
            for order in rig.open_orders("bob"):
                answer(rig, order, next(waiting, "fill"))
            for order in rig.open_orders("carol"):
                answer(rig, order, kind)
        results.append(
            [
                (event.event_type, event.trade_id.rpartition("-")[0], event.quantity, event.limit)
                for event in rig.trades("carol")
            ]
        )
    assert results[0] == results[1]
