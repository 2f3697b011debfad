"""Order lists: pairs of orders where a fill of one cancels the other (OCO).

Rules: rest-api.md, "New Order list - OCO", and the expiry reasons of user-data-stream.md. The pair locks its balance
once: one of the orders holds what the more expensive one needs, until one of them starts to trade.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from tickdeck.infrastructure.venue.matching.desk import Desk, Seat
from tickdeck.infrastructure.venue.matching.orders import (
    HOUSE,
    ExecutionKind,
    NewOrder,
    Order,
    OrderList,
    OrderRefused,
    Refusal,
    Status,
    Type,
)

__all__ = ["ListChange", "ListStatus", "OrderLists", "check_pair"]

_STOP_LOSSES = (Type.STOP_LOSS, Type.STOP_LOSS_LIMIT)
_TARGETS = (Type.LIMIT_MAKER, Type.TAKE_PROFIT, Type.TAKE_PROFIT_LIMIT)
_Finish = Callable[[Desk, Order, Status, ExecutionKind, int], None]


class ListStatus(StrEnum):
    """What happened to an order list: it was placed, one of its orders has another client id, or it is done."""

    STARTED = "EXEC_STARTED"
    UPDATED = "UPDATED"
    DONE = "ALL_DONE"


class ListChange(NamedTuple):
    """An event of an order list."""

    order_list: OrderList
    status: ListStatus


class OrderLists:
    """The order lists by number, and what happened to them since ``changes`` was last emptied."""

    def __init__(
        self, orders: dict[int, Order], finish: _Finish, release: Callable[[Seat, Order, Decimal], None]
    ) -> None:
        self.by_number: dict[int, OrderList] = {}
        self.changes: list[ListChange] = []
        self._orders = orders
        self._finish = finish
        self._release = release
        self.count = 0

    def of(self, account: str) -> list[OrderList]:
        """The account's order lists, oldest first."""
        return [found for found in self.by_number.values() if found.account == account]

    def find(self, account: str, number: int | None, client_id: str) -> OrderList | None:
        """A list by its number, or otherwise the newest with the client id."""
        mine = self.of(account)
        chosen = [f for f in mine if (f.number == number if number is not None else f.client_id == client_id)]
        return chosen[-1] if chosen else None

    def open(self, first: Order, second: Order, client_id: str, now: int) -> OrderList:
        """Create a list of two accepted orders. Only one of them may lock a balance."""
        self.count += 1
        number = first.list_number = second.list_number = self.count
        orders = (first.number, second.number)
        found = OrderList(number, first.account, first.symbol, client_id, orders, now, now)
        self.by_number[number] = found
        self.changes.append(ListChange(found, ListStatus.STARTED))
        return found

    def pair_of(self, order: Order) -> Order | None:
        """The other order, as long as either may still trade."""
        found = self.by_number[order.list_number]
        if not found.paired:
            return None
        first, second = found.orders
        return self._orders[second if order.number == first else first]

    def activate(self, desk: Desk, order: Order, now: int) -> None:
        """The order starts to trade: the other one expires, and this one holds its own balance."""
        other = self.pair_of(order)
        if other is None:
            return
        self.by_number[order.list_number].paired = False
        other.ended_by_list = True
        self._finish(desk, other, Status.EXPIRED, ExecutionKind.EXPIRED, now)
        if not order.holds:
            order.holds = True
            self._release(desk.seats[order.account], order, -order.remaining)

    def on_finish(self, desk: Desk, order: Order, now: int) -> None:
        """An order of a list has ended. If it never traded, the other one ends with it."""
        other = self.pair_of(order)
        found = self.by_number[order.list_number]
        found.updated = now
        if other is not None:
            found.paired = False
            if order.status is Status.CANCELED:
                self._finish(desk, other, Status.CANCELED, ExecutionKind.CANCELED, now)
            else:
                other.ended_by_list = True
                self._finish(desk, other, Status.EXPIRED, ExecutionKind.EXPIRED, now)
        elif not found.done and not any(one.working for one in self.legs(found)):
            found.done = True
            self.changes.append(ListChange(found, ListStatus.DONE))

    def legs(self, found: OrderList) -> list[Order]:
        """The orders of a list that are still remembered."""
        return [self._orders[number] for number in found.orders if number in self._orders]

    def on_forgotten(self, number: int) -> None:
        """An order of the list is no longer remembered; the list is forgotten with the second one."""
        if not self.legs(self.by_number[number]):
            del self.by_number[number]

    def rename(self, order: Order, now: int) -> None:
        """An order of a list has another client id."""
        found = self.by_number[order.list_number]
        found.updated = now
        self.changes.append(ListChange(found, ListStatus.UPDATED))


def check_pair(desk: Desk, seat: Seat, lists: OrderLists, requests: tuple[NewOrder, NewOrder], client_id: str) -> None:
    """Raises ``OrderRefused`` if two orders cannot be an OCO: a target and a stop loss of one side and quantity, on
    either side of the last price."""
    first, second = requests
    target, stop = (second, first) if first.type in _STOP_LOSSES else (first, second)
    if (
        target.type not in _TARGETS
        or stop.type not in _STOP_LOSSES
        or (first.account, first.symbol, first.is_buy, first.quantity)
        != (second.account, second.symbol, second.is_buy, second.quantity)
    ):
        raise OrderRefused(Refusal.PRICE_RELATION)
    if first.client_id == second.client_id:
        raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
    if first.account[:1] != HOUSE:
        working = [found for found in lists.of(first.account) if not found.done and found.symbol == first.symbol]
        if any(found.client_id == client_id for found in working):
            raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
        if len(working) >= desk.market.max_order_lists:
            raise OrderRefused(Refusal.MAX_NUM_ORDER_LISTS)
        waiting = sum(order.stop_price is not None for order in seat.working.values())
        if waiting + sum(request.stop_price is not None for request in requests) > desk.market.max_stop_orders:
            raise OrderRefused(Refusal.MAX_NUM_ALGO_ORDERS)
    aim = target.price if target.price is not None else target.stop_price
    assert aim is not None
    assert stop.stop_price is not None
    last = desk.last_price
    above, below = (stop.stop_price, aim) if stop.is_buy else (aim, stop.stop_price)
    if not (above > below if last is None else above > last > below):
        raise OrderRefused(Refusal.PRICE_RELATION)
