"""Brackets whose entry closes a position: that of another bracket, or coins that no order bought."""

from __future__ import annotations

from decimal import Decimal

import pytest
from application_kit import BTC, Core, D

from tickdeck.domain.events import (
    BracketChangedEvent,
    CommandReceived,
    OrderSubmittedEvent,
    VenueBalanceReported,
)
from tickdeck.domain.values import OrderStatus

S = OrderStatus


def bracket(core: Core, side: str, quantity: str, entry: str = "market") -> OrderSubmittedEvent | None:
    """Begin a bracket. Returns its entry if it was sent at once."""
    prices = {"stop_loss": "90", "take_profit": "120"} if side == "buy" else {"stop_loss": "130", "take_profit": "80"}
    sent = len(core.orders)
    arguments = {"side": side, "symbol": BTC, "quantity": quantity, "entry": entry, **prices}
    core.feed(CommandReceived(command="bracket", arguments=arguments))
    return core.orders[sent] if len(core.orders) > sent else None


def protected(coins: str, quantity: str = "2", *, short_selling: bool = False) -> Core:
    """An account with older ``coins`` (base) and a buy bracket whose pair rests at the venue."""
    core = Core(short_selling=short_selling).start().trades("100")
    core.feed(VenueBalanceReported(currency="BTC", total=D(coins), source="scripted"))
    entry = bracket(core, "buy", quantity)
    assert entry is not None
    core.fill(entry, "100")
    core.report(core.orders[1], S.ACCEPTED)
    return core


def shape(order: OrderSubmittedEvent) -> tuple[str, Decimal, Decimal | None, Decimal | None]:
    return order.side.value, order.quantity, order.stop, order.limit


def ends(core: Core) -> dict[str, tuple[str, str, Decimal]]:
    """The last step of each bracket."""
    steps = [event for event in core.tape.events if isinstance(event, BracketChangedEvent)]
    return {event.bracket_id: (event.status, event.reason, event.held) for event in steps}


@pytest.mark.parametrize("coins", ["0", "5"])
@pytest.mark.parametrize("entry", ["market", "100"])
def test_a_bracket_that_closes_another_ends_it(coins: str, entry: str) -> None:
    core = protected(coins)
    bracket(core, "sell", "2", entry)
    assert len(core.orders) == 2, "it waits until the pair has ended"
    core.report(core.orders[1], S.CANCELLED)
    (closing,) = core.orders[2:]
    core.fill(closing, "100")

    assert len(core.orders) == 3, "no pair is placed again"
    only_closed = "its entry only closed a position; there is nothing to protect"
    assert ends(core) == {
        core.orders[0].order_id: ("done", "closed by another order", 0),
        closing.order_id: ("done", only_closed, 0),
    }


def test_a_bracket_that_closes_a_part_leaves_the_rest_protected() -> None:
    core = protected("5")
    bracket(core, "sell", "0.5")
    core.report(core.orders[1], S.CANCELLED)

    assert [shape(order) for order in core.orders[2:]] == [
        ("sell", D("0.5"), None, None),
        ("sell", D("1.5"), 90, 120),
    ]


def test_what_a_bracket_sells_beyond_the_position_is_protected_as_a_short() -> None:
    core = protected("0", short_selling=True)
    bracket(core, "sell", "3")
    core.report(core.orders[1], S.CANCELLED)
    core.fill(core.orders[2], "100")

    assert shape(core.orders[3]) == ("buy", 1, 130, 80)
    assert len(core.orders) == 4


def test_two_entries_that_wait_on_both_sides_do_not_close_each_other() -> None:
    core = Core(short_selling=True).start().trades("100")
    low, high = bracket(core, "buy", "2", "95"), bracket(core, "sell", "2", "110")
    assert low is not None
    assert high is not None
    core.fill(low, "95")

    assert shape(core.orders[2]) == ("sell", 2, 90, 120)


def test_a_bracket_that_sells_older_coins_says_that_it_protects_nothing() -> None:
    core = Core().start().trades("100")
    core.feed(VenueBalanceReported(currency="BTC", total=D(5), source="scripted"))
    entry = bracket(core, "sell", "2")
    assert entry is not None
    core.fill(entry, "100")

    assert ends(core)[entry.order_id][:2] == ("done", "its entry only closed a position; there is nothing to protect")
    assert len(core.orders) == 1
