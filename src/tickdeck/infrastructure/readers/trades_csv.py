"""Trades as delimited text, one per row: four layouts, one reader.

- ``trades``: Tickdeck's flat file of several venues and symbols, in the order of receipt, with the header
  ``local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms``.
- ``tardis-trades``: the ``trades`` files of tardis.dev, with the header
  ``exchange,symbol,timestamp,local_timestamp,id,side,price,amount``. ``side`` is ``unknown`` if the exchange did not
  send it, and ``id`` may be text or empty (docs.tardis.dev, "Downloadable CSV files").
- ``binance-trades``, ``binance-aggtrades``: Binance's public files (data.binance.vision). Trades are ``id, price, qty,
  quoteQty, time, isBuyerMaker`` and on spot ``isBestMatch``; aggTrades are ``id, price, quantity, first trade id, last
  trade id, time, isBuyerMaker`` and on spot ``isBestMatch``. Futures files have a header, spot files have none. No row
  contains its symbol or a receive time.

Cells may be quoted. Commas, semicolons or tabs separate them. Columns of a known header may come in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.columns import (
    AGGRESSOR,
    bare_name,
    delimiter_of,
    distinct_cells,
    file_without_rows,
    first_line,
    header_of,
    peek_rows,
    row_fault,
    split_row,
    width_fault,
)
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, fault, open_text
from tickdeck.infrastructure.readers.named_trades import NAMED_TRADES, what_trades_lack
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["TRADE_FORMATS", "detect_trades", "read_trades", "trade_streams"]

_SIDES = {text: side for side in Side for text in (side.value.lower(), side.value.upper(), side.value.capitalize())}
_UNKNOWN = ("unknown", "")
_REPEATED_HEADER = "header in the middle"


class TradeFormat(NamedTuple):
    """A layout. ``columns`` are the bare names of its columns in order, with ``|`` between synonyms. ``roles`` maps the
    role of each column that is read to its bare name. The last ``optional`` columns may be missing.
    """

    header: tuple[str, ...]
    roles: dict[str, int]
    optional: int = 0
    venues: tuple[str, str] = ("", "")
    """The venue of rows with all columns, and of rows without the optional ones; empty if each row names it."""


TRADE_FORMATS: dict[str, TradeFormat] = {
    "trades": TradeFormat(
        (
            *("local_ts_ns", "venue", "symbol", "trade_id", "price", "qty", "buyer_is_maker", "trade_ts_ms"),
            "event_ts_ms",
        ),
        {"received": 0, "venue": 1, "symbol": 2, "id": 3, "price": 4, "quantity": 5, "maker": 6, "time": 7},
    ),
    "tardis-trades": TradeFormat(
        ("exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"),
        {"venue": 0, "symbol": 1, "time": 2, "received": 3, "id": 4, "side": 5, "price": 6, "quantity": 7},
    ),
    "binance-trades": TradeFormat(
        ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match"),
        {"id": 0, "price": 1, "quantity": 2, "time": 4, "maker": 5},
        optional=1,
        venues=("binance", "binance-usdm"),
    ),
    "binance-aggtrades": TradeFormat(
        (
            *("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time"),
            *("is_buyer_maker", "is_best_match"),
        ),
        {"id": 0, "price": 1, "quantity": 2, "time": 5, "maker": 6},
        optional=1,
        venues=("binance", "binance-usdm"),
    ),
}
"""The layouts by the name of their format."""


class _Plan(NamedTuple):
    """Where the columns of one file are, and how many it has."""

    width: int
    at: dict[str, int]
    names: dict[str, int]
    venue: str


def detect_trades(rows: list[list[str]]) -> str | None:
    """The trade format of a file's first rows; ``None`` if they have none."""
    if not rows:
        return None
    for name, layout in TRADE_FORMATS.items():
        if _is_header(rows[0], layout) and not _missing(header_of(rows[0]), layout):
            return name
    if not what_trades_lack(rows[0]):
        return NAMED_TRADES
    row = rows[1] if len(rows) > 1 and not _is_row(rows[0]) else rows[0]
    # Both formats have seven columns on one of their venues, but the maker flag in another place.
    for name in ("binance-trades", "binance-aggtrades"):
        layout = TRADE_FORMATS[name]
        if _fits(len(row), layout):
            flag, time = row[layout.roles["maker"]].strip(), row[layout.roles["time"]]
            # If the row is a candle, a volume of 1 may be in the position of a flag.
            if flag in AGGRESSOR and (not flag.isdigit() or _is_time(time)):
                return name
    return None


def trade_streams(path: Path, name: str) -> list[tuple[str, str]]:
    """(venue, symbol) of all rows, each once, in order of appearance; the symbol is empty where no row names one. None
    where the file has no row.
    """
    rows = peek_rows(path, PEEK_LINES)
    layout = TRADE_FORMATS[name]
    header = bool(rows) and not _is_row(rows[0])
    if len(rows) <= header or not (header or _fits(len(rows[0]), layout)):
        return []
    plan = _plan(path, rows[0] if header else None, len(rows[header]), layout)
    if plan.venue:
        return [(plan.venue, "")]
    venue, symbol = plan.at["venue"], plan.at["symbol"]
    if not header:
        found = ((row[venue], row[symbol]) for row in rows if len(row) == plan.width and _is_row(row, plan.at["time"]))
        return list(dict.fromkeys(found))
    return [(of, named) for of, named in distinct_cells(path, (venue, symbol))]


