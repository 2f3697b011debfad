"""What a person is told when the venue refuses what a person, or the run for one, has asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tickdeck.application.engines.order_arguments import OPERATOR
from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderAmendRequestedEvent,
    OrderEvent,
    OrderExpiredEvent,
    OrderRejectedEvent,
    RiskApprovedEvent,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import ZERO, plain

__all__ = ["PERSONS", "VenueRefusals", "describe_order"]

_RISK = "risk"
PERSONS = (OPERATOR, _RISK)
"""The strategies whose orders are a person's: an operator's, and those of ``flatten``, ``close`` and the like."""


class VenueRefusals:
    """Finds the refusals among the events of orders. A strategy hears of its own by ``on_order``; a person does not.

    ``amends``: the amends that an operator asked for and that have no answer yet, by order id. Each is identified by
    its revision, which is 0 until the request is made.
    """

    def __init__(self) -> None:
        self.amends: dict[str, list[int]] = {}

    def ask_amend(self, strategy_id: str, intent: ActionIntent) -> None:
        """An amend of the order was approved; its request follows."""
        if strategy_id == OPERATOR:
            self.amends.setdefault(intent.order_id, []).append(0)

    def requested(self, request: OrderAmendRequestedEvent) -> None:
        """The request was made."""
        revisions = self.amends.get(request.order_id, [])
        if 0 in revisions:
            revisions[revisions.index(0)] = request.revision

    def texts(self, order: Order, conclusions: Iterable[OrderEvent]) -> Iterator[str]:
        """What a person must know about ``conclusions`` for ``order``."""
        for event in conclusions:
            if isinstance(event, OrderAmendedEvent | OrderAmendRejectedEvent):
                if self._answered(event) and isinstance(event, OrderAmendRejectedEvent):
                    yield f"order {describe_order(order)} was not amended, and stays as it is: {event.reason}"
            elif order.strategy_id in PERSONS and not order.protects:
                yield from _ended(order, event)
        if not order.is_open:
            self.forget(order.order_id)

    def forget(self, order_id: str) -> None:
        """The order has ended: its amends get no answer."""
        self.amends.pop(order_id, None)

    def recall(self, event: DomainEvent, order: Order | None) -> None:
        """Restore the state from an event of the record. ``order``: its order after the event."""
        if isinstance(event, RiskApprovedEvent):
            if event.intent.action == "amend":
                self.ask_amend(event.strategy_id, event.intent)
        elif isinstance(event, OrderAmendRequestedEvent):
            self.requested(event)
        elif isinstance(event, OrderAmendedEvent | OrderAmendRejectedEvent):
            self._answered(event)
        if order is not None and not order.is_open:
            self.forget(order.order_id)

    def _answered(self, event: OrderAmendedEvent | OrderAmendRejectedEvent) -> bool:
        """Whether an operator asked for the amend, which waits for no other answer."""
        revisions = self.amends.get(event.order_id, [])
        if event.revision not in revisions:
            return False
        revisions.remove(event.revision)
        if not revisions:
            del self.amends[event.order_id]
        return True


def _ended(order: Order, event: OrderEvent) -> Iterator[str]:
    if isinstance(event, OrderRejectedEvent):
        what = "was refused"
    elif isinstance(event, OrderExpiredEvent) and order.strategy_id == _RISK:
        what = f"ended with {plain(event.remaining or ZERO)} not filled"
    else:
        return
    after = "; the position stays, `tickdeck close` tries again" if order.strategy_id == _RISK else ""
    yield f"order {describe_order(order)} {what}: {event.reason or 'the venue gives no reason'}{after}"


def describe_order(order: Order) -> str:
    """The order in words, with its id."""
    return f"{order.order_id} ({order.side.value} {plain(order.quantity)} {order.symbol})"
