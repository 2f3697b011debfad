"""Stops and targets: each rule, with a venue that the test controls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, SECOND, Core, D, trade
from risk_kit import Puppet, command, do

from tickdeck.application.engines import StopOrders
from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    OrderSubmittedEvent,
    ProtectionDecidedEvent,
    ProtectionEndedEvent,
    ProtectionGuardedEvent,
    ProtectionSetEvent,
    RiskLimitBreachedEvent,
)
from tickdeck.domain.values import OrderStatus


def entered(*fills: str, limit: str | None = None, **terms: Any) -> tuple[Core, Puppet]:
    """A buy of 1 at 100 of which ``fills`` are filled."""
    options = {name: terms.pop(name) for name in ("stop_orders", "short_selling") if name in terms}
    puppet = Puppet()
    core = Core({"puppet": puppet}, **options).start().trades("100")
    do(core, puppet, lambda s: s.buy(BTC, D(1), limit=D(limit) if limit else None, **terms))
    for quantity in fills:
        core.fill(core.orders[0], "100", quantity)
    return core, puppet


def exits(core: Core) -> list[OrderSubmittedEvent]:
    return [order for order in core.orders if order.protects]


def shape(order: OrderSubmittedEvent) -> tuple[str, Decimal, Decimal | None, Decimal | None]:
    return order.side.value, order.quantity, order.stop, order.limit


def ended(core: Core) -> list[str]:
    return [e.reason for e in core.tape.events if isinstance(e, ProtectionEndedEvent)]


def decided(core: Core) -> list[tuple[str, str]]:
    return [(e.intent.action, e.reason) for e in core.tape.events if isinstance(e, ProtectionDecidedEvent)]


def cancelled(core: Core) -> list[str]:
    return [request.order_id for request in core.venue.cancelled]


# -- at the venue -------------------------------------------------------------------------------------------------


def test_a_filled_entry_is_protected_by_one_pair() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110))

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(95), D(110))]
    assert exits(core)[0].reduce_only
    assert exits(core)[0].protects == core.orders[0].order_id


def test_nothing_is_protected_before_a_fill() -> None:
    core, _ = entered(stop_loss=D(95))

    assert exits(core) == []


def test_percentages_count_from_the_average_price_of_the_fills() -> None:
    core, _ = entered("0.5", stop_loss="2%", take_profit="5%")
    core.report(exits(core)[0], OrderStatus.ACCEPTED)
    core.fill(core.orders[0], "102", "0.5")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert shape(exits(core)[0]) == ("sell", D("0.5"), D(98), D(105))
    assert shape(exits(core)[1]) == ("sell", D(1), D("98.98"), D("106.05"))


def test_the_exit_grows_with_each_fill_and_there_is_one_at_a_time() -> None:
    core, _ = entered("0.3", "0.2", stop_loss=D(95))

    assert [order.quantity for order in exits(core)] == [D("0.3")]
    assert cancelled(core) == [exits(core)[0].order_id]

    core.fill(core.orders[0], "100", "0.1")  # before the cancel is confirmed
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert [order.quantity for order in exits(core)] == [D("0.3"), D("0.6")]


def test_what_the_exit_filled_while_it_was_cancelled_is_not_sold_again() -> None:
    core, _ = entered("0.5", "0.5", stop_loss=D(95))
    core.fill(exits(core)[0], "95", "0.2")
    core.report(exits(core)[0], OrderStatus.CANCELLED, filled="0.2")

    assert core.orders[-1].quantity == D("0.8")


def test_no_exit_is_sent_while_the_venue_counts_fills_that_have_not_arrived() -> None:
    core, _ = entered("0.5", "0.5", stop_loss=D(95))
    core.report(exits(core)[0], OrderStatus.CANCELLED, filled="0.2")

    assert len(exits(core)) == 1

    core.fill(exits(core)[0], "95", "0.2")

    assert core.orders[-1].quantity == D("0.8")


def test_a_fee_in_base_is_not_sold() -> None:
    core, _ = entered(stop_loss=D(95))
    core.fill(core.orders[0], "100", "1", fee="0.001", fee_currency="BTC")

    assert exits(core)[0].quantity == D("0.999")


def test_the_protection_ends_when_everything_is_closed() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110))
    core.fill(exits(core)[0], "110")

    assert ended(core) == ["closed"]
    assert len(core.orders) == 2


def test_the_protection_ends_with_an_entry_that_is_not_filled() -> None:
    core, puppet = entered(limit="90", stop_loss=D(80))
    do(core, puppet, lambda s: s.cancel(core.orders[0].order_id))
    core.report(core.orders[0], OrderStatus.CANCELLED)

    assert ended(core) == ["unfilled"]


def test_a_fill_that_arrives_after_the_end_is_protected() -> None:
    core, _ = entered(limit="90", stop_loss=D(80))
    core.report(core.orders[0], OrderStatus.CANCELLED)
    core.fill(core.orders[0], "90", "0.4")

    assert [shape(order) for order in exits(core)] == [("sell", D("0.4"), D(80), None)]


def test_the_rest_of_the_entry_is_cancelled_when_a_price_is_reached() -> None:
    core, _ = entered("0.4", limit="100", stop_loss=D(95), take_profit=D(110))
    core.fill(exits(core)[0], "110")

    assert cancelled(core) == [core.orders[0].order_id]

    core.report(core.orders[0], OrderStatus.CANCELLED, filled="0.4")

    assert ended(core) == ["closed"]


def test_a_pair_whose_target_was_filled_in_part_is_replaced_for_the_rest() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110))
    core.fill(exits(core)[0], "110", "0.4")

    assert cancelled(core) == [exits(core)[0].order_id]

    core.report(exits(core)[0], OrderStatus.CANCELLED, filled="0.4")

    assert [shape(order) for order in exits(core)][1:] == [("sell", D("0.6"), D(95), D(110))]


def test_a_stop_that_did_not_fill_completely_is_chased_at_once_and_then_with_waits() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.fill(exits(core)[0], "95", "0.3")
    core.report(exits(core)[0], OrderStatus.EXPIRED, filled="0.3")

    assert shape(exits(core)[1]) == ("sell", D("0.7"), None, None)

    for seconds in (1, 2, 4):
        sent = len(exits(core))
        core.report(exits(core)[-1], OrderStatus.EXPIRED)
        assert len(exits(core)) == sent
        core.feed(trade("94", ts=core.now + seconds * SECOND))
        assert len(exits(core)) == sent + 1
    core.fill(exits(core)[-1], "90")
    assert ended(core) == ["closed"]


def test_a_short_position_is_protected_from_the_other_side() -> None:
    puppet = Puppet()
    core = Core({"puppet": puppet}, short_selling=True).start().trades("100")
    do(core, puppet, lambda s: s.sell(BTC, D(1), stop_loss="5%", take_profit="10%"))
    core.fill(core.orders[0], "100")

    assert [shape(order) for order in exits(core)] == [("buy", D(1), D(105), D(90))]


def test_strategies_do_not_see_exit_orders_as_theirs() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    seen: list[tuple[str, ...]] = []
    do(core, puppet, lambda s: seen.append(s.open_orders(BTC)))

    assert seen == [()]


# -- watched here -------------------------------------------------------------------------------------------------

NONE = StopOrders(stops=False, pairs=False)
ONLY_STOPS = StopOrders(stops=True, pairs=False)


@pytest.mark.parametrize(("price", "reason"), [("95", "stop"), ("94", "stop"), ("110", "target"), ("111", "target")])
def test_without_stop_orders_the_position_is_closed_at_market_when_a_price_is_reached(price: str, reason: str) -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=NONE)
    core.trades("96", "109")

    assert exits(core) == []
    assert len(core.of("protection.guarded")) == 1
    assert len(core.of("notification.alert")) == 1

    core.trades(price)

    assert [shape(order) for order in exits(core)] == [("sell", D(1), None, None)]
    assert decided(core) == [("order", reason)]


def test_without_pairs_the_stop_rests_and_the_target_cancels_it_first() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=ONLY_STOPS)

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(95), None)]

    core.trades("110")

    assert cancelled(core) == [exits(core)[0].order_id]
    assert len(exits(core)) == 1

    core.trades("108")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert shape(exits(core)[1]) == ("sell", D(1), None, None)
    assert decided(core) == [("order", "protect"), ("cancel", "target"), ("order", "target")]


def test_a_refused_exit_order_is_told_and_watched() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.report(exits(core)[0], OrderStatus.REJECTED, "too many stops")

    (guarded,) = [e for e in core.tape.events if isinstance(e, ProtectionGuardedEvent)]
    assert guarded.reason == "its order was refused or cancelled"

    core.trades("94")

    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_a_stop_that_the_price_passed_on_the_way_is_closed_at_market() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.trades("94")
    core.report(exits(core)[0], OrderStatus.REJECTED, "would trigger at once")

    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_candles_close_at_the_stop_if_they_reach_both_prices() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=NONE)
    opened = core.now + SECOND
    core.feed(
        CandleEvent(
            symbol=BTC,
            interval=60 * SECOND,
            open_ts=opened,
            close_ts=opened + 60 * SECOND,
            open=D(100),
            high=D(111),
            low=D(94),
            close=D(105),
            volume=D(5),
            ts_ingress=opened + 60 * SECOND,
        )
    )

    assert decided(core) == [("order", "stop")]


# -- trailing -----------------------------------------------------------------------------------------------------


def test_a_trailing_stop_is_moved_by_at_least_a_tenth_of_its_distance() -> None:
    core, _ = entered("1", trailing=D(10))
    assert shape(exits(core)[0]) == ("sell", D(1), D(90), None)

    core.trades("100.9")
    assert cancelled(core) == []

    core.trades("101", "103")
    assert cancelled(core) == [exits(core)[0].order_id]

    core.report(exits(core)[0], OrderStatus.CANCELLED)
    assert shape(exits(core)[1]) == ("sell", D(1), D(93), None)

    core.trades("95")
    assert len(exits(core)) == 2


def test_a_trailing_percentage_is_one_of_the_best_price() -> None:
    core, _ = entered("1", trailing="10%")
    core.trades("200")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D(180)


def test_the_stop_that_is_reached_first_counts() -> None:
    core, _ = entered("1", stop_loss=D(95), trailing=D(10))
    assert exits(core)[0].stop == D(95)

    core.trades("120")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D(110)


def test_a_trailing_stop_that_is_watched_follows_every_price() -> None:
    core, _ = entered("1", trailing=D(10), stop_orders=NONE)
    core.trades("105", "95.01")
    assert exits(core) == []

    core.trades("95")
    assert decided(core) == [("order", "trailing")]


# -- what else closes a position ----------------------------------------------------------------------------------


def test_an_order_of_the_strategy_waits_until_the_exit_has_ended() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1), reason="enough"))

    assert len(core.orders) == 2
    assert cancelled(core) == [exits(core)[0].order_id]

    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert shape(core.orders[2]) == ("sell", D(1), None, None)
    assert not core.orders[2].protects

    core.fill(core.orders[2], "99")

    assert ended(core) == ["closed"]
    assert len(core.orders) == 3


def test_a_part_that_the_strategy_sells_leaves_the_rest_protected() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D("0.4")))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert [shape(order) for order in core.orders[2:]] == [
        ("sell", D("0.4"), None, None),
        ("sell", D("0.6"), D(95), None),
    ]

    core.fill(core.orders[2], "99")

    assert len(core.orders) == 4


@pytest.mark.parametrize(("filled", "left"), [("0.3", ["0.7"]), ("1", [])])
def test_an_order_that_waits_loses_what_the_exit_closed_meanwhile(filled: str, left: list[str]) -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1)))
    core.fill(exits(core)[0], "95", filled)
    if left:
        core.report(exits(core)[0], OrderStatus.CANCELLED, filled=filled)

    assert [order.quantity for order in core.orders[2:]] == [D(quantity) for quantity in left]
    refused = [e.detail for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]
    assert refused == ([] if left else ["its position was closed meanwhile, or an operator closes it"])


def test_a_resting_order_of_the_strategy_is_cancelled_before_the_position_is_closed() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1), limit=D(120)))
    core.report(exits(core)[0], OrderStatus.CANCELLED)
    own = core.orders[2]
    assert len(exits(core)) == 1

    core.trades("95")
    assert cancelled(core)[-1] == own.order_id
    assert len(exits(core)) == 1

    core.report(own, OrderStatus.CANCELLED)
    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_flatten_closes_a_protected_position_once() -> None:
    core, _ = entered("1", stop_loss=D(95))
    command(core, "flatten")
    assert cancelled(core) == [exits(core)[0].order_id]

    core.report(exits(core)[0], OrderStatus.CANCELLED)
    assert [shape(order) for order in core.orders[2:]] == [("sell", D(1), None, None)]

    core.fill(core.orders[2], "99")
    assert ended(core) == ["closed"]
    assert len(core.orders) == 3


def test_flatten_says_what_an_exit_in_doubt_keeps() -> None:
    core, _ = entered("1", stop_loss=D(95))
    stop = exits(core)[0]
    core.report(stop, OrderStatus.UNKNOWN)
    core.feed(CommandReceived(command="flatten"))

    assert [warning.to_dict()["message"] for warning in core.of("system.warning")] == [
        f"flatten: 1 {BTC} stay until order {stop.order_id}, which is in doubt, has ended"
    ]
    assert len(core.orders) == 2

    core.report(stop, OrderStatus.CANCELLED)
    assert core.orders[-1].quantity == D(1)


def test_a_halt_by_an_operator_stops_no_exit() -> None:
    core, _ = entered("0.5", stop_loss=D(95))
    command(core, "halt")
    core.fill(core.orders[0], "100", "0.5")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].quantity == D(1)


def test_an_exit_that_a_person_cancels_is_not_placed_again_but_watched() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.feed(CommandReceived(command="cancel", arguments={"order_id": exits(core)[0].order_id}))
    core.report(exits(core)[0], OrderStatus.CANCELLED)
    assert len(exits(core)) == 1

    core.trades("94")
    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_coins_of_others_are_never_sold() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.buy(BTC, D(1)))
    core.fill(core.orders[2], "100")
    do(core, puppet, lambda s: s.sell(BTC, D("1.5")))
    core.report(exits(core)[0], OrderStatus.CANCELLED)
    core.fill(core.orders[3], "100")

    assert core.risk.exposure.position(BTC) == D("0.5")
    assert ended(core) == ["closed"]  # what a strategy sells comes from its protected positions first


# -- protect ------------------------------------------------------------------------------------------------------


def test_protect_moves_a_stop_and_keeps_what_is_left_out() -> None:
    core, puppet = entered("1", stop_loss=D(95), take_profit=D(110))
    do(core, puppet, lambda s: s.protect(BTC, stop_loss=D(99)))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert shape(exits(core)[1]) == ("sell", D(1), D(99), D(110))


@pytest.mark.parametrize(
    ("side", "limit", "terms", "why"),
    [
        ("buy", None, {"stop_loss": D(100)}, "stop_loss is 100; it must be below the last price, 100"),
        ("buy", None, {"take_profit": D(99)}, "take_profit is 99; it must be above the last price, 100"),
        ("sell", None, {"stop_loss": D(99)}, "stop_loss is 99; it must be above the last price, 100"),
        ("sell", None, {"take_profit": D(101)}, "take_profit is 101; it must be below the last price, 100"),
        ("buy", "104", {"stop_loss": D(102)}, "stop_loss is 102; it must be below the last price, 100"),
        ("buy", "98", {"stop_loss": D(97), "take_profit": D(99)}, None),  # a target below the market, but not the entry
        ("buy", None, {"stop_loss": D(99), "take_profit": D(101), "trailing": "1%"}, None),
    ],
)
def test_an_entry_whose_stop_or_target_is_passed_is_refused(
    side: str, limit: str | None, terms: dict[str, Any], why: str | None
) -> None:
    puppet = Puppet()
    core = Core({"puppet": puppet}, short_selling=True).start().trades("100")
    do(core, puppet, lambda s: getattr(s, side)(BTC, D(1), limit=D(limit) if limit else None, **terms))

    refused = [e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]
    assert [(e.limit, e.detail) for e in refused] == ([("protection", why)] if why else [])
    assert len(core.orders) == (0 if why else 1)


def test_submit_refuses_a_stop_that_is_passed() -> None:
    core = Core({"puppet": Puppet()}).start().trades("100")
    arguments = {"side": "buy", "symbol": BTC, "quantity": "1", "stop_loss": "120"}
    core.feed(CommandReceived(command="submit", arguments=arguments))

    assert core.orders == []
    assert core.of("risk.limit_breached")[0].payload["limit"] == "protection"


def test_a_sale_that_only_reduces_needs_no_stop_for_a_short() -> None:
    core, puppet = entered("1")
    do(core, puppet, lambda s: s.sell(BTC, D(1), stop_loss=D(99)))

    assert core.orders[-1].reduce_only


def test_an_entry_is_not_amended_beyond_its_stop() -> None:
    core, puppet = entered(limit="98", stop_loss=D(95))
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    do(core, puppet, lambda s: s.amend(core.orders[0].order_id, limit=D(94)))

    (refused,) = [e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]
    assert refused.detail == "stop_loss is 95; it must be below the limit of the order, 94"


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        ({"stop_loss": D(101)}, "its stop would be 101, which the last price, 100, has passed"),
        ({"take_profit": D(100)}, "its target would be 100, which the last price, 100, has passed"),
        ({"trailing": D(2)}, "its trailing stop would be 103, which the last price, 100, has passed"),
    ],
)
@pytest.mark.parametrize("is_by_operator", [False, True])
def test_protect_refuses_what_is_passed_and_changes_nothing(
    terms: dict[str, Any], why: str, is_by_operator: bool
) -> None:
    core, puppet = entered("1", stop_loss=D(95), trailing=D(50))
    core.trades("105", "100")
    if is_by_operator:
        arguments = {"symbol": BTC} | {name: str(value) for name, value in terms.items()}
        core.feed(CommandReceived(command="protect", arguments=arguments))
        assert core.of("system.warning")[0].to_dict()["message"] == f"protect: {why}"
    else:
        do(core, puppet, lambda s: s.protect(BTC, **terms))
        assert [e.detail for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)] == [why]

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(95), None)]
    assert cancelled(core) == []


def test_protect_refuses_a_passed_stop_for_a_position_that_has_none() -> None:
    core, puppet = entered("1")
    do(core, puppet, lambda s: s.protect(BTC, stop_loss=D(101)))

    assert exits(core) == []
    assert core.of("risk.limit_breached")[0].payload["detail"].endswith("it must be below the last price, 100")


def test_protect_sets_a_stop_on_a_position_that_has_none() -> None:
    core, puppet = entered("1")
    do(core, puppet, lambda s: s.protect(BTC, stop_loss="10%"))

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(90), None)]


def test_unprotect_cancels_the_exit_and_keeps_the_position() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.unprotect(core.orders[0].order_id))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert ended(core) == ["removed"]
    assert len(core.orders) == 2
    assert core.risk.exposure.position(BTC) == 1


def test_unprotect_says_that_a_position_has_no_stop() -> None:
    core, puppet = entered("1")
    order_id = core.orders[0].order_id
    for arguments in ({"symbol": BTC}, {"order_id": order_id}, {"symbol": "ETHUSDT"}):
        core.feed(CommandReceived(command="unprotect", arguments=arguments))
    do(core, puppet, lambda s: s.unprotect(BTC))

    assert [warning.to_dict()["message"] for warning in core.of("system.warning")] == [
        f"unprotect: the position of {BTC} has no stop and no target",
        f"unprotect: the position of order {order_id} has no stop and no target",
        "unprotect: there is no position of ETHUSDT to protect",
    ]
    assert core.of("risk.limit_breached")[0].payload["detail"].endswith("has no stop and no target of this strategy")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"symbol": BTC}, "protect: nothing to set; give stop_loss, take_profit, trailing or several of them"),
        ({"symbol": BTC, "stop_loss": "low"}, "protect: stop_loss is 'low'; give a number above 0, or a percentage"),
        ({"symbol": BTC, "stop_loss": "-1%"}, "protect: stop_loss is '-1%'; give a number above 0, or a"),
        ({"symbol": BTC, "stop_loss": "120"}, "protect: stop_loss is 120 and take_profit 110; the stop must be below"),
        ({"symbol": "ETHUSDT", "stop_loss": "1"}, "protect: there is no position of ETHUSDT to protect"),
        ({"order_id": "x", "stop_loss": "1"}, "protect: there is no position of order x to protect"),
    ],
)
def test_a_command_that_cannot_protect_says_why(arguments: dict[str, str], message: str) -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110))
    core.feed(CommandReceived(command="protect", arguments=arguments))

    (warning,) = core.of("system.warning")
    assert warning.to_dict()["message"].startswith(message)
    assert len([e for e in core.tape.events if isinstance(e, ProtectionSetEvent)]) == 1


def test_an_operator_moves_a_stop() -> None:
    core, _ = entered("1", stop_loss=D(95))
    core.feed(CommandReceived(command="protect", arguments={"symbol": BTC, "stop_loss": "97", "trailing": "1%"}))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert exits(core)[1].stop == D(99)
