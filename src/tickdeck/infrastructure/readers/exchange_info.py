"""Instruments from a venue's own description: the body of Binance's ``exchangeInfo`` (spot, USD-M and COIN-M)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.domain.market import Instrument
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.readers.files import open_binary

__all__ = ["read_exchange_info"]


class _Symbol(msgspec.Struct):
    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    margin: str = msgspec.field(name="marginAsset", default="")
    contract_size: Decimal = msgspec.field(name="contractSize", default=Decimal(1))
    fee_decimals: int | None = msgspec.field(name="quoteCommissionPrecision", default=None)
    filters: list[dict[str, Any]] = []


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Symbol]


class _Answer(msgspec.Struct):
    """The body as some recorders wrap it."""

    response: _ExchangeInfo


def read_exchange_info(path: Path) -> dict[str, Instrument]:
    """Every instrument of an ``exchangeInfo`` file (JSON, plain, gzip or zip), by symbol.

    Contracts whose margin is in their base currency are inverse. Raises ``InputError`` where the file cannot be read,
    ``ConfigError`` where it is no such file.
    """
    with open_binary(path) as file:
        data = file.read()
    try:
        try:
            info = msgspec.json.decode(data, type=_ExchangeInfo, strict=False)
        except msgspec.ValidationError:
            info = msgspec.json.decode(data, type=_Answer, strict=False).response
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: not the body of a venue's exchangeInfo ({error})") from None
    return {symbol.symbol: _instrument(symbol) for symbol in info.symbols}


def _instrument(of: _Symbol) -> Instrument:
    filters = {name: f for f in of.filters if isinstance(name := f.get("filterType"), str)}
    price, lot = filters.get("PRICE_FILTER", {}), filters.get("LOT_SIZE", {})
    notional = filters.get("NOTIONAL") or filters.get("MIN_NOTIONAL") or {}
    steps = {
        "tick_size": price.get("tickSize"),
        "lot_size": lot.get("stepSize"),
        "min_quantity": lot.get("minQty"),
        "max_quantity": lot.get("maxQty"),
        "min_notional": notional.get("minNotional", notional.get("notional")),
    }
    found = {name: number for name, text in steps.items() if text is not None and (number := Decimal(str(text)))}
    if of.fee_decimals is not None:
        found["fee_step"] = Decimal(1).scaleb(-of.fee_decimals)
    inverse = bool(of.margin) and of.margin == of.base
    return Instrument(
        symbol=of.symbol,
        base=of.base,
        quote=of.quote,
        contract_size=of.contract_size,
        inverse=inverse,
        **found,
    )
