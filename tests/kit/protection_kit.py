"""A position with a stop and a target, at a venue that the test controls."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from application_kit import BTC, Core, D
from risk_kit import Puppet, do

from tickdeck.domain.events import OrderSubmittedEvent, ProtectionDecidedEvent, ProtectionEndedEvent


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
