"""Orders, commands and halts that meet a stop or a target."""

from __future__ import annotations

import pytest
from application_kit import BTC, D
from protection_kit import cancelled, decided, ended, entered, exits, shape
from risk_kit import command, do

from tickdeck.application.engines import protection_book
from tickdeck.application.engines.protection_book import ProtectionBook
from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    ProtectionYieldedEvent,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    VenueCancelRefused,
)
from tickdeck.domain.values import OrderStatus


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


def test_an_order_that_waits_can_be_cancelled_and_is_never_sent() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1)))
    (waits,) = (e.intent.order_id for e in core.tape.events if isinstance(e, ProtectionYieldedEvent))
    do(core, puppet, lambda s: s.cancel(waits))
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    refused = [e for e in core.tape.events if isinstance(e, RiskLimitBreachedEvent)]
    assert [(e.intent.order_id, e.intent.action, e.limit) for e in refused] == [(waits, "order", "protection")]
    assert [shape(order) for order in core.orders[2:]] == [("sell", D(1), D(95), None)]  # it is protected again


def test_a_restored_order_still_waits_after_something_else_about_it_was_refused() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1)))
    (waits,) = (e for e in core.tape.events if isinstance(e, ProtectionYieldedEvent))
    book = ProtectionBook(core.risk.exposure)
    for event in core.tape.events:
        book.recall(event)
    refused = ActionIntent(action="cancel", order_id=waits.intent.order_id)
    book.recall(RiskLimitBreachedEvent(strategy_id="s", limit="unknown_order", detail="", intent=refused))

    assert book.take_back(waits.strategy_id, waits.intent.order_id) == waits.intent


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


def test_a_price_that_is_reached_while_another_order_closes_a_part_is_on_the_record() -> None:
    """Nothing can be sent before the other order has ended, and the price may be gone by then."""
    core, puppet = entered("1", stop_loss=D(95))
    core.trades("94")
    do(core, puppet, lambda s: s.sell(BTC, D("0.5")), price="94")
    core.report(exits(core)[0], OrderStatus.CANCELLED)

    assert decided(core)[2:] == [("exit", "stop")]
    book = ProtectionBook(core.risk.exposure)
    for event in core.tape.events:
        book.recall(event)
    [there], [here] = core.risk.protections.book.live(), book.live()
    assert here.triggered == there.triggered == "stop"

    core.trades("100")
    core.fill(core.orders[-1], "94", "0.5")
    assert shape(exits(core)[1]) == ("sell", D("0.5"), None, None)
    assert len(decided(core)) == 4


def test_a_record_leads_to_a_protection_that_had_ended_when_a_bracket_gave_it_up() -> None:
    core, _ = entered("1", stop_loss=D(95))
    entry = core.orders[0]
    core.fill(exits(core)[0], "95")
    late = StrategyDecisionEvent(
        strategy_id=entry.strategy_id, intents=(ActionIntent(action="exit", order_id=entry.order_id),)
    )
    core.feed(late)
    book = ProtectionBook(core.risk.exposure)
    for event in core.tape.events:
        book.recall(event)

    assert [refused.limit for refused in core.of("risk.limit_breached")] == ["protection"]
    assert book.protections[entry.order_id].triggered == ""


def test_a_cancel_that_the_venue_refuses_is_repeated_after_a_while_and_not_at_once() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1), limit=D(120)))
    core.report(exits(core)[0], OrderStatus.CANCELLED)
    own = core.orders[2]
    core.trades("95")
    sent = len(cancelled(core))

    core.feed(VenueCancelRefused(order_id=own.order_id, symbol=BTC, reason="too many requests", ts_ingress=core.now))
    core.trades("94", "93", step=1)
    assert len(cancelled(core)) == sent

    core.trades("94")  # a second later
    assert cancelled(core)[sent:] == [own.order_id]

    core.report(own, OrderStatus.CANCELLED)
    assert shape(exits(core)[1]) == ("sell", D(1), None, None)


def test_an_entry_whose_cancel_the_venue_refuses_is_not_cancelled_again_at_once() -> None:
    core, _ = entered("0.4", limit="100", stop_loss=D(95))
    core.fill(exits(core)[0], "95", "0.4")
    sent = len(cancelled(core))
    assert cancelled(core)[-1] == core.orders[0].order_id

    core.feed(VenueCancelRefused(order_id=core.orders[0].order_id, symbol=BTC, reason="no answer", ts_ingress=core.now))
    core.trades("94", "93", step=1)

    assert len(cancelled(core)) == sent


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


def test_closing_another_symbol_leaves_an_order_that_waits() -> None:
    core, puppet = entered("1", stop_loss=D(95))
    do(core, puppet, lambda s: s.sell(BTC, D(1)))
    book = core.risk.protections.book

    assert book.suspend("ETHUSDT") == []
    ((strategy_id, intent),) = book.suspend(BTC)
    assert (strategy_id, intent.quantity) == ("puppet", D(1))


def test_an_exit_order_that_rests_is_known_however_many_others_there_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection_book, "_EXITS_KEPT", 4)
    core, puppet = entered("1", stop_loss=D(95))
    (first,) = exits(core)
    do(core, puppet, lambda s: s.buy(BTC, D(1), stop_loss=D(90)))
    entry = core.orders[-1]
    core.fill(entry, "100")
    for stop in range(80, 87):
        do(core, puppet, lambda s, stop=stop: s.protect(entry.order_id, stop_loss=D(stop)))
        core.report(exits(core)[-1], OrderStatus.CANCELLED)

    assert len(exits(core)) > 6
    core.fill(first, "95")

    assert ended(core) == ["closed"]
    assert [p.protection_id for p in core.risk.protections.book.live()] == [entry.order_id]


def test_the_newest_protections_that_ended_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection_book, "_ENDED_KEPT", 2)
    core, puppet = entered(limit="90", stop_loss=D(80))
    core.report(core.orders[-1], OrderStatus.CANCELLED)
    for _ in range(3):
        do(core, puppet, lambda s: s.buy(BTC, D(1), limit=D(90), stop_loss=D(80)))
        core.report(core.orders[-1], OrderStatus.CANCELLED)

    assert list(core.risk.protections.book.protections) == [order.order_id for order in core.orders[2:]]
