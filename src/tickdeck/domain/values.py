"""The words of trading that are values: sides, order types, money.

Money (prices, quantities, fees, PnL) is ``decimal.Decimal`` and nothing else. ``Price`` and ``Quantity``
are aliases that say which one is meant: a price is in quote currency per unit of base, a quantity is in
base currency, and ``Money`` is an amount of quote currency.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "ZERO",
    "Level",
    "Money",
    "OrderStatus",
    "OrderType",
    "Price",
    "Quantity",
    "Side",
    "StrategyRole",
    "TimeInForce",
]

Price: TypeAlias = Decimal
Quantity: TypeAlias = Decimal
Money: TypeAlias = Decimal
Level: TypeAlias = tuple[Decimal, Decimal]
"""One level of an order book: (price, quantity); quantity 0 in a delta deletes the level."""

ZERO = Decimal(0)


class Side(StrEnum):
    """Who buys. Of a public trade: the side of the aggressor (the taker)."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """``gtc`` rests until cancelled; ``ioc`` takes what is there and expires the rest; ``fok`` all or nothing;
    ``post_only`` is rejected where it would take."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class StrategyRole(StrEnum):
    """What a strategy is for: to open positions, to close them, or to look after those that are open."""

    ENTRY = "entry"
    EXIT = "exit"
    MANAGEMENT = "management"


class OrderStatus(StrEnum):
    """Where an order is in its life. ``unknown`` means in doubt: only the venue's evidence ends it."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """No further change is expected from the venue."""
        return self in _FINAL


_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
