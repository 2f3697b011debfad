"""What becomes of a copy, whatever the venue answers: evidence, time-outs, doubt, and followers that fail."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, D
from copy_kit import BOB, Rig
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tickdeck.application.engines import CopyEngine
from tickdeck.domain.events import (
    ActionIntent,
    RiskLimitBreachedEvent,
    TradeExecutedEvent,
    TradeFailedEvent,
    TradeReservedEvent,
    VenueOrderNotFound,
)
from tickdeck.domain.values import OrderStatus, Side


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


def test_an_order_that_was_never_received_is_not_replaced_as_it_may_still_appear() -> None:
    rig = Rig({**BOB, "attempts": 2})
    rig.tip("buy", "2")
    (order,) = rig.open_orders()
    rig.report(order, OrderStatus.UNKNOWN)

    rig.feed(VenueOrderNotFound(order_id=order.order_id, symbol=BTC, account_id="bob", sources=("order",), waited=1))

    assert rig.open_orders() == []
    assert [kind for kind, _ in rig.outcomes("bob")] == ["reserved", "needs_reconciliation", "failed"]


def test_a_refusal_of_another_order_in_the_account_is_not_that_of_a_copy() -> None:
    rig = Rig({**BOB, "stop_loss": "5%"})
    rig.tip("buy", "2")
    rig.fill(rig.open_orders()[0])
    (stop,) = rig.open_orders()
    rig.tip("sell", "2")  # its exit waits for the cancel of the stop
    before = rig.outcomes("bob")
    other = ActionIntent(action="order", symbol=BTC, side=Side.SELL, quantity=D(1), order_id="other")
    refused = RiskLimitBreachedEvent(
        strategy_id="operator", account_id="bob", intent=other, limit="reduce_only", detail=""
    )
    rig.feed(refused)
    assert rig.outcomes("bob") == before

    rig.report(stop, OrderStatus.CANCELLED)
    assert [(order.side, order.quantity) for order in rig.open_orders() if not order.protects] == [(Side.SELL, D(2))]


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
