"""An order in doubt: it keeps its capital, a person hears of it, and evidence or a person ends it."""

from __future__ import annotations

from application_kit import BTC, SECOND, Core, D, trade

from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    NotificationAlert,
    OrderRejectedEvent,
    RiskApprovedEvent,
    SystemWarning,
    VenueOrderNotFound,
)
from tickdeck.domain.values import OrderStatus, Side

NOT_FOUND = VenueOrderNotFound(order_id="a", symbol=BTC, sources=("order", "fills"), waited=75 * SECOND)


def in_doubt() -> Core:
    intent = ActionIntent(action="order", symbol=BTC, side=Side.BUY, quantity=D(1), order_id="a", limit=D(100))
    core = Core().start().feed(RiskApprovedEvent(strategy_id="s", intent=intent))
    core.report(core.orders[-1], OrderStatus.UNKNOWN, "OutcomeUnknown: time-out")
    return core


def later(core: Core, seconds: int) -> None:
    core.feed(trade("100", ts=core.now + seconds * SECOND))


def alerts(core: Core) -> list[str]:
    return [event.text for event in core.tape.events if isinstance(event, NotificationAlert)]


def settle(core: Core, order_id: str = "a") -> None:
    core.feed(CommandReceived(command="settle", arguments={"order_id": order_id}, reason="not in the history"))


def test_it_keeps_its_capital_until_no_source_knows_it() -> None:
    core = in_doubt()
    assert core.portfolio.account.reserved("USDT") == 100
    assert core.execution.unknown == 1

    core.feed(NOT_FOUND)

    (rejected,) = (event for event in core.tape.events if isinstance(event, OrderRejectedEvent))
    assert rejected.reason == "never received: after 75 s on the venue's clock it is in none of order, fills"
    assert core.portfolio.account.reserved("USDT") == 0
    assert core.execution.open_of() == ()


def test_a_person_hears_of_it_after_30_s_and_then_each_hour() -> None:
    core = in_doubt()
    later(core, 29)
    assert alerts(core) == []

    later(core, 1)
    assert len(alerts(core)) == 1
    assert "order a (buy 1 BTCUSDT) is in doubt" in alerts(core)[0]
    assert "OutcomeUnknown: time-out" in alerts(core)[0]

    for _ in range(3):
        later(core, 3600)
    assert len(alerts(core)) == 4


def test_there_is_no_alert_about_an_order_that_is_known_again() -> None:
    core = in_doubt()
    core.report(core.orders[-1], OrderStatus.ACCEPTED)
    later(core, 3600)

    assert alerts(core) == []


def test_a_person_can_settle_it() -> None:
    core = in_doubt()
    settle(core)

    (rejected,) = (event for event in core.tape.events if isinstance(event, OrderRejectedEvent))
    assert (rejected.reason, rejected.concluded) == ("settled by a person: not in the history", True)
    assert core.execution.open_of() == ()
    later(core, 3600)
    assert alerts(core) == []


def test_only_an_order_in_doubt_can_be_settled() -> None:
    core = in_doubt()
    core.report(core.orders[-1], OrderStatus.ACCEPTED)
    settle(core)
    settle(core, "x")

    warnings = [event.message for event in core.tape.events if isinstance(event, SystemWarning)]
    assert warnings == [
        "settle: order a is accepted, and only an order in doubt is settled",
        "settle: order x is not known",
    ]
    assert len(core.execution.open_of()) == 1


def test_a_late_acceptance_makes_it_ours_again_with_an_alert() -> None:
    core = in_doubt().feed(NOT_FOUND)
    core.report(core.orders[-1], OrderStatus.ACCEPTED)

    assert [order.order_id for order in core.execution.open_of()] == ["a"]
    assert core.portfolio.account.reserved("USDT") == 100
    assert core.risk.exposure.working(BTC, Side.BUY) == 1
    (text,) = alerts(core)
    assert "order a (buy 1 BTCUSDT) was taken for dead, but the venue reports it: it is accepted" in text


def test_an_order_that_is_ours_again_counts_as_open_and_flatten_cancels_it() -> None:
    core = in_doubt().feed(NOT_FOUND)
    assert core.risk.exposure.count() == 0
    core.report(core.orders[-1], OrderStatus.ACCEPTED)
    assert core.risk.exposure.count() == core.risk.exposure.count(BTC) == 1

    core.feed(CommandReceived(command="flatten"))

    assert [request.order_id for request in core.venue.cancelled] == ["a"]


def test_a_late_fill_counts_with_an_alert() -> None:
    core = in_doubt().feed(NOT_FOUND)
    core.fill(core.orders[-1], "100", "1")

    assert core.portfolio.account.position(BTC).quantity == 1
    assert "it is filled" in alerts(core)[0]


def test_a_fill_after_a_rejection_by_the_venue_is_an_alert_too() -> None:
    core = in_doubt()
    core.report(core.orders[-1], OrderStatus.REJECTED)
    core.fill(core.orders[-1], "100", "1")

    assert len(alerts(core)) == 1
