"""Books and best prices in the CSV files of tardis.dev (docs.tardis.dev, "Downloadable CSV files").

- ``tardis-quotes`` (``quotes``):
  ``exchange,symbol,timestamp,local_timestamp,ask_amount,ask_price,bid_price,bid_amount``.
- ``tardis-book`` (``incremental_book_L2``):
  ``exchange,symbol,timestamp,local_timestamp,is_snapshot,side,price,amount``, one level per row. The rows of one
  message follow each other and have the same ``local_timestamp``.
- ``tardis-book-snapshots`` (``book_snapshot_5``, ``book_snapshot_25``): ``exchange,symbol,timestamp,local_timestamp``
  and ``asks[0].price,asks[0].amount,bids[0].price,bids[0].amount`` and so on.

Times are in us since the epoch. ``timestamp`` is the exchange's time. ``local_timestamp`` is the receive time, by which
the rows are sorted. Trades of tardis.dev are in ``trades_csv``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent
from tickdeck.domain.values import ZERO, Level
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.columns import (
    AGGRESSOR,
    delimiter_of,
    distinct_cells,
    file_without_rows,
    peek_rows,
    row_fault,
    split_row,
    width_fault,
)
from tickdeck.infrastructure.readers.files import FAULTS, check_step_back, open_text
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["TARDIS_FORMATS", "detect_tardis", "read_tardis", "tardis_streams"]

_HEAD = ("exchange", "symbol", "timestamp", "local_timestamp")
_QUOTES = ("ask_amount", "ask_price", "bid_price", "bid_amount")
_LEVELS = ("is_snapshot", "side", "price", "amount")
TARDIS_FORMATS = ("tardis-quotes", "tardis-book", "tardis-book-snapshots")

_BOOK_COLUMN = re.compile(r"(asks|bids)\[(\d+)\]\.(price|amount)")


class _Row(NamedTuple):
    line: int
    fields: list[str]
    symbol: str
    ts: int
    ts_ingress: int


def detect_tardis(header: list[str]) -> str | None:
    """The format of a header; ``None`` if it is none of these."""
    if not set(_HEAD) <= set(header):
        return None
    if set(_QUOTES) <= set(header):
        return "tardis-quotes"
    if set(_LEVELS) <= set(header):
        return "tardis-book"
    return "tardis-book-snapshots" if any(map(_BOOK_COLUMN.fullmatch, header)) else None


def tardis_streams(path: Path) -> list[tuple[str, str]]:
    """(exchange, symbol) of all rows, each once, in order of appearance."""
    [header] = peek_rows(path, 1)
    venue, symbol = header.index("exchange"), header.index("symbol")
    return [(of, named) for of, named in distinct_cells(path, (venue, symbol))]


def read_tardis(
    path: Path, name: str, *, symbol: str | None, venue: str | None, times: Times, notes: ReadNotes
) -> Iterator[MarketEvent]:
    """The events of a file of format ``name``, in its order: those of one exchange (``venue``, or that of the first
    row), and with ``symbol`` only those of that symbol.

    tardis.dev omits the exchange's update ids. They are replaced by receive times in us, which chain each update to the
    previous one. The first update of a file and each snapshot start a new chain.

    Raises ``InputError`` at the first wrong row, and if no row matches.
    """
    with open_text(path) as text:
        numbered = ((n, line) for n, line in enumerate(text, 1) if line.strip())
        number, line = next(numbered, (0, ""))
        if not line:
            raise file_without_rows(path)
        header = split_row(line, delimiter_of(line))
        if detect_tardis(header) != name:
            raise InputError(f"{path}, line {number}: not the header of {name}; it has {', '.join(header)}")
        reader = _Reader(path, header, symbol, venue, times, notes)
        rows = reader.rows(numbered, delimiter_of(line))
        build = {"tardis-quotes": reader.quotes, "tardis-book": reader.levels, "tardis-book-snapshots": reader.books}
        try:
            yield from build[name](rows)
        except FAULTS as error:
            at = {column: i for i, column in enumerate(header) if i > 3 and column not in ("is_snapshot", "side")}
            if name != "tardis-book":  # in these, a side without levels has empty cells
                at = {}
            raise row_fault(path, reader.line, reader.fields, at, error) from None
    if not reader.found:
        found = ", ".join(f"{v} {s}" for v, s in tardis_streams(path)) or "none"
        which = " ".join(part for part in (venue, symbol) if part) or "any exchange"
        raise InputError(f"{path}: it has no data of {which}; its exchanges and symbols are {found}")


class _Reader:
    """Reads one file: selects the rows, checks their times, and creates events."""

    def __init__(
        self, path: Path, header: list[str], symbol: str | None, venue: str | None, times: Times, notes: ReadNotes
    ) -> None:
        self.path, self.header, self.symbol, self.venue = path, header, symbol, venue
        self.times, self.notes = times, notes
        self.at = {name: index for index, name in enumerate(header)}
        self.line = self.found = 0
        self.fields: list[str] = []
        self._last_ids: dict[str, int] = {}

    def rows(self, numbered: Iterator[tuple[int, str]], delimiter: str) -> Iterator[_Row]:
        """The rows of the wanted venue and symbol, with checked times."""
        width = len(self.header)
        venue_at, symbol_at, time_at, received_at = (self.at[name] for name in _HEAD)
        latest = 0
        for self.line, line in numbered:
            self.fields = fields = split_row(line, delimiter)
            if len(fields) != width:
                raise width_fault(self.path, self.line, len(fields), width)
            venue, symbol = fields[venue_at], fields[symbol_at]
            if venue != self.venue:
                if fields == self.header:
                    self.notes.skip("header in the middle")
                    continue
                if self.venue is not None:
                    self.notes.skip(f"venue {venue}")
                    continue
                self.venue = venue
            if self.symbol is not None and symbol != self.symbol:
                continue
            self.found += 1
            received = self.times.from_text(fields[received_at], "local_timestamp")
            if received >= latest:
                latest = received
            else:
                check_step_back(self.path, self.line, received, latest)
            yield _Row(self.line, fields, symbol, self.times.from_text(fields[time_at], "timestamp"), received)

    def quotes(self, rows: Iterator[_Row]) -> Iterator[MarketEvent]:
        ask_amount, ask_price, bid_price, bid_amount = (self.at[name] for name in _QUOTES)
        for row in rows:
            bid, bid_quantity = _number(row.fields[bid_price]), _number(row.fields[bid_amount])
            ask, ask_quantity = _number(row.fields[ask_price]), _number(row.fields[ask_amount])
            if bid >= ask > ZERO:
                self.notes.skip("best bid at or above the best ask")
                continue
            yield TickEvent(
                symbol=row.symbol,
                bid_price=bid,
                bid_quantity=bid_quantity,
                ask_price=ask,
                ask_quantity=ask_quantity,
                ts=row.ts,
                ts_ingress=row.ts_ingress,
                source=self.venue or "",
            )

    def levels(self, rows: Iterator[_Row]) -> Iterator[MarketEvent]:
        snapshot_at, side_at, price_at, amount_at = (self.at[name] for name in _LEVELS)
        for (symbol, received, flag), message in groupby(
            rows, lambda row: (row.symbol, row.ts_ingress, row.fields[snapshot_at])
        ):
            sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "ask": {}}
            ts = 0
            for row in message:
                side = sides.get(row.fields[side_at])
                if side is None:
                    raise ValueError(f"side is {row.fields[side_at]!r}; it must be bid or ask")
                side[Decimal(row.fields[price_at])] = Decimal(row.fields[amount_at])
                ts = row.ts
            if flag not in AGGRESSOR:
                raise ValueError(f"is_snapshot is {flag!r}; it must be true or false")
            if AGGRESSOR[flag] is AGGRESSOR["true"]:
                yield self._snapshot(symbol, ts, received, *_sorted(sides))
            else:
                first, last = self._next_id(symbol, received)
                yield OrderBookDeltaEvent(
                    symbol=symbol,
                    first_update_id=first,
                    last_update_id=last,
                    bids=tuple(sides["bid"].items()),
                    asks=tuple(sides["ask"].items()),
                    ts=ts,
                    ts_ingress=received,
                    source=self.venue or "",
                )

    def books(self, rows: Iterator[_Row]) -> Iterator[MarketEvent]:
        depth = max(int(match[2]) for name in self.header if (match := _BOOK_COLUMN.fullmatch(name))) + 1
        for row in rows:
            sides: dict[str, dict[Decimal, Decimal]] = {"bid": {}, "ask": {}}
            for side, levels in sides.items():
                for n in range(depth):
                    price = row.fields[self.at[f"{side}s[{n}].price"]]
                    if price:
                        levels[Decimal(price)] = Decimal(row.fields[self.at[f"{side}s[{n}].amount"]])
            yield self._snapshot(row.symbol, row.ts, row.ts_ingress, *_sorted(sides))

    def _snapshot(
        self, symbol: str, ts: int, received: int, bids: tuple[Level, ...], asks: tuple[Level, ...]
    ) -> OrderBookEvent:
        return OrderBookEvent(
            symbol=symbol,
            last_update_id=self._next_id(symbol, received)[1],
            bids=bids,
            asks=asks,
            ts=ts,
            ts_ingress=received,
            source=self.venue or "",
        )

    def _next_id(self, symbol: str, received: int) -> tuple[int, int]:
        """(first, last) id of an update that arrived at ``received``."""
        before = self._last_ids.get(symbol)
        last = received // 1_000 if before is None else max(before + 1, received // 1_000)
        self._last_ids[symbol] = last
        return (last if before is None else before + 1), last


def _number(text: str) -> Decimal:
    """An empty cell means that nobody quotes on that side."""
    return Decimal(text) if text else ZERO


def _sorted(sides: dict[str, dict[Decimal, Decimal]]) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    bids, asks = sides["bid"].items(), sides["ask"].items()
    return tuple(sorted(bids, reverse=True)), tuple(sorted(asks))
