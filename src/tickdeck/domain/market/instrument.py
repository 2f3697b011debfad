"""Instruments: what may be traded, in which steps, and what a symbol alone says about its currencies."""

from __future__ import annotations

import re
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

import msgspec

from tickdeck.domain.values import Money, OrderType, Price, Quantity, plain
from tickdeck.errors import ConfigError, format_value

__all__ = ["Instrument", "instrument_for", "is_inverse", "quote_rank", "split_symbol", "symbol_in_name"]

_LIMIT = OrderType.LIMIT
_STABLE = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "RLUSD", "USDP", "USDE", "USD1", "DAI", "AEUR", "EURI")
_COINS = ("BTC", "ETH", "BNB", "XRP", "TRX", "SOL", "DOGE")
_FIAT = (
    *("EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "RUB", "UAH", "NGN", "IDR", "ZAR", "PLN", "RON", "ARS", "MXN", "CZK"),
    *("COP", "KRW", "CHF", "CAD", "INR", "SGD", "HKD", "NZD", "THB", "VND", "PHP", "AED"),
)
_QUOTES = ("USD", *_STABLE, *_COINS, *_FIAT)
"""The known quote currencies."""

_PAIR = re.compile(r"([A-Za-z0-9]+)[-/_]([A-Za-z0-9]+)")
_USD_PERPETUAL = re.compile(r"([A-Z0-9]+)-PERP")
_DATED = re.compile(r"([A-Z0-9]+)(USDT|USDC)_\d{6}")
_INVERSE = re.compile(
    r"[A-Z0-9]+USD_(PERP|\d{6})"  # Binance
    r"|[A-Z0-9]+-USD-(SWAP|\d{6})"  # OKX
    r"|(PI|FI)_[A-Z0-9]+USD(_\d{6})?"  # Kraken Futures
    r"|(BTC|ETH)-(PERPETUAL|\d{1,2}[A-Z]{3}\d{2})"  # Deribit, whose amounts are dollars
    r"|(?P<base>[A-Z0-9]+)/USD:(?P=base)(-\d{6})?"  # ccxt: settled in the base currency
)
"""Notations that only inverse contracts have."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML takes without quotes."""

_GLUED = re.compile(r"[A-Z0-9]+")

_CONTRACTS = " (and contract_size: the venue's files count contracts)"
_IN_NAMES = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "BRL", "BTC", "ETH", "BNB")  # English words end in the others
_WORDS = re.compile(r"(?<![A-Z0-9])([A-Z0-9]+USD[TC]?_(?:PERP|\d{6})|[A-Z0-9]+)(?![A-Z0-9])")
_PAIR_IN_NAME = re.compile(
    r"(?<![A-Za-z0-9])(?=[0-9]*[A-Z])[A-Z0-9]{2,10}[-_](?:USDT|USDC|USD|EUR|TRY|JPY|PERP)(?![A-Za-z0-9])"
)
"""``BTC-USD``, ``BTC_USDT``, ``BTC-PERP``: in capitals, because file names also join English words in this way."""


