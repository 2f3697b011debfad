"""Instruments: the body of ``exchangeInfo``, of spot, USD-M and COIN-M."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.application.ports import InstrumentStatus, ListedInstrument
from tickdeck.domain.events import VenueInstrumentReported
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import plain
from tickdeck.infrastructure.exchanges.binance.mappers.market import SPOT

__all__ = [
    "ExchangeInfo",
    "ListedSymbol",
    "RateLimit",
    "TimeBody",
    "instrument_event",
    "listed_again",
    "listed_instrument",
    "listed_instruments",
    "trimmed",
]

_STATUSES = {
    "TRADING": InstrumentStatus.TRADING,
    "END_OF_DAY": InstrumentStatus.HALT,
    "HALT": InstrumentStatus.HALT,
    "BREAK": InstrumentStatus.HALT,
    "CANCEL_ONLY": InstrumentStatus.CANCEL_ONLY,
    "DELISTED": InstrumentStatus.DELISTED,  # our own word, for a symbol that is no longer listed
}
_FILTERS = ("PRICE_FILTER", "LOT_SIZE", "NOTIONAL", "MIN_NOTIONAL")
_SECONDS = {"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}


class ListedSymbol(msgspec.Struct, omit_defaults=True):
    """A symbol of ``exchangeInfo``, with the fields that we read."""

    symbol: str
    base: str = msgspec.field(name="baseAsset")
    quote: str = msgspec.field(name="quoteAsset")
    margin: str = msgspec.field(name="marginAsset", default="")
    contract_size: Decimal = msgspec.field(name="contractSize", default=Decimal(1))
    fee_decimals: int | None = msgspec.field(name="quoteCommissionPrecision", default=None)
    status: str = "TRADING"
    filters: list[dict[str, Any]] = []


class RateLimit(msgspec.Struct, rename="camel"):
    """``limit`` of a kind (``REQUEST_WEIGHT``, ``ORDERS``, ``RAW_REQUESTS``) in ``interval_num`` intervals."""

    rate_limit_type: str
    interval: str
    limit: int
    interval_num: int = 1

    @property
    def seconds(self) -> int:
        return self.interval_num * _SECONDS.get(self.interval, 60)


class TimeBody(msgspec.Struct, rename="camel"):
    """The venue's clock, in ms."""

    server_time: int


class ExchangeInfo(msgspec.Struct, rename="camel"):
    symbols: list[ListedSymbol]
    rate_limits: list[RateLimit] = []


def listed_instruments(info: ExchangeInfo) -> tuple[ListedInstrument, ...]:
    """All instruments with their status. Contracts with margin in their base currency are inverse. Raises
    ``ConfigError`` for a filter value that no instrument can have.
    """
    return tuple(map(listed_instrument, info.symbols))


def listed_instrument(symbol: ListedSymbol) -> ListedInstrument:
    """One instrument with its status. Raises ``ConfigError`` for a filter value that no instrument can have."""
    return ListedInstrument(
        instrument=_instrument(symbol),
        status=_STATUSES.get(symbol.status, InstrumentStatus.OTHER),
        raw_status=symbol.status,
    )


def trimmed(symbol: ListedSymbol) -> ListedSymbol:
    """The symbol with only those filters that are part of the instrument."""
    return msgspec.structs.replace(symbol, filters=[f for f in symbol.filters if f.get("filterType") in _FILTERS])


def _instrument(of: ListedSymbol) -> Instrument:
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
    return Instrument(
        symbol=of.symbol,
        base=of.base,
        quote=of.quote,
        contract_size=of.contract_size,
        inverse=bool(of.margin) and of.margin == of.base,
        **found,
    )


def listed_again(instrument: Instrument) -> ListedSymbol:
    """The symbol as the venue listed it when the instrument was ``listed_instrument`` of it."""
    return ListedSymbol(
        symbol=instrument.symbol,
        base=instrument.base,
        quote=instrument.quote,
        margin=instrument.base if instrument.inverse else "",
        contract_size=instrument.contract_size,
        fee_decimals=max(0, -instrument.fee_step.adjusted()),
        filters=[
            {"filterType": "PRICE_FILTER", "tickSize": plain(instrument.tick_size)},
            {
                "filterType": "LOT_SIZE",
                "stepSize": plain(instrument.lot_size),
                "minQty": plain(instrument.min_quantity),
                "maxQty": plain(instrument.max_quantity),
            },
            {"filterType": "NOTIONAL", "minNotional": plain(instrument.min_notional)},
        ],
    )


def instrument_event(listed: ListedInstrument, received: int) -> VenueInstrumentReported:
    """An instrument as an input, so that the record of a run contains what the venue allowed at that time."""
    of = listed.instrument
    return VenueInstrumentReported(
        symbol=of.symbol,
        base=of.base,
        quote=of.quote,
        status=listed.status.value,
        raw_status=listed.raw_status,
        tick_size=of.tick_size,
        lot_size=of.lot_size,
        min_quantity=of.min_quantity,
        max_quantity=of.max_quantity,
        min_notional=of.min_notional,
        ts_ingress=received,
        source=SPOT,
    )
