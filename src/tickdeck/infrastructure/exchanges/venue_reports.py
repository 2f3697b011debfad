"""What an exchange answered about our orders, as inputs of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import Liquidation, OrderFill, OrderResult
from tickdeck.domain.events import (
    DomainEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    SystemWarning,
    VenueCancelRefused,
    VenueCircuitChanged,
    VenueFillReported,
    VenueLiquidationReported,
    VenueOrderNotFound,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.infrastructure.resilience import BreakerTransition

__all__ = ["VenueReports", "circuit_event"]

_KEPT = 10_000  # fills
_ENDINGS = (OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


class VenueReports:
    """Publishes reports of the venue ``name`` about an account. ``publish(event)`` takes an input."""

    def __init__(
        self, name: str, *, account_id: str, user_id: str, clock: LiveClock, publish: Callable[[DomainEvent], object]
    ) -> None:
        self.name = name
        self.heard = 0
        """When a fill or an order's state arrived last (ns, monotonic)."""
        self.arrivals = 0
        """How many have arrived."""
        self._fills: dict[tuple[str, str], None] = {}  # the last ones, by symbol and the venue's trade id
        self._account = {"account_id": account_id, "user_id": user_id}
        self._clock, self._publish = clock, publish

    def hear(self) -> None:
        """Note that a fill or an order's state arrived."""
        self.heard = self._clock.monotonic_ns()
        self.arrivals += 1

    def hear_fill(self, symbol: str, venue_trade_id: str) -> bool:
        """Note that a fill arrived. Returns whether it is new, as far as this process remembers."""
        self.hear()
        if (symbol, venue_trade_id) in self._fills:
            return False
        self._fills[symbol, venue_trade_id] = None
        if len(self._fills) > _KEPT:
            del self._fills[next(iter(self._fills))]
        return True

    def result(self, result: OrderResult, order_id: str, cause: OrderEvent | None = None) -> bool:
        """Publish an order's state as the exchange answered it: the end of an order after its fills. Returns False if
        its status is not known here."""
        self.hear()
        if result.status is None:
            self.warn(
                f"{self.name} says {result.raw_status!r} of order {order_id}, which this version does not know: the "
                "order stays as it is, and is queried again",
                cause,
            )
            return False
        report = self.make(
            VenueOrderReported,
            order_id=order_id,
            symbol=result.symbol,
            status=result.status,
            filled=result.filled,
            venue_order_id=result.venue_order_id,
            reason=result.reason,
            ts=result.ts,
            cause=cause,
        )
        if result.status not in _ENDINGS:
            self._publish(report)
        for fill in result.fills:
            self.fill(fill, order_id, cause)
        if result.status in _ENDINGS:
            self._publish(report)
        return True

    def fill(self, fill: OrderFill, order_id: str, cause: OrderEvent | None = None) -> None:
        self.hear_fill(fill.symbol, fill.venue_trade_id)
        self._publish(
            self.make(
                VenueFillReported,
                order_id=order_id,
                symbol=fill.symbol,
                side=fill.side,
                price=fill.price,
                quantity=fill.quantity,
                venue_trade_id=fill.venue_trade_id,
                fee=fill.fee,
                fee_currency=fill.fee_currency,
                liquidity=fill.liquidity,
                venue_order_id=fill.venue_order_id,
                ts=fill.ts,
                cause=cause,
            )
        )

    def recall_liquidations(self, recorded: Iterable[tuple[str, str]]) -> None:
        """Those of the record, by symbol and ``venue_trade_id``: each has arrived before."""
        for symbol, venue_trade_id in recorded:
            self._fills[symbol, f"liquidation {venue_trade_id}"] = None

    def liquidation(self, found: Liquidation) -> None:
        """Publish what the venue closed by itself, unless it has arrived before."""
        if self.hear_fill(found.symbol, f"liquidation {found.venue_trade_id}"):
            self._publish(
                self.make(
                    VenueLiquidationReported,
                    symbol=found.symbol,
                    side=found.side,
                    price=found.price,
                    quantity=found.quantity,
                    fee=found.fee,
                    fee_currency=found.fee_currency,
                    order_id=found.venue_order_id,
                    venue_trade_id=found.venue_trade_id,
                    ts=found.ts,
                )
            )

    def status(self, order: OrderEvent, status: OrderStatus, reason: str, **own: Any) -> None:
        """Publish the state of ``order`` that follows from an error, or from its not being sent."""
        self.about(order.order_id, order.symbol, status, reason, cause=order, **own)

    def about(self, order_id: str, symbol: str, status: OrderStatus, reason: str, **own: Any) -> None:
        self._publish(
            self.make(VenueOrderReported, order_id=order_id, symbol=symbol, status=status, reason=reason, **own)
        )

    def not_found(self, order_id: str, symbol: str, sources: tuple[str, ...], waited: int) -> None:
        self._publish(self.make(VenueOrderNotFound, order_id=order_id, symbol=symbol, sources=sources, waited=waited))

    def refuse_cancel(
        self, order_id: str, symbol: str, reason: str, request: OrderCancelRequestedEvent | None = None
    ) -> None:
        self._publish(self.make(VenueCancelRefused, order_id=order_id, symbol=symbol, reason=reason, cause=request))

    def warn(self, message: str, cause: OrderEvent | None = None) -> None:
        self._publish(SystemWarning(component="gateway", message=message, **self._caused(cause)))

    def make(self, kind: Any, *, cause: OrderEvent | None = None, ts: int = 0, **fields: Any) -> Any:
        """An event of this account."""
        return kind(**self._account, **fields, ts=ts, **self._caused(cause))

    def _caused(self, cause: OrderEvent | None) -> dict[str, Any]:
        envelope = {"source": self.name}
        if cause is None:
            return envelope
        return envelope | {"causation_id": cause.event_id, "correlation_id": cause.correlation_id}


def circuit_event(transition: BreakerTransition, received: int) -> VenueCircuitChanged:
    """A transition of a breaker, as an input."""
    return VenueCircuitChanged(
        name=transition.name,
        before=transition.before.value,
        after=transition.after.value,
        reason=transition.reason,
        ts_ingress=received,
        source=transition.name.partition("/")[0],
    )
