"""An account at an exchange as the core's ``TradingVenue``: orders go out, what the exchange says comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Exchange, OrderFill, OrderRequest, OrderResult
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    SystemWarning,
    VenueBalanceReported,
    VenueCancelRefused,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.values import ZERO, OrderStatus
from tickdeck.errors import DuplicateClientId, ExchangeError, OutcomeUnknown, UnknownOrder

__all__ = ["ExchangeVenue"]

_S = 1_000_000_000  # ns in a second
_QUIET_NS = 2 * _S
_FIRST_QUERY, _LONGEST_WAIT = 1.0, 30.0  # seconds between two looks at an order in doubt
_ENDINGS = (OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


class ExchangeVenue:
    """Sends the run's orders to ``exchange`` and publishes what it answers. Call ``await connect()``, then ``start``,
    after a resume ``recover``, then let ``run`` work while the run trades, and ``await close()`` at the end.

    - ``publish(event)`` takes an input. ``open_orders()`` returns the orders that the core still counts as open.
    - ``began``: when the run began (ns UTC), if not now: fills since then are looked at.
    - ``greatest_age``: an order that waited longer than this (ns, since its decision) is not sent any more; it ends as
      rejected, ``never sent``.

    An order is sent once. If the outcome is not known, the order is ``unknown`` and stays so until there is evidence:
    the exchange shows it (by a query, among the open orders, in a fill, on the private stream), or, after the
    time that its queries may lag behind its engine, neither the query nor the open orders nor a fill show it. Only then
    it counts as rejected.

    Fills may arrive several times: with an answer, on the private stream, by a query. The core counts each
    ``venue_trade_id`` once.
    """

    simulated = False

    def __init__(
        self,
        exchange: Exchange,
        *,
        account_id: str,
        user_id: str,
        clock: LiveClock,
        publish: Callable[[DomainEvent], object],
        open_orders: Callable[[], Iterable[Any]],
        greatest_age: int = 5 * _S,
        began: int | None = None,
    ) -> None:
        self.name = exchange.name
        self._exchange = exchange
        self._account_id, self._user_id = account_id, user_id
        self._clock, self._publish, self._open_orders = clock, publish, open_orders
        self._greatest_age, self._not_found_after = greatest_age, exchange.capabilities.query_lag
        self._began = clock.time_ns() if began is None else began
        self._first: list[DomainEvent] = []  # what the account looked like before the run
        self._later: dict[str, VenueBalanceReported] = {}  # the last balance of each currency, not published yet
        self._settling: asyncio.Task[None] | None = None
        self._heard = 0  # when a fill or an order's state arrived last
        self._doubts: dict[str, asyncio.Task[None]] = {}  # orders whose state is being found out
        self._never_received: dict[str, None] = {}  # orders that we concluded the exchange never had

    # -- the run ----------------------------------------------------------------------------------------------------

    async def connect(self, *, resumed: bool = False) -> tuple[str, ...]:
        """Take over the exchange's limits, and query the account as it is before the run. Returns remarks for the user,
        such as open orders of others. Raises ``ExchangeError``."""
        await self._exchange.instruments()
        if resumed:
            return ()
        self._first = await self._balances()
        others = await self._exchange.open_orders()
        if not others:
            return ()
        where = ", ".join(sorted({order.symbol for order in others}))
        return (f"the account has {len(others)} open orders of others (in {where}); they stay as they are",)

    def start(self, now: int) -> None:
        """Report the balances with which the account begins."""
        del now
        first, self._first = self._first, []
        for event in first:
            self._publish(event)

    def on_market(self, event: object) -> None:
        """The market is at the exchange: there is nothing to do here."""

    def assumptions(self) -> tuple[str, ...]:
        """What the fills rest on, in plain sentences."""
        return (f"Orders were sent to {self.name}; fills, fees and balances are as it reported them.",)

    def begins_with(self) -> str | None:
        """A line about balances that nobody configured: here there is none."""
        return None

    def recover(self) -> None:
        """After a resume: nothing is sent again. An order whose answer is not on the tape is ``unknown``, and every
        open order is looked up."""
        for order in list(self._open_orders()):
            about = {"order_id": order.order_id, "symbol": order.symbol}
            if order.status is OrderStatus.SUBMITTED:
                reason = "the process ended before the answer was recorded"
                self._publish(self._report(VenueOrderReported, **about, status=OrderStatus.UNKNOWN, reason=reason))
            self._doubt(order.order_id, order.symbol, sent=self._clock.time_ns())

    async def run(self) -> None:
        """Publish what the private stream says, until cancelled. After each connection, look at every open order: what
        happened before was not reported. Raises ``ExchangeError`` if the exchange refuses the stream."""
        async for event in self._exchange.private_events():
            self._take(event)
            if isinstance(event, FeedConnected):
                for order in self._open_orders():
                    self._doubt(order.order_id, order.symbol, sent=self._clock.time_ns())

    async def compare(self) -> None:
        """Query the balances and publish them; the core compares them with its own. Raises ``ExchangeError``."""
        self._later.clear()
        for report in await self._balances():
            self._publish(report)

    async def _balances(self) -> list[DomainEvent]:
        return [
            self._report(VenueBalanceReported, currency=balance.currency, total=balance.total, locked=balance.locked)
            for balance in await self._exchange.balances()
        ]

    async def close(self) -> None:
        """End all queries and connections."""
        tasks = [*self._doubts.values(), *([self._settling] if self._settling is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._exchange.close()

    # -- requests ---------------------------------------------------------------------------------------------------

    async def submit(self, order: OrderSubmittedEvent) -> None:
        waited = self._clock.time_ns() - order.ts_ingress
        if waited > self._greatest_age:
            why = f"never sent: it waited {waited / _S:.1f} s, more than {self._greatest_age / _S:g} s"
            self._order(order, OrderStatus.REJECTED, why)
            return
        sent = self._clock.time_ns()
        request = OrderRequest(
            client_order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            limit=order.limit,
            time_in_force=order.time_in_force,
        )
        try:
            result = await self._exchange.place(request)
        except (OutcomeUnknown, DuplicateClientId) as error:
            self._order(order, OrderStatus.UNKNOWN, _said(error))
            self._doubt(order.order_id, order.symbol, sent=sent)
        except ExchangeError as error:
            self._order(order, OrderStatus.REJECTED, _said(error))
        except BaseException:
            self._doubt(order.order_id, order.symbol, sent=sent)
            raise  # the gateway reports the order as unknown
        else:
            self._result(result, order.order_id, order)

    async def cancel(self, request: OrderCancelRequestedEvent) -> None:
        try:
            result = await self._exchange.cancel(request.symbol, client_order_id=request.order_id)
        except UnknownOrder as error:
            # It may have ended, or not have arrived yet. Only the order's own state can tell.
            self._refuse_cancel(request, _said(error))
            self._doubt(request.order_id, request.symbol, sent=self._clock.time_ns())
        except ExchangeError as error:
            self._refuse_cancel(request, _said(error))
        else:
            self._result(result, request.order_id, request)

    async def amend(self, request: OrderAmendRequestedEvent) -> None:
        try:
            await self._exchange.amend(
                request.symbol, quantity=request.quantity, limit=request.limit, client_order_id=request.order_id
            )
        except OutcomeUnknown as error:
            message = f"amend {request.revision} of order {request.order_id} has no answer: {_said(error)}"
            self._publish(SystemWarning(component="gateway", message=message, **self._cause(request)))
            self._doubt(request.order_id, request.symbol, sent=self._clock.time_ns())
        except ExchangeError as error:
            self._order(request, OrderStatus.UNKNOWN, _said(error), revision=request.revision)
        else:
            self._order(
                request,
                OrderStatus.ACCEPTED,
                "",
                revision=request.revision,
                quantity=request.quantity,
                limit=request.limit,
            )

    # -- evidence ---------------------------------------------------------------------------------------------------

    def _take(self, event: DomainEvent) -> None:
        """An event of the private stream. The user is ours to name; the exchange does not know it."""
        if isinstance(event, VenueOrderReported) and event.order_id in self._never_received:
            message = (
                f"order {event.order_id} counts as never received, but {self.name} reports it as {event.status.value}: "
                "cancel it there, and compare the account"
            )
            self._publish(SystemWarning(component="gateway", message=message, source=self.name))
        if isinstance(event, VenueBalanceReported):
            self._later[event.currency] = event
            if self._settling is None or self._settling.done():
                self._settling = asyncio.ensure_future(self._settle())
        else:
            self._heard = self._clock.monotonic_ns()
            self._publish(event)

    async def _settle(self) -> None:
        """Publish balances when no fill has arrived for a while. A fill comes with the answer to its order and on the
        stream, one sooner than the other, so a balance may be older than what the core knows already."""
        while (quiet := self._clock.monotonic_ns() - self._heard) < _QUIET_NS:
            await self._clock.sleep((_QUIET_NS - quiet) / _S)
        later, self._later = self._later, {}
        for event in later.values():
            self._publish(event)

    def _doubt(self, order_id: str, symbol: str, *, sent: int) -> None:
        """Find out what became of an order, unless that is already being done."""
        if order_id not in self._doubts:
            task = asyncio.ensure_future(self._find_out(order_id, symbol, sent))
            self._doubts[order_id] = task
            task.add_done_callback(lambda _: self._doubts.pop(order_id, None))

    async def _find_out(self, order_id: str, symbol: str, sent: int) -> None:
        wait = _FIRST_QUERY
        while True:
            try:
                if await self._look(order_id, symbol, sent):
                    return
            except ExchangeError as error:  # no answer is no evidence
                bound_logger("tickdeck.gateway").warning("an order is in doubt", order_id=order_id, error=_said(error))
            await self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _look(self, order_id: str, symbol: str, sent: int) -> bool:
        """Look for an order at the exchange. Returns whether its state is known now."""
        try:
            result = await self._exchange.order(symbol, client_order_id=order_id)
        except UnknownOrder:
            return await self._is_nowhere(order_id, symbol, sent)
        filled = ZERO
        if result.filled:
            for fill in await self._exchange.fills(symbol, since=self._began):
                if fill.venue_order_id == result.venue_order_id:
                    self._fill(fill, order_id)
                    filled += fill.quantity
        self._result(result, order_id)
        return result.status is not None and filled >= result.filled

    async def _is_nowhere(self, order_id: str, symbol: str, sent: int) -> bool:
        """The query does not know the order. That is evidence only after the queries' lag, and only if the open orders
        do not show it either."""
        if self._clock.time_ns() - sent < self._not_found_after:
            return False
        if any(order.client_order_id == order_id for order in await self._exchange.open_orders(symbol)):
            return False
        if any(order.order_id == order_id and order.filled for order in self._open_orders()):
            return False  # it has filled, so it existed: the exchange has only forgotten it
        self._never_received[order_id] = None
        seconds = (self._clock.time_ns() - sent) // _S
        reason = f"never received: {seconds} s later {self.name} knows no such order, and it is not among the open ones"
        self._publish(
            self._report(
                VenueOrderReported, order_id=order_id, symbol=symbol, status=OrderStatus.REJECTED, reason=reason
            )
        )
        return True

    # -- reports ----------------------------------------------------------------------------------------------------

    def _result(self, result: OrderResult, order_id: str, cause: OrderEvent | None = None) -> None:
        """Publish an order's state as the exchange answered it: the end of an order after its fills."""
        self._heard = self._clock.monotonic_ns()
        if result.status is None:
            message = (
                f"{self.name} says {result.raw_status!r} of order {order_id}, which this version does not know: the "
                "order stays as it is, and is queried again"
            )
            self._publish(SystemWarning(component="gateway", message=message, **self._cause(cause)))
            self._doubt(order_id, result.symbol, sent=self._clock.time_ns())
            return
        report = self._report(
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
            self._fill(fill, order_id, cause)
        if result.status in _ENDINGS:
            self._publish(report)

    def _fill(self, fill: OrderFill, order_id: str, cause: OrderEvent | None = None) -> None:
        self._publish(
            self._report(
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

    def _order(self, order: OrderEvent, status: OrderStatus, reason: str, **own: Any) -> None:
        self._publish(
            self._report(
                VenueOrderReported,
                order_id=order.order_id,
                symbol=order.symbol,
                status=status,
                reason=reason,
                cause=order,
                **own,
            )
        )

    def _refuse_cancel(self, request: OrderCancelRequestedEvent, reason: str) -> None:
        self._publish(
            self._report(
                VenueCancelRefused, order_id=request.order_id, symbol=request.symbol, reason=reason, cause=request
            )
        )

    def _report(self, kind: Any, *, cause: OrderEvent | None = None, ts: int = 0, **fields: Any) -> Any:
        account = {"account_id": self._account_id, "user_id": self._user_id}
        return kind(**account, **fields, ts=ts, **self._cause(cause))

    def _cause(self, cause: OrderEvent | None) -> dict[str, Any]:
        envelope = {"source": self.name}
        if cause is None:
            return envelope
        return envelope | {"causation_id": cause.event_id, "correlation_id": cause.correlation_id}


def _said(error: ExchangeError) -> str:
    """What an exchange's error says, with its class. Its messages contain no secrets."""
    return f"{type(error).__name__}: {error}"
