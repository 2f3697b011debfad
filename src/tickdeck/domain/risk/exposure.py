"""Positions and open orders as risk counts them: a read model of our orders' events, by symbol and side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Self

from tickdeck.domain.events import (
    ActionIntent,
    BalanceEvent,
    DomainEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderAmendRequestedEvent,
    OrderCancelRejectedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderSubmittedEvent,
    PositionLiquidatedEvent,
    RiskApprovedEvent,
)
from tickdeck.domain.trading import EXACT, position_change
from tickdeck.domain.values import ZERO, OrderStatus, Price, Quantity, Side, TimeInForce

__all__ = ["CountedOrder", "Exposure"]

_ENDED_KEPT = 10_000
_SUBMITTED, _GTC = OrderStatus.SUBMITTED, TimeInForce.GTC
_FILLS = (OrderPartiallyFilledEvent, OrderFilledEvent)
_FINAL = (OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED)


class CountedOrder:
    """One order as risk counts it. Quantities are in base, ``limit`` is in quote. ``is_sent`` is False until the order
    is submitted."""

    __slots__ = (
        "amends",
        "filled",
        "is_leaving",
        "is_sent",
        "limit",
        "order_id",
        "quantity",
        "reduce_only",
        "side",
        "status",
        "strategy_id",
        "symbol",
        "time_in_force",
        "waiting",
        "withdrawn",
    )

    def __init__(self, order_id: str, strategy_id: str, symbol: str, side: Side, quantity: Quantity) -> None:
        self.order_id = order_id
        self.strategy_id = strategy_id
        self.symbol = symbol
        self.side = side
        self.quantity = quantity
        self.limit: Price | None = None
        self.time_in_force = _GTC
        self.filled: Quantity = ZERO
        self.status = _SUBMITTED
        self.is_sent = False
        self.reduce_only = False
        self.withdrawn = False  # its cancel was approved and was not refused since
        self.is_leaving = False  # its cancel was approved; one that is refused is repeated until the order has ended
        self.waiting: list[Quantity] = []  # approved amends that are not requested yet
        self.amends: dict[int, Quantity] = {}  # requested amends without an answer, by revision

    @property
    def is_open(self) -> bool:
        return self.status not in _FINAL

    @property
    def staying(self) -> Quantity:
        """``exposure``, 0 once a cancel was approved."""
        return ZERO if self.withdrawn else self.exposure

    @property
    def exposure(self) -> Quantity:
        """The most that may still be filled (base), assuming that all unanswered amends are confirmed."""
        if self.status in _FINAL:
            return ZERO
        largest = self.quantity
        if self.waiting or self.amends:
            largest = max([largest, *self.waiting, *self.amends.values()])
        return max(EXACT.subtract(largest, self.filled), ZERO)


class Exposure:
    """Positions by symbol, and what open orders may still fill, by symbol and side (base).

    Positions come from our fills and from coins that are paid in. An order counts from its approval (``approve``),
    before it is submitted. The cost of an event or a query does not depend on the number of open orders.

    ``base(symbol)`` returns the base currency of a symbol: a fee in it reduces what a fill brought. ``homes`` maps a
    currency to the symbol in which coins that are paid in count.
    """

    def __init__(self, base: Callable[[str], str], homes: Mapping[str, str] | None = None) -> None:
        self.base = base
        self.homes = dict(homes or {})
        self.positions: dict[str, Quantity] = {}
        self.orders: dict[str, CountedOrder] = {}
        """The open orders and the last 10,000 that ended, by order id."""
        self._open: dict[str, CountedOrder] = {}
        self._ended: dict[str, None] = {}
        self._unnamed: list[tuple[str, ActionIntent]] = []  # approved orders that get their id when submitted
        self._working: dict[tuple[str, Side], Quantity] = {}
        self._leaving: dict[tuple[str, Side], Quantity] = {}  # of these, orders whose cancel was approved
        self._reducing: dict[str, dict[str, CountedOrder]] = {}  # open reduce-only orders, by symbol and id
        self._counts: dict[str, int] = {}  # open and approved orders, by symbol

    @classmethod
    def fold(
        cls, events: Iterable[DomainEvent], base: Callable[[str], str], homes: Mapping[str, str] | None = None
    ) -> Self:
        """The exposure after ``events``: all ``risk.approved``, ``order.*``, ``balance.*`` and ``position.liquidated``
        events, in order. Other events change nothing."""
        exposure = cls(base, homes)
        for event in events:
            exposure.apply_event(event)
        return exposure

    def apply_event(self, event: DomainEvent) -> None:
        """Apply the next recorded event, as ``fold`` does."""
        if isinstance(event, RiskApprovedEvent):
            self.approve(event.strategy_id, event.intent)
        elif isinstance(event, OrderEvent):
            self.apply(event)
        elif isinstance(event, BalanceEvent):
            self.deposit(event)
        elif isinstance(event, PositionLiquidatedEvent):
            self.liquidate(event)

    # -- queries ---------------------------------------------------------------------------------------------------

    def position(self, symbol: str) -> Quantity:
        """The position from deposits and fills, negative when short (base)."""
        return self.positions.get(symbol, ZERO)

    def working(self, symbol: str, side: Side) -> Quantity:
        """The most that the open orders on one side of a symbol may still fill (base)."""
        return self._working.get((symbol, side), ZERO)

    def staying(self, symbol: str, side: Side) -> Quantity:
        """``working`` without the orders whose cancel was approved: these may still fill, but only before their cancel
        arrives."""
        working, leaving = self.working(symbol, side), self._leaving.get((symbol, side))
        return EXACT.subtract(working, leaving) if leaving else working

    def beyond(self, symbol: str) -> list[CountedOrder]:
        """Reduce-only orders that would do more than close the position, if the older ones are filled first."""
        position = self.position(symbol)
        room, beyond = abs(position), []
        for order in self._reducing.get(symbol, {}).values():
            if position * order.side.sign >= 0 or order.staying > room:
                beyond.append(order)
            else:
                room = EXACT.subtract(room, order.staying)
        return [order for order in beyond if order.is_sent and order.staying]

    def symbols(self) -> tuple[str, ...]:
        """All symbols that ever had a position or an order."""
        return tuple(dict.fromkeys([*self.positions, *(symbol for symbol, _ in self._working)]))

    def open_orders(self, symbol: str = "") -> tuple[CountedOrder, ...]:
        """The open orders that were sent, oldest first; all of them, or those of one symbol."""
        return tuple(o for o in self._open.values() if o.is_sent and symbol in ("", o.symbol))

    def open_in(self, symbol: str) -> tuple[CountedOrder, ...]:
        """The open orders in a symbol, oldest first, also those that are approved and not sent yet."""
        return tuple(order for order in self._open.values() if order.symbol == symbol)

    def count(self, symbol: str = "") -> int:
        """How many orders are approved and have not ended, in one symbol or in all."""
        return self._counts.get(symbol, 0) if symbol else len(self._open) + len(self._unnamed)

    # -- changes ---------------------------------------------------------------------------------------------------

    def approve(self, strategy_id: str, intent: ActionIntent) -> None:
        """Count an approved intent."""
        order = self.orders.get(intent.order_id)
        if intent.action == "order":
            if intent.side is None or order is not None:
                return
            if intent.order_id:
                order = CountedOrder(intent.order_id, strategy_id, intent.symbol, intent.side, intent.quantity)
                order.limit, order.time_in_force = intent.limit, intent.time_in_force
                self._open_order(order, intent.reduce_only)
            else:
                self._unnamed.append((strategy_id, intent))
                self._add(intent.symbol, 1)
                self._count(self._working, intent.symbol, intent.side, intent.quantity)
        elif order is not None and order.is_open:
            before = order.exposure, order.staying
            if intent.action == "amend":
                order.waiting.append(intent.quantity)
            else:
                order.withdrawn = order.is_leaving = True
            self._recount(order, before)

    def deposit(self, event: BalanceEvent) -> None:
        """Count the deposit or withdrawal in ``event``."""
        symbol = self.homes.get(event.currency)
        if symbol is not None and event.deposit:
            self.positions[symbol] = EXACT.add(self.position(symbol), event.deposit)

    def liquidate(self, event: PositionLiquidatedEvent) -> None:
        """Count what the venue closed by itself."""
        change = EXACT.multiply(event.quantity, event.side.sign)
        self.positions[event.symbol] = EXACT.add(self.position(event.symbol), change)

    def apply(self, event: OrderEvent) -> None:
        """Apply an order event."""
        if isinstance(event, _FILLS):
            self._book(event)
        order = self.orders.get(event.order_id)
        if isinstance(event, OrderSubmittedEvent):
            if order is None:
                order = self._named(event)
            order.is_sent = True
            return
        if order is None:
            return
        before = order.exposure, order.staying
        if isinstance(event, _FILLS):
            order.filled = event.filled
        elif isinstance(event, OrderAmendRequestedEvent):
            if event.quantity in order.waiting:
                order.waiting.remove(event.quantity)
            order.amends[event.revision] = event.quantity
        elif isinstance(event, OrderAmendedEvent):
            order.quantity, order.limit = event.quantity, event.limit
            order.amends = {revision: q for revision, q in order.amends.items() if revision > event.revision}
        elif isinstance(event, OrderAmendRejectedEvent):
            order.amends.pop(event.revision, None)
        elif isinstance(event, OrderCancelRejectedEvent):
            order.withdrawn = False
        elif isinstance(event, OrderCancelRequestedEvent):
            order.withdrawn = order.is_leaving = True
        if event.status is not None:
            self._set_status(order, event.status)
        self._recount(order, before)

    # -- bookkeeping -----------------------------------------------------------------------------------------------

    def _named(self, event: OrderSubmittedEvent) -> CountedOrder:
        """The order of an intent that was approved without an id."""
        order = CountedOrder(event.order_id, event.strategy_id, event.symbol, event.side, event.quantity)
        order.limit, order.time_in_force = event.limit, event.time_in_force
        self._open_order(order, event.reduce_only)
        wanted = (event.strategy_id, event.symbol, event.side, event.quantity, event.limit)
        for place, (strategy_id, intent) in enumerate(self._unnamed):
            if (strategy_id, intent.symbol, intent.side, intent.quantity, intent.limit) == wanted:
                del self._unnamed[place]
                self._add(order.symbol, -1)
                self._count(self._working, order.symbol, order.side, -order.quantity)  # it was counted already
                return order
        return order

    def _open_order(self, order: CountedOrder, reduce_only: bool) -> None:
        self.orders[order.order_id] = self._open[order.order_id] = order
        self._add(order.symbol, 1)
        order.reduce_only = reduce_only
        if reduce_only:
            self._reducing.setdefault(order.symbol, {})[order.order_id] = order
        self._count(self._working, order.symbol, order.side, order.quantity)

    def _set_status(self, order: CountedOrder, status: OrderStatus) -> None:
        was_open = order.is_open
        order.status = status
        if was_open and not order.is_open:
            order.waiting.clear()  # execution does not amend an order that has ended
            del self._open[order.order_id]
            self._add(order.symbol, -1)
            self._reducing.get(order.symbol, {}).pop(order.order_id, None)
            self._ended[order.order_id] = None
            if len(self._ended) > _ENDED_KEPT:
                oldest = next(iter(self._ended))
                del self._ended[oldest], self.orders[oldest]
        elif order.is_open and not was_open:  # a fill revoked a rejection, or a late amend left a remainder
            order.is_leaving = False  # nobody repeats a cancel of an order that had ended
            self._open[order.order_id] = order
            self._add(order.symbol, 1)
            del self._ended[order.order_id]
            if order.reduce_only:
                self._reducing[order.symbol][order.order_id] = order

    def _book(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> None:
        change = position_change(fill, self.base(fill.symbol))
        self.positions[fill.symbol] = EXACT.add(self.position(fill.symbol), change)

    def _recount(self, order: CountedOrder, before: tuple[Quantity, Quantity]) -> None:
        """The exposure of an order was ``before`` (in all, and without what is withdrawn)."""
        after = order.exposure, order.staying
        if after == before:
            return
        (exposure, staying), (was, stayed) = after, before
        self._count(self._working, order.symbol, order.side, EXACT.subtract(exposure, was))
        leaving = EXACT.subtract(EXACT.subtract(exposure, staying), EXACT.subtract(was, stayed))
        self._count(self._leaving, order.symbol, order.side, leaving)

    def _add(self, symbol: str, orders: int) -> None:
        self._counts[symbol] = self._counts.get(symbol, 0) + orders

    def _count(self, sums: dict[tuple[str, Side], Quantity], symbol: str, side: Side, change: Quantity) -> None:
        if change:
            key = (symbol, side)
            sums[key] = EXACT.add(sums.get(key, ZERO), change)
