"""Keeping a run in agreement with its account: open orders, fills and balances, and what others do there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, cast

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Balance, Exchange, ListedInstrument, MarginExchange, OrderFill, OrderResult
from tickdeck.domain.events import (
    DomainEvent,
    VenueBalanceReported,
    VenueExternalFillReported,
    VenueExternalOrderReported,
    VenueFillReported,
    VenueInstrumentReported,
    VenueOrderReported,
    VenueTransferReported,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import Order
from tickdeck.domain.values import ZERO, Money, OrderStatus
from tickdeck.errors import ExchangeError, InvalidSymbol, UnknownOrder
from tickdeck.infrastructure.exchanges.doubt import said
from tickdeck.infrastructure.exchanges.transfers import Transfers
from tickdeck.infrastructure.exchanges.venue_reports import VenueReports

__all__ = ["Reconciliation"]

_S = 1_000_000_000  # ns in a second
_KEPT = 10_000
_DEAD = 10  # orders that were taken for dead and are looked up again, for each symbol
_QUIET, _FIRST_RETRY, _LONGEST_RETRY = 2.0, 1.0, 30.0  # seconds


class Reconciliation:
    """Compares the account at ``exchange`` with the run, and publishes what the run lacks. ``request`` starts it.

    A round queries the open orders and the newest fills of ``symbols``. Those of the run's ``orders`` are reported as
    such, the others as external: they are shown and never touched. The newest orders that were taken for dead are
    looked up again. Then come the balances. A reading counts only if no fill arrived meanwhile. Where it differs from
    ``books`` (our balances by currency), it is published after the payments of the exchange's history that explain the
    difference, and the core compares. While ``pending`` (the core's differences that one reading showed) is not empty,
    another reading follows after the time that queries may lag.

    ``agrees(report)`` tells whether the run has the balance and the locks of a report; without it, balances are
    compared. ``began`` is when the run began, ns UTC. ``is_booked(transfer_id)`` tells whether the run has a payment
    already. ``currencies``: those that are 0 if the exchange leaves them out.
    """

    def __init__(
        self,
        exchange: Exchange,
        reports: VenueReports,
        *,
        clock: LiveClock,
        publish: Callable[[DomainEvent], object],
        orders: Mapping[str, Order],
        symbols: Iterable[str],
        currencies: Iterable[str],
        books: Mapping[str, Money],
        pending: Mapping[str, Money],
        began: int,
        is_booked: Callable[[str], bool] = lambda transfer_id: False,
        agrees: Callable[[VenueBalanceReported], bool] | None = None,
    ) -> None:
        self._exchange, self._reports, self._clock, self._publish = exchange, reports, clock, publish
        self._orders, self._symbols, self._currencies = orders, tuple(symbols), tuple(currencies)
        self._books, self._pending, self.began = books, pending, began
        self._agrees = agrees or (lambda report: books.get(report.currency, ZERO) == report.total)
        self.transfers = Transfers(exchange, reports, is_booked=is_booked)
        self.last_trades: dict[str, str] = {}
        """The venue's id of the newest fill that was fetched, by symbol."""
        self.instruments: dict[str, Instrument] = {}
        """What is listed, by symbol."""
        self._listed: tuple[ListedInstrument, ...] = ()
        # By symbol and the venue's id, which is unique per symbol only:
        self._shown: dict[tuple[str, str], tuple[OrderStatus, Money]] = {}  # open orders of others
        self._owners: dict[tuple[str, str], str] = {}  # client order ids of fills that were looked up
        self._unlisted: dict[str, str] = {}  # what the exchange last said of symbols that it does not list
        self._next_reading = 0  # ns, monotonic
        self._task: asyncio.Task[None] | None = None
        self._pause: asyncio.Future[None] | None = None
        self._requested = False

    def request(self, start: Callable[[Any], asyncio.Task[None]]) -> None:
        """Begin a round now, or after the one that is under way. ``start`` makes a task of a coroutine."""
        self._requested = True
        if self._task is None or self._task.done():
            self._task = start(self._work())
        elif self._pause is not None:
            self._pause.cancel()

    def resume(self) -> None:
        """Differences that an earlier process read are read again after the time that queries may lag, as within one
        process: a fill that explains them may not be listed yet."""
        if self._pending:
            self._next_reading = self._clock.monotonic_ns() + self._exchange.capabilities.query_lag

    async def close(self) -> None:
        """Cancel the current round."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def connect(self) -> None:
        """Load the listed symbols. Raises ``ExchangeError``."""
        self._listed = await self._exchange.instruments()
        self.instruments = {found.symbol: found.instrument for found in self._listed}

    def instrument_reports(self) -> list[VenueInstrumentReported]:
        """The run's symbols as they were listed when it connected."""
        return [
            VenueInstrumentReported(
                symbol=listed.symbol,
                base=listed.instrument.base,
                quote=listed.instrument.quote,
                status=listed.status.value,
                raw_status=listed.raw_status,
                tick_size=listed.instrument.tick_size,
                lot_size=listed.instrument.lot_size,
                min_quantity=listed.instrument.min_quantity,
                max_quantity=listed.instrument.max_quantity,
                min_notional=listed.instrument.min_notional,
                source=self._exchange.name,
            )
            for listed in self._listed
            if listed.symbol in self._symbols
        ]

    async def balances(self) -> list[VenueBalanceReported]:
        """The balances as reports, with 0 in the run's currencies that the exchange leaves out."""
        found = {balance.currency: balance for balance in await self._exchange.balances()}
        for currency in self._currencies:
            found.setdefault(currency, Balance(currency=currency, free=ZERO))
        return [
            self._reports.make(
                VenueBalanceReported, currency=balance.currency, total=balance.total, locked=balance.locked
            )
            for balance in found.values()
        ]

    def differs(self, report: VenueBalanceReported) -> bool:
        return not self._agrees(report)

    # -- rounds -----------------------------------------------------------------------------------------------------

    async def _work(self) -> None:
        retry = _FIRST_RETRY
        while True:
            self._requested = False
            wait = _QUIET
            try:
                await self.catch_up()
                if self._clock.monotonic_ns() >= self._next_reading and await self.read():
                    await self._clock.sleep(0.1)  # the core compares
                    if not self._pending and not self._requested:
                        return
                retry = _FIRST_RETRY
                wait = max(wait, (self._next_reading - self._clock.monotonic_ns()) / _S)
            except ExchangeError as error:
                log = bound_logger("tickdeck.gateway")
                warn = log.info if retry == _FIRST_RETRY else log.warning  # a single failure is nothing to act on
                warn("the account is not reconciled yet", error=said(error))
                wait, retry = retry, min(2 * retry, _LONGEST_RETRY)
            if not self._requested:
                await self._rest(wait)

    async def _rest(self, seconds: float) -> None:
        """Wait, at most until the next request."""
        self._pause = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({self._pause})
        finally:
            self._pause.cancel()
            self._pause = None

    async def catch_up(self) -> None:
        """Publish the open orders, the fills and the liquidations that the run lacks. Raises ``ExchangeError``."""
        await self._of_each(self._catch_up_orders)
        await self._of_each(self._catch_up_fills)
        if self._exchange.capabilities.margin:
            await self._of_each(self._catch_up_liquidations)

    async def _of_each(self, catch_up: Callable[[str], Awaitable[None]]) -> None:
        """Catch up in each symbol. One that the exchange no longer lists has no answers, and must not hide those of the
        others: its fills show as differences of the balances. What it says instead is logged when it is new."""
        for symbol in self._symbols:
            try:
                await catch_up(symbol)
            except InvalidSymbol as error:
                why = said(error)
                if self._unlisted.get(symbol) != why:
                    bound_logger("tickdeck.gateway").info("not reconciled", symbol=symbol, error=why)
                self._unlisted[symbol] = why

    async def _catch_up_liquidations(self, symbol: str) -> None:
        for found in await cast(MarginExchange, self._exchange).liquidations(symbol, self.began):
            self._reports.liquidation(found)

    async def read(self) -> bool:
        """Take a reading of the balances, and publish those that differ. One that shows a pending difference again is
        only published after the time that queries may lag. Returns False if the reading does not count, because fills
        arrived meanwhile. Raises ``ExchangeError``."""
        before = self._reports.arrivals
        reports = await self.balances()
        await self._of_each(self._catch_up_fills)
        paid = await self._payments(reports)
        if self._reports.arrivals != before:
            return False
        self._publish_payments(paid)
        now = self._clock.monotonic_ns()
        is_early, self._next_reading = now < self._next_reading, now + self._exchange.capabilities.query_lag
        for report in reports:
            pending = self._pending.get(report.currency)
            if is_early and pending is not None and self._difference(report) == pending:
                continue
            if pending is not None or self.differs(report):
                self._publish(report)
        return True

    def _difference(self, report: VenueBalanceReported) -> Money:
        return report.total - self._books.get(report.currency, ZERO)

    async def catch_up_payments(self) -> None:
        """Publish the deposits, withdrawals and conversions that the run lacks, as far as they explain its balances.
        This is no reading. Raises ``ExchangeError``."""
        capabilities = self._exchange.capabilities
        if not capabilities.transfer_history and not capabilities.conversion_history:
            return
        before = self._reports.arrivals
        paid = await self._payments(await self.balances())
        if self._reports.arrivals == before:
            self._publish_payments(paid)

    async def _payments(self, reports: Iterable[VenueBalanceReported]) -> list[VenueTransferReported]:
        differences = {report.currency: difference for report in reports if (difference := self._difference(report))}
        return await self.transfers.behind(differences, self.began)

    def _publish_payments(self, paid: list[VenueTransferReported]) -> None:
        self.transfers.report(paid)
        for event in paid:
            self._reports.hear()
            self._publish(event)

    async def _catch_up_orders(self, symbol: str) -> None:
        found = await self._exchange.open_orders(symbol)
        for result in found:
            order = self._orders.get(result.client_order_id)
            if order is None:
                self._show(result)
            elif not order.is_open or order.status is OrderStatus.UNKNOWN:
                self._reports.result(result, order.order_id)
        await self._look_for_the_dead(symbol)
        still_open = {result.venue_order_id for result in found}
        for venue_order_id in [number for of, number in self._shown if of == symbol and number not in still_open]:
            try:
                self._show(await self._exchange.order(symbol, venue_order_id=venue_order_id))
            except UnknownOrder:
                continue  # the query lags

    async def _look_for_the_dead(self, symbol: str) -> None:
        """An order that was taken for dead may have been accepted late, and have ended since."""
        dead = [order for order in self._orders.values() if order.is_taken_for_dead and order.symbol == symbol]
        for order in dead[-_DEAD:]:
            try:
                result = await self._exchange.order(symbol, client_order_id=order.order_id)
            except UnknownOrder:
                continue
            self._reports.result(result, order.order_id)

    async def _catch_up_fills(self, symbol: str) -> None:
        last = self.last_trades.get(symbol, "")
        fills = await (self._exchange.fills(symbol, after=last) if last else self._fills_since_the_start(symbol))
        for fill in fills:
            order_id = await self._owner(fill)
            if self._reports.hear_fill(symbol, fill.venue_trade_id):
                if order_id in self._orders:
                    self._reports.fill(fill, order_id)
                else:
                    self._show_fill(fill, order_id)
            self.last_trades[symbol] = fill.venue_trade_id

    async def _fills_since_the_start(self, symbol: str) -> tuple[OrderFill, ...]:
        return await self._exchange.fills(symbol, since=self.began)

    async def _owner(self, fill: OrderFill) -> str:
        """The client order id of the order that was filled. Most venues do not name it with the fill."""
        number = fill.venue_order_id
        known = fill.client_order_id or self._owners.get((fill.symbol, number), "")
        if known:
            return known
        for order in self._orders.values():
            if order.venue_order_id == number and order.symbol == fill.symbol:
                return order.order_id
        found = await self._exchange.order(fill.symbol, venue_order_id=number)
        self._owners[fill.symbol, number] = found.client_order_id
        if len(self._owners) > _KEPT:
            del self._owners[next(iter(self._owners))]
        return found.client_order_id

    # -- what others do ---------------------------------------------------------------------------------------------

    def external(self, event: VenueOrderReported | VenueFillReported) -> DomainEvent | None:
        """A report of the private stream about an order that is not the run's; ``None`` if it cannot be booked, which
        the next reading of the balances shows."""
        if isinstance(event, VenueOrderReported):
            self._remember(event.symbol, event.venue_order_id, event.status, event.filled)
            external: DomainEvent = self._reports.make(
                VenueExternalOrderReported,
                symbol=event.symbol,
                order_id=event.order_id,
                venue_order_id=event.venue_order_id,
                status=event.status,
                filled=event.filled,
                ts=event.ts,
            )
            return external
        return self._fill_event(event, event.order_id, event.ts)

    def _show(self, result: OrderResult) -> None:
        key = result.symbol, result.venue_order_id
        if result.status is None or self._shown.get(key) == (result.status, result.filled):
            return
        self._remember(*key, result.status, result.filled)
        self._publish(
            self._reports.make(
                VenueExternalOrderReported,
                symbol=result.symbol,
                order_id=result.client_order_id,
                venue_order_id=result.venue_order_id,
                status=result.status,
                side=result.side,
                quantity=result.quantity,
                limit=result.limit,
                filled=result.filled,
                ts=result.ts,
            )
        )

    def _remember(self, symbol: str, venue_order_id: str, status: OrderStatus, filled: Money) -> None:
        if status.is_final:
            self._shown.pop((symbol, venue_order_id), None)
        else:
            self._shown[symbol, venue_order_id] = (status, filled)

    def _show_fill(self, fill: OrderFill, order_id: str) -> None:
        event = self._fill_event(fill, order_id, fill.ts)
        if event is not None:
            self._publish(event)

    def _fill_event(self, fill: OrderFill | VenueFillReported, order_id: str, ts: int) -> DomainEvent | None:
        instrument = self.instruments.get(fill.symbol)
        if instrument is None:
            return None
        event: DomainEvent = self._reports.make(
            VenueExternalFillReported,
            symbol=fill.symbol,
            base=instrument.base,
            quote=instrument.quote,
            order_id=order_id,
            venue_order_id=fill.venue_order_id,
            venue_trade_id=fill.venue_trade_id,
            side=fill.side,
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            fee_currency=fill.fee_currency,
            ts=ts,
        )
        return event
