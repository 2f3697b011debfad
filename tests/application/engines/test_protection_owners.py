"""Whose stops shrink when somebody else sells, pays out or is liquidated."""

from __future__ import annotations

from application_kit import BTC, Core, D
from protection_kit import ended
from risk_kit import Puppet, command, do

from tickdeck.domain.events import PositionLiquidatedEvent, TransferKind, VenueTransferReported
from tickdeck.domain.values import OrderStatus, Side

STOP = {"stop_loss": D(95)}


def held_by_two() -> tuple[Core, Puppet, Puppet]:
    """Two strategies, each of which holds 1 with a stop; the first one is the older."""
    one, two = Puppet(), Puppet()
    core = Core({"one": one, "two": two}).start().trades("100")
    for puppet in (one, two):
        do(core, puppet, lambda s: s.buy(BTC, D(1), **STOP))
        core.fill(core.orders[-1], "100")
    return core, one, two


def protected(core: Core) -> dict[str, object]:
    return {p.strategy_id: p.held for p in core.risk.protections.book.live()}


def end_cancelled(core: Core) -> None:
    for request in core.venue.cancelled:
        order = next(order for order in core.orders if order.order_id == request.order_id)
        if core.execution.orders[order.order_id].is_open:
            core.report(order, OrderStatus.CANCELLED)


def sell_by_operator(core: Core, quantity: str, **arguments: str) -> None:
    command(core, "submit", side="sell", symbol=BTC, quantity=quantity, **arguments)
    end_cancelled(core)


def test_the_stops_of_a_strategy_whose_coins_nobody_sold_stay() -> None:
    core, one, _ = held_by_two()
    do(core, one, lambda s: s.sell(BTC, D(1)))
    end_cancelled(core)
    core.fill(core.orders[-1], "100")
    do(core, one, lambda s: s.buy(BTC, D(1), **STOP))
    core.fill(core.orders[-1], "100")  # now the second strategy began first

    sell_by_operator(core, "1")
    core.fill(next(order for order in reversed(core.orders) if order.strategy_id == "operator"), "100")

    assert protected(core) == {"one": D(1)}
    assert core.portfolio.owned.of("one", BTC).quantity == D(1)


def test_what_is_over_of_a_strategys_first_position_is_not_counted_twice() -> None:
    core, one, _ = held_by_two()
    do(core, one, lambda s: s.buy(BTC, D(1), **STOP))
    core.fill(core.orders[-1], "100")

    sell_by_operator(core, "2")
    core.fill(next(order for order in reversed(core.orders) if order.strategy_id == "operator"), "100")

    assert protected(core) == {"two": D(1)}  # the first strategy held 2 and began first


def test_a_resting_order_of_the_operator_leaves_the_others_their_stops() -> None:
    core, _, _ = held_by_two()
    sell_by_operator(core, "1", limit="120")

    stops = [order for order in core.orders if order.protects and core.execution.orders[order.order_id].is_open]
    assert [(order.strategy_id, order.quantity) for order in stops] == [("two", D(1))]


def test_a_payment_out_takes_the_stop_of_those_whose_coins_left() -> None:
    core, _, _ = held_by_two()
    transfer = VenueTransferReported(
        currency="BTC", amount=D("-1"), transfer_kind=TransferKind.WITHDRAWAL, transfer_id="1"
    )
    core.feed(transfer)
    end_cancelled(core)

    assert protected(core) == {"two": D(1)}
    assert ended(core) == ["closed"]


def test_a_payment_out_of_coins_that_nobody_bought_changes_no_stop() -> None:
    one = Puppet()
    core = Core({"one": one}).start().trades("100")
    paid = {"currency": "BTC", "transfer_kind": TransferKind.DEPOSIT}
    core.feed(VenueTransferReported(amount=D(1), transfer_id="1", **paid))
    do(core, one, lambda s: s.buy(BTC, D(1), **STOP))
    core.fill(core.orders[-1], "100")
    core.feed(VenueTransferReported(amount=D(-1), transfer_id="2", **paid))

    assert protected(core) == {"one": D(1)}
    assert core.venue.cancelled == []


def test_a_strategy_protects_no_coins_that_have_a_stop() -> None:
    core, _, two = held_by_two()
    do(core, two, lambda s: s.unprotect(BTC), lambda s: s.protect(BTC, stop_loss=D(90)))

    assert protected(core) == {"one": D(1), "two": D(1)}


def test_a_liquidation_ends_the_stops_of_what_it_closed() -> None:
    core, _, _ = held_by_two()
    fields = {"symbol": BTC, "account_id": "main", "side": Side.SELL, "currency": "USDT", "fee_currency": "USDT"}
    event = PositionLiquidatedEvent(
        quantity=D(2), price=D(60), average_price=D(100), realized_pnl=D(-80), fee=D(0), order_id="l", **fields
    )
    core.risk.on_liquidated(event)

    assert protected(core) == {"one": D(0), "two": D(0)}
    assert core.risk.protections.book.unprotected(BTC) == 0


def test_a_late_fill_of_an_exit_closes_the_position_that_it_protected() -> None:
    core, one, _ = held_by_two()
    do(core, one, lambda s: s.buy(BTC, D(1), **STOP))
    core.fill(core.orders[-1], "100")
    exit_order = core.orders[-1]
    core.report(exit_order, OrderStatus.CANCELLED)
    core.fill(exit_order, "95", "0.2")  # it was on its way

    held = {p.protection_id: p.held for p in core.risk.protections.book.live()}
    assert held[exit_order.protects] == D("0.8")
    assert sum(held.values()) == D("2.8")
