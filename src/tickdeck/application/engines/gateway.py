"""The gateway: the edge through which orders leave for a venue, only when they are durable and trading is not
halted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickdeck.application.bus import is_async, refuse_unfinished
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TradingVenue
from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    TradingHalted,
    TradingResumed,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError

__all__ = ["VenueGateway"]


class VenueGateway:
    """Carries ``order.submitted``, ``order.amend_requested`` and ``order.cancel_requested`` to the venue, after the
    cascade that made them.

    To a venue outside this process an order goes when it is durable (the mailbox of an async handler sees to that).
    A simulated venue dies with the process, so there is no effect to guard, and it gets the order at once. Where the
    venue's call raises, nobody knows whether it has the order: that is reported as ``unknown``, and the order is
    never sent again. An amend whose sending raises stays without an answer, and the order counts at the larger of both
    quantities from then on.
    """

    component = "gateway"
    hears = (OrderEvent, TradingHalted, TradingResumed)
    publishes = (VenueOrderReported,)

    def __init__(self, kernel: Kernel, venue: TradingVenue) -> None:
        """Raises ``ConfigError`` where a method of the venue is async: the gateway makes plain calls."""
        for method in (venue.submit, venue.amend, venue.cancel):
            if is_async(method):
                raise ConfigError(
                    f"venue {venue.name!r}: {method.__name__} is async, so a plain call would send nothing; "
                    "make it a plain function that starts the request and reports the answer as an input"
                )
        self._kernel = kernel
        self._venue = venue
        self._halted = False
        kernel.subscribe(TradingHalted, self.on_halted, component=self.component)
        kernel.subscribe(TradingResumed, self.on_resumed, component=self.component)
        # One subscription for all of them: a cancel must not overtake its order.
        deliver: Any = {"edge": True} if venue.simulated else {"refused": self.never_sent}
        handler = self.take if venue.simulated else self._take_durable
        kernel.subscribe(OrderEvent, handler, where=_leaves, component=self.component, **deliver)

    def on_halted(self, _: TradingHalted) -> None:
        """In step with the core: orders and amends that wait to be durable are not sent any more. Cancels still are."""
        self._halted = True

    def on_resumed(self, _: TradingResumed) -> None:
        self._halted = False

    def take(self, request: OrderEvent) -> None:
        """Send an order, an amend or a cancel, in the order in which they were decided."""
        if isinstance(request, OrderSubmittedEvent):
            self.send(request)
        elif isinstance(request, OrderAmendRequestedEvent):
            self.send_amend(request)
        elif isinstance(request, OrderCancelRequestedEvent):
            self.send_cancel(request)

    async def _take_durable(self, request: OrderEvent) -> None:
        self.take(request)

    def never_sent(self, request: DomainEvent) -> None:
        """There is no room for it among those that wait to be durable. Trading halts, and the order ends here."""
        self._halted = True
        if isinstance(request, OrderSubmittedEvent):
            self._report(request, OrderStatus.REJECTED, "never sent: too many orders wait to be durable")
        elif isinstance(request, OrderAmendRequestedEvent):
            reason = "never sent: too many orders wait to be durable"
            self._report(request, OrderStatus.UNKNOWN, reason, revision=request.revision)

    def send(self, order: OrderSubmittedEvent) -> None:
        if self._halted:
            self._report(order, OrderStatus.REJECTED, "never sent: trading is halted")
            return
        try:
            _call(self._venue.submit, order)
        except Exception as error:  # noqa: BLE001 (whatever it was, the order is in doubt)
            self._report(order, OrderStatus.UNKNOWN, f"sending failed: {type(error).__name__}")

    def send_amend(self, request: OrderAmendRequestedEvent) -> None:
        if self._halted:
            self._report(request, OrderStatus.UNKNOWN, "never sent: trading is halted", revision=request.revision)
            return
        _call(self._venue.amend, request)

    def send_cancel(self, request: OrderCancelRequestedEvent) -> None:
        _call(self._venue.cancel, request)

    def _report(
        self,
        order: OrderSubmittedEvent | OrderAmendRequestedEvent,
        status: OrderStatus,
        reason: str,
        *,
        revision: int = 0,
    ) -> None:
        self._kernel.feed(
            VenueOrderReported(
                order_id=order.order_id,
                symbol=order.symbol,
                account_id=order.account_id,
                status=status,
                reason=reason,
                revision=revision,
                source=self._venue.name,
                causation_id=order.event_id,
                correlation_id=order.correlation_id,
            )
        )


def _call(method: Callable[[Any], object], request: OrderEvent) -> None:
    """Call the venue. Raises ``ConfigError`` where that only made a coroutine: nothing was sent then."""
    refuse_unfinished(method(request), "the venue's method")


def _leaves(event: OrderEvent) -> bool:
    return isinstance(event, OrderSubmittedEvent | OrderAmendRequestedEvent | OrderCancelRequestedEvent)
