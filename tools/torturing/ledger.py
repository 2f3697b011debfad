"""What a run's tape says of orders, fills, positions and balances, compared with the exchange's ground truth."""

from __future__ import annotations

import json
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import (
    AccountDifferenceFound,
    BalanceEvent,
    CommandReceived,
    DomainEvent,
    OrderEvent,
    OrderSubmittedEvent,
    PositionEvent,
    RunResumed,
    RunStarted,
    TwoPhaseTradeEvent,
    VenueFillReported,
    VenueOrderReported,
)
from tickdeck.domain.trading import Order
from tickdeck.domain.values import OrderStatus
from tickdeck.infrastructure.tape.opening import open_reader, tape_path
from torturing.copies import Copies

__all__ = ["Books", "Ledger", "Truth"]

KEPT = (
    OrderEvent,
    VenueOrderReported,
    VenueFillReported,
    PositionEvent,
    BalanceEvent,
    AccountDifferenceFound,
    TwoPhaseTradeEvent,
)

_STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
_WEAKEST_FIRST = ("EXPIRED_IN_MATCH", "EXPIRED", "CANCELED", "NEW", "PARTIALLY_FILLED", "FILLED")
"""Of a pair's two states, the later one here is that of the pair."""
_AT_VENUE = frozenset(_STATUSES.values())


class Truth:
    """The orders, fills and balances of an account at the exchange on ``url``."""

    def __init__(self, url: str, account: str) -> None:
        self.orders: list[dict[str, Any]] = _admin(url, f"orders?account={account}")
        self.fills: list[dict[str, Any]] = _admin(url, f"fills?account={account}")
        self.balances: dict[str, Decimal] = {
            currency: Decimal(amounts["free"]) + Decimal(amounts["locked"])
            for currency, amounts in _admin(url, f"balances?account={account}")[account].items()
        }


