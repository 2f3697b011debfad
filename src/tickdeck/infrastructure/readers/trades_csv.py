"""Tickdeck's flat trades CSV: trades of several venues and symbols in one file, in the order in which we received them.

Header: ``local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms``.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from tickdeck.domain.events import TradeEvent
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.columns import AGGRESSOR, row_fault, width_fault
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, fault, open_text, peek_lines

__all__ = ["TRADES_HEADER", "read_trades_csv", "trades_csv_symbols", "trades_csv_venues"]

TRADES_HEADER = "local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms"

_WIDTH = 9
_NUMBERS = {"local_ts_ns": 0, "trade_id": 3, "price": 4, "qty": 5, "trade_ts_ms": 7}


def read_trades_csv(
    path: Path, *, symbol: str | None = None, venue: str | None = None, skipped: dict[str, int] | None = None
) -> Iterator[TradeEvent]:
    """The trades of one venue, in the file's order; with ``symbol`` that symbol's alone.

    One venue, since spot and futures share symbols: ``venue``, or else that of the first row. Rows of other venues are
    counted in ``skipped``. ``ts`` is the trade's time, ``ts_ingress`` is ``local_ts_ns``, ``source`` the venue.

    Raises ``InputError`` at the first row that is not as described or was received long before the one above it, and
    where there is no row of that venue and symbol.
    """
    number, events, latest = 0, 0, 0
    others: dict[str, int] = {} if skipped is None else skipped
    fields: list[str] = []
    with open_text(path) as lines:
        try:
            for number, line in enumerate(lines, 1):
                fields = line.rstrip().split(",")
                if number == 1:
                    if fields != TRADES_HEADER.split(","):
                        raise fault(path, number, ValueError(f"the header must be {TRADES_HEADER}"))
                    continue
                if len(fields) != _WIDTH:
                    if fields == [""]:
                        continue
                    raise width_fault(path, number, len(fields), _WIDTH)
                received, row_venue, row_symbol, trade_id, price, quantity, buyer_is_maker, time, _ = fields
                if venue is None:
                    venue = row_venue
                if row_venue != venue:
                    kind = f"venue {row_venue}"
                    others[kind] = others.get(kind, 0) + 1
                    continue
                if symbol is not None and row_symbol != symbol:
                    continue
                events += 1
                ts_ingress = int(received)
                if ts_ingress >= latest:
                    latest = ts_ingress
                else:
                    check_step_back(path, number, ts_ingress, latest)
                yield TradeEvent(
                    symbol=row_symbol,
                    price=Decimal(price),
                    quantity=Decimal(quantity),
                    side=AGGRESSOR[buyer_is_maker],
                    trade_id=int(trade_id),
                    ts=int(time) * 1_000_000,
                    ts_ingress=ts_ingress,
                    source=row_venue,
                )
        except FAULTS as error:
            raise row_fault(path, number, fields, _NUMBERS, error) from None
    if not events:
        which = " ".join(part for part in (venue, symbol) if part)
        found = ", ".join(f"{v} {s}" for v, s in _streams(path)) or "none"
        raise InputError(f"{path}: no trades of {which or 'any venue'} in it; venues and symbols that it has: {found}")


def trades_csv_symbols(path: Path, venue: str | None = None) -> list[str]:
    """The symbols of ``venue`` (by default of the first row's) in the first ``PEEK_LINES`` lines, as they appear."""
    streams = _streams(path)
    chosen = venue or (streams[0][0] if streams else "")
    return [symbol for of, symbol in streams if of == chosen]


def trades_csv_venues(path: Path) -> list[str]:
    """The venues in the first ``PEEK_LINES`` lines, as they appear."""
    return list(dict.fromkeys(venue for venue, _ in _streams(path)))


def _streams(path: Path) -> list[tuple[str, str]]:
    """(venue, symbol) of the first lines, each once, in order of appearance."""
    rows = (line.split(",") for line in peek_lines(path, PEEK_LINES)[1:])
    return list(dict.fromkeys((row[1], row[2]) for row in rows if len(row) == _WIDTH))
