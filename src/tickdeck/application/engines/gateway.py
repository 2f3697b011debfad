"""The gateway: the edge that sends orders to a venue. It only sends durable orders, and not while trading is halted."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeAlias

from tickdeck.application.bus import Handler, is_async, leave_mailbox, refuse_unfinished
from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.ports import TradingVenue
from tickdeck.domain.events import (
    DomainEvent,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    SystemWarning,
    TradingHalted,
    TradingResumed,
    VenueCancelRefused,
    VenueOrderReported,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError

__all__ = ["VenueGateway"]

Request: TypeAlias = OrderSubmittedEvent | OrderAmendRequestedEvent | OrderCancelRequestedEvent

_REQUESTS = (OrderSubmittedEvent, OrderAmendRequestedEvent, OrderCancelRequestedEvent)
_NO_ROOM = "never sent: too many orders are waiting to become durable"
_EVERYTHING = 1 << 63
_HALTED = "never sent: trading is halted"


class VenueGateway:
    """Sends ``order.submitted``, ``order.amend_requested`` and ``order.cancel_requested`` to the venue after their
    cascade.

    A venue outside this process receives an order only when the order is durable; the mailbox of an async handler waits
    for that. A simulated venue dies with the process, so no external effect needs protection, and it receives orders
    immediately.

    Requests of one order are sent in the order in which they were decided. A call that hangs only delays requests of
    its own order.

    If a call to the venue raises, it is unknown whether the venue received the request. An order is then reported as
    ``unknown`` and never sent again. For a cancel, ``venue.cancel_refused`` is published. An amend remains unanswered,
    and the order counts with the larger of both quantities from then on.

    Raises ``ConfigError`` for a simulated venue with async methods.
    """

    component = "gateway"
    hears = (OrderEvent, TradingHalted, TradingResumed)
    publishes = (VenueOrderReported, VenueCancelRefused, SystemWarning)

    def __init__(self, kernel: CoreBus, venue: TradingVenue) -> None:
        self._kernel = kernel
        self._venue = venue
        self._halted = False
        self._shut = ""  # why nothing but cancels leaves, whatever the core says
        self._cancels_at_once = False
        self._cancelled_early: set[str] = set()  # ids of requests that did not wait to become durable
        self._held_below = 0  # while trading is halted: requests with a smaller seq are not sent
        self._lanes: dict[str, deque[Request]] = {}  # by order id, until the current call for that order returns
        self._calls: dict[str, asyncio.Task[None]] = {}  # strong references, so that no task is lost
        if venue.simulated and any(is_async(call) for call in (venue.submit, venue.amend, venue.cancel)):
            raise ConfigError(f"venue {venue.name}: a simulated venue has async methods; make them plain functions")
        kernel.subscribe(TradingHalted, self.on_halted, component=self.component)
        kernel.subscribe(TradingResumed, self.on_resumed, component=self.component)
        # One subscription for all requests, because a cancel must not overtake its order.
        deliver: Any = {"edge": True} if venue.simulated else {"refused": self.never_sent}
        handler: Handler = self.take if venue.simulated else self._take_durable
        kernel.subscribe(OrderEvent, handler, where=_leaves, component=self.component, **deliver)
        if not venue.simulated:
            kernel.subscribe(OrderCancelRequestedEvent, self._cancel_early, edge=True, component=self.component)

    def on_halted(self, halted: TradingHalted) -> None:
        """Called within the cascade: orders and amends that wait to become durable are no longer sent. Cancels still
        are, and so are requests that risk approves later, unless an error caused the halt."""
        self._held_below = halted.seq if halted.resumable else _EVERYTHING
        self._halted = True

    def on_resumed(self, _: TradingResumed) -> None:
        self._halted = False

    def shut(self, why: str) -> None:
        """Send only cancels from now on, until ``reopen``. Any thread may call this, also while a handler hangs. For
        venues outside this process."""
        self._shut = why

    def reopen(self) -> None:
        """Take back ``shut``. A halt stays."""
        self._shut = ""

    def send_cancels_at_once(self, on: bool) -> None:
        """Whether cancels leave without waiting to become durable: if the tape cannot be written, they still must. For
        venues outside this process."""
        self._cancels_at_once = on

    def _cancel_early(self, request: OrderCancelRequestedEvent) -> None:
        if self._cancels_at_once:
            self._cancelled_early.add(request.event_id)
            self.take(request)

    def take(self, request: Request) -> None:
        """Send an order, an amend or a cancel, in the order in which they were decided."""
        call = self._begin(request)
        if call is not None:
            self._work_apart(request, call)

    async def _take_durable(self, request: Request) -> None:
        if request.event_id in self._cancelled_early:
            self._cancelled_early.discard(request.event_id)
            return
        call = self._begin(request)
        if call is None:
            return
        task = leave_mailbox()
        if task is not None:  # another task would begin to work a round of the event loop later
            self._calls[request.order_id] = task
            await self._work(request, call)
        else:
            self._work_apart(request, call)

    def never_sent(self, request: DomainEvent) -> None:
        """There is no room to wait for durability. Trading halts, and the order ends here."""
        self._halted, self._held_below = True, _EVERYTHING
        if isinstance(request, OrderSubmittedEvent):
            self._report(request, OrderStatus.REJECTED, _NO_ROOM)
        elif isinstance(request, OrderAmendRequestedEvent):
            self._report(request, OrderStatus.UNKNOWN, _NO_ROOM, revision=request.revision)
        elif isinstance(request, OrderCancelRequestedEvent):
            self._refuse_cancel(request, _NO_ROOM)

    async def idle(self) -> None:
        """Wait until all calls to the venue have returned."""
        while self._calls:
            await asyncio.gather(*self._calls.values())

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _begin(self, request: Request) -> Awaitable[None] | None:
        """Call the venue, unless a call for the same order is under way. Returns what ``_work`` has to await."""
        lane = self._lanes.get(request.order_id)
        if lane is not None:
            lane.append(request)
            return None
        call = self._call(request)
        if call is not None:
            if self._venue.simulated:
                refuse_unfinished(call, "the simulated venue's method")
            self._lanes[request.order_id] = deque()
        return call

    def _work_apart(self, request: Request, call: Awaitable[None]) -> None:
        self._calls[request.order_id] = asyncio.get_running_loop().create_task(self._work(request, call))

    def _call(self, request: Request) -> Awaitable[None] | None:
        """Pass a request to the venue, unless trading is halted. Returns an awaitable, if there is one."""
        try:
            if isinstance(request, OrderCancelRequestedEvent):
                return self._venue.cancel(request)
            if self._shut or (self._halted and request.seq < self._held_below):
                self._hold_back(request, f"never sent: {self._shut}" if self._shut else _HALTED)
                return None
            if isinstance(request, OrderSubmittedEvent):
                return self._venue.submit(request)
            return self._venue.amend(request)
        except Exception as error:  # noqa: BLE001 (whatever it was, the request is in doubt)
            self._failed(request, error)
            return None

    async def _work(self, request: Request, call: Awaitable[None] | None) -> None:
        """Wait for the call of an order, then send later requests of the same order."""
        order_id = request.order_id
        lane = self._lanes[order_id]
        try:
            while True:
                try:
                    if call is not None:
                        await call
                except Exception as error:  # noqa: BLE001 (whatever it was, the request is in doubt)
                    self._failed(request, error)
                if not lane:
                    return
                request = lane.popleft()
                call = self._call(request)
        finally:
            del self._lanes[order_id], self._calls[order_id]

    def _hold_back(self, request: OrderSubmittedEvent | OrderAmendRequestedEvent, why: str) -> None:
        if isinstance(request, OrderSubmittedEvent):
            self._report(request, OrderStatus.REJECTED, why)
        else:
            self._report(request, OrderStatus.UNKNOWN, why, revision=request.revision)

    def _failed(self, request: Request, error: Exception) -> None:
        """Report a request whose call raised. The error's text is omitted, because it may contain a secret."""
        reason = f"sending failed: {type(error).__name__}"
        if isinstance(request, OrderSubmittedEvent):
            self._report(request, OrderStatus.UNKNOWN, reason)
        elif isinstance(request, OrderCancelRequestedEvent):
            self._refuse_cancel(request, reason)
        else:
            message = f"amend {request.revision} of order {request.order_id} has no answer, {reason}"
            self._kernel.feed(SystemWarning(component=self.component, message=message, **self._cause(request)))

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
                user_id=order.user_id,
                status=status,
                reason=reason,
                revision=revision,
                **self._cause(order),
            )
        )

    def _refuse_cancel(self, request: OrderCancelRequestedEvent, reason: str) -> None:
        self._kernel.feed(
            VenueCancelRefused(
                order_id=request.order_id,
                symbol=request.symbol,
                account_id=request.account_id,
                user_id=request.user_id,
                reason=reason,
                **self._cause(request),
            )
        )

    def _cause(self, request: Request) -> dict[str, Any]:
        return {
            "source": self._venue.name,
            "causation_id": request.event_id,
            "correlation_id": request.correlation_id,
        }


def _leaves(event: OrderEvent) -> bool:
    return isinstance(event, _REQUESTS)
