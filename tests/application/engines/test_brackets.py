"""Bracket orders: each step, each time-out and each refusal, with the exact quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest
from application_kit import BTC, SECOND, Core, D
from copy_kit import Rig
from risk_kit import breaches

from tickdeck.application.engines import OPERATOR, StopOrders
from tickdeck.domain.events import (
    BracketChangedEvent,
    BracketOpenedEvent,
    CommandReceived,
    NotificationAlert,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    StrategyDecisionEvent,
    SystemWarning,
    VenueOrderNotFound,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side

S = OrderStatus


def bracket(entry: str = "100", quantity: str = "2", *, venue: StopOrders | None = None, **more: str) -> Core:
    """A run with a bracket: a stop at 90 and a target at 120, unless ``more`` says otherwise."""
    core = Core(stop_orders=venue or StopOrders()).start().trades("100")
    terms = {} if {"stop_loss", "take_profit", "trailing"} & more.keys() else {"stop_loss": "90", "take_profit": "120"}
    arguments = {"side": "buy", "symbol": BTC, "quantity": quantity, "entry": entry, **terms, **more}
    return core.feed(CommandReceived(command="bracket", arguments=arguments, reason="the dip"))


def steps(core: Core) -> list[str]:
    return [event.status for event in core.tape.events if isinstance(event, BracketChangedEvent)]


def last(core: Core) -> BracketChangedEvent:
    return next(event for event in reversed(core.tape.events) if isinstance(event, BracketChangedEvent))


def shape(order: OrderSubmittedEvent) -> tuple[str, Decimal, Decimal | None, Decimal | None]:
    return order.side.value, order.quantity, order.stop, order.limit


def alerts(core: Core) -> list[str]:
    return [e.text for e in core.tape.events if isinstance(e, NotificationAlert) and e.severity == "critical"]


def cancels(core: Core) -> list[str]:
    return [e.order_id for e in core.tape.events if isinstance(e, OrderCancelRequestedEvent)]


def pass_time(core: Core, seconds: int, price: str = "100") -> Core:
    return core.trades(price, step=seconds * SECOND)


def test_a_bracket_is_entered_protected_and_done() -> None:
    core = bracket()
    (entry,) = core.orders
    assert (entry.side, entry.quantity, entry.limit, entry.strategy_id) == (Side.BUY, 2, 100, OPERATOR)
    core.report(entry, S.ACCEPTED)
    core.fill(entry, "100")
    pair = core.orders[1]
    assert shape(pair) == ("sell", 2, 90, 120)
    core.report(pair, S.ACCEPTED)
    core.fill(pair, "120")

    assert steps(core) == ["entering", "protecting", "protected", "done"]
    assert (last(core).reason, last(core).filled, last(core).held) == ("target", 2, 0)
    assert len(core.orders) == 2


def test_its_events_follow_from_its_command() -> None:
    core = bracket()

    command, decision, opened, *rest = core.tape.cascades[-1]
    assert isinstance(decision, StrategyDecisionEvent)
    assert isinstance(opened, BracketOpenedEvent)
    assert {decision.causation_id, opened.causation_id} == {command.event_id}
    assert opened.bracket_id == decision.intents[0].order_id == core.orders[0].order_id
    assert {event.correlation_id for event in rest} == {command.correlation_id}


@pytest.mark.parametrize(("price", "reason"), [("90", "stop"), ("120", "target")])
def test_the_reason_of_the_end_is_the_price_that_was_reached(price: str, reason: str) -> None:
    core = bracket("market")
    core.fill(core.orders[0], "100")
    core.report(core.orders[1], S.ACCEPTED)
    core.fill(core.orders[1], price)

    assert (last(core).status, last(core).reason) == ("done", reason)


def test_after_the_time_out_what_was_filled_stays_protected_and_nothing_more_is_entered() -> None:
    core = bracket(expires="30m")
    (entry,) = core.orders
    core.report(entry, S.ACCEPTED)
    core.fill(entry, "100", "0.5")
    first = core.orders[1]
    assert shape(first) == ("sell", D("0.5"), 90, 120)
    core.report(first, S.ACCEPTED)
    pass_time(core, 1_799)
    assert cancels(core) == []
    pass_time(core, 1)
    assert cancels(core) == [entry.order_id]
    assert last(core).status == "cancelling"

    core.fill(entry, "100", "0.3")  # while the cancel is under way
    assert cancels(core) == [entry.order_id, first.order_id]
    core.report(first, S.CANCELLED)
    second = core.orders[2]
    assert shape(second) == ("sell", D("0.8"), 90, 120)
    core.report(entry, S.CANCELLED, filled="0.8")
    core.report(second, S.ACCEPTED)

    assert (last(core).status, last(core).filled, last(core).held) == ("protected", D("0.8"), D("0.8"))
    assert len(core.orders) == 3


def test_an_entry_that_expires_unfilled_fails() -> None:
    core = bracket(expires="10s")
    core.report(core.orders[0], S.ACCEPTED)
    pass_time(core, 10)
    core.report(core.orders[0], S.CANCELLED)

    assert steps(core) == ["entering", "cancelling", "failed"]
    assert last(core).reason == "its time of 10.0 s was over, and nothing was filled"


def test_a_fill_that_races_with_the_cancel_is_protected() -> None:
    core = bracket(expires="10s")
    entry = core.orders[0]
    core.report(entry, S.ACCEPTED)
    pass_time(core, 10)
    core.report(entry, S.CANCELLED, filled="0.7")  # the fill has not arrived yet
    assert last(core).status == "cancelling"
    core.fill(entry, "100", "0.7")

    assert shape(core.orders[1]) == ("sell", D("0.7"), 90, 120)
    assert (last(core).status, last(core).held) == ("protecting", D("0.7"))


def test_the_timer_ends_with_the_entry() -> None:
    core = bracket(expires="10s")
    core.fill(core.orders[0], "100")
    pass_time(core, 20)

    assert cancels(core) == []
    assert core.brackets.brackets[core.orders[0].order_id].timer_id == 0


@pytest.mark.parametrize(
    ("status", "reason"), [(S.REJECTED, "no money"), (S.EXPIRED, "no liquidity"), (S.CANCELLED, "by a person")]
)
def test_an_entry_that_ends_unfilled_fails_with_its_reason(status: OrderStatus, reason: str) -> None:
    core = bracket(expires="1h")
    core.report(core.orders[0], status, reason)

    assert (last(core).status, last(core).reason) == ("failed", reason)


def test_an_entry_that_risk_refuses_fails_with_the_limit() -> None:
    core = Core(limits=RiskLimits(max_order_notional=D(100))).start().trades("100")
    arguments = {"side": "buy", "symbol": BTC, "quantity": "2", "entry": "market", "stop_loss": "90"}
    core.feed(CommandReceived(command="bracket", arguments=arguments))

    assert steps(core) == ["entering", "failed"]
    assert last(core).reason.startswith(f"risk refused its entry: {breaches(core)[0]}: ")
    assert core.orders == []


def test_an_entry_in_doubt_waits_for_evidence() -> None:
    core = bracket(expires="10s")
    entry = core.orders[0]
    core.report(entry, S.UNKNOWN, "no answer")
    assert last(core).status == "in_doubt"
    pass_time(core, 10)  # the time-out asks for a cancel, and concludes nothing
    assert cancels(core) == [entry.order_id]
    assert last(core).status == "in_doubt"
    pass_time(core, 3_600)
    assert len(core.orders) == 1
    core.fill(entry, "100", "0.4")
    core.report(entry, S.CANCELLED, filled="0.4")

    assert shape(core.orders[1]) == ("sell", D("0.4"), 90, 120)
    assert (last(core).status, last(core).held) == ("protecting", D("0.4"))


def test_an_entry_that_never_arrived_fails() -> None:
    core = bracket()
    entry = core.orders[0]
    core.report(entry, S.UNKNOWN, "no answer")
    core.feed(VenueOrderNotFound(order_id=entry.order_id, symbol=BTC, sources=("order",), waited=75 * SECOND))

    assert steps(core) == ["entering", "in_doubt", "failed"]


def test_a_refused_stop_is_alerted_at_once_and_placed_again() -> None:
    core = bracket()
    entry = core.orders[0]
    core.fill(entry, "100", "0.5")  # the rest of the entry is open
    core.report(core.orders[1], S.REJECTED, "not now")

    assert last(core).status == "guarded"
    (text,) = alerts(core)
    assert f"protects 0.5 {BTC}" in text
    assert "not now" in text
    pass_time(core, 1)
    again = core.orders[2]
    assert shape(again) == ("sell", D("0.5"), 90, 120)
    core.report(again, S.ACCEPTED)
    assert last(core).status == "protected"
    assert last(core).refusals == 0


def test_after_three_refusals_no_more_is_entered_and_exactly_what_is_held_is_closed() -> None:
    core = bracket()
    entry = core.orders[0]
    core.report(entry, S.ACCEPTED)
    core.fill(entry, "100", "0.5")
    core.report(core.orders[1], S.REJECTED, "not now")
    core.fill(entry, "100", "0.2")  # protected again at once, for all of it
    assert shape(core.orders[2]) == ("sell", D("0.7"), 90, 120)
    core.report(core.orders[2], S.REJECTED, "not now")
    pass_time(core, 2)
    assert shape(core.orders[3]) == ("sell", D("0.7"), 90, 120)
    core.report(core.orders[3], S.REJECTED, "not now")

    assert cancels(core) == [entry.order_id]
    assert shape(core.orders[4]) == ("sell", D("0.7"), None, None)
    assert last(core).status == "closing"
    assert len(alerts(core)) == 3
    assert "closed at market" in alerts(core)[-1]

    core.fill(entry, "100", "0.1")  # on its way when the entry was cancelled
    core.report(entry, S.CANCELLED, filled="0.8")
    core.fill(core.orders[4], "99", "0.7")
    assert shape(core.orders[5]) == ("sell", D("0.1"), None, None)
    core.fill(core.orders[5], "99")

    assert (last(core).status, last(core).reason) == ("done", "closed at market")
    assert (last(core).filled, last(core).held) == (D("0.8"), 0)
    assert core.portfolio.quantity(BTC) == 0
    assert len(core.orders) == 6


def test_the_close_is_repeated_for_the_rest_until_nothing_is_held() -> None:
    core = bracket()
    core.fill(core.orders[0], "100")
    for seconds in (1, 2, 0):
        core.report(core.orders[-1], S.REJECTED, "not now")
        if seconds:
            pass_time(core, seconds)
    assert shape(core.orders[-1]) == ("sell", 2, None, None)
    core.report(core.orders[-1], S.REJECTED, "still not")
    assert "refused to close 2" in alerts(core)[-1]
    core.fill(core.orders[-1], "99", "0.5")
    core.report(core.orders[-1], S.EXPIRED, filled="0.5")
    pass_time(core, 2)
    assert shape(core.orders[-1]) == ("sell", D("1.5"), None, None)
    core.fill(core.orders[-1], "99")

    assert (last(core).status, core.portfolio.quantity(BTC)) == ("done", 0)


def test_the_price_is_watched_while_the_venue_refuses() -> None:
    core = bracket()
    core.fill(core.orders[0], "100")
    core.report(core.orders[1], S.REJECTED, "not now")
    core.trades("89", step=SECOND // 2)

    assert shape(core.orders[2]) == ("sell", 2, None, None)
    core.fill(core.orders[2], "89")
    assert (last(core).status, last(core).reason) == ("done", "stop")
    pass_time(core, 5)
    assert len(core.orders) == 3


def test_a_stop_in_doubt_is_waited_for_and_never_replaced() -> None:
    core = bracket()
    core.fill(core.orders[0], "100")
    core.report(core.orders[1], S.UNKNOWN, "no answer")
    pass_time(core, 40, "85")

    assert (last(core).status, len(core.orders)) == ("in_doubt", 2)
    assert "is in doubt" in alerts(core)[0]
    never = VenueOrderNotFound(order_id=core.orders[1].order_id, symbol=BTC, sources=("order",), waited=75 * SECOND)
    core.feed(never)
    assert shape(core.orders[2]) == ("sell", 2, None, None), "the price is beyond the stop"
    core.fill(core.orders[2], "85")
    assert last(core).status == "done"


def test_a_stop_that_never_arrived_may_still_appear_so_the_run_watches_the_price() -> None:
    core = bracket()
    core.fill(core.orders[0], "100")
    core.report(core.orders[1], S.UNKNOWN, "no answer")
    core.feed(VenueOrderNotFound(order_id=core.orders[1].order_id, symbol=BTC, sources=("order",), waited=75 * SECOND))
    pass_time(core, 60)

    assert (last(core).status, len(core.orders)) == ("guarded", 2)
    warned = [e.text for e in core.tape.events if isinstance(e, NotificationAlert) and e.severity == "warning"]
    assert f"no order at the venue protects 2 {BTC}" in warned[0]


def test_without_stop_orders_the_run_watches_and_closes() -> None:
    core = bracket(venue=StopOrders(stops=False, pairs=False), stop_loss="90")
    core.fill(core.orders[0], "100")
    assert last(core).status == "guarded"
    core.trades("90")
    assert last(core).status == "closing"
    core.fill(core.orders[1], "90")

    assert (last(core).status, last(core).reason) == ("done", "stop")


def test_a_late_fill_brings_a_bracket_back() -> None:
    core = bracket()
    entry = core.orders[0]
    core.report(entry, S.CANCELLED)
    assert last(core).status == "failed"
    core.fill(entry, "100", "0.3")

    assert shape(core.orders[1]) == ("sell", D("0.3"), 90, 120)
    assert last(core).status == "protecting"


def test_a_person_cancels_the_entry_moves_the_stop_and_lets_go() -> None:
    core = bracket()
    entry = core.orders[0]
    core.report(entry, S.ACCEPTED)
    core.fill(entry, "100", "0.5")
    core.report(core.orders[1], S.ACCEPTED)
    core.feed(CommandReceived(command="cancel", arguments={"order_id": entry.order_id}))
    assert last(core).status == "cancelling"
    core.report(entry, S.CANCELLED, filled="0.5")
    assert last(core).status == "protected"
    core.feed(CommandReceived(command="protect", arguments={"order_id": entry.order_id, "stop_loss": "95"}))
    core.report(core.orders[1], S.CANCELLED)
    assert shape(core.orders[2]) == ("sell", D("0.5"), 95, 120)
    core.feed(CommandReceived(command="unprotect", arguments={"order_id": entry.order_id}))
    core.report(core.orders[2], S.CANCELLED)

    assert (last(core).status, last(core).reason) == ("done", "its stop and target were removed")
    assert last(core).held == 0
    core.feed(CommandReceived(command="protect", arguments={"order_id": entry.order_id, "stop_loss": "95"}))
    warned = [e.message for e in core.tape.events if isinstance(e, SystemWarning)][-1]
    assert warned.endswith(f"no longer has a position of its own; protect that in {BTC}")
    assert core.portfolio.quantity(BTC) == D("0.5")


def test_flatten_ends_a_bracket() -> None:
    core = bracket("market")
    core.fill(core.orders[0], "100")
    core.report(core.orders[1], S.ACCEPTED)
    core.feed(CommandReceived(command="flatten"))
    core.report(core.orders[1], S.CANCELLED)
    core.fill(core.orders[2], "100")

    assert (last(core).status, last(core).reason) == ("done", "closed by another order")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"entry": ""}, "there is no entry; give a price, or market"),
        ({"entry": "soon"}, "limit is 'soon'; give a plain decimal number above 0, such as 0.01"),
        ({"side": "long"}, "side is 'long'; give one of buy, sell"),
        ({"symbol": "X"}, f"'X' is not a symbol of this run; it has {BTC}"),
        ({"expires": "soon"}, "expires: "),
        ({"stop_loss": "120"}, "stop_loss is 120 and take_profit 120; the stop must be below the target"),
        ({"stop_loss": "101"}, "stop_loss is 101; it must be below the limit of the order, 100"),
        ({"stop_loss": "", "take_profit": ""}, "there is neither a stop nor a target; give stop_loss"),
        ({"limit": "3"}, "there is no argument 'limit'; give side"),
    ],
)
def test_a_command_with_wrong_arguments_says_what_is_wrong_and_changes_nothing(
    wrong: dict[str, str], message: str
) -> None:
    core = bracket(**({"stop_loss": "90", "take_profit": "120"} | wrong))

    (warning,) = [e.message for e in core.tape.events if isinstance(e, SystemWarning)]
    assert warning.startswith(f"bracket: {message}")
    assert core.orders == []
    assert core.brackets.brackets == {}


def test_in_a_run_with_several_accounts_a_bracket_belongs_to_the_one_that_is_named() -> None:
    rig = Rig({"follower": "bob"}, {"follower": "carol"})
    arguments = {"side": "buy", "symbol": BTC, "quantity": "1", "entry": "100", "stop_loss": "90"}
    for account in ("", "nobody", "carol"):
        more = {"account": account} if account else {}
        rig.feed(CommandReceived(command="bracket", arguments=arguments | more))

    warned = [e.message for e in rig.tape.events if isinstance(e, SystemWarning)]
    assert warned == [
        "bracket: the run has several accounts; give --account NAME, one of idle, bob, carol",
        "bracket: this run has no account 'nobody'; it has: idle, bob, carol",
    ]
    (entry,) = rig.open_orders()
    assert entry.account_id == "carol"
    rig.fill(entry)
    (stop,) = rig.open_orders()
    assert (stop.account_id, shape(stop)) == ("carol", ("sell", 1, 90, None))
    (bracket,) = rig.core.brackets.brackets.values()
    assert (bracket.opened.account_id, bracket.held) == ("carol", 1)
