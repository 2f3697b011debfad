"""The operator's orders: the commands ``submit`` and ``amend``."""

from __future__ import annotations

from decimal import Decimal

import pytest
from application_kit import BTC, SECOND, Core, D, trade
from hypothesis import given
from hypothesis import strategies as st
from risk_kit import Puppet, buy, core_of, do

from tickdeck.application.engines import OPERATOR
from tickdeck.application.ports import Amendment
from tickdeck.application.results import TradeJournal, trade_statistics
from tickdeck.domain.events import (
    CommandReceived,
    NotificationAlert,
    OrderAmendRequestedEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    SystemWarning,
    VenueCancelRefused,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side, TimeInForce
from tickdeck.errors import ConfigError

FREE = RiskLimits()


def command(core: Core, name: str, reason: str = "", **arguments: str) -> Core:
    return core.feed(CommandReceived(command=name, arguments=arguments, reason=reason))


def submit(core: Core, side: str = "buy", quantity: str = "2", reason: str = "", **more: str) -> Core:
    return command(core, "submit", reason, side=side, symbol=BTC, quantity=quantity, **more)


def warnings(core: Core) -> list[str]:
    return [e.message for e in core.tape.events if isinstance(e, SystemWarning)]


def refusals(core: Core) -> list[str]:
    return [e.limit for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]


def test_an_order_of_the_operator_is_sent_within_the_cascade_of_its_command() -> None:
    core, _ = core_of(FREE)
    submit(core, quantity="2.0005", reason="the dip", limit="99.994", time_in_force="ioc")

    (order,) = core.orders
    assert (order.strategy_id, order.side, order.quantity) == (OPERATOR, Side.BUY, D("2.000"))
    assert (order.limit, order.time_in_force) == (D("99.99"), TimeInForce.IOC)
    command_event, decision, approved, submitted = core.tape.cascades[-1]
    assert isinstance(decision, StrategyDecisionEvent)
    assert (decision.reason, decision.strategy_id) == ("the dip", OPERATOR)
    assert (decision.causation_id, approved.causation_id) == (command_event.event_id, decision.event_id)
    assert submitted.event_id == order.event_id


def test_a_market_order_needs_no_limit_and_trades_count_for_the_operator() -> None:
    core, _ = core_of(FREE)
    journal = TradeJournal(instrument_for)
    submit(core, reason="in")
    core.fill(core.orders[-1], "100")
    submit(core, "sell", reason="out", reduce_only="true")
    core.fill(core.orders[-1], "110", fee="1")
    for event in core.tape.events:
        journal.apply(event)

    (trip,) = journal.closed
    assert (trip.strategy_id, trip.entry_reason, trip.exit_reason, trip.pnl) == (OPERATOR, "in", "out", D(19))
    assert [line.key for line in trade_statistics(journal.closed, "strategy")] == [OPERATOR]


def test_the_orders_of_the_operator_pass_the_limits_and_halts() -> None:
    core, _ = core_of(RiskLimits(max_order_notional=D(150), max_open_orders=1))
    submit(core, quantity="2")
    submit(core, quantity="1", limit="100")
    submit(core, quantity="1", limit="100")
    command(core, "halt")
    submit(core, quantity="1")

    assert refusals(core) == ["max_order_notional", "max_open_orders", "trading_halted"]
    assert len(core.orders) == 1


def test_an_order_that_may_only_reduce_is_refused_without_a_position() -> None:
    core, _ = core_of(FREE)
    submit(core, "sell", reduce_only="true")

    assert refusals(core) == ["reduce_only"]


def test_two_orders_have_different_ids() -> None:
    core, _ = core_of(FREE)
    submit(core)
    submit(core)

    assert len({order.order_id for order in core.orders}) == 2


@pytest.mark.parametrize("whose", ["operator", "strategy"])
def test_the_operator_amends_an_order_of_anyone(whose: str) -> None:
    core, puppet = core_of(FREE)
    if whose == "operator":
        submit(core, quantity="2", limit="90")
    else:
        do(core, puppet, buy("2", "90"))
    (order,) = core.orders
    command(core, "amend", "closer", order_id=order.order_id, limit="95")
    command(core, "amend", order_id=order.order_id, quantity="1.5")

    requests = [e for e in core.tape.events if isinstance(e, OrderAmendRequestedEvent)]
    assert [(r.quantity, r.limit) for r in requests] == [(D(2), D(95)), (D("1.5"), D(90))]
    assert {r.order_id for r in requests} == {order.order_id}


def test_a_strategy_still_amends_only_its_own_orders() -> None:
    core, puppet = core_of(FREE)
    submit(core, quantity="2", limit="90")
    order_id = core.orders[0].order_id
    do(core, puppet, lambda s: s.amend(order_id, limit=D(95)))

    assert refusals(core) == ["order"]


def test_a_wrong_amend_changes_nothing() -> None:
    core, _ = core_of(FREE)
    submit(core)
    for given_ in ({"order_id": "none", "limit": "1"}, {"order_id": core.orders[0].order_id, "limit": "1"}):
        command(core, "amend", **given_)
    command(core, "amend", limit="1")
    command(core, "amend", order_id="x")

    assert refusals(core) == ["order", "order"]  # not known, and a market order
    assert warnings(core) == [
        "amend: there is no order_id",
        "amend: nothing to change; give a quantity, a limit or both",
    ]


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-1", "0", "0.000", "1e400", "1e-3", "", " 1", "1_000", "0x1", "\uff11", "9" * 41, "1\n"],
)
def test_only_plain_decimals_above_0_are_numbers(number: str) -> None:
    core, _ = core_of(FREE)
    submit(core, quantity=number)

    (said,) = warnings(core)
    assert "give a plain decimal number above 0" in said
    assert "\n" not in said
    assert not core.orders


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"side": "long"}, "side is 'long'; give one of buy, sell"),
        ({"symbol": "DOGE"}, "'DOGE' is not a symbol of this run; it has BTCUSDT"),
        ({"time_in_force": "day"}, "time_in_force is 'day'; give one of gtc, ioc, fok, post_only"),
        ({"reduce_only": "maybe"}, "reduce_only is 'maybe'; give true or false"),
        ({"limit": "-5"}, "limit is '-5'; give a plain decimal number above 0, such as 0.01"),
        ({"leverage": "5"}, "there is no argument 'leverage'; give side, symbol"),
    ],
)
def test_a_wrong_argument_is_named(wrong: dict[str, str], why: str) -> None:
    core, _ = core_of(FREE)
    command(core, "submit", **({"side": "buy", "symbol": BTC, "quantity": "1"} | wrong))

    (said,) = warnings(core)
    assert said.startswith(f"submit: {why}")
    assert not core.orders


