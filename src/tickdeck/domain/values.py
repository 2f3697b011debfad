"""The basic values of trading: sides, order types, money.

All money (prices, quantities, fees, PnL) is ``decimal.Decimal``. The aliases say which kind is meant: ``Price`` is in
quote currency per unit of base, ``Quantity`` is in base currency, and ``Money`` is an amount of quote currency.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

__all__ = [
    "BUY",
    "SELL",
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
    "plain",
]

Price: TypeAlias = Decimal
Quantity: TypeAlias = Decimal
Money: TypeAlias = Decimal
Level: TypeAlias = tuple[Decimal, Decimal]
"""One level of an order book: (price, quantity); quantity 0 in a delta deletes the level."""

ZERO = Decimal(0)


def plain(number: Decimal) -> str:
    """All digits of a number, without an exponent or trailing zeros."""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


class Side(StrEnum):
    """The side of an order or trade. For a public trade, the side of the aggressor (the taker)."""

    BUY = "buy"
    SELL = "sell"

    @property
    def opposite(self) -> Side:
        """The other side."""
        return SELL if self is BUY else BUY

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is BUY else -1


BUY, SELL = Side.BUY, Side.SELL
"""For code that runs at each order: to look up a member of an enum takes longer than a call in CPython 3.11."""


class OrderType(StrEnum):
    """How an order is priced: at market, or with a limit."""

    MARKET = "market"
    LIMIT = "limit"


class TimeInForce(StrEnum):
    """``gtc`` rests until it is cancelled. ``ioc`` takes what is available and expires. ``fok`` fills completely or not
    at all. ``post_only`` is rejected if it would take."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"


class StrategyRole(StrEnum):
    """The purpose of a strategy: to open positions, to close them, or to manage open ones."""

    ENTRY = "entry"
    EXIT = "exit"
    MANAGEMENT = "management"


class OrderStatus(StrEnum):
    """The status of an order. ``unknown`` means that we do not know whether the venue has it; only the venue's report
    ends that."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    EXPIRED = "expired"
    UNKNOWN = "unknown"

    @classmethod
    def from_exchange(cls, raw: str, statuses: Mapping[str, OrderStatus]) -> OrderStatus | None:
        """The status for an exchange's word, by its table ``statuses``. ``None`` for an unknown word: store the raw
        word, leave the order unchanged, report it, and query the order.
        """
        return statuses.get(raw)

    @property
    def is_final(self) -> bool:
        """Whether no further change is expected from the venue."""
        return self in _FINAL


_FINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELLED, OrderStatus.REJECTED, OrderStatus.EXPIRED})
