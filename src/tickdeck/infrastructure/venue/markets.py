"""Markets by symbol, with filters like those of the real venue, and the deposits of a new account."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.matching import Market

__all__ = ["default_deposits", "market_of"]

_KNOWN = {
    "BTCUSDT": ("BTC", "USDT", "0.01", "0.00001", "5"),
    "ETHUSDT": ("ETH", "USDT", "0.01", "0.0001", "5"),
    "BNBUSDT": ("BNB", "USDT", "0.01", "0.001", "5"),
    "SOLUSDT": ("SOL", "USDT", "0.01", "0.001", "5"),
    "XRPUSDT": ("XRP", "USDT", "0.0001", "0.1", "5"),
    "ETHBTC": ("ETH", "BTC", "0.00001", "0.0001", "0.0001"),
    "XRPETH": ("XRP", "ETH", "0.00000001", "1", "0.001"),
}
_QUOTES = ("USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY")
_DEPOSITS = {"USDT": "100000", "USDC": "100000", "FDUSD": "100000", "EUR": "100000", "BTC": "2", "ETH": "40"}


def market_of(symbol: str) -> Market:
    """The market of a symbol: ``BTCUSDT``, or ``BASE/QUOTE`` if the name alone is ambiguous. Raises ``ConfigError``."""
    symbol = symbol.strip().upper()
    base, slash, quote = symbol.partition("/")
    if slash and base and quote:
        symbol = base + quote
    known = _KNOWN.get(symbol)
    if known is not None:
        base, quote, tick, step, notional = known
    elif not slash:
        quote = next((q for q in _QUOTES if symbol.endswith(q) and len(symbol) > len(q)), "")
        if not quote:
            raise ConfigError(f"venue: {symbol!r} does not contain a known quote currency; write it as BASE/QUOTE")
        base = symbol[: -len(quote)]
    if not base or not quote:
        raise ConfigError(f"venue: {symbol!r} is not a symbol; write it as BTCUSDT or BTC/USDT")
    if known is None:
        tick, step, notional = "0.00000001", "0.00000001", "0.0001"
    return Market(
        symbol=symbol,
        base=base,
        quote=quote,
        tick_size=Decimal(tick),
        step_size=Decimal(step),
        min_price=Decimal(tick),
        min_quantity=Decimal(step),
        max_quantity=Decimal(9_000_000 if known is None else 9_000),
        min_notional=Decimal(notional),
    )


def default_deposits(markets: list[Market]) -> dict[str, Decimal]:
    """The deposits of a new account: some of each asset that is traded."""
    assets = dict.fromkeys(asset for market in markets for asset in (market.quote, market.base))
    return {asset: Decimal(_DEPOSITS.get(asset, "1000")) for asset in assets}
