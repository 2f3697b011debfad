"""Orders in doubt: each is looked up until there is evidence of what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Exchange, OrderFill, OrderResult
from tickdeck.domain.trading import Order, Silence, judge_silence
from tickdeck.domain.values import ZERO, OrderStatus
from tickdeck.errors import ExchangeError, InvalidSymbol, UnknownOrder
from tickdeck.infrastructure.exchanges.venue_reports import VenueReports

__all__ = ["FIRST_QUERY", "OrdersInDoubt", "said"]

_S = 1_000_000_000  # ns in a second
_CLOCKS_APART = 60 * _S  # between ours and the exchange's, at most
FIRST_QUERY, _LONGEST_WAIT = 1.0, 10.0  # seconds between two queries of an order in doubt


class OrdersInDoubt:
    """Looks up orders at ``exchange`` and publishes what it finds through ``reports``.

    An order that the exchange knows is reported with its fills. "No such order" proves nothing by itself, because a
    request may still wait inside the venue's engine, and queries read a copy that lags. The order counts as never
    received (``venue.order_not_found``) only if, in one look,

    - ``in_flight + query_lag`` have passed on the venue's clock since the first look,
    - each source that ``capabilities.evidence`` names has answered, and none knows the order: the query of the order,
      the open orders, the fills, and the private stream, which was connected all through the look,
    - the order is not older than ``lookup_window``, beyond which the venue forgets orders,
    - and the venue has never shown the order before.

    An amend without an answer is looked up with its order: it is confirmed if the venue shows its quantity, and refused
    if the order has ended with another one, or still has another one after ``in_flight + query_lag``.

    An order whose symbol the exchange no longer lists cannot be queried. It has expired if it is not among all open
    orders after ``in_flight + query_lag``; what it filled before is in the balances.

    An error of any other kind is no answer. Without evidence, the search goes on until the order ends in the core, or
    until ``close``.

    ``began`` is when the run began, ns UTC. ``on_error(error)`` is called if a search fails unexpectedly.
    """

    def __init__(
        self,
        exchange: Exchange,
        reports: VenueReports,
        *,
        clock: LiveClock,
        orders: Mapping[str, Order],
        began: int,
        on_error: Callable[[Exception], object],
    ) -> None:
        self._exchange, self._reports, self._clock, self._orders = exchange, reports, clock, orders
        self._began, self._on_error = began, on_error
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closed = False
        self.connection = 0
        """The number of the private stream's connection; 0 while it is not connected."""
        self._unseen: set[str] = set()  # orders whose first look is still under way
        self._all_seen = asyncio.Event()
        self._not_ours: set[tuple[str, str]] = set()  # symbols and the venue's ids of orders looked up by their fills

    @property
    def longest(self) -> float:
        """Seconds after which an order that the exchange never received is known to be so, if everything answers."""
        rules = self._exchange.capabilities
        return (rules.in_flight + rules.query_lag) / _S + _LONGEST_WAIT

    def look_up(self, order_id: str, symbol: str, *, sent: int = 0, after: float = 0) -> None:
        """Find out what became of an order, unless that is already being done. ``sent``: when it left, or at the
        earliest (ns UTC). ``after``: seconds in which an answer may still arrive by itself."""
        if order_id not in self._tasks and not self._closed:
            search = self._find_out(order_id, symbol, sent or self._began, after)
            self._unseen.add(order_id)
            self._all_seen.clear()
            task = self._tasks[order_id] = self.started(search)

            def ended(_: asyncio.Task[None]) -> None:
                self._tasks.pop(order_id, None)
                self._seen(order_id)

            task.add_done_callback(ended)

    async def first_looks(self) -> None:
        """Wait until each order that is searched was looked at once, with or without an answer."""
        if self._unseen:
            await self._all_seen.wait()

    def _seen(self, order_id: str) -> None:
        self._unseen.discard(order_id)
        if not self._unseen:
            self._all_seen.set()

    def fetch_missing(self, order_id: str) -> None:
        """If the exchange counts more than the fills that arrived, look for the rest, unless it arrives soon."""
        order = self._orders.get(order_id)
        if order is not None and order.missing:
            self.look_up(order_id, order.symbol, after=FIRST_QUERY)

    def started(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do ``work`` in the background; an unexpected error is for ``on_error``."""

        def ended(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                self._on_error(error)

        task = asyncio.ensure_future(work)
        task.add_done_callback(ended)
        return task

    async def close(self) -> None:
        """End all searches."""
        self._closed = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # -- the search -------------------------------------------------------------------------------------------------

    async def _find_out(self, order_id: str, symbol: str, sent: int, after: float) -> None:
        if after:
            await self._clock.sleep(after)
            order = self._orders.get(order_id)
            if order is None or not (order.missing or order.unanswered_amends):
                return
        search = _Search(order_id, symbol, sent, was_shown=self._is_shown(order_id))
        log = bound_logger("tickdeck.gateway")
        search.began, wait = self._clock.monotonic_ns(), FIRST_QUERY
        while not self._is_settled(search):
            try:
                if await self._look(search):
                    break
            except ExchangeError as error:  # no answer is no evidence
                if self._is_settled(search):  # the private stream was faster
                    break
                log.warning("an order is in doubt", order_id=order_id, error=said(error))
            self._seen(order_id)
            await self._clock.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        seconds = (self._clock.monotonic_ns() - search.began) / _S
        if seconds >= FIRST_QUERY:
            log.info("an order is no longer in doubt", order_id=order_id, seconds=round(seconds, 1))

    def _is_settled(self, search: _Search) -> bool:
        """Whether the search has become needless: the order has ended with all its fills, a person settled it, or the
        stream shows it for the first time."""
        order = self._orders.get(search.order_id)
        if order is None or order.missing or (order.is_open and order.unanswered_amends):
            return False
        return not order.is_open or (self._is_shown(search.order_id) and not search.was_shown)

    def _is_shown(self, order_id: str) -> bool:
        """Whether the venue has ever shown the order."""
        order = self._orders.get(order_id)
        return order is not None and bool(order.venue_order_id or order.filled)

    async def _look(self, search: _Search) -> bool:
        """Look for an order at the exchange. Returns whether its state is known now, with all its fills."""
        try:
            result = await self._exchange.order(search.symbol, client_order_id=search.order_id)
        except UnknownOrder:
            return await self._is_nowhere(search)
        except InvalidSymbol:
            return await self._is_delisted(search)
        return await self._report(search, result)

    async def _is_delisted(self, search: _Search) -> bool:
        """The exchange does not know the symbol. Returns whether that settles the order."""
        rules, order = self._exchange.capabilities, self._orders.get(search.order_id)
        if self._clock.monotonic_ns() - search.began < rules.in_flight + rules.query_lag:
            return False
        if any(listed.symbol == search.symbol for listed in await self._exchange.instruments()):
            return False
        if any(found.client_order_id == search.order_id for found in await self._exchange.open_orders()):
            return False
        why = f"{search.symbol} was delisted, and the order is not among the open ones"
        filled = order.filled if order is not None else ZERO
        self._reports.about(search.order_id, search.symbol, OrderStatus.EXPIRED, why, filled=filled)
        return True

    async def _report(self, search: _Search, result: OrderResult) -> bool:
        filled = ZERO
        if result.filled:
            for fill in await self._exchange.fills(search.symbol, venue_order_id=result.venue_order_id):
                self._reports.fill(fill, search.order_id)
                filled += fill.quantity
        amends_known = self._report_amends(search, result)
        return self._reports.result(result, search.order_id) and amends_known and filled >= result.filled

    def _report_amends(self, search: _Search, result: OrderResult) -> bool:
        """Answer the order's amends, as far as ``result`` shows what became of them. Returns whether all have an
        answer."""
        order = self._orders.get(search.order_id)
        waiting = order.unanswered_amends if order is not None else {}
        done = [revision for revision, quantity in waiting.items() if quantity == result.quantity]
        if done:
            newest = {"revision": done[-1], "quantity": result.quantity, "limit": result.limit}
            self._reports.about(search.order_id, search.symbol, OrderStatus.ACCEPTED, "", **newest)
            waiting = {revision: quantity for revision, quantity in waiting.items() if revision > done[-1]}
        rules = self._exchange.capabilities
        passed = self._clock.monotonic_ns() - search.began
        ended = result.status is not None and result.status.is_final
        if not ended and passed < rules.in_flight + rules.query_lag:
            return not waiting
        state = "ended with" if ended else f"{passed / _S:.0f} s later still has"
        why = f"not carried out: the order {state} a quantity of {result.quantity}"
        for revision in waiting:
            self._reports.about(search.order_id, search.symbol, OrderStatus.UNKNOWN, why, revision=revision)
        return True

    async def _is_nowhere(self, search: _Search) -> bool:
        """The query does not know the order. Returns whether that settles it."""
        if self._is_shown(search.order_id):
            return False  # so the answer is old, or the venue forgot it, and a person must look
        connection, now = self.connection, await self._exchange.server_time()
        if search.since is None:
            search.since = now
        rules, waited = self._exchange.capabilities, now - search.since
        wait, window = rules.in_flight + rules.query_lag, rules.lookup_window
        silence = judge_silence(since=search.since, now=now, sent=search.sent, wait=wait, window=window)
        if silence is not Silence.COUNTS:
            return False
        found = await self._elsewhere(search)
        if found is not None:
            return await self._report(search, found)
        if "stream" in rules.evidence and not 0 < connection == self.connection:
            return False
        if self._is_shown(search.order_id):  # meanwhile
            return False
        self._reports.not_found(search.order_id, search.symbol, rules.evidence, waited)
        return True

    async def _elsewhere(self, search: _Search) -> OrderResult | None:
        """The order, if it is among the open orders or one of the account's fills belongs to it."""
        evidence = self._exchange.capabilities.evidence
        if "open_orders" in evidence:
            for found in await self._exchange.open_orders(search.symbol):
                if found.client_order_id == search.order_id:
                    return found
        if "fills" in evidence:
            known = {order.venue_order_id for order in self._orders.values() if order.symbol == search.symbol}
            for fill in await self._exchange.fills(search.symbol, since=search.sent - _CLOCKS_APART):
                found_by_fill = await self._behind(fill, search, known)
                if found_by_fill is not None:
                    return found_by_fill
        return None

    async def _behind(self, fill: OrderFill, search: _Search, known: set[str]) -> OrderResult | None:
        """The order of ``fill`` if it is the one that is searched. Fills name our id at some venues only, so the
        order is queried by the venue's id, once."""
        venue_order_id = fill.venue_order_id
        key = search.symbol, venue_order_id
        if fill.client_order_id not in ("", search.order_id) or venue_order_id in known or key in self._not_ours:
            return None
        found = await self._exchange.order(search.symbol, venue_order_id=venue_order_id)
        if found.client_order_id == search.order_id:
            return found
        self._not_ours.add(key)
        return None


class _Search:
    """``since``: the venue's time of the first look that found nothing (ns), ``None`` before it. ``began`` is on our
    monotonic clock (ns)."""

    __slots__ = ("began", "order_id", "sent", "since", "symbol", "was_shown")

    def __init__(self, order_id: str, symbol: str, sent: int, *, was_shown: bool) -> None:
        self.order_id, self.symbol, self.sent, self.was_shown = order_id, symbol, sent, was_shown
        self.since: int | None = None
        self.began = 0


def said(error: ExchangeError) -> str:
    """What an exchange's error says, with its class. Its messages contain no secrets."""
    return f"{type(error).__name__}: {error}"
