"""Whose trade a fill is: the round trips of each strategy, where several may share an account and a symbol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import localcontext
from typing import TypeAlias

from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    PositionClosedEvent,
    PositionEvent,
    PositionLiquidatedEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
)
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading.exact import EXACT
from tickdeck.domain.trading.fill_changes import position_change
from tickdeck.domain.trading.ownership import Ownership, Part
from tickdeck.domain.trading.position import with_order
from tickdeck.domain.trading.round_trips import RoundTrip, RoundTrips, TripFill
from tickdeck.domain.values import ZERO, Money, Price, Quantity

__all__ = ["TRADE_EVENTS", "StrategyTrades"]

Fill: TypeAlias = OrderPartiallyFilledEvent | OrderFilledEvent

TRADE_EVENTS: tuple[type[DomainEvent], ...] = (
    OrderPartiallyFilledEvent,
    OrderFilledEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
    PositionClosedEvent,
    PositionLiquidatedEvent,
)
"""The events that ``StrategyTrades`` are made from."""


def _no_reason(_: Fill) -> str:
    return ""


class StrategyTrades:
    """The round trips by account, symbol and strategy. Each strategy has a position of its own, made of the fills of
    its own orders; all of them together with the coins that no order bought are the position of the account.
    ``Ownership`` says whose a fill is.

    So the results of all trades together are that of the account, except for fees in third currencies.
    """

    def __init__(
        self,
        instrument: Callable[[str], Instrument],
        *,
        reason: Callable[[Fill], str] = _no_reason,
        with_orders: bool = True,
    ) -> None:
        """``instrument(symbol)`` gives the currencies of a symbol. ``reason(fill)`` is that of the order of a fill.
        ``with_orders``: whether trades list all their orders, which takes memory as long as a trade is open."""
        self._instrument = instrument
        self._reason = reason
        self._with_orders = with_orders
        self._books: dict[tuple[str, str], _Book] = {}  # by account and symbol

    def apply(self, event: DomainEvent) -> list[RoundTrip]:
        """Take the next event of a record. Returns the round trips that it ends. Other events than ``TRADE_EVENTS``
        change nothing."""
        if isinstance(event, OrderPartiallyFilledEvent | OrderFilledEvent):
            return self._book(event).take(self._of_fill(event))
        if isinstance(event, PositionLiquidatedEvent):
            return self._book(event).liquidate(self._of_liquidation(event))
        if isinstance(event, PositionEvent):
            return self._book(event).follow(event)
        return []

    def open(self, price: Callable[[str], Price | None]) -> list[RoundTrip]:
        """The open round trips, valued at ``price(symbol)``, or at cost without one; in order of their entry."""
        trips = (trips.open(price(trips.symbol)) for book in self._books.values() for trips in book.all())
        return sorted((trip for trip in trips if trip is not None), key=lambda trip: trip.entry_ts)

    def pnl(self, strategy_id: str, price: Callable[[str], Price | None]) -> dict[str, Money]:
        """What the round trips of a strategy earned after fees, by quote currency. Open ones are valued as in
        ``open``."""
        earned: dict[str, Money] = {}
        for trips in self.of(strategy_id):
            so_far = earned.get(trips.currency, ZERO)
            earned[trips.currency] = EXACT.add(so_far, trips.pnl(price(trips.symbol)))
        return earned

    def of(self, strategy_id: str) -> Iterator[RoundTrips]:
        """The round trips of one strategy, by account and symbol."""
        for book in self._books.values():
            if strategy_id in book.trips:
                yield book.trips[strategy_id]

    def _book(self, event: Fill | PositionEvent | PositionLiquidatedEvent) -> _Book:
        key = event.account_id, event.symbol
        book = self._books.get(key)
        if book is None:
            book = self._books[key] = _Book(event, self._instrument(event.symbol).quote)
        return book

    def _of_fill(self, fill: Fill) -> TripFill:
        instrument = self._instrument(fill.symbol)
        fee, other_fees = fill.fee, dict[str, Money]()
        if fill.fee_currency == instrument.base:
            fee = EXACT.multiply(fee, fill.price)
        elif fill.fee_currency not in ("", instrument.quote):
            fee, other_fees = ZERO, {fill.fee_currency: fee}
        return TripFill(
            ts=fill.ts_ingress,
            signed=position_change(fill, instrument.base),
            price=fill.price,
            fee=fee,
            other_fees=other_fees,
            strategy_id=fill.strategy_id,
            order_id=fill.order_id if self._with_orders else "",
            reason=self._reason(fill),
            event_id=fill.event_id,
        )

    def _of_liquidation(self, event: PositionLiquidatedEvent) -> TripFill:
        """The venue closed a position by itself."""
        return TripFill(
            ts=event.ts_ingress,
            signed=EXACT.multiply(event.quantity, event.side.sign),
            price=event.price,
            fee=event.fee,
            order_id=event.order_id if self._with_orders else "",
            reason="liquidated",
            event_id=event.event_id,
        )


class _Book:
    """The round trips in one symbol of one account."""

    def __init__(self, event: Fill | PositionEvent | PositionLiquidatedEvent, currency: str) -> None:
        self._symbol, self._currency = event.symbol, currency
        self._account_id, self._user_id = event.account_id, event.user_id
        self.trips: dict[str, RoundTrips] = {}
        self._shares = Ownership()
        self._held = self._new()  # coins that no order bought
        self._quantity: Quantity = ZERO  # of the account's position, with its cost
        self._cost: Money = ZERO
        self._closed_by: tuple[str, ...] = ()  # the orders that reduced it since it was opened
        self._by_order = False  # the next event of the position is that of a fill

    def all(self) -> tuple[RoundTrips, ...]:
        return self._held, *self.trips.values()

    def take(self, fill: TripFill) -> list[RoundTrip]:
        """Book a fill of the account."""
        self._by_order = bool(fill.signed)
        return self._end(fill, self._shares.take(fill.strategy_id, fill.signed))

    def liquidate(self, fill: TripFill) -> list[RoundTrip]:
        """Book what the venue closed. The event of the position came before, and names its order."""
        return self._end(fill, self._shares.take(fill.strategy_id, fill.signed))

    def follow(self, event: PositionEvent) -> list[RoundTrip]:
        """Take over the account's position. What no order changed was paid in or out."""
        quantity, cost, is_ordered = self._quantity, self._cost, self._is_ordered(event)
        self._quantity, self._cost = event.quantity, event.cost
        if is_ordered:
            return []
        with localcontext(EXACT):
            signed = event.quantity - quantity
            if not signed:
                return []
            value = event.cost - cost
            if quantity * signed < 0:  # the value is the cost of what left and what it earned
                value -= event.realized_pnl
            price = value / signed
        reason = "paid out" if signed < 0 else "paid in" if quantity or self.trips else "held at the start"
        left = TripFill(ts=event.ts_ingress, signed=signed, price=price, reason=reason, event_id=event.event_id)
        return self._end(left, self._shares.pay(signed))

    def _is_ordered(self, event: PositionEvent) -> bool:
        """Whether a fill or a liquidation is the reason of ``event``. Only a closed position names earlier orders too,
        so there an order that was not named before, or a fill before the event, shows that."""
        by_order, self._by_order = self._by_order, False
        if isinstance(event, PositionClosedEvent):
            return by_order or event.closed_by_orders != self._closed_by
        if isinstance(event, PositionOpenedEvent):
            self._closed_by = ()
        for order_id in event.closed_by_orders:
            self._closed_by = with_order(self._closed_by, order_id)
        return bool(event.opened_by_orders or event.closed_by_orders)

    def _end(self, fill: TripFill, parts: list[Part]) -> list[RoundTrip]:
        """Book a fill in its parts, and return the round trips that it ends."""
        ended, left = [], fill
        for place, (owner, signed) in enumerate(parts, 1):
            part = left
            if place < len(parts):
                part, left = left.split(abs(signed))
            trip = (self._held if owner is None else self._of(owner)).take(part)
            if trip is not None:
                ended.append(trip)
        return ended

    def _of(self, owner: str) -> RoundTrips:
        trips = self.trips.get(owner)
        if trips is None:
            trips = self.trips[owner] = self._new()
        return trips

    def _new(self) -> RoundTrips:
        return RoundTrips(self._symbol, currency=self._currency, account_id=self._account_id, user_id=self._user_id)
