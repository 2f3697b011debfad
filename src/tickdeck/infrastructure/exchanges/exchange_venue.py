"""An account at an exchange as the core's ``TradingVenue``: orders go out, what the exchange says comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Coroutine, Iterable, Mapping
from typing import Any

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Balance, Exchange, OrderFill, OrderRequest, OrderResult
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
from tickdeck.domain.trading import Order
from tickdeck.domain.values import ZERO, OrderStatus
from tickdeck.errors import DuplicateClientId, ExchangeError, OutcomeUnknown, UnknownOrder

__all__ = ["ExchangeVenue"]

_S = 1_000_000_000  # ns in a second
_QUIET_NS = 2 * _S
_CLOCKS_APART = 60 * _S  # between ours and the exchange's, at most
_FIRST_QUERY, _LONGEST_WAIT = 1.0, 30.0  # seconds between two looks at an order in doubt
_ENDINGS = (OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


class ExchangeVenue:
    """Sends the run's orders to ``exchange`` and publishes what it answers. Call ``await connect()``, then ``start``,
    after a resume ``recover``, then let ``run`` work while the run trades, and ``await close()`` at the end.

    - ``publish(event)`` takes an input. ``orders`` are the core's, by id; those that have ended may be missing.
    - ``currencies``: those of the run's symbols. The account begins with a balance in each, which may be 0.
    - ``began``: when the run began (ns UTC), if not now. Fills since then are looked at.
    - ``greatest_age``: an order that waited longer than this (ns, since its decision) is not sent any more; it ends as
      rejected, ``never sent``.
    - ``on_error(error)`` is called if looking for an order fails unexpectedly.

    An order is sent once. If the outcome is not known, the order is ``unknown`` and stays so until there is evidence:
    a query or the private stream shows it. If neither a query nor the list of open orders shows it after the time that
    queries may lag behind the engine, it counts as rejected.

    Fills may arrive several times: with an answer, on the private stream, by a query. The core counts each
    ``venue_trade_id`` once. If the exchange counts more than the fills that arrived, the rest is fetched.

    While ``closing`` is true, no order is sent.
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
        orders: Mapping[str, Order],
        currencies: Iterable[str] = (),
        greatest_age: int = 5 * _S,
        began: int | None = None,
        on_error: Callable[[Exception], object] = lambda error: None,
    ) -> None:
        self.name = exchange.name
        self.closing = False
        self._exchange = exchange
        self._account_id, self._user_id = account_id, user_id
        self._clock, self._publish, self._orders = clock, publish, orders
        self._currencies = tuple(dict.fromkeys(currencies))
        self._greatest_age, self._not_found_after = greatest_age, exchange.capabilities.query_lag
        self._began = clock.time_ns() if began is None else began
        self._on_error = on_error
        self._closed = self._resumed = False
        self._first: list[VenueBalanceReported] = []  # the balances at the beginning
        self._later: dict[str, VenueBalanceReported] = {}  # the last balance of each currency, not published yet
        self._settling: asyncio.Task[None] | None = None
        self._heard = 0  # when a fill or an order's state arrived last
        self._doubts: dict[str, asyncio.Task[None]] = {}  # orders whose state is being found out
        self._never_received: dict[str, None] = {}  # orders that we concluded the exchange never had

    # -- the run ----------------------------------------------------------------------------------------------------

    async def connect(self, *, resumed: bool = False) -> tuple[str, ...]:
        """Take over the exchange's limits, and query the balances. Returns remarks for the user, such as open orders of
        others. Raises ``ExchangeError``."""
        self._resumed = resumed
        await self._exchange.instruments()
        self._first = await self._balances()
        if resumed:
            return ()
        others = await self._exchange.open_orders()
        if not others:
            return ()
        where = ", ".join(sorted({order.symbol for order in others}))
        return (f"the account has {len(others)} open orders of others (in {where}); they stay as they are",)

    def start(self, now: int) -> None:
        """Report the balances with which the account begins. A resumed run has them on its record."""
        del now
        if self._resumed:
            return  # ``recover`` publishes what the record lacks
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

    def recover(self, recorded: Container[str], cancels: Iterable[str], known: Container[str]) -> None:
        """After a resume: no order is sent again.

        ``recorded`` are the orders that an earlier process may have sent: one without a recorded answer is ``unknown``,
        and each that is open or lacks fills is looked up. ``cancels`` have no recorded answer: the core is told that
        they failed, so it repeats them. ``known``: the currencies whose balances are on the record."""
        why = "the process ended before the answer was recorded"
        for balance in self._first:
            if balance.currency not in known:
                self._publish(balance)
        self._first = []
        for order in self._unsettled():
            if order.order_id not in recorded:
                continue  # of this process, which is about to send it
            about: dict[str, Any] = {"order_id": order.order_id, "symbol": order.symbol}
            if order.status is OrderStatus.SUBMITTED:
                self._publish(self._report(VenueOrderReported, **about, status=OrderStatus.UNKNOWN, reason=why))
            self._doubt(order.order_id, order.symbol)
        for order_id in cancels:
            cancelled = self._orders.get(order_id)
            if cancelled is not None and cancelled.is_open:
                about = {"order_id": order_id, "symbol": cancelled.symbol}
                self._publish(self._report(VenueCancelRefused, **about, reason=why))

    async def run(self) -> None:
        """Publish what the private stream says, until cancelled. After each connection, look at every order that is
        open or lacks fills: what happened before was not reported. Raises ``ExchangeError`` if the exchange refuses the
        stream."""
        async for event in self._exchange.private_events():
            self._take(event)
            if isinstance(event, FeedConnected):
                for order in self._unsettled():
                    self._doubt(order.order_id, order.symbol)

    async def compare(self) -> None:
        """Query the balances and publish them; the core compares them with its own. Raises ``ExchangeError``."""
        self._later.clear()
        for report in await self._balances():
            self._publish(report)

    async def close(self) -> None:
        """End all queries and connections."""
        self._closed = True
        tasks = [*self._doubts.values(), *([self._settling] if self._settling is not None else ())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._exchange.close()

    async def _balances(self) -> list[VenueBalanceReported]:
        """The balances, with 0 in the run's currencies that the exchange leaves out."""
        found = {balance.currency: balance for balance in await self._exchange.balances()}
        for currency in self._currencies:
            found.setdefault(currency, Balance(currency=currency, free=ZERO))
        return [
            self._report(VenueBalanceReported, currency=balance.currency, total=balance.total, locked=balance.locked)
            for balance in found.values()
        ]

    def _unsettled(self) -> list[Order]:
        return [order for order in self._orders.values() if order.is_open or order.missing]

    # -- requests ---------------------------------------------------------------------------------------------------

    async def submit(self, order: OrderSubmittedEvent) -> None:
        if self.closing:
            self._order(order, OrderStatus.REJECTED, "never sent: the run ends")
            return
        waited = self._clock.time_ns() - order.ts_ingress
        if waited > self._greatest_age:
            why = f"never sent: it waited {waited / _S:.1f} s, more than {self._greatest_age / _S:g} s"
            self._order(order, OrderStatus.REJECTED, why)
            return
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
            self._doubt(order.order_id, order.symbol)
        except ExchangeError as error:
            self._order(order, OrderStatus.REJECTED, _said(error))
        except BaseException:
            self._doubt(order.order_id, order.symbol)
            raise  # the gateway reports the order as unknown
        else:
            self._result(result, order.order_id, order)

    async def cancel(self, request: OrderCancelRequestedEvent) -> None:
        try:
            result = await self._exchange.cancel(request.symbol, client_order_id=request.order_id)
        except UnknownOrder as error:
            # It may have ended, or not have arrived yet. Only the order's own state can tell.
            self._refuse_cancel(request, _said(error))
            self._doubt(request.order_id, request.symbol)
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
            self._doubt(request.order_id, request.symbol)
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
        """An event of the private stream."""
        if isinstance(event, VenueOrderReported) and event.order_id in self._never_received:
            message = (
                f"order {event.order_id} counts as never received, but {self.name} reports it as {event.status.value}: "
                "cancel it there, and compare the account"
            )
            self._publish(SystemWarning(component="gateway", message=message, source=self.name))
        if isinstance(event, VenueBalanceReported):
            self._later[event.currency] = event
            if self._settling is None or self._settling.done():
                self._settling = self._started(self._settle())
            return
        self._heard = self._clock.monotonic_ns()
        self._publish(event)
        if isinstance(event, VenueOrderReported):
            self._fetch_missing(event.order_id)

    async def _settle(self) -> None:
        """Publish balances when no fill has arrived for a while. A fill comes with the answer to its order and on the
        stream, one sooner than the other, so a balance may be older than what the core knows already."""
        while (quiet := self._clock.monotonic_ns() - self._heard) < _QUIET_NS:
            await self._clock.sleep((_QUIET_NS - quiet) / _S)
        later, self._later = self._later, {}
        for event in later.values():
            self._publish(event)

    def _fetch_missing(self, order_id: str) -> None:
        """The exchange counts more than the fills that arrived: look for the rest, unless it arrives soon."""
        order = self._orders.get(order_id)
        if order is not None and order.missing:
            self._doubt(order_id, order.symbol, after=_FIRST_QUERY)

    def _doubt(self, order_id: str, symbol: str, *, after: float = 0) -> None:
        """Find out what became of an order, unless that is already being done. ``after``: seconds in which an answer
        may still arrive by itself."""
        if order_id not in self._doubts and not self._closed:
            task = self._doubts[order_id] = self._started(self._find_out(order_id, symbol, after))
            task.add_done_callback(lambda _: self._doubts.pop(order_id, None))

    def _started(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                self._on_error(error)

        task = asyncio.ensure_future(work)
        task.add_done_callback(ended)
        return task

    async def _find_out(self, order_id: str, symbol: str, after: float) -> None:
        since = self._clock.monotonic_ns()
        if after:
            await self._clock.sleep(after)
            order = self._orders.get(order_id)
            if order is None or not order.missing:
                return
        wait = _FIRST_QUERY
        while True:
            try:
                if await self._look(order_id, symbol, since):
                    return
            except ExchangeError as error:  # no answer is no evidence
                bound_logger("tickdeck.gateway").warning("an order is in doubt", order_id=order_id, error=_said(error))
            await self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)

    async def _look(self, order_id: str, symbol: str, since: int) -> bool:
        """Look for an order at the exchange. Returns whether its state is known now, with all its fills."""
        try:
            result = await self._exchange.order(symbol, client_order_id=order_id)
        except UnknownOrder:
            return await self._is_nowhere(order_id, symbol, since)
        filled = ZERO
        if result.filled:
            for fill in await self._exchange.fills(symbol, since=self._began - _CLOCKS_APART):
                if fill.venue_order_id == result.venue_order_id:
                    self._fill(fill, order_id)
                    filled += fill.quantity
        self._result(result, order_id)
        return result.status is not None and filled >= result.filled

    async def _is_nowhere(self, order_id: str, symbol: str, since: int) -> bool:
        """The query does not know the order. That is evidence only after the queries' lag, only if the open orders do
        not show it either, and only if the exchange has never shown it."""
        order = self._orders.get(order_id)
        if order is not None and (order.venue_order_id or order.filled or not order.is_open):
            return not order.is_open and not order.missing
        seconds = (self._clock.monotonic_ns() - since) / _S
        if seconds * _S < self._not_found_after:
            return False
        if any(found.client_order_id == order_id for found in await self._exchange.open_orders(symbol)):
            return False
        self._never_received[order_id] = None
        reason = (
            f"never received: {seconds:.0f} s later {self.name} knows no such order, and it is not among the open ones"
        )
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
            self._doubt(order_id, result.symbol)
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
        self._fetch_missing(order_id)

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
