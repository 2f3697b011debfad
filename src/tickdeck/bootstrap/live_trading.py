"""The life of a run with real orders: its account at the start, after a resume, while it trades, and at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

from tickdeck.application.bus import SubscribeOptions
from tickdeck.application.clock import LiveClock
from tickdeck.application.engines import CoreBus, ExecutionEngine
from tickdeck.application.engines.protection_book import ProtectionBook
from tickdeck.bootstrap.left_protections import remarks_on_protection, rests
from tickdeck.bootstrap.venue_record import VenueRecord
from tickdeck.domain.accounts import Differences
from tickdeck.domain.events import CommandReceived, OrderCancelRequestedEvent, OrderSubmittedEvent
from tickdeck.domain.trading import Order
from tickdeck.domain.values import Money
from tickdeck.errors import RunError, TickdeckError
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue

__all__ = ["LiveTrading"]

_AFTER_A_SIGNAL = 3.0  # seconds for the last cancels; the process ends two seconds later
_COMPARE = 1.0


class LiveTrading:
    """Begin with ``connect``; after a resume call ``recover`` and ``catch_up``; let ``hear`` work while the run trades;
    end with ``wind_up`` and ``close``.

    ``account_id`` names the account if the run has several. ``is_past()`` tells whether the run still executes its
    record again. ``remarks`` collects what the user should know.
    """

    def __init__(
        self,
        kernel: CoreBus,
        execution: ExecutionEngine,
        differences: Differences,
        protections: ProtectionBook,
        venue: ExchangeVenue,
        *,
        clock: LiveClock,
        cancel_at_end: bool,
        remarks: list[str],
        is_past: Callable[[], bool],
        account_id: str = "",
    ) -> None:
        self.venue = venue
        self._kernel, self._execution, self._differences, self._clock = kernel, execution, differences, clock
        self._protections = protections
        self.account_id = account_id
        self._account = {"account": account_id} if account_id else {}
        self._at = f"{venue.name}, account {account_id}" if account_id else venue.name
        self._cancel_at_end, self._remarks, self._is_past = cancel_at_end, remarks, is_past
        self._record = VenueRecord(kernel)
        self._sent: set[str] = set()  # orders of this process before it has recovered
        self._cancelled: set[str] = set()  # the orders of its cancels
        self._recovered = False
        own: SubscribeOptions = {"component": "gateway"}
        kernel.subscribe(OrderSubmittedEvent, self._on_submitted, **own)
        kernel.subscribe(OrderCancelRequestedEvent, self._on_cancel, **own)

    def _on_submitted(self, order: OrderSubmittedEvent) -> None:
        if not (self._recovered or self._is_past()):
            self._sent.add(order.order_id)

    def _on_cancel(self, request: OrderCancelRequestedEvent) -> None:
        if not (self._recovered or self._is_past()):
            self._cancelled.add(request.order_id)

    async def connect(self, *, resumed: bool) -> None:
        self._recovered = not resumed
        self._remarks += await self.venue.connect(resumed=resumed)

    def recover(self, known: Iterable[str]) -> None:
        """After a resume. ``known``: the currencies whose balances the run has."""
        cancels = [order_id for order_id in self._record.cancels if order_id not in self._cancelled]
        record = self._record
        self.venue.recover(self._sent, cancels, set(known), record.last_trades, record.liquidations, record.transfers)
        self._recovered = True
        self._sent.clear()
        self._cancelled.clear()

    async def catch_up(self) -> None:
        """After ``recover``: learn what happened at the exchange while the run was down."""
        await self.venue.catch_up()

    async def hear(self) -> None:
        """Publish what the exchange says, until cancelled. Raises what ends that for good."""
        await self.venue.run()
        raise RunError(f"the private stream of {self._at} has ended; resume the run")

    async def ask_instead(self) -> None:
        """After ``hear`` has ended for good: ask the exchange for what it no longer says, until cancelled."""
        await self.venue.ask_instead()

    async def wind_up(self, *, at_once: bool) -> bool:
        """Send no more orders, cancel those that are open, and compare the balances. Stops and targets stay at the
        venue; one that is being replaced is still sent. ``at_once``: a signal wants the process to end. Returns whether
        every order has ended, with all its fills, and nothing is left to protect."""
        self.venue.closing = True
        patience = _AFTER_A_SIGNAL if at_once else self.venue.longest_doubt
        deadline = self._clock.monotonic_ns() + round(patience * 1e9)
        while (orders := self._to_settle()) and self._clock.monotonic_ns() < deadline:
            try:
                for order in orders:
                    if self._clock.monotonic_ns() >= deadline:
                        break  # of thousands, the rest is named below
                    if order.is_open and not order.protects:
                        self._cancel(order)
            except TickdeckError:  # the tape cannot be written
                unprotecting = [order for order in orders if not order.protects]
                self._remarks.append(await self.venue.cancel_unrecorded(unprotecting))
                self._remarks += remarks_on_protection(self._protections, self._execution.orders, self._at)
                return False
            for _ in range(50):
                await self._clock.sleep(0.02)
                if not self._to_settle():
                    break
        left = self._unsettled()
        if unclear := [order for order in left if not rests(order, self._protections)]:
            names = ", ".join(f"{order.order_id} ({order.symbol}, {order.status.value})" for order in unclear[:5])
            more = f" and {len(unclear) - 5} more" if len(unclear) > 5 else ""
            self._remarks.append(f"not settled at {self._at} when the run ended: {names}{more}")
        try:
            async with asyncio.timeout(_COMPARE if at_once else 10 * _COMPARE):
                await self.venue.compare()
            await self._clock.sleep(0.02)  # the core compares
            once = self._differences.pending
        except (TickdeckError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            self._remarks.append(f"the balances were not compared with {self._at}'s at the end: {why}")
            once = {}  # what an earlier reading showed may be explained since
        self._remarks += [
            f"{self._at} has {more} more than the run's books" for more in _in_words(self._differences.found)
        ]
        for more in _in_words(once):
            why = "a fill may be on its way, so a single reading proves nothing"
            self._remarks.append(f"{self._at} showed {more} more than the run's books when the run ended; {why}")
        unfinished = remarks_on_protection(self._protections, self._execution.orders, self._at)
        self._remarks += unfinished
        return not left and not unfinished

    def _cancel(self, order: Order) -> None:
        arguments = {"order_id": order.order_id, **self._account}
        self._kernel.publish(
            CommandReceived(command="cancel", arguments=arguments, reason="the run ends", source="control")
        )

    def _to_settle(self) -> list[Order]:
        """The orders that the end of the run waits for: what it cancels, and exit orders that do not rest yet."""
        return [
            order
            for order in self._unsettled()
            if (self._cancel_at_end or order.protects) and not rests(order, self._protections)
        ]

    def _unsettled(self) -> list[Order]:
        return [order for order in self._execution.orders.values() if order.is_open or order.missing]


def _in_words(differences: Mapping[str, Money]) -> list[str]:
    return [f"{difference.normalize():+f} {currency}" for currency, difference in differences.items()]
