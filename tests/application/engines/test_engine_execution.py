"""The execution engine: approved intents become orders, and the venue's reports become conclusions."""

from __future__ import annotations

from itertools import pairwise

import pytest
from application_kit import BTC, SECOND, START, Core, D, trade

from tickdeck.application.identity import client_order_id
from tickdeck.domain.events import (
    ActionIntent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    RiskApprovedEvent,
    TradingHalted,
    VenueCancelRefused,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus, Side


def approved(
    quantity: str = "1", *, side: Side = Side.BUY, order_id: str = "a", strategy: str = "s"
) -> RiskApprovedEvent:
    intent = ActionIntent(action="order", symbol=BTC, side=side, quantity=D(quantity), order_id=order_id)
    return RiskApprovedEvent(strategy_id=strategy, intent=intent, ts_ingress=START)


def cancel(order_id: str, strategy: str = "s") -> RiskApprovedEvent:
    return RiskApprovedEvent(
        strategy_id=strategy, intent=ActionIntent(action="cancel", symbol="", order_id=order_id), ts_ingress=START
    )


def submitted(core: Core) -> OrderSubmittedEvent:
    return core.orders[-1]


def test_an_approved_intent_becomes_an_order_that_is_sent_to_the_venue() -> None:
    core = Core().feed(approved("2"))

    order = submitted(core)
    assert (order.order_id, order.symbol, order.side, order.quantity, order.limit) == ("a", BTC, Side.BUY, 2, None)
    assert order.strategy_id == "s"
    assert core.execution.open_orders("s") == ("a",)
    assert core.execution.open_orders("s", "ETHUSDT") == ()
    assert core.execution.open_orders("other") == ()


def test_an_intent_without_an_order_id_gets_one_from_the_event_that_approved_it() -> None:
    core = Core().feed(approved(order_id=""))
    assert submitted(core).order_id == client_order_id("nonce", "1")


def test_an_id_is_never_submitted_twice() -> None:
    core = Core().feed(approved(), approved())
    assert len(core.orders) == 1


def test_an_order_goes_from_acceptance_through_partial_fills_to_its_end() -> None:
    core = Core().feed(approved("3"))
    order = submitted(core)

    core.report(order, OrderStatus.ACCEPTED)
    core.fill(order, "100", "1", fee="0.5")
    assert core.execution.working(BTC, Side.BUY) == 2
    core.fill(order, "130", "2")

    conclusions = [t for t in core.types() if t.startswith("order.")]
    assert conclusions == ["order.submitted", "order.accepted", "order.partially_filled", "order.filled"]
    (part,) = [e for e in core.tape.events if isinstance(e, OrderPartiallyFilledEvent)]
    (last,) = [e for e in core.tape.events if isinstance(e, OrderFilledEvent)]
    assert (part.filled, part.remaining, part.fee) == (1, 2, D("0.5"))
    assert (last.filled, last.remaining, last.average_price) == (3, 0, 120)
    assert core.execution.open_orders("s") == ()
    assert core.execution.working(BTC, Side.BUY) == 0


def test_a_repeated_fill_counts_once() -> None:
    core = Core().feed(approved("3"))
    fill = VenueFillReported(
        order_id="a", symbol=BTC, side=Side.BUY, price=D(1), quantity=D(1), venue_trade_id="t", ts_ingress=START
    )
    core.feed(fill, fill)

    assert core.types().count("order.partially_filled") == 1
    assert core.execution.orders["a"].filled == 1


@pytest.mark.parametrize(
    ("status", "conclusion"),
    [
        (OrderStatus.REJECTED, "order.rejected"),
        (OrderStatus.CANCELLED, "order.cancelled"),
        (OrderStatus.EXPIRED, "order.expired"),
    ],
)
def test_a_report_of_the_venue_ends_an_order(status: OrderStatus, conclusion: str) -> None:
    core = Core().feed(approved())
    core.report(submitted(core), status, "because")

    assert core.tape.events[-1].event_type == conclusion
    assert core.tape.events[-1].payload["reason"] == "because"
    assert core.execution.open_orders("s") == ()


def test_an_unknown_order_stays_open_until_the_venue_reports() -> None:
    core = Core().feed(approved())
    core.report(submitted(core), OrderStatus.UNKNOWN, "timed out")
    assert core.types()[-1] == "order.unknown"
    assert core.execution.open_orders("s") == ("a",)

    core.report(submitted(core), OrderStatus.ACCEPTED)

    assert core.types()[-1] == "order.accepted"


def test_a_fill_that_revokes_a_rejection_makes_the_order_open_again() -> None:
    core = Core().feed(approved("3"))
    core.report(submitted(core), OrderStatus.REJECTED)
    assert core.execution.open_orders("s") == ()

    core.fill(submitted(core), "100", "1")

    assert core.execution.open_orders("s") == ("a",)
    assert core.execution.working(BTC, Side.BUY) == 2


def test_a_report_about_an_unknown_order_is_counted_and_changes_nothing() -> None:
    core = Core().feed(
        VenueOrderReported(order_id="x", symbol=BTC, status=OrderStatus.FILLED),
        VenueFillReported(order_id="x", symbol=BTC, side=Side.BUY, price=D(1), quantity=D(1), venue_trade_id="t"),
    )

    assert core.execution.unknown_reports == 2
    assert core.types() == ["venue.order_reported", "venue.fill_reported", "system.warning"]


def test_only_its_own_open_orders_can_be_cancelled_by_a_strategy() -> None:
    core = Core().feed(approved())
    core.feed(cancel("a", "thief"), cancel("never made"))
    assert core.venue.cancelled == []

    core.feed(cancel("a"))
    assert [c.order_id for c in core.venue.cancelled] == ["a"]

    core.report(submitted(core), OrderStatus.CANCELLED).feed(cancel("a"))
    assert len(core.venue.cancelled) == 1


@pytest.mark.parametrize(
    ("side", "quantity", "trade_id"), [(Side.BUY, "2", "t"), (Side.SELL, "1", "t"), (Side.BUY, "1", "")]
)
def test_an_impossible_fill_halts_trading(side: Side, quantity: str, trade_id: str) -> None:
    core = Core().feed(approved("1"))
    core.feed(
        VenueFillReported(
            order_id="a",
            symbol=BTC,
            side=side,
            price=D(1),
            quantity=D(quantity),
            venue_trade_id=trade_id,
            ts_ingress=START,
        )
    )

    (halt,) = [e for e in core.tape.events if isinstance(e, TradingHalted)]
    assert halt.reason.startswith("execution failed on venue.fill_reported 2: OrderEvidenceError: order a")
    assert core.kernel.halted
    assert core.execution.orders["a"].filled == 0
    core.feed(approved(order_id="b"))
    assert len(core.orders) == 1  # the gateway sends nothing any more
    assert core.execution.orders["b"].status is OrderStatus.REJECTED


def test_working_quantities_are_by_symbol_and_side() -> None:
    core = Core().feed(approved("1"), approved("2", order_id="b"), approved("4", order_id="c", side=Side.SELL))

    assert core.execution.working(BTC, Side.BUY) == 3
    assert core.execution.working(BTC, Side.SELL) == 4
    assert core.execution.working("ETHUSDT", Side.BUY) == 0


# -- cancels that do not succeed -----------------------------------------------------------------------------------


def refused(core: Core, order_id: str = "a") -> Core:
    return core.feed(VenueCancelRefused(order_id=order_id, symbol=BTC, reason="no such order", ts_ingress=core.now))


def cancels(core: Core) -> list[str]:
    return [request.order_id for request in core.venue.cancelled]


def test_a_refused_cancel_says_nothing_about_its_order() -> None:
    core = Core().feed(approved(), cancel("a"))
    refused(core)

    assert core.types()[-2:] == ["order.cancel_rejected", "timer.set"]
    assert core.execution.orders["a"].status is OrderStatus.SUBMITTED
    assert core.execution.open_orders("s") == ("a",)
    core.fill(submitted(core), "100")
    assert core.of("order.filled")


def test_a_refused_cancel_is_retried_with_growing_waits_until_there_is_evidence() -> None:
    core = Core().feed(approved(), cancel("a"))
    tries = []
    for n in range(1, 400):
        before = len(cancels(core))
        core.feed(trade("100", ts=START + n * SECOND))
        if len(cancels(core)) > before:
            tries.append(n)
        if n == 1 or len(cancels(core)) > before:
            refused(core)

    assert tries[:7] == [2, 4, 8, 16, 32, 64, 124]
    assert {b - a for a, b in pairwise(tries[6:])} == {60}

    core.report(submitted(core), OrderStatus.CANCELLED)
    sent = len(cancels(core))
    core.feed(trade("100", ts=core.now + 1_000 * SECOND))
    assert len(cancels(core)) == sent
    assert len(core.agenda) == 0


def test_only_the_refused_cancel_is_retried() -> None:
    core = Core().feed(approved(), approved(order_id="b"), cancel("a"), cancel("b"))
    refused(core, "b")
    core.feed(trade("100", ts=START + 10 * SECOND))
    assert cancels(core) == ["a", "b", "b"]


def test_two_refused_cancels_are_retried_once() -> None:
    core = Core().feed(approved(), cancel("a"), cancel("a"))
    refused(refused(core))
    core.feed(trade("100", ts=START + SECOND))
    assert cancels(core) == ["a", "a", "a"]


def test_the_waits_that_a_record_leads_to_are_those_of_the_run() -> None:
    core = Core().feed(approved(), cancel("a"), cancel("a"))
    refused(refused(core))

    again = Core()
    for event in core.tape.events:
        again.execution.recall(event)
    assert again.execution._refusals == core.execution._refusals == {"a": 1}
    assert again.execution._retries == core.execution._retries


def test_a_cancel_that_failed_to_be_sent_is_retried() -> None:
    core = Core().feed(approved())
    core.venue.error = ConnectionError()
    core.feed(cancel("a"))
    core.venue.error = None
    core.feed(trade("100", ts=START + SECOND))
    assert cancels(core) == ["a", "a"]


def test_a_refused_cancel_of_an_order_that_has_ended_or_is_not_ours_changes_nothing() -> None:
    core = Core().feed(approved(), cancel("a"))
    core.report(submitted(core), OrderStatus.CANCELLED)
    before = core.kernel.seq
    refused(refused(core), "stranger")
    assert core.types(before) == ["venue.cancel_refused"] * 2
    assert core.execution.unknown_reports == 1


# -- a long life ---------------------------------------------------------------------------------------------------


def test_orders_that_ended_long_ago_are_forgotten_and_open_ones_never(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tickdeck.application.engines.execution._CLOSED_KEPT", 20)
    core = Core().feed(approved(order_id="open"))
    core.feed(approved(order_id="owed"))
    core.report(submitted(core), OrderStatus.CANCELLED, filled="0.5")  # the fill has not arrived yet
    owed = submitted(core)
    for n in range(100):
        core.feed(approved(order_id=str(n)))
        core.fill(submitted(core), "100")

    assert len(core.execution.orders) == 22
    assert core.execution.submitted == 102
    assert core.execution.open_orders("s") == ("open",)
    core.fill(owed, "100", "0.5")
    assert core.of("order.partially_filled")
    assert core.of("system.warning") == []
    for n in range(100, 150):
        core.feed(approved(order_id=str(n)))
        core.fill(submitted(core), "100")
    assert len(core.execution.orders) == 21


def test_a_fill_of_an_unknown_order_causes_a_warning() -> None:
    core = Core().feed(
        VenueFillReported(order_id="x", symbol=BTC, side=Side.BUY, price=D(1), quantity=D(1), venue_trade_id="t")
    )
    (warning,) = core.of("system.warning")
    assert "belongs to the unknown order x and changes no position" in warning.payload["message"]