class Instrument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A symbol with the steps and limits that its venue enforces.

    ``tick_size`` is the step of prices (quote) and ``lot_size`` the step of quantities (base). ``min_quantity`` and
    ``max_quantity`` limit one order (base; a maximum of 0 means none). ``min_notional`` is the minimum of price x
    quantity (quote).

    If the venue's data counts contracts, ``contract_size`` is the value of one contract in base currency. Readers
    multiply by it. ``inverse`` contracts are worth an amount of quote currency and settle in base; they cannot be
    traded.

    A fee in quote currency is rounded to a multiple of ``fee_step``, half to even.
    """

    symbol: str
    base: str
    quote: str
    tick_size: Decimal = Decimal("0.00000001")
    lot_size: Decimal = Decimal("0.00000001")
    min_quantity: Decimal = Decimal(0)
    max_quantity: Decimal = Decimal(0)
    min_notional: Decimal = Decimal(0)
    contract_size: Decimal = Decimal(1)
    inverse: bool = False
    fee_step: Decimal = Decimal("0.00000001")

    def __post_init__(self) -> None:
        for name in (
            "tick_size",
            "lot_size",
            "min_quantity",
            "max_quantity",
            "min_notional",
            "contract_size",
            "fee_step",
        ):
            value = getattr(self, name)
            if type(value) is not Decimal or not value.is_finite() or value < 0:
                raise ConfigError(
                    f"instrument {self.symbol}: {name} is {format_value(value)}; give a decimal that is not negative"
                )
        if not self.tick_size or not self.lot_size or not self.contract_size or not self.fee_step:
            names = "tick_size, lot_size, contract_size and fee_step"
            raise ConfigError(f"instrument {self.symbol}: {names} must be greater than 0")

    def quantise_price(self, price: Price) -> Price:
        """The nearest price on the tick grid (half to even)."""
        return (price / self.tick_size).quantize(Decimal(1), ROUND_HALF_EVEN) * self.tick_size

    def quantise_quantity(self, quantity: Quantity) -> Quantity:
        """The quantity rounded down to the lot grid."""
        return (quantity / self.lot_size).quantize(Decimal(1), ROUND_DOWN) * self.lot_size

    def is_dust(self, quantity: Quantity, price: Price | None) -> bool:
        """Whether ``quantity`` (base, negative if owed) is not 0, but too little for an order at ``price``. Without a
        price, the minimum notional is not considered."""
        if not quantity:
            return False
        tradable = self.quantise_quantity(abs(quantity))
        if not tradable or tradable < self.min_quantity:
            return True
        return price is not None and tradable * price < self.min_notional

    def violation(self, kind: OrderType, quantity: Quantity, price: Price) -> str | None:
        """The filter that an order of ``quantity`` at ``price`` would violate, as text; ``None`` if it passes all.
        ``price`` is its limit, or the reference price of a market order."""
        if quantity <= 0:
            lots = "" if quantity else f": it was rounded down to the lot size, {plain(self.lot_size)}"
            return f"quantity {plain(quantity)} is not positive{lots}"
        if quantity % self.lot_size:
            return f"quantity {plain(quantity)} is not a multiple of the lot size {plain(self.lot_size)}"
        if quantity < self.min_quantity:
            return f"quantity {plain(quantity)} is below the minimum {plain(self.min_quantity)}"
        if self.max_quantity and quantity > self.max_quantity:
            return f"quantity {plain(quantity)} is above the maximum {plain(self.max_quantity)}"
        if kind is _LIMIT and price % self.tick_size:
            return f"price {plain(price)} is not a multiple of the tick size {plain(self.tick_size)}"
        notional: Money = price * quantity
        if notional < self.min_notional:
            return f"notional {plain(notional)} is below the minimum {plain(self.min_notional)}"
        return None


def _known(symbol: str, base: str, quote: str, tick: str, lot: str, notional: str) -> Instrument:
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=Decimal(tick),
        lot_size=Decimal(lot),
        min_quantity=Decimal(lot),
        min_notional=Decimal(notional),
    )


# Binance spot filters (tickSize, stepSize, minNotional) as of August 2024, when the common captures were taken.
_KNOWN = {
    i.symbol: i
    for i in (
        _known("BTCUSDT", "BTC", "USDT", "0.01", "0.00001", "5"),
        _known("ETHUSDT", "ETH", "USDT", "0.01", "0.0001", "5"),
        _known("XRPETH", "XRP", "ETH", "0.00000001", "1", "0.001"),
    )
}


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """The base and quote currency of a symbol, if they are unambiguous: ``("BTC", "USDT")`` for ``BTCUSDT``.

    These forms are unambiguous: a separator before a currency (``DOT-USD``, ``SHIB/USD``), capitals that end in exactly
    one known quote currency (``1000PEPEUSDT``, ``ETHBTC``), dated USD-M futures of Binance (``BTCUSDT_250328``), and
    ``BTC-PERP``, which is quoted in USD. For all others the result is ``None``: ``XBTUSD`` is a spot pair at one venue
    and an inverse contract at another, and ``DOTUSD`` ends in two currencies.
    """
    pair = _PAIR.fullmatch(symbol)
    if pair is not None and pair[2].upper() in _QUOTES:
        return pair[1].upper(), pair[2].upper()
    for pattern in (_DATED, _USD_PERPETUAL):
        match = pattern.fullmatch(symbol)
        if match is not None:
            return match[1], "USD" if pattern is _USD_PERPETUAL else match[2]
    if not _GLUED.fullmatch(symbol):
        return None
    found = [quote for quote in _QUOTES if symbol.endswith(quote) and symbol != quote]
    return (symbol.removesuffix(found[0]), found[0]) if len(found) == 1 and found[0] != "USD" else None


def quote_rank(currency: str) -> int:
    """How likely a currency is the quote currency of a pair: 0 for dollars and their coins, 1 for other state money,
    2 and more for the coins that others are quoted in, the likeliest first, and a large number for the rest."""
    if currency == "USD" or currency in _STABLE:
        return 0
    if currency in _FIAT:
        return 1
    return 2 + (_COINS.index(currency) if currency in _COINS else len(_COINS))


def is_inverse(symbol: str) -> bool:
    """Whether the symbol is certainly an inverse contract: ``BTCUSD_PERP``, ``BTC-USD-SWAP``, ``PI_XBTUSD``,
    ``BTC/USD:BTC``, ``BTC-PERPETUAL``."""
    return _INVERSE.fullmatch(symbol) is not None


def symbol_in_name(name: str) -> str | None:
    """The first word of a file name that is a symbol (``BTCUSDT-trades-2024-08-08.csv``), in the venue's notation."""
    for word in _WORDS.finditer(name.upper()):
        text = word[0]
        if "_" in text or (text.endswith(_IN_NAMES) and text not in _QUOTES):
            written = name[word.start() : word.end()]
            return text if written.islower() else written
    pair = _PAIR_IN_NAME.search(name)
    return pair[0] if pair is not None else None


def instrument_for(symbol: str) -> Instrument:
    """The built-in instrument for ``symbol``. If there is none, an instrument with the finest steps and no minimum.

    Raises ``ConfigError`` if the base and quote currency of the symbol are ambiguous.
    """
    known = _KNOWN.get(symbol)
    if known is not None:
        return known
    if is_inverse(symbol):
        raise ConfigError(
            f"{symbol} is an inverse contract. Its profit is in the base currency, which Tickdeck does not support;"
            " use the spot or USD-M market"
        )
    parts = split_symbol(symbol)
    if parts is None:
        table = symbol if _BARE_KEY.fullmatch(symbol) else f'"{symbol}"'
        raise ConfigError(
            f"{symbol} has no unambiguous base and quote currency; add [instruments.{table}] with"
            f" symbol, base and quote{_CONTRACTS if symbol.endswith('-SWAP') else ''} in the --config file, or the"
            " venue's description: --instruments exchangeInfo.json"
        )
    base, quote = parts
    return Instrument(symbol=symbol, base=base, quote=quote)
