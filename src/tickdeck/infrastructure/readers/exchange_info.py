"""Instruments as the venue describes them: the body of Binance's ``exchangeInfo`` (spot, USD-M and COIN-M)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from tickdeck.domain.market import Instrument
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import ExchangeInfo, listed_instruments
from tickdeck.infrastructure.readers.files import open_binary

__all__ = ["read_exchange_info"]


class _Answer(msgspec.Struct):
    """The body in the wrapping that some recorders add."""

    response: ExchangeInfo


def read_exchange_info(path: Path) -> dict[str, Instrument]:
    """All instruments of an ``exchangeInfo`` file (JSON, plain, gzip or zip), by symbol.

    Contracts with a margin in their base currency are inverse. Raises ``InputError`` if the file cannot be read, and
    ``ConfigError`` if it is not such a file.
    """
    with open_binary(path) as file:
        data = file.read()
    try:
        try:
            info = msgspec.json.decode(data, type=ExchangeInfo, strict=False)
        except msgspec.ValidationError:
            info = msgspec.json.decode(data, type=_Answer, strict=False).response
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: not the body of a venue's exchangeInfo ({error})") from None
    return {listed.symbol: listed.instrument for listed in listed_instruments(info)}