@given(
    st.dictionaries(
        st.sampled_from(("side", "symbol", "quantity", "limit", "time_in_force", "reduce_only", "order_id", "x")),
        st.sampled_from(("buy", "sell", BTC, "1", "0.0004", "9" * 40, "gtc", "true")) | st.text(max_size=5),
    ),
    st.sampled_from(("submit", "amend")),
)
def test_no_arguments_stop_the_run(arguments: dict[str, str], name: str) -> None:
    core, _ = core_of(FREE)
    command(core, name, **arguments)
    submit(core, quantity="1")

    assert not core.kernel.halted
    assert not core.kernel.statistics().failures
    assert core.orders[-1].quantity == Decimal(1)


def test_what_an_order_of_the_operator_fills_is_closed_at_its_stop() -> None:
    core, _ = core_of(FREE)
    submit(core, stop_loss="95", take_profit="5%")
    core.fill(core.orders[0], "100")
    exit_order = core.orders[1]

    assert (exit_order.strategy_id, exit_order.side, exit_order.quantity) == (OPERATOR, Side.SELL, D(2))
    assert (exit_order.stop, exit_order.limit) == (D(95), D(105))


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"stop_loss": "105", "limit": "100"}, "stop_loss is 105; it must be below the limit of the order, 100"),
        ({"stop_loss": "95", "take_profit": "90"}, "the stop must be below the target"),
        ({"trailing": "200%"}, "trailing is 200%; give less than 100%"),
        ({"stop_loss": "NaN"}, "stop_loss is 'NaN'; give a number above 0"),
    ],
)
def test_a_stop_that_cannot_be_is_refused_with_its_order(wrong: dict[str, str], why: str) -> None:
    core, _ = core_of(FREE)
    submit(core, **wrong)

    (said,) = warnings(core)
    assert why in said
    assert not core.orders


def test_the_operator_protects_a_position_that_nothing_protects() -> None:
    core, puppet = core_of(FREE)
    do(core, puppet, buy("2"))
    core.fill(core.orders[0], "100")
    command(core, "protect", symbol=BTC, stop_loss="90")
    (exit_order,) = core.orders[1:]
    core.report(exit_order, OrderStatus.ACCEPTED)
    command(core, "unprotect", symbol=BTC)

    assert (exit_order.strategy_id, exit_order.stop, exit_order.quantity) == (OPERATOR, D(90), D(2))
    assert [request.order_id for request in core.venue.cancelled] == [exit_order.order_id]
    assert not warnings(core)


_AMOUNTS = st.sampled_from(
    ("90", "110", "1e400", "1e-400", "1e999999", "0.000000001", "9" * 60, "NaN", "2%", "99.9%", "1e30%", "-1", "")
)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("protect", "unprotect", "submit")),
            st.dictionaries(st.sampled_from(("stop_loss", "take_profit", "trailing")), _AMOUNTS),
            st.sampled_from(("buy", "sell")),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_no_stop_or_target_stops_the_run(commands: list[tuple[str, dict[str, str], str]]) -> None:
    core, puppet = core_of(FREE)
    do(core, puppet, buy("2"))
    core.fill(core.orders[0], "100")
    for name, arguments, side in commands:
        more = {"side": side, "quantity": "1"} if name == "submit" else {}
        command(core, name, symbol=BTC, **arguments, **more)
        core.trades("101", "99")

    assert not core.kernel.halted
    assert not core.kernel.statistics().failures