class Ledger:
    """State folded from the tape of the run in ``folder``. ``follow`` reads what was added since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seq = 0
        self.books: defaultdict[str, Books] = defaultdict(Books)
        """By account."""
        self.copies = Copies()
        self.commands: set[str] = set()
        """The ids of the commands that arrived."""
        self.starts = 0
        """How often a process began to work."""
        self.taken_up: dict[int, int] = {}
        """The ``seq`` of each ``run.resumed``, with that of the event before it on the tape."""
        self.follow()

    def follow(self) -> None:
        path = tape_path(self.folder)
        if not path.exists():
            return
        with open_reader(path) as tape:
            for event in tape.read(TapeQuery(first_seq=self.seq + 1)):
                if isinstance(event, RunResumed):
                    self.taken_up[event.seq] = self.seq
                self.seq = event.seq
                if isinstance(event, CommandReceived):
                    self.commands.add(event.event_id)
                elif isinstance(event, RunStarted | RunResumed):
                    self.starts += 1
                elif isinstance(event, KEPT):
                    self.books[event.account_id].take(event)
                    self.copies.take(event)

    def unsettled(self) -> list[Order]:
        """The orders that are open or in doubt, or whose fills have not all arrived, of all accounts."""
        return [order for books in self.books.values() for order in books.unsettled()]


class Books:
    """The state of one account, folded from its events."""

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.submitted: Counter[str] = Counter()
        self.fills: dict[tuple[str, str], VenueFillReported] = {}
        self.positions: dict[str, Decimal] = {}
        self.balances: dict[str, Decimal] = {}
        self.unexplained: list[AccountDifferenceFound] = []

    def take(self, event: DomainEvent) -> None:
        """Take the next event of the account."""
        if isinstance(event, OrderSubmittedEvent):
            self.submitted[event.order_id] += 1
            self.orders[event.order_id] = Order(event)
        elif isinstance(event, OrderEvent | VenueOrderReported | VenueFillReported):
            if event.order_id in self.orders:
                self.orders[event.order_id].apply(event)
            if isinstance(event, VenueFillReported):
                self.fills[event.symbol, event.venue_trade_id] = event
        elif isinstance(event, PositionEvent):
            self.positions[event.symbol] = event.quantity
        elif isinstance(event, BalanceEvent):
            self.balances[event.currency] = event.total
        elif isinstance(event, AccountDifferenceFound):
            self.unexplained.append(event)

    def unsettled(self) -> list[Order]:
        """The orders that are open or in doubt, or whose fills have not all arrived."""
        return [order for order in self.orders.values() if order.is_open or order.missing]

    def differences(self, truth: Truth) -> Iterator[str]:
        """What must hold at any time, also of a run that has just been killed: no order was sent twice, none that the
        tape does not have, and no fill was invented."""
        for order_id, times in self.submitted.items():
            if times > 1:
                yield f"order {order_id} is on the tape {times} times"
        seen = Counter((order["symbol"], order["client_id"]) for order in truth.orders)
        for (symbol, client_id), times in seen.items():
            if times > 1:
                yield f"the exchange has {times} orders {client_id} in {symbol}"
            if client_id not in self.submitted and self._pair_of(client_id) is None:
                yield f"the exchange has order {client_id} in {symbol}, but the tape does not"
        for one in self.unexplained:
            yield f"a difference was found: {one.ours} {one.currency} in our books, {one.venue} at the exchange"
        there = {(fill["symbol"], str(fill["number"])): fill for fill in truth.fills}
        if len(there) != len(truth.fills):
            yield f"the exchange lists {len(truth.fills)} fills with {len(there)} ids: an order met one of the same run"
        for key, fill in self.fills.items():
            found = there.get(key)
            if found is None:
                yield f"fill {key[1]} in {key[0]} of order {fill.order_id} is unknown to the exchange"
            elif (fill.price, fill.quantity, fill.fee) != tuple(
                Decimal(found[name]) for name in ("price", "quantity", "commission")
            ):
                yield f"fill {key[1]} in {key[0]} of order {fill.order_id} differs from the exchange's: {found}"

    def differences_at_rest(self, truth: Truth) -> Iterator[str]:
        """What must hold as well when the run has settled everything: the same orders with the same states, the same
        fills, positions and balances."""
        yield from self.differences(truth)
        there = self._as_ordered(truth.orders)
        for order_id, order in self.orders.items():
            if order_id not in there and (order.status is not OrderStatus.REJECTED or order.filled):
                state = f"{order.status.value} ({order.filled} filled)"
                yield f"order {order_id} is {state}, but the exchange has no such order"
        for order_id, found in there.items():
            known = self.orders.get(order_id)
            if known is None:
                continue  # told above
            if known.status is not _STATUSES[found["status"]]:
                yield f"order {order_id} is {known.status.value}, at the exchange {found['status']}"
            if known.filled != Decimal(found["filled"]):
                yield f"order {order_id} has {known.filled} filled, at the exchange {found['filled']}"
        accepted = sum(order.status in _AT_VENUE for order in self.orders.values())
        if accepted != len(there):
            yield f"{accepted} orders were accepted, the exchange has {len(there)}"
        if len(self.fills) != len(truth.fills):
            yield f"{len(self.fills)} fills on the tape, {len(truth.fills)} at the exchange"
        for currency, total in truth.balances.items():
            if self.balances.get(currency, Decimal(0)) != total:
                yield f"{self.balances.get(currency, Decimal(0))} {currency}, at the exchange {total}"
        for symbol, quantity in self.positions.items():
            base = symbol.removesuffix("USDT")
            if quantity != truth.balances[base]:
                yield f"the position in {symbol} is {quantity}, at the exchange {truth.balances[base]} {base}"

    def _pair_of(self, client_id: str) -> str | None:
        """The id of the order on the tape whose target or stop ``client_id`` is; ``None`` if it is neither."""
        order = self.orders.get(client_id[:-1])
        is_pair = order is not None and order.stop is not None and order.limit is not None
        return client_id[:-1] if is_pair and client_id[-1:] in ("t", "s") else None

    def _as_ordered(self, orders: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The exchange's orders by the ids of the tape, which has a target and a stop as one order. That has the state
        of the one that is filled, or that is still open."""
        found: dict[str, dict[str, Any]] = {}
        for order in orders:
            pair_id = self._pair_of(order["client_id"])
            before = found.get(pair_id) if pair_id is not None else None
            if before is not None:
                filled = Decimal(before["filled"]) + Decimal(order["filled"])
                order = {**max(before, order, key=lambda one: _WEAKEST_FIRST.index(one["status"])), "filled": filled}
            found[pair_id or order["client_id"]] = order
        return found


def _admin(url: str, path: str) -> Any:
    with urllib.request.urlopen(f"{url}/admin/{path}", timeout=30) as answer:  # noqa: S310 (http, to localhost)
        return json.load(answer)
