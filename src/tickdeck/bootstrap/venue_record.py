"""What the record of an account says about the venue, which a resumed run must know."""

from __future__ import annotations

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.engines import CoreBus
from tickdeck.domain.events import (
    OrderCancelledEvent,
    OrderCancelRejectedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderExpiredEvent,
    OrderFilledEvent,
    OrderRejectedEvent,
    VenueExternalFillReported,
    VenueFillReported,
    VenueLiquidationReported,
    VenueTransferReported,
)

__all__ = ["VenueRecord"]

_KEPT = 10_000  # liquidations
_TRANSFERS_KEPT = 1_000


class VenueRecord:
    """Follows the events of one account on ``kernel``. It depends on nothing else, so it is a part of the run's state:
    executing the record, restoring it and reading a snapshot lead to the same.

    ``cancels``: the ids of orders that have not ended and whose last cancel has no answer. ``last_trades``: the
    ``venue_trade_id`` of the last fill, by symbol. ``liquidations``: symbol and ``venue_trade_id`` of the newest ones.
    ``transfers``: the newest payments.
    """

    def __init__(self, kernel: CoreBus) -> None:
        self.cancels: dict[str, None] = {}
        self.last_trades: dict[str, str] = {}
        self.liquidations: dict[tuple[str, str], None] = {}
        self.transfers: list[VenueTransferReported] = []
        own: SubscribeOptions = {"component": "gateway"}
        kernel.subscribe(VenueFillReported, self._on_fill, **own)
        kernel.subscribe(VenueExternalFillReported, self._on_fill, **own)
        kernel.subscribe(VenueLiquidationReported, self._on_liquidation, **own)
        kernel.subscribe(VenueTransferReported, self._on_transfer, **own)
        kernel.subscribe(OrderCancelRequestedEvent, self._on_cancel, **own)
        for answer in (
            OrderCancelRejectedEvent,
            OrderCancelledEvent,
            OrderExpiredEvent,
            OrderFilledEvent,
            OrderRejectedEvent,
        ):
            kernel.subscribe(answer, self._on_answer, **own)

    def _on_fill(self, fill: VenueFillReported | VenueExternalFillReported) -> None:
        self.last_trades[fill.symbol] = fill.venue_trade_id

    def _on_liquidation(self, found: VenueLiquidationReported) -> None:
        self.liquidations[found.symbol, found.venue_trade_id] = None
        if len(self.liquidations) > _KEPT:
            del self.liquidations[next(iter(self.liquidations))]

    def _on_transfer(self, transfer: VenueTransferReported) -> None:
        self.transfers.append(transfer)
        del self.transfers[:-_TRANSFERS_KEPT]

    def _on_cancel(self, request: OrderCancelRequestedEvent) -> None:
        self.cancels[request.order_id] = None

    def _on_answer(self, answer: OrderEvent) -> None:
        self.cancels.pop(answer.order_id, None)
