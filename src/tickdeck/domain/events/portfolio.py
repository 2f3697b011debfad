"""Events of positions and balances, from our own accounting."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import ClassVar

from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.streams import OfBalance, OfPosition
from tickdeck.domain.events.upcast import Fields, upcast
from tickdeck.domain.values import Money, Price, Quantity, Side

__all__ = [
    "DIFFERENCES",
    "AccountDifferenceFound",
    "BalanceEvent",
    "MarginCallEvent",
    "PositionClosedEvent",
    "PositionEvent",
    "PositionLiquidatedEvent",
    "PositionOpenedEvent",
    "PositionUpdatedEvent",
]


class PositionEvent(OfPosition, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one position. Emitted by the portfolio engine after a fill.

    ``quantity`` is in base, negative when short. All amounts are in ``currency``, the quote currency. ``cost`` is the
    exact cost of the open part, with the sign of ``quantity``. ``average_price`` is ``cost`` / ``quantity`` rounded to
    28 significant digits, for display. ``realized_pnl`` (before fees) is the profit of this change;
    ``total_realized_pnl`` is the sum since the start of the account's books, and ``total_fees`` that of the fees in
    base and quote, so the difference is the profit after fees. ``user_id`` is the owner of the account; empty if there
    is none.

    The order of this change is in ``opened_by_orders`` if it made the position larger, and in ``closed_by_orders`` if
    it made it smaller. ``position.closed`` lists all orders of the round trip, oldest first, but at most the newest
    100. ``opened_by_trades`` and ``closed_by_trades`` do the same for trades, where a use case books them; a run names
    orders only.

    Events of an earlier version have 0 ``total_fees``. Those of the first name no orders, and their ``cost`` is only as
    exact as the average price was.
    """

    priority: ClassVar[Priority] = Priority.P1
    quantity: Quantity
    cost: Money
    average_price: Price
    realized_pnl: Money = Decimal(0)
    total_realized_pnl: Money = Decimal(0)
    total_fees: Money = Decimal(0)
    currency: str = ""
    opened_by_orders: tuple[str, ...] = ()
    closed_by_orders: tuple[str, ...] = ()
    opened_by_trades: tuple[str, ...] = ()
    closed_by_trades: tuple[str, ...] = ()


class PositionOpenedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """A flat position became long or short, or a position changed sides. Emitted by the portfolio engine after a
    fill."""

    event_type: ClassVar[str] = "position.opened"
    version: ClassVar[int] = 3


class PositionUpdatedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """A position became larger or smaller and stayed on its side. Emitted by the portfolio engine after a fill."""

    event_type: ClassVar[str] = "position.updated"
    version: ClassVar[int] = 3


class PositionClosedEvent(PositionEvent, frozen=True, kw_only=True, gc=False):
    """A position became flat. Emitted by the portfolio engine after a fill.

    ``quantity`` and ``cost`` are 0. ``average_price`` is that of the closed part.
    """

    event_type: ClassVar[str] = "position.closed"
    version: ClassVar[int] = 3


class MarginCallEvent(OfPosition, frozen=True, kw_only=True, gc=False):
    """The equity of a leveraged position fell below a stated multiple of its maintenance requirement. Emitted by the
    portfolio engine, from a report of the venue, once for each position until it is flat.

    ``quantity`` is that of the position (base, negative when short), ``price`` the market's. ``equity`` and
    ``requirement`` are in ``currency``, the quote currency. At ``liquidation_price`` the venue closes the position.
    """

    event_type: ClassVar[str] = "position.margin_called"
    priority: ClassVar[Priority] = Priority.P0
    quantity: Quantity
    price: Price
    equity: Money
    requirement: Money
    liquidation_price: Price
    currency: str = ""


class PositionLiquidatedEvent(OfPosition, frozen=True, kw_only=True, gc=False):
    """The venue closed a leveraged position, because its equity fell to the maintenance requirement. Emitted by the
    portfolio engine, from a report of the venue, once. It follows ``position.closed`` and the balances, which book it.

    ``side`` is that of the closing trade: a long position is sold. ``quantity`` is in base, ``price`` in quote.
    ``realized_pnl`` (before the ``fee``) is in ``currency``, the quote currency. ``order_id`` is the venue's order.
    """

    event_type: ClassVar[str] = "position.liquidated"
    priority: ClassVar[Priority] = Priority.P0
    side: Side
    quantity: Quantity
    price: Price
    average_price: Price
    realized_pnl: Money
    fee: Money = Decimal(0)
    fee_currency: str = ""
    currency: str = ""
    order_id: str = ""
    venue_trade_id: str = ""


class BalanceEvent(OfBalance, frozen=True, kw_only=True, gc=False):
    """The balance of an account in one currency changed. Emitted by the portfolio engine.

    All amounts are in ``currency``. ``change`` is the change of ``total``. ``deposit`` is the part of it that was paid
    in (negative: paid out); the rest comes from trading. ``fee`` is the fee that was charged. A fee in base currency is
    counted in the event of the quote currency, at the price of the fill.

    ``free`` is ``total`` minus ``locked`` minus ``reserved``. ``locked`` is what orders of others lock, as the venue
    reported it; ``reserved`` is what our own open orders reserve (see ``order.*``). ``free`` is negative if more is
    offered than held, as in a short sale. ``user_id`` is the owner of the account; empty if there is none.

    Events of an earlier version have no ``locked``, ``reserved``, ``deposit`` and ``fee``. They are 0, and ``free`` is
    ``total``.
    """

    event_type: ClassVar[str] = "balance.updated"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 2
    total: Money
    free: Money
    locked: Money = Decimal(0)
    reserved: Money = Decimal(0)
    change: Money = Decimal(0)
    deposit: Money = Decimal(0)
    fee: Money = Decimal(0)


DIFFERENCES = ("adopt", "halt", "ask")


class AccountDifferenceFound(OfBalance, frozen=True, kw_only=True, gc=False):
    """Our books and the venue disagree about a balance, by the same amount in two readings, and nothing explains it.
    Emitted by the portfolio engine.

    ``ours`` and ``venue`` are the totals in ``currency``. ``policy`` is what the run does about it: ``adopt`` the
    venue's figure, ``halt`` trading, or ``ask`` a person and go on.
    """

    event_type: ClassVar[str] = "account.difference_found"
    priority: ClassVar[Priority] = Priority.P0
    ours: Money
    venue: Money
    policy: str


# -- from version 1 ---------------------------------------------------------------------------------------------

_EXACT = Context(prec=60)


def _position_from_1(fields: Fields) -> Fields:
    cost = _EXACT.multiply(Decimal(fields["quantity"]), Decimal(fields["average_price"]))
    return {**fields, "cost": str(cost if cost else Decimal(0))}


def _without_fees(fields: Fields) -> Fields:
    return fields


def _balance_from_1(fields: Fields) -> Fields:
    return {**fields, "free": fields["total"]}


for _cls in (PositionOpenedEvent, PositionUpdatedEvent, PositionClosedEvent):
    upcast(_cls.event_type, 1, _position_from_1, keeps_stream=True)
    upcast(_cls.event_type, 2, _without_fees, keeps_stream=True)
upcast(BalanceEvent.event_type, 1, _balance_from_1, keeps_stream=True)
