"""Stops and targets at the venue: each rule, with a venue that the test controls."""

from __future__ import annotations

from application_kit import BTC, SECOND, Core, D, trade
from protection_kit import cancelled, ended, entered, exits, shape
from risk_kit import Puppet, do

from tickdeck.application.engines import StopOrders
from tickdeck.domain.values import OrderStatus


def test_a_filled_entry_is_protected_by_one_pair() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110))

    assert [shape(order) for order in exits(core)] == [("sell", D(1), D(95), D(110))]
    assert exits(core)[0].reduce_only
    assert exits(core)[0].protects == core.orders[0].order_id


def test_a_record_leads_to_the_best_price_of_a_position_whose_target_was_reached() -> None:
    core, _ = entered("1", stop_loss=D(95), take_profit=D(110), stop_orders=StopOrders(pairs=False))
    core.trades("105", "111")

    again = Core(stop_orders=StopOrders(pairs=False))
    for event in core.tape.events:
        for engine in (again.portfolio, again.risk, again.execution):
            engine.recall(event)
    [there], [here] = core.risk.protections.book.live(), again.risk.protections.book.live()
    assert there.triggered == here.triggered == "target"
    assert there.best == here.best == D(111)


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


def test_a_fee_in_base_is_taken_from_the_position_that_paid_it() -> None:
    one, other = Puppet(), Puppet()
    core = Core({"one": one, "other": other}).start().trades("100")
    for puppet in (one, other):
        do(core, puppet, lambda s: s.buy(BTC, D(1), stop_loss=D(95)))
        core.fill(core.orders[-1], "100", "1", fee="0.001", fee_currency="BTC")

    held = {p.strategy_id: p.held for p in core.risk.protections.book.live()}
    assert held == {"one": D("0.999"), "other": D("0.999")}


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
