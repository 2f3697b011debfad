"""What may be traded, in which steps: an instrument and its venue's filters."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import msgspec

from tickdeck.domain.values import Money, OrderType, Price, Quantity
from tickdeck.errors import ConfigError, format_value

__all__ = ["Instrument", "instrument_for"]

# Quote currencies by which a symbol such as ``BTCUSDT`` is split; longest first.
_QUOTES = ("FDUSD", "USDT", "USDC", "TUSD", "BUSD", "USD", "EUR", "BTC", "ETH", "BNB")


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A symbol with the steps and bounds that its venue enforces.

    ``tick_size`` is the step of prices (quote), ``lot_size`` the step of quantities (base), ``min_quantity`` and
    ``max_quantity`` bound one order (base; a maximum of 0 is none), ``min_notional`` is price x quantity (quote).
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.00000001")
    lot_size: Decimal = Decimal("0.00000001")
    min_quantity: Decimal = Decimal(0)
    max_quantity: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name in ("tick_size", "lot_size", "min_quantity", "max_quantity", "min_notional"):
            value = getattr(self, name)
            if type(value) is not Decimal or not value.is_finite() or value < 0:
                raise ConfigError(
                    f"instrument {self.symbol}: {name} is {format_value(value)}; give a decimal that is not negative"
                )
        if not self.tick_size or not self.lot_size:
            raise ConfigError(f"instrument {self.symbol}: tick_size and lot_size must be greater than 0")

    def quantise_price(self, price: Price) -> Price:
        """The nearest price on the tick grid (half to even)."""
        return (price / self.tick_size).quantize(Decimal(1), ROUND_HALF_EVEN) * self.tick_size

    def quantise_quantity(self, quantity: Quantity) -> Quantity:
        """The quantity cut down to the lot grid: never more than was asked for."""
        return (quantity / self.lot_size).quantize(Decimal(1), ROUND_DOWN) * self.lot_size

    def violation(self, kind: OrderType, quantity: Quantity, price: Price) -> str | None:
        """Which filter an order of ``quantity`` at ``price`` (its limit, or the reference for a market order)
        would break, in words; ``None`` where it breaks none."""
        if quantity <= 0:
            return f"quantity {quantity} is not positive"
        if quantity % self.lot_size:
            return f"quantity {quantity} is not a multiple of the lot size {self.lot_size}"
        if quantity < self.min_quantity:
            return f"quantity {quantity} is below the minimum {self.min_quantity}"
        if self.max_quantity and quantity > self.max_quantity:
            return f"quantity {quantity} is above the maximum {self.max_quantity}"
        if kind is OrderType.LIMIT and price % self.tick_size:
            return f"price {price} is not a multiple of the tick size {self.tick_size}"
        notional: Money = price * quantity
        if notional < self.min_notional:
            return f"notional {notional} is below the minimum {self.min_notional}"
        return None


def _known(symbol: str, tick: str, lot: str, notional: str) -> Instrument:
    base, quote = split_symbol(symbol)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_quantity=Decimal(lot),
        min_notional=Decimal(notional),
    )


def split_symbol(symbol: str) -> tuple[str, str]:
    """``("BTC", "USDT")`` for ``BTCUSDT``; a symbol with no known quote currency is its own base, quoted in USD."""
    plain = symbol.replace("-", "").replace("/", "").replace("_", "")
    for quote in _QUOTES:
        if plain.endswith(quote) and len(plain) > len(quote):
            return plain[: -len(quote)], quote
    return plain, "USD"


# Binance spot filters (tickSize, stepSize, minNotional) as of August 2024, when the common captures were taken.
_KNOWN = {
    i.symbol: i
    for i in (
        _known("BTCUSDT", "0.01", "0.00001", "5"),
        _known("ETHUSDT", "0.01", "0.0001", "5"),
        _known("XRPETH", "0.00000001", "1", "0.001"),
    )
}


def instrument_for(symbol: str) -> Instrument:
    """The built-in instrument for ``symbol``; where there is none, one with the finest steps and no minimum."""
    known = _KNOWN.get(symbol)
    if known is not None:
        return known
    base, quote = split_symbol(symbol)
    return Instrument(symbol=symbol, base=base, quote=quote)
