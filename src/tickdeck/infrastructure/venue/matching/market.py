"""A market of the venue: its assets and filters, as a real venue publishes them in its exchange information."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

from tickdeck.errors import ConfigError

__all__ = ["Market", "MarketStatus"]


_SMALLEST_STEP, _LARGEST = Decimal("0.00000001"), Decimal(10) ** 15  # so that sums and remainders stay exact


class MarketStatus(StrEnum):
    """What the venue accepts for a symbol: everything, only cancels, or nothing."""

    TRADING = "TRADING"
    CANCEL_ONLY = "CANCEL_ONLY"
    HALT = "HALT"
    BREAK = "BREAK"


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """A symbol and its filters. Prices and notionals are in quote, quantities in base.

    ``maker_fee`` and ``taker_fee`` are shares of what a trade gives the account, which pays them in that asset.
    Raises ``ConfigError`` for a step below eight decimals, a fee of 1 or more, or an amount beyond 10^15.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.01")
    step_size: Decimal = Decimal("0.00001")
    min_price: Decimal = Decimal("0.01")
    max_price: Decimal = Decimal(1_000_000)
    min_quantity: Decimal = Decimal("0.00001")
    max_quantity: Decimal = Decimal(9_000)
    min_notional: Decimal = Decimal(5)
    max_orders: int = 200
    max_stop_orders: int = 5
    max_order_lists: int = 20
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    status: MarketStatus = MarketStatus.TRADING

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if not isinstance(value, Decimal):
                continue
            steps, fees = name in ("tick_size", "step_size"), name in ("maker_fee", "taker_fee")
            least, most = (_SMALLEST_STEP if steps else Decimal(0)), (Decimal(1) if fees else _LARGEST)
            if not value.is_finite() or not least <= value < most:
                raise ConfigError(f"market {self.symbol}: {name} is {value}; give a decimal from {least:f} to {most:f}")
