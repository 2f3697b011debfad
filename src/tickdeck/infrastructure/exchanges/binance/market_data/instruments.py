"""The venue's description of the instruments: queried at the start and regularly after that, and passed on when it
changes.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tickdeck.application.ports import ListedInstrument
from tickdeck.domain.market import Instrument
from tickdeck.errors import ConfigError, InvalidSymbol
from tickdeck.infrastructure.exchanges.binance.decoder import instrument_frame
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import (
    ExchangeInfo,
    ListedSymbol,
    listed_again,
    listed_instrument,
)
from tickdeck.infrastructure.exchanges.binance.market_data.fetches import Fetches
from tickdeck.infrastructure.exchanges.binance.market_data.output import Fetch, Output

__all__ = ["InstrumentWatch"]

_S = 1_000_000_000  # ns in a second
_RETRY_AFTER = 5 * _S
_WHILE_CLOSED = 5 * _S  # between two queries while a symbol is not traded


class InstrumentWatch:
    """Queries ``symbols`` every ``every`` ns, or every five seconds while one of them is not traded.

    An instrument is passed on the first time, and when its steps, limits or status have changed. A symbol that is no
    longer listed counts as delisted.
    """

    def __init__(self, output: Output, fetches: Fetches, symbols: tuple[str, ...], every: int) -> None:
        self._output, self._fetches, self._symbols, self._every = output, fetches, symbols, every
        self._known: dict[str, tuple[ListedInstrument, ListedSymbol]] = {}
        self._recalled: dict[str, ListedSymbol] = {}
        self._looked = 0  # when they were last queried out of turn

    def recall(self, instruments: Iterable[Instrument]) -> None:
        """The run had these before."""
        self._recalled = {instrument.symbol: listed_again(instrument) for instrument in instruments}

    def ask(self, now: int) -> None:
        """Send the first request. Each response schedules the next one."""
        self._fetches.start("instruments", "", now)

    def ask_again(self, now: int) -> None:
        """Something changed: query now, but not again within five seconds."""
        if now - self._looked >= _WHILE_CLOSED:
            self._looked = now
            self._fetches.hurry("instruments", now)

    def take(self, fetch: Fetch, now: int, body: bytes) -> None:
        """Pass on what has changed. Raises ``InvalidSymbol`` if a symbol was never listed, or if none is that the run
        had before, and ``ValueError`` for an unreadable body.
        """
        found = {symbol.symbol: symbol for symbol in msgspec.json.decode(body, type=ExchangeInfo).symbols}
        if self._recalled and not self._known and not any(name in found for name in self._symbols):
            raise InvalidSymbol(
                f"binance lists none of the run's symbols any more ({', '.join(self._symbols)}), so there is nothing "
                "to continue; `tickdeck show RUN balances` and `positions` tell what it had"
            )
        for name in self._symbols:
            listed = found.get(name)
            if listed is None:
                before = self._known[name][1] if name in self._known else self._recalled.get(name)
                if before is None:
                    raise InvalidSymbol(f"binance: {name} is not listed; correct the symbol")
                listed = msgspec.structs.replace(before, status="DELISTED")
            try:
                instrument = listed_instrument(listed)
            except ConfigError as error:
                raise ValueError(str(error)) from None
            if name in self._known and self._known[name][0] == instrument:
                continue
            self._known[name] = instrument, listed
            self._output.frames.append(instrument_frame(now, listed))
        closed = any(instrument.status != "trading" for instrument, _ in self._known.values())
        self._fetches.repeat(fetch, now + (min(self._every, _WHILE_CLOSED) if closed else self._every))

    def failed(self, fetch: Fetch, now: int, wait: int) -> None:
        """A request failed: query again after ``wait`` ns, or a few seconds."""
        self._fetches.repeat(fetch, now + max(wait, min(_RETRY_AFTER, self._every)))