def read_trades(
    path: Path,
    name: str,
    *,
    symbol: str | None,
    venue: str | None,
    times: Times,
    feed_latency_ns: int,
    notes: ReadNotes,
) -> Iterator[TradeEvent]:
    """The trades of a file of format ``name``, in its order.

    If rows name venue and symbol, these are the trades of one venue (``venue``, or that of the first row, because
    several venues share symbols), and with ``symbol`` only those of that symbol. Otherwise ``symbol`` is that of the
    file. ``ts`` is the trade's time. ``ts_ingress`` is the receive time, or ``ts`` plus ``feed_latency_ns`` if rows
    have none. ``source`` is the venue. An aggTrade (the executions of one order at one price) counts as one trade, with
    its own id.

    Rows of other venues, trades without a side, and headers in the middle of a file are counted in ``notes``.

    Raises ``InputError`` at the first row that is wrong or whose time is long before that of the row above, and if no
    row matches.
    """
    layout = TRADE_FORMATS[name]
    with open_text(path) as text:
        numbered = enumerate(text, 1)
        first, line = first_line(path, numbered)
        delimiter = delimiter_of(line)
        fields = split_row(line, delimiter)
        header = None if _is_row(fields) else fields
        if header is None:
            rows: Iterator[tuple[int, str]] = chain(((first, line),), numbered)
        else:
            rows = numbered
        events = _rows(path, rows, delimiter, header, layout, symbol, venue, times, feed_latency_ns, notes)
        yield from events


def _rows(
    path: Path,
    rows: Iterator[tuple[int, str]],
    delimiter: str,
    header: list[str] | None,
    layout: TradeFormat,
    symbol: str | None,
    venue: str | None,
    times: Times,
    latency: int,
    notes: ReadNotes,
) -> Iterator[TradeEvent]:
    plan = _plan(path, header, 0, layout) if header is not None else None
    width = plan.width if plan is not None else 0
    names_streams = not layout.venues[0]
    maker: Mapping[str, Side] = AGGRESSOR if "maker" in layout.roles else _SIDES
    read_id: Callable[[str], int | str] = int if "maker" in layout.roles else _trade_id
    earliest, latest_time = times.earliest, times.latest
    time_factor = received_factor = 1_000_000
    number, found, latest = 0, 0, 0
    fields: list[str] = []
    received_at: int | None = None
    venue_at = symbol_at = -1
    others: dict[str, str] = {}  # the label for skipped rows, by venue
    skipped, side_of = notes.skipped, maker.get
    ends = "\r\n " if delimiter == "\t" else None
    if plan is not None:
        id_at, price_at, quantity_at, time_at, side_at = _places(plan)
        received_at = plan.at.get("received")
        if names_streams:
            venue_at, symbol_at = plan.at["venue"], plan.at["symbol"]
    row_symbol, source = symbol or "", plan.venue if plan is not None else ""
    try:
        for number, line in rows:
            fields = line.rstrip(ends).split(delimiter) if '"' not in line else split_row(line, delimiter)
            if len(fields) != width:
                if fields == [""]:
                    continue
                if width or not _is_row(fields):
                    if _is_header(fields, layout):
                        notes.skip(_REPEATED_HEADER)
                        continue
                    raise width_fault(path, number, len(fields), width or len(layout.header))
                if not _fits(len(fields), layout):
                    raise width_fault(path, number, len(fields), len(layout.header))
                plan = _plan(path, None, len(fields), layout)
                width, source = plan.width, plan.venue
                id_at, price_at, quantity_at, time_at, side_at = _places(plan)
            try:
                if names_streams:
                    source, row_symbol = fields[venue_at], fields[symbol_at]
                    if source != venue:
                        if venue is not None:
                            kind = others.get(source)
                            if kind is None:
                                again = header is not None and fields == header
                                kind = others[source] = _REPEATED_HEADER if again else f"venue {source}"
                            skipped[kind] = skipped.get(kind, 0) + 1
                            continue
                        venue = source
                    if symbol is not None and row_symbol != symbol:
                        continue
                side = side_of(fields[side_at])
                if side is None:
                    side = _side(fields[side_at], maker)
                found += 1
                if side is None:
                    notes.skip("trade without a side")
                    continue
                try:
                    ts = int(fields[time_at]) * time_factor
                except ValueError:
                    ts = 0
                if not earliest <= ts <= latest_time:
                    ts = times.from_text(fields[time_at])
                    time_factor = times.factor_of(fields[time_at], ts) or time_factor
                if received_at is None:
                    ts_ingress = ts + latency
                else:
                    try:
                        ts_ingress = int(fields[received_at]) * received_factor
                    except ValueError:
                        ts_ingress = 0
                    if not earliest <= ts_ingress <= latest_time:
                        ts_ingress = times.from_text(fields[received_at], "the receive time")
                        received_factor = times.factor_of(fields[received_at], ts_ingress) or received_factor
                if ts_ingress >= latest:
                    latest = ts_ingress
                else:
                    check_step_back(path, number, ts_ingress, latest)
                trade = TradeEvent(
                    symbol=row_symbol,
                    price=Decimal(fields[price_at]),
                    quantity=Decimal(fields[quantity_at]),
                    side=side,
                    trade_id=read_id(fields[id_at]),
                    ts=ts,
                    ts_ingress=ts_ingress,
                    source=source,
                )
            except FAULTS:
                if not _is_header(fields, layout):
                    raise
                notes.skip(_REPEATED_HEADER)
                continue
            yield trade
    except FAULTS as error:
        raise row_fault(path, number, fields, plan.names if plan is not None else {}, error) from None
    if not found:
        if not names_streams:
            raise file_without_rows(path)
        streams = trade_streams(path, _name_of(layout))
        if not streams:
            raise file_without_rows(path, "trades")
        which = " ".join(part for part in (venue, symbol) if part)
        known = ", ".join(f"{v} {s}" for v, s in streams)
        raise InputError(f"{path}: it has no trades of {which}; its venues and symbols are {known}")


