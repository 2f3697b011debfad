"""Stops of several strategies in one symbol, whose coins the operator sells and others pay in and out."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule
from protection_machine import Protected, lots

from tickdeck.domain.events import CommandReceived, TransferKind, VenueTransferReported
from tickdeck.domain.trading import Ownership
from tickdeck.domain.values import ZERO


class Owners(Protected):
    """Every entry is protected, so a strategy protects exactly what it holds, whoever sells."""

    def __init__(self) -> None:
        super().__init__()
        self.payments = 0

    def free(self) -> Decimal:
        """The coins that no order locks."""
        held = self.core.risk.exposure.position(BTC)
        waits = self.core.risk.protections.book._held_back.values()
        waiting = [one.intent for group in waits for one in group.values()]
        offered = sum((self.remaining(order) for order in self.working() if self.closes(order)), ZERO)
        return held - offered - sum((intent.quantity for intent in waiting), ZERO)

    @rule(quantity=lots, limited=st.booleans())
    def sell_by_operator(self, quantity: Decimal, limited: bool) -> None:
        exits = sum((self.remaining(order) for order in self.working() if order.protects), ZERO)
        busy = any(self.core.risk.protections.book._held_back.values()) or self.core.risk._flatten._waiting
        quantity = min(quantity, self.free() + exits)
        if quantity <= 0 or busy:
            return
        arguments = {"side": "sell", "symbol": BTC, "quantity": str(quantity)}
        if limited:
            arguments["limit"] = str(self.price + 3)
        self.core.feed(CommandReceived(command="submit", arguments=arguments))

    @rule(amount=st.integers(-10, 10).filter(bool).map(lambda n: Decimal(n) / 10))
    def pay(self, amount: Decimal) -> None:
        if amount < 0:
            amount = -min(-amount, self.free())
        if not amount or any(self.core.risk.protections.book._held_back.values()):
            return
        self.payments += 1
        kind = TransferKind.DEPOSIT if amount > 0 else TransferKind.WITHDRAWAL
        transfer_id = f"p{self.payments}"
        self.core.feed(
            VenueTransferReported(currency="BTC", amount=amount, transfer_kind=kind, transfer_id=transfer_id)
        )

    @precondition(lambda self: self.core.risk.protections.is_active)
    @invariant()
    def each_strategy_protects_what_it_holds(self) -> None:
        book = self.core.risk.protections.book
        for name in self.puppets:
            owned = book._owners[BTC].of(name) if BTC in book._owners else ZERO
            assert self.holdings(name) == owned
        assert _held(book._owners) == _held(self.core.portfolio.owners())


def _held(owners: dict[str, Ownership]) -> dict[str, Any]:
    return {symbol: (one.unowned, one._held) for symbol, one in owners.items() if one.unowned or one._held}


class OwnersWithoutStops(Owners):
    venue_number = 2


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Owners, OwnersWithoutStops])
def test_stops_follow_the_owners(machine: type[Owners]) -> None:
    case = machine.TestCase
    case.settings = settings(max_examples=60, stateful_step_count=30, deadline=None, phases=[Phase.generate])
    case().runTest()
