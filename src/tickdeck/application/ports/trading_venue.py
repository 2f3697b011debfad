"""The venue as the core sees it: plain calls, whose answers are inputs.

The paper venue implements it, and ``ExchangeVenue`` for any exchange."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

from tickdeck.domain.events import OrderAmendRequestedEvent, OrderCancelRequestedEvent, OrderSubmittedEvent

__all__ = ["TradingVenue"]


class TradingVenue(Protocol):
    """Where orders go. Calls never raise for the venue's decisions: outcomes arrive as the inputs
    ``venue.order_reported``, ``venue.fill_reported`` and ``venue.cancel_refused``, passed to the callable that the
    venue was given.

    The methods are plain functions that return immediately, or ``async def`` unless the venue is ``simulated``. The
    gateway makes one call at a time for each order; calls for different orders overlap.

    An exception means that it is unknown whether the venue has the request: the gateway reports an order ``unknown``.
    """

    name: str
    simulated: bool
    """The venue exists only in this process, so a crash cannot orphan any effect, and the gateway need not wait for
    durability before it sends."""

    def submit(self, order: OrderSubmittedEvent) -> Awaitable[None] | None:
        """Send an order under its ``order_id``."""

    def amend(self, request: OrderAmendRequestedEvent) -> Awaitable[None] | None:
        """Ask to change an order. Either answer names the request's ``revision``."""

    def cancel(self, request: OrderCancelRequestedEvent) -> Awaitable[None] | None:
        """Ask to cancel an order. A venue that refuses reports the order's state if it knows it; otherwise it reports
        ``venue.cancel_refused``, which says nothing about the order."""
