"""The paper venue: when an amend arrives, what it locks, and why it is refused."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from paper_kit import ACK, BUY, FEED, SELL, SEND, T0, Desk, brief, cancel, order, tick, trade

from tickdeck.domain.events import OrderAmendRequestedEvent, VenueFillReported
from tickdeck.domain.values import TimeInForce

D = Decimal


def amend(
    quantity: str = "1", limit: str = "100", name: str = "a", revision: int = 1, ts: int = T0 + 100
) -> OrderAmendRequestedEvent:
    return OrderAmendRequestedEvent(
        order_id=name,
        symbol="BTCUSDT",
        revision=revision,
        quantity=D(quantity),
        limit=D(limit),
        event_id=f"8-{name}",
        correlation_id="8",
        ts_ingress=ts,
    )


def desk_with(limit: str = "99", quantity: str = "1", **fields: Any) -> Desk:
    desk = Desk()
    desk.market(tick(T0))
    desk.venue.submit(order(limit=limit, quantity=quantity, **fields))
    desk.run_to(T0 + 90)
    return desk


def answers(desk: Desk) -> list[Any]:
    return [r for r in desk.settle() if getattr(r, "revision", 0)]


def test_an_amend_is_answered_with_the_new_state_of_the_order() -> None:
    desk = desk_with()
    desk.venue.amend(amend("2", "98"))

    (answer,) = answers(desk)

    assert brief(answer) == ("a", "accepted", "0")
    assert (answer.revision, answer.quantity, answer.limit, answer.reason) == (1, 2, 98, "")
    assert (answer.ts, answer.ts_ingress) == (T0 + 100 + SEND, T0 + 100 + SEND + ACK)
    assert answer.causation_id == "8-a"


def test_an_amend_never_overtakes_its_order_nor_a_cancel_an_amend() -> None:
    desk = Desk(jitter_ns=1_000)
    desk.market(tick(T0))
    desk.venue.submit(order(limit="99", quantity="0.1"))
    desk.venue.amend(amend("0.2", "98", ts=T0))
    desk.venue.cancel(cancel())

    assert desk.briefs() == [("a", "accepted", "0"), ("a", "accepted", "0"), ("a", "cancelled", "0")]


@pytest.mark.parametrize("side", [BUY, SELL])
def test_an_amended_order_locks_what_it_needs_and_unlocks_it_when_cancelled(side: Any) -> None:
    desk = desk_with(limit="100", side=side)
    account, currency = desk.venue.account, "USDT" if side is BUY else "BTC"
    before = account.locked(currency)

    desk.venue.amend(amend("2", "100"))
    desk.run_to(T0 + 100 + SEND + FEED)

    assert account.locked(currency) == 2 * before
    desk.venue.cancel(cancel(ts=T0 + 200))
    desk.settle()
    assert account.locked(currency) == 0


def test_a_print_between_request_and_arrival_fills_the_order_as_it_was() -> None:
    desk = desk_with(limit="100")
    desk.venue.amend(amend("1", "98"))
    desk.market(trade(T0 + 110, "100", "0.4", SELL))

    assert [brief(r) for r in desk.settle()][-2:] == [("a", "fill", "100", "0.4"), ("a", "partially_filled", "0.4")]


def test_an_amend_through_the_spread_is_answered_and_then_filled_as_a_taker() -> None:
    desk = desk_with()
    desk.venue.amend(amend("1", "101"))

    answer, fill = desk.settle()[-2:]

    assert answer.revision == 1
    assert isinstance(fill, VenueFillReported)
    assert (fill.price, fill.liquidity) == (101, "taker")
    assert desk.venue.account.locked("USDT") == 0


def test_an_increased_order_fills_to_its_new_quantity_and_unlocks_everything() -> None:
    desk = desk_with(limit="100")
    desk.venue.amend(amend("3", "100"))
    desk.market(trade(T0 + 300, "99.5", "5", SELL))
    desk.settle()

    assert [brief(r) for r in desk.reports][-1] == ("a", "fill", "100", "3")
    account = desk.venue.account
    assert (account.total("BTC"), account.locked("USDT")) == (13, 0)
    assert account.total("USDT") == 100_000 - 300 - D("0.3")


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (amend(name="b"), "the venue has no order b"),
        (amend("0.0001"), "lot size"),
        (amend("1001", "100"), "insufficient balance"),
        (amend("1", "100.001"), "tick"),
    ],
)
def test_an_impossible_amend_is_refused_with_the_reason_and_changes_nothing(
    request_: OrderAmendRequestedEvent, says: str
) -> None:
    desk = desk_with(limit="100")
    locked = desk.venue.account.locked("USDT")
    desk.venue.amend(request_)

    (answer,) = answers(desk)

    assert (answer.quantity, answer.limit) == (None, None)
    assert answer.reason.startswith("amend refused: ")
    assert re.search(says, answer.reason)
    assert desk.venue.account.locked("USDT") == locked


def test_an_amend_to_no_more_than_what_is_filled_is_refused() -> None:
    desk = desk_with(limit="100")
    desk.market(trade(T0 + 95, "100", "0.4", SELL))
    desk.venue.amend(amend("0.4", "100"))
    assert answers(desk)[0].reason == "amend refused: 0.4 is filled already"


def test_an_amend_of_an_order_at_its_end_is_refused_with_its_state() -> None:
    desk = desk_with(limit="100")
    desk.market(trade(T0 + 95, "100", "1", SELL))
    desk.venue.amend(amend("2", "100"))

    (answer,) = answers(desk)

    assert (brief(answer), answer.reason) == (("a", "filled", "1"), "amend refused: the order is filled")


def test_an_order_that_the_venue_refused_cannot_be_amended() -> None:
    desk = desk_with(limit="100", quantity="0.0001")
    desk.venue.amend(amend())
    assert answers(desk)[0].reason == "amend refused: the venue has no order a"


def test_an_order_that_was_too_large_is_known_to_be_rejected_when_an_amend_arrives() -> None:
    desk = desk_with(limit="100", quantity="9999999")
    desk.venue.amend(amend())
    assert answers(desk)[0].reason == "amend refused: the order is rejected"


def test_a_post_only_order_is_not_amended_through_the_spread() -> None:
    desk = desk_with(limit="99", tif=TimeInForce.POST_ONLY)
    desk.venue.amend(amend("1", "101"))
    desk.venue.amend(amend("1", "100", revision=2))

    refused, granted = answers(desk)

    assert refused.reason == "amend refused: post only: 101 would take"
    assert (granted.revision, granted.limit) == (2, 100)


def test_an_order_that_waits_for_prices_cannot_be_amended_unless_it_may_rest() -> None:
    desk = Desk()
    desk.market(trade(T0, "100", "1", BUY))
    desk.venue.submit(order())
    desk.venue.amend(amend("2", "100"))
    assert answers(desk)[0].reason == "amend refused: only limit orders that may rest can be amended"


def test_the_assumptions_mention_what_an_amend_does_to_the_queue() -> None:
    assert any("back of the queue" in line for line in Desk().venue.assumptions())
