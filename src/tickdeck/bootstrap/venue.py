"""A venue on localhost: the exchange, and the market data that its other traders play."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tickdeck.domain.events import MarketEvent
from tickdeck.domain.market import Instrument
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.simulated import simulated_market
from tickdeck.infrastructure.readers import InputFile, merge, open_input, peek_symbols
from tickdeck.infrastructure.venue import Faults, RunningVenue, running_venue
from tickdeck.infrastructure.venue.markets import market_of
from tickdeck.infrastructure.venue.matching import Market
from tickdeck.infrastructure.venue.scenarios import Scenario

__all__ = ["open_venue"]


@asynccontextmanager
async def open_venue(
    symbols: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tapes: Sequence[Path] = (),
    simulated: bool | None = None,
    speed: float = 1.0,
    seed: int = 0,
    faults: str = "",
    journal: Path | None = None,
    legacy_listen_key: bool = False,
    scenario: Scenario | None = None,
) -> AsyncIterator[RunningVenue]:
    """A venue whose other traders play ``tapes``, and a simulated market for symbols without a tape.

    With a ``scenario`` nobody else trades, and symbols, deposits and faults are the scenario's own.

    ``symbols`` defaults to those of the tapes, or BTCUSDT. ``simulated`` defaults to whether there is no tape.
    ``speed`` (above 0) paces them. Raises ``ConfigError`` or ``InputError`` before it listens.
    """
    if not speed > 0:
        raise ConfigError(f"venue: speed is {speed}; give a number above 0")
    parsed = Faults.parse(faults)
    if scenario is not None:
        async with running_venue(host=host, port=port, faults=parsed, journal=journal, scenario=scenario) as venue:
            yield venue
        return
    files = [InputFile(path) for path in tapes]
    on_tape = list(dict.fromkeys(symbol for file in files for symbol in peek_symbols(file)))
    chosen = list(symbols) or on_tape or ["BTCUSDT"]
    markets = [market_of(symbol) for symbol in chosen]
    streams: list[Iterator[MarketEvent]] = [merge([open_input(file) for file in files])] if files else []
    without = [market.symbol for market in markets if market.symbol not in on_tape]
    events: Iterator[MarketEvent] = streams[0] if streams else iter(())
    if without and (simulated if simulated is not None else not files):
        generated = simulated_market(
            without, seed, time.time_ns(), instruments={market.symbol: _instrument(market) for market in markets}
        )
        events = _side_by_side(events, generated) if streams else generated
    async with running_venue(
        markets=markets,
        host=host,
        port=port,
        faults=parsed,
        events=events,
        speed=speed,
        journal=journal,
        legacy_listen_key=legacy_listen_key,
    ) as venue:
        yield venue


def _instrument(market: Market) -> Instrument:
    return Instrument(
        symbol=market.symbol,
        base=market.base,
        quote=market.quote,
        tick_size=market.tick_size,
        lot_size=market.step_size,
    )


def _side_by_side(first: Iterator[MarketEvent], second: Iterator[MarketEvent]) -> Iterator[MarketEvent]:
    """Merges two markets so that they begin together, whatever times they contain."""
    from msgspec.structs import replace

    head = next(first, None)
    other = next(second, None)
    if head is None or other is None:
        yield from (event for event in (head, other) if event is not None)
        yield from first
        yield from second
        return
    shift = head.ts_ingress - other.ts_ingress
    while head is not None and other is not None:
        if head.ts_ingress <= other.ts_ingress + shift:
            yield head
            head = next(first, None)
        else:
            yield replace(other, ts_ingress=other.ts_ingress + shift)
            other = next(second, None)
    if head is not None:
        yield head
        yield from first
    if other is not None:
        yield replace(other, ts_ingress=other.ts_ingress + shift)
        yield from (replace(event, ts_ingress=event.ts_ingress + shift) for event in second)