def _places(plan: _Plan) -> tuple[int, int, int, int, int]:
    at = plan.at
    return at["id"], at["price"], at["quantity"], at["time"], at["maker"] if "maker" in at else at["side"]


def _plan(path: Path, header: list[str] | None, width: int, layout: TradeFormat) -> _Plan:
    """Where the columns are: by the names of the header if all are known, otherwise by position."""
    at = dict(layout.roles)
    labels = {"id": "the id", "price": "the price", "quantity": "the quantity"}
    if header is not None:
        names = header_of(header)
        if "baseqty" in names:
            raise InputError(
                f"{path}: a file of COIN-M contracts (it has a column base_qty): their sizes are contracts and their"
                " profit is in the base currency, which Tickdeck does not calculate; use the spot or USD-M market"
            )
        wanted = {role: bare_name(layout.header[index]) for role, index in layout.roles.items()}
        missing = _missing(names, layout)
        moved = any(name in names and names.index(name) != layout.roles[role] for role, name in wanted.items())
        if not missing:
            at = {role: names.index(name) for role, name in wanted.items()}
            labels = {role: header[at[role]].strip() for role in labels}
        elif moved or not layout.venues[0]:  # then the positions of the other columns are uncertain
            raise fault(
                path,
                1,
                ValueError(f"no column named {', '.join(missing)}; it has {', '.join(header)}"),
            )
        width = len(header)
    venue = layout.venues[width == len(layout.header) - layout.optional] if layout.venues[0] else ""
    numbers = {label: at[role] for role, label in labels.items() if role != "id" or "maker" in at}
    return _Plan(width, at, numbers, venue)


def _missing(names: list[str], layout: TradeFormat) -> list[str]:
    """The columns of a layout that are read and that a header (bare names) lacks."""
    return [layout.header[at] for at in layout.roles.values() if bare_name(layout.header[at]) not in names]


def _fits(width: int, layout: TradeFormat) -> bool:
    return len(layout.header) - layout.optional <= width <= len(layout.header)


def _is_row(fields: list[str], time: int | None = None) -> bool:
    """Whether the cells are a row and not a header: a cell that must be a number starts with a digit."""
    cell = fields[0 if time is None else time] if len(fields) > (time or 0) else ""
    return cell.strip()[:1].isdigit()


def _is_header(fields: list[str], layout: TradeFormat) -> bool:
    names = header_of(fields)
    if "price" not in names:
        return False
    wanted = [bare_name(name) for name in layout.header[: len(layout.header) - layout.optional]]
    # For a layout without a header, the row is one if most names are those of the layout.
    return sum(name in names for name in wanted) >= (len(wanted) if not layout.venues[0] else 4)


def _is_time(text: str) -> bool:
    try:
        Times().from_text(text)
    except ValueError:
        return False
    return True


def _name_of(layout: TradeFormat) -> str:
    return next(name for name, known in TRADE_FORMATS.items() if known is layout)


def _side(text: str, known: Mapping[str, Side]) -> Side | None:
    """The side that an unusual spelling means; ``None`` if the venue did not send it. Raises ``ValueError``."""
    plain = text.strip().lower()
    if plain in known:
        return known[plain]
    if plain in _UNKNOWN and "buy" in known:
        return None
    if "buy" in known:
        raise ValueError(f"side is {text!r}; it must be buy, sell or unknown")
    raise ValueError(f"the maker flag is {text!r}; it must be true or false")


def _trade_id(text: str) -> int | str:
    """A plain number becomes an int, so that gaps in the venue's numbering can be detected. Any other id is text, and 0
    if there is none.
    """
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and (text[0] != "0" or text == "0") else text
