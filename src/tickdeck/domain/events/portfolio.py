"""What we hold: positions and balances, as we account for them."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.upcast import Fields, upcast
from tickdeck.domain.values import Money, Price, Quantity

__all__ = [
    "BalanceEvent",
    "PositionClosedEvent",
    "PositionEvent",
    "PositionOpenedEvent",
    "PositionUpdatedEvent",
    "balance_stream",
]


class PositionEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one position. Emitted by the portfolio engine after a fill, and at the first price of a
    symbol for coins that the account began with; that event names no order.

    ``quantity`` in base, negative when short; ``cost`` is what the open part cost, exact and of the same sign, in
    ``currency``, the quote currency of all amounts. ``average_price`` is ``cost`` / ``quantity`` to 28 significant
    digits, for show. ``realized_pnl`` (before fees) is of this change, ``total_realized_pnl`` since the account's books
    began. ``user_id`` owns the account, empty where nobody is named.

    ``opened_by_orders`` and ``closed_by_orders``: the order of this change, in the first where it made the position
    larger and in the second where it made it smaller. ``position.closed`` names all orders of the whole round trip,
    oldest first; of more than 100 the newest. ``opened_by_trades`` and ``closed_by_trades`` are for our own trade
    records, which this version does not make: they are empty.

    A tape of an earlier version names no orders, and its ``cost`` is only as exact as the average price was.
    """

    priority: ClassVar[Priority] = Priority.P1
    symbol: str
    account_id: str = "main"
    user_id: str = ""
    quantity: Quantity
    cost: Money
    average_price: Price
    realized_pnl: Money = Decimal(0)
    total_realized_pnl: Money = Decimal(0)
    currency: str = ""
    opened_by_orders: tuple[str, ...] = ()
    closed_by_orders: tuple[str, ...] = ()
    opened_by_trades: tuple[str, ...] = ()
    closed_by_trades: tuple[str, ...] = ()

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.symbol}"

    @property
    def stream(self) -> str:
        return f"position/{self.account_id}/{self.symbol}"


class PositionOpenedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """From flat to long or short, or through flat to the other side. Emitted by the portfolio engine after a fill, and
    for coins that the account began with."""

    event_type: ClassVar[str] = "position.opened"
    version: ClassVar[int] = 2


class PositionUpdatedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """Larger or smaller, on the same side. Emitted by the portfolio engine after a fill."""

    event_type: ClassVar[str] = "position.updated"
    version: ClassVar[int] = 2


class PositionClosedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """Flat again. Emitted by the portfolio engine after a fill.

    ``quantity`` and ``cost`` are 0, ``average_price`` is that of what was closed."""

    event_type: ClassVar[str] = "position.closed"
    version: ClassVar[int] = 2


class BalanceEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An account's holding of one currency changed. Emitted by the portfolio engine.

    All amounts are in ``currency``. ``change`` is the difference to the ``total`` before: ``deposit`` was paid in (or
    out, negative), the rest came from trading, and ``fee`` (of a base currency: in the quote currency's event, at the
    fill's price) is what it was charged. ``free`` is ``total`` less ``locked`` and ``reserved``: ``locked`` by orders
    that are not ours, as the venue reported it, ``reserved`` by our own open orders (see ``order.*``). ``free`` is
    negative where more is offered than held, as in a short sale. ``user_id`` owns the account, empty where nobody is
    named.

    A tape of an earlier version has no ``locked``, ``reserved``, ``deposit`` and ``fee``; they are 0 there, and
    ``free`` is ``total``."""

    event_type: ClassVar[str] = "balance.updated"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 2
    account_id: str = "main"
    user_id: str = ""
    currency: str
    total: Money
    free: Money
    locked: Money = Decimal(0)
    reserved: Money = Decimal(0)
    change: Money = Decimal(0)
    deposit: Money = Decimal(0)
    fee: Money = Decimal(0)

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.currency}"

    @property
    def stream(self) -> str:
        return balance_stream(self.account_id, self.currency)


def balance_stream(account_id: str, currency: str) -> str:
    """The stream of an account's holding of one currency: our events and the venue's reports."""
    return f"balance/{account_id}/{currency}"


# -- from version 1 ---------------------------------------------------------------------------------------------

_EXACT = Context(prec=60)


def _position_from_1(fields: Fields) -> Fields:
    cost = _EXACT.multiply(Decimal(fields["quantity"]), Decimal(fields["average_price"]))
    return {**fields, "cost": str(cost if cost else Decimal(0))}


def _balance_from_1(fields: Fields) -> Fields:
    return {**fields, "free": fields["total"]}


for _cls in (PositionOpenedEvent, PositionUpdatedEvent, PositionClosedEvent):
    upcast(_cls.event_type, 1, _position_from_1)
upcast(BalanceEvent.event_type, 1, _balance_from_1)
