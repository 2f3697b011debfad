"""An account at an exchange as the core's ``TradingVenue``: orders go out, what the exchange says comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import cast

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Exchange, OrderRequest, OrderResult, PairExchange
from tickdeck.application.wording import counted
from tickdeck.domain.events import (
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    OrderAmendRequestedEvent,
    OrderCancelRequestedEvent,
    OrderSubmittedEvent,
    VenueBalanceReported,
    VenueFillReported,
    VenueInstrumentReported,
    VenueLiquidationReported,
    VenueOrderReported,
    VenueTransferReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import Money, OrderStatus
from tickdeck.errors import DuplicateClientId, ExchangeError, InvalidSymbol, OutcomeUnknown, SymbolHalted, UnknownOrder
from tickdeck.infrastructure.exchanges.doubt import OrdersInDoubt, said
from tickdeck.infrastructure.exchanges.fee_coin import FeeCoin
from tickdeck.infrastructure.exchanges.pairs import PairsAsOrders
from tickdeck.infrastructure.exchanges.reconciliation import Reconciliation
from tickdeck.infrastructure.exchanges.venue_reports import VenueReports

__all__ = ["ExchangeVenue"]

_S = 1_000_000_000  # ns in a second
_QUIET_NS = 2 * _S
_CATCH_UP = 5.0  # seconds
ASK_EVERY = 10.0  # seconds between two looks at an account without a private stream


class ExchangeVenue:
    """Sends the run's orders to ``exchange`` and publishes what it answers. Call ``await connect()``, then ``start``,
    after a resume ``recover`` and ``await catch_up()``, then let ``run`` work while the run trades, and ``await
    close()`` at the end.

    - ``publish(event)`` takes an input. ``orders`` are the core's, by id; those that have ended may be missing.
    - ``quote``: the currency of the core's figures. ``symbols`` are the run's. ``currencies`` are theirs: the account
      begins with a balance in each, which may be 0.
    - ``books`` are the core's balances by currency. ``pending`` are its differences from the exchange's balances that
      one reading showed (see ``Reconciliation``).
    - ``began``: when the run began (ns UTC), if not now. Fills and payments since then are looked at.
      ``is_booked(transfer_id)`` and ``agrees(report)``: see ``Reconciliation``.
    - ``greatest_age``: an order that waited longer than this (ns, since its decision) is not sent any more; it ends as
      rejected, ``never sent``.
    - ``on_error(error)`` is called if looking for an order fails unexpectedly. ``on_halted_symbol()``: if the exchange
      refuses an order because it does not trade the symbol.

    An order is sent once. If the outcome is not known, the order is ``unknown`` and stays so until there is evidence:
    a query or the private stream shows it, or it counts as never received (``OrdersInDoubt`` says when).

    Fills may arrive several times: with an answer, on the private stream, by a query. The core counts each
    ``venue_trade_id`` once. If the exchange counts more than the fills that arrived, the rest is fetched.

    While ``closing`` is true, no order is sent, except one that protects a position.
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
        quote: str = "",
        symbols: Iterable[str] = (),
        currencies: Iterable[str] = (),
        books: Mapping[str, Money] = MappingProxyType({}),
        pending: Mapping[str, Money] = MappingProxyType({}),
        greatest_age: int = 5 * _S,
        began: int | None = None,
        is_booked: Callable[[str], bool] = lambda transfer_id: False,
        agrees: Callable[[VenueBalanceReported], bool] | None = None,
        on_error: Callable[[Exception], object] = lambda error: None,
        on_halted_symbol: Callable[[], object] = lambda: None,
    ) -> None:
        if exchange.capabilities.order_pairs:
            exchange = PairsAsOrders(cast(PairExchange, exchange), orders)
        self.name = exchange.name
        self.closing = False
        self._exchange = exchange
        self._clock, self._publish, self._orders = clock, publish, orders
        self._greatest_age = greatest_age
        self._on_halted_symbol = on_halted_symbol
        self._reports = VenueReports(
            exchange.name, account_id=account_id, user_id=user_id, clock=clock, publish=publish
        )
        began = clock.time_ns() if began is None else began
        currencies = tuple(dict.fromkeys(currencies))
        self._doubts = OrdersInDoubt(
            exchange,
            self._reports,
            clock=clock,
            orders=orders,
            began=began,
            on_error=on_error,
        )
        self._reconciliation = Reconciliation(
            exchange,
            self._reports,
            clock=clock,
            publish=publish,
            orders=orders,
            symbols=symbols,
            currencies=currencies,
            books=books,
            pending=pending,
            began=began,
            is_booked=is_booked,
            agrees=agrees,
        )
        self._fee_coin = FeeCoin(exchange, clock=clock, publish=publish, into=quote, currencies=currencies, books=books)
        self._rating: asyncio.Task[None] | None = None
        self._resumed = False
        self._connections = 0  # of the private stream
        self._first: list[VenueBalanceReported] = []  # the balances at the beginning
        self._later: dict[str, VenueBalanceReported] = {}  # the last balance of each currency, not looked at yet
        self._settling: asyncio.Task[None] | None = None

    @property
    def longest_doubt(self) -> float:
        """Seconds after which an order that the exchange never received is known to be so, if everything answers."""
        return self._doubts.longest

    # -- the run ----------------------------------------------------------------------------------------------------

    async def connect(self, *, resumed: bool = False) -> tuple[str, ...]:
        """Take over the exchange's limits, and query the balances. Returns remarks for the user, such as open orders of
        others. Raises ``ExchangeError``."""
        self._resumed = resumed
        await self._reconciliation.connect()
        self._fee_coin.find(self._reconciliation.instruments.values())
        self._first = await self._reconciliation.balances()
        if resumed:
            return ()
        self._reconciliation.began = await self._exchange.server_time()
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

    def instrument_reports(self) -> list[VenueInstrumentReported]:
        """The run's symbols as the exchange listed them at ``connect``."""
        return self._reconciliation.instrument_reports()

    def on_market(self, event: object) -> None:
        """The market is at the exchange: there is nothing to do here."""

    def assumptions(self) -> tuple[str, ...]:
        """What the fills rest on, in plain sentences."""
        return (f"Orders were sent to {self.name}; fills, fees and balances are as it reported them.",)

    def begins_with(self) -> str | None:
        """A line about balances that nobody configured: here there is none."""
        return None

    def recover(
        self,
        own: Container[str],
        cancels: Iterable[str],
        known: Container[str],
        last_trades: Mapping[str, str] = MappingProxyType({}),
        liquidations: Iterable[tuple[str, str]] = (),
        transfers: Iterable[VenueTransferReported] = (),
    ) -> None:
        """After a resume: no order is sent again.

        Orders that are not among ``own``, those of this process, may have been sent by an earlier one: without a
        recorded answer they are ``unknown``, and each that is open or lacks fills is looked up. ``cancels`` of earlier
        processes have no recorded answer: the core learns that they failed, so it repeats them. ``known``: the
        currencies whose balances are on the record. ``last_trades``: the newest ``venue_trade_id`` on the record, by
        symbol. ``liquidations``: symbol and ``venue_trade_id`` of those on the record, which are not reported again.
        ``transfers``: the payments on the record, which explain no other difference."""
        self._reconciliation.resume()
        self._reconciliation.transfers.hear(transfers)
        self._reconciliation.last_trades |= last_trades
        self._reports.recall_liquidations(liquidations)
        why = "the process ended before the answer was recorded"
        for balance in self._first:
            if balance.currency not in known:
                self._publish(balance)
        self._first = []
        for order in self._unsettled():
            if order.order_id in own:
                continue  # this process is about to send it
            if order.status is OrderStatus.SUBMITTED:
                self._reports.about(order.order_id, order.symbol, OrderStatus.UNKNOWN, why)
            self._doubts.look_up(order.order_id, order.symbol)
        for order_id in tuple(cancels):  # each report is an answer, so it may leave the collection
            cancelled = self._orders.get(order_id)
            if cancelled is not None and cancelled.is_open:
                self._reports.refuse_cancel(order_id, cancelled.symbol, why)

    async def catch_up(self) -> None:
        """After ``recover``: learn what happened while the run was down, before anything is decided. If the exchange
        does not answer in time, the first connection of the private stream brings it."""
        try:
            async with asyncio.timeout(_CATCH_UP):
                await self._doubts.first_looks()
                await self._reconciliation.catch_up()
                await self._reconciliation.catch_up_payments()
        except (ExchangeError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            bound_logger("tickdeck.gateway").warning("the run goes on before its account is reconciled", error=why)

    async def run(self) -> None:
        """Publish what the private stream says, until cancelled. After each connection, look at every order that is
        open or lacks fills, and reconcile the account: what happened before was not reported. Raises ``ExchangeError``
        if the exchange refuses the stream.
        """
        self._rating = self._doubts.started(self._fee_coin.run())
        async for event in self._exchange.private_events():
            if isinstance(event, FeedConnected):
                self._connections += 1
                self._doubts.connection = self._connections
            elif isinstance(event, FeedDisconnected):
                self._doubts.connection = 0
            self._take(event)
            if isinstance(event, FeedConnected):
                for order in self._unsettled():
                    self._doubts.look_up(order.order_id, order.symbol)
                self._reconciliation.request(self._doubts.started)

    async def ask_instead(self) -> None:
        """After the private stream has ended for good: ask for what it no longer says, again and again, until
        cancelled. An order that the exchange does not show stays in doubt, because the stream is missing as evidence.
        """
        self._doubts.connection = 0
        while True:
            for order in self._unsettled():
                self._doubts.look_up(order.order_id, order.symbol)
            self._reconciliation.request(self._doubts.started)
            await self._clock.sleep(ASK_EVERY)

    async def cancel_unrecorded(self, orders: Sequence[Order]) -> str:
        """Cancel the open ones of ``orders``, although nothing can be recorded any more. Returns a remark for the user;
        a resumed run finds out what became of them."""
        open_orders = [order for order in orders if order.is_open]
        outcomes = await asyncio.gather(*map(self._cancel_unrecorded, open_orders))
        cancelled, ended = outcomes.count("cancelled"), outcomes.count("ended")
        verb = "was" if cancelled == 1 else "were"
        remark = [f"{counted(cancelled, 'open order')} {verb} cancelled at {self.name} without a record"]
        if ended:
            remark.append(f"{ended:,} had ended there before")
        failed = [
            f"{order.order_id} ({why})"
            for order, why in zip(open_orders, outcomes, strict=True)
            if why not in ("cancelled", "ended")
        ]
        if failed:
            remark.append(f"these are perhaps still open: {', '.join(failed)}")
        return ", ".join(remark)

    async def _cancel_unrecorded(self, order: Order) -> str:
        """``cancelled``, ``ended`` if it was before, such as by an earlier process that could record nothing either, or
        why it is neither."""
        try:
            await self._exchange.cancel(order.symbol, client_order_id=order.order_id)
            return "cancelled"
        except UnknownOrder as error:
            why = said(error)
        except Exception as error:  # noqa: BLE001 (this is the last remark, and each order needs one)
            return said(error) if isinstance(error, ExchangeError) else type(error).__name__
        try:
            found = await self._exchange.order(order.symbol, client_order_id=order.order_id)
        except ExchangeError:
            return why
        return "ended" if found.status is not None and found.status.is_final else why

    async def answers(self) -> bool:
        """Ask the exchange for the account, because its time may be had although nothing else works. Raises
        ``ExchangeError`` if it does not answer."""
        await self._exchange.balances()
        return True

    async def compare(self) -> None:
        """Reconcile the account once more, with a single reading, which does not wait for the time that queries may lag
        and proves no difference before it is over. Raises ``ExchangeError``."""
        await self._reconciliation.catch_up()
        await self._reconciliation.read()

    async def close(self) -> None:
        """End all queries and connections."""
        await self._doubts.close()
        await self._reconciliation.close()
        for task in (self._settling, self._rating):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        await self._exchange.close()

    def _unsettled(self) -> list[Order]:
        return [order for order in self._orders.values() if order.is_open or order.missing]

    # -- requests ---------------------------------------------------------------------------------------------------

    async def submit(self, order: OrderSubmittedEvent) -> None:
        if self.closing and not order.protects:
            self._reports.status(order, OrderStatus.REJECTED, "never sent: the run ends")
            return
        now = self._clock.time_ns()
        waited = now - order.ts_ingress
        if waited > self._greatest_age:
            why = f"never sent: it waited {waited / _S:.1f} s, more than {self._greatest_age / _S:g} s"
            self._reports.status(order, OrderStatus.REJECTED, why)
            return
        request = OrderRequest(
            client_order_id=order.order_id,
            symbol=order.symbol,
            side=order.side,
            quantity=order.quantity,
            limit=order.limit,
            time_in_force=order.time_in_force,
            stop=order.stop,
        )
        try:
            result = await self._exchange.place(request)
        except (OutcomeUnknown, DuplicateClientId) as error:
            self._reports.status(order, OrderStatus.UNKNOWN, said(error))
            self._doubts.look_up(order.order_id, order.symbol, sent=now)
        except ExchangeError as error:
            self._reports.status(order, OrderStatus.REJECTED, said(error))
            if isinstance(error, SymbolHalted | InvalidSymbol):
                self._on_halted_symbol()
        except BaseException:
            self._doubts.look_up(order.order_id, order.symbol, sent=now)
            raise  # the gateway reports the order as unknown
        else:
            self._answered(result, order)

    async def cancel(self, request: OrderCancelRequestedEvent) -> None:
        try:
            result = await self._exchange.cancel(request.symbol, client_order_id=request.order_id)
        except (UnknownOrder, InvalidSymbol) as error:
            # It may have ended, or not have arrived yet. Only the order's own state can tell.
            self._reports.refuse_cancel(request.order_id, request.symbol, said(error), request)
            self._doubts.look_up(request.order_id, request.symbol)
        except ExchangeError as error:
            self._reports.refuse_cancel(request.order_id, request.symbol, said(error), request)
        else:
            self._answered(result, request)

    async def amend(self, request: OrderAmendRequestedEvent) -> None:
        try:
            await self._exchange.amend(
                request.symbol, quantity=request.quantity, limit=request.limit, client_order_id=request.order_id
            )
        except OutcomeUnknown as error:
            message = f"amend {request.revision} of order {request.order_id} has no answer: {said(error)}"
            self._reports.warn(message, request)
            self._doubts.look_up(request.order_id, request.symbol)
        except ExchangeError as error:
            self._reports.status(request, OrderStatus.UNKNOWN, said(error), revision=request.revision)
        except BaseException:
            self._doubts.look_up(request.order_id, request.symbol)
            raise  # the gateway warns that the amend has no answer
        else:
            changed = {"revision": request.revision, "quantity": request.quantity, "limit": request.limit}
            self._reports.status(request, OrderStatus.ACCEPTED, "", **changed)

    def _answered(self, result: OrderResult, request: OrderSubmittedEvent | OrderCancelRequestedEvent) -> None:
        if self._reports.result(result, request.order_id, request):
            self._doubts.fetch_missing(request.order_id)
        else:
            self._doubts.look_up(request.order_id, request.symbol)

    # -- the private stream -----------------------------------------------------------------------------------------

    def _take(self, event: DomainEvent) -> None:
        """An event of the private stream."""
        if isinstance(event, VenueBalanceReported):
            self._later[event.currency] = event
            if self._settling is None or self._settling.done():
                self._settling = self._doubts.started(self._settle())
            return
        if isinstance(event, VenueOrderReported | VenueFillReported):
            if isinstance(event, VenueFillReported):
                self._reports.hear_fill(event.symbol, event.venue_trade_id)
            else:
                self._reports.hear()
            if event.order_id not in self._orders:
                external = self._reconciliation.external(event)
                if external is not None:
                    self._publish(external)
                return
        elif isinstance(event, VenueLiquidationReported):
            if not self._reports.hear_fill(event.symbol, f"liquidation {event.venue_trade_id}"):
                return
        elif isinstance(event, VenueTransferReported):
            self._reports.hear()
            if self._reconciliation.transfers.is_repeated(event):
                return
            self._reconciliation.transfers.hear((event,))
        self._publish(event)
        if isinstance(event, VenueOrderReported):
            self._doubts.fetch_missing(event.order_id)

    async def _settle(self) -> None:
        """When no fill has arrived for a while, see whether the reported balances are ours. A fill comes with the
        answer to its order and on the stream, one sooner than the other, so a balance may be newer or older than what
        the core knows."""
        while (quiet := self._clock.monotonic_ns() - self._reports.heard) < _QUIET_NS:
            await self._clock.sleep((_QUIET_NS - quiet) / _S)
        later, self._later = self._later, {}
        if any(map(self._reconciliation.differs, later.values())):
            self._reconciliation.request(self._doubts.started)