def test_no_strategy_is_called_like_the_operator() -> None:
    with pytest.raises(ConfigError, match="rename it"):
        Core({OPERATOR: Puppet()})


# -- what is refused later ----------------------------------------------------------------------------------------


def alerts(core: Core) -> list[str]:
    return [e.text for e in core.tape.events if isinstance(e, NotificationAlert)]


def test_an_amend_that_the_venue_refuses_is_alerted_if_the_operator_asked_for_it() -> None:
    core, puppet = core_of(FREE)
    do(core, puppet, buy("2", "100"))
    (order,) = core.orders
    core.report(order, OrderStatus.ACCEPTED)
    do(core, puppet, lambda strategy: strategy.amend(order.order_id, quantity=D(3)))
    command(core, "amend", order_id=order.order_id, quantity="1")
    theirs, ours = core.venue.amended

    core.answer(theirs, granted=False, reason="not in the mood")
    assert not alerts(core)
    core.answer(ours, granted=False, reason="still not in the mood")
    [text] = alerts(core)

    assert text == f"order {order.order_id} (buy 2 BTCUSDT) was not amended, and stays as it is: still not in the mood"
    core.answer(ours, granted=False, reason="the same answer again")
    assert len(alerts(core)) == 1


@pytest.mark.parametrize(("status", "words"), [(OrderStatus.REJECTED, "was refused"), (OrderStatus.EXPIRED, "ended")])
def test_an_order_that_flatten_sent_and_that_comes_to_nothing_is_alerted(status: OrderStatus, words: str) -> None:
    core, puppet = core_of(FREE)
    do(core, puppet, buy("2"))
    core.fill(core.orders[-1], "100")
    command(core, "flatten")
    core.report(core.orders[-1], status, "no liquidity")

    [text] = alerts(core)
    assert f"(sell 2 BTCUSDT) {words}" in text
    assert "no liquidity; the position stays, `tickdeck close` tries again" in text


def test_an_order_of_the_operator_that_the_venue_refuses_is_alerted_and_one_of_a_strategy_is_not() -> None:
    core, puppet = core_of(FREE)
    do(core, puppet, buy("2"))
    core.report(core.orders[-1], OrderStatus.REJECTED, "too poor")
    assert not alerts(core)

    submit(core)
    core.report(core.orders[-1], OrderStatus.REJECTED, "too poor")
    [text] = alerts(core)
    assert text == f"order {core.orders[-1].order_id} (buy 2 BTCUSDT) was refused: too poor"


@pytest.mark.parametrize(
    ("amendment", "wish", "why"),
    [
        (Amendment.REDUCE, {"quantity": "3"}, "the venue can only reduce the quantity of an order"),
        (Amendment.REDUCE, {"limit": "99"}, "the venue can only reduce the quantity of an order"),
        (Amendment.REDUCE, {"quantity": "1"}, ""),
        (Amendment.NONE, {"quantity": "1"}, "the venue cannot change an order"),
        (Amendment.FULL, {"quantity": "3", "limit": "99"}, ""),
    ],
)
def test_what_the_venue_cannot_amend_is_refused_at_once(amendment: Amendment, wish: dict[str, str], why: str) -> None:
    core = Core({}, limits=FREE, amendment=amendment).start().trades("100")
    submit(core, limit="100")
    (order,) = core.orders
    core.report(order, OrderStatus.ACCEPTED)
    command(core, "amend", order_id=order.order_id, **wish)

    found = [event.detail for event in core.tape.events if isinstance(event, RiskLimitBreachedEvent)]
    assert found == ([f"{why}; cancel order {order.order_id} and place another"] if why else [])
    assert len(core.venue.amended) == (not why)


def test_a_cancel_that_keeps_failing_is_alerted_once() -> None:
    core, puppet = core_of(FREE)
    do(core, puppet, buy("2", "100"))
    (order,) = core.orders
    core.report(order, OrderStatus.ACCEPTED)
    command(core, "cancel", order_id=order.order_id)
    for number in range(8):
        core.feed(VenueCancelRefused(order_id=order.order_id, symbol=BTC, reason="busy"))
        assert len(alerts(core)) == (number >= 4)
        core.feed(trade("100", ts=core.now + 64 * SECOND))

    assert alerts(core) == [
        f"order {order.order_id} (buy 2 BTCUSDT) is not cancelled yet, 5 requests failed: busy. "
        "It is tried again, at least once a minute"
    ]
