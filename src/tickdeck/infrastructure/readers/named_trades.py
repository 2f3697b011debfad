"""Trades as delimited text of any layout: the columns are found by their names.

Exchanges, ccxt and download scripts write the same five columns under many names and in any order. ``_NAMES`` lists the
names that are known. A time, a price, a quantity and the taker's side are required.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
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
    peek_rows,
    row_fault,
    split_row,
    width_fault,
)
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, open_text, require_symbol
from tickdeck.infrastructure.readers.notes import ReadNotes
from tickdeck.infrastructure.readers.times import Times

__all__ = ["NAMED_TRADES", "named_symbols", "read_named_trades", "what_trades_lack"]

NAMED_TRADES = "named-trades"
"""The name of the format."""

SOURCE = "file"

_NAMES: dict[str, tuple[str, ...]] = {
    "timestamp": (
        *("timestamp", "time", "tradetime", "createdtime", "createdat", "transacttime", "timestampms", "timems", "ts"),
        *("unix", "datetime", "date"),
    ),
    "price": ("price", "px", "tradeprice", "rate"),
    "quantity": ("quantity", "qty", "amount", "size", "sz", "volume", "basevolume", "vol", "sizebase", "volumebase"),
    "side": ("side", "takerside", "aggressorside", "tradeside", "direction"),
    "maker": ("isbuyermaker", "buyerismaker", "buyermaker"),
    "id": ("id", "tradeid", "tid", "trdmatchid", "dealid", "execid"),
    "symbol": ("symbol", "instrumentname", "instid", "instrument", "productid", "market", "pair", "ticker"),
    "received": ("localtimestamp", "receivetimestamp", "receivedat", "localts"),
    "home": ("homenotional",),
    "foreign": ("foreignnotional",),
}
"""The names of each column in lower case and without underscores, the best one first."""

_SIDES = {word: side for side, words in ((Side.BUY, ("buy", "b")), (Side.SELL, ("sell", "s"))) for word in words}
_WITHOUT_SIDE = ("", "unknown", "none", "null", "nan")
_COINBASE = {"time", "tradeid", "price", "size", "side", "bid", "ask"}
_LARGEST_DIFFERENCE = Decimal("1e-9")
_ROUNDED = Decimal("1e-3")
"""How far a turnover may be from price times quantity, because files round it."""


class _Columns(NamedTuple):
    """The index of each column; ``None`` if the file does not have it."""

    width: int
    time: int
    price: int
    quantity: int
    side: int | None
    maker: int | None
    id: int | None
    symbol: int | None
    received: int | None
    numbers: dict[str, int]


def what_trades_lack(header: Iterable[str]) -> list[str]:
    """The columns that a header of trades lacks, by name. Empty if the file can be read."""
    at = _index(header)
    lacking = [role for role in ("timestamp", "price", "quantity") if role not in at]
    return lacking if "side" in at or "maker" in at else [*lacking, "side"]


def named_symbols(path: Path) -> list[str]:
    """The symbols of a file in order of appearance; none if there is no such column."""
    rows = peek_rows(path, PEEK_LINES)
    at = _index(rows[0]).get("symbol") if rows else None
    return [] if at is None else list(dict.fromkeys(symbol.strip() for (symbol,) in distinct_cells(path, (at,))))


def read_named_trades(
    path: Path,
    *,
    symbol: str | None,
    times: Times,
    feed_latency_ns: int,
    notes: ReadNotes,
) -> Iterator[TradeEvent]:
    """The trades in order of time. The file must be in this order, or in the reverse order.

    If rows name their symbol, ``symbol`` chooses one (``None``: all). Otherwise it is the symbol of the file. ``ts`` is
    the trade's time. ``ts_ingress`` is the receive time if there is one, otherwise ``ts`` plus ``feed_latency_ns``.
    ``side`` is the taker's. If the exchange states the size in coins (``homeNotional``), that is the quantity.

    Raises ``InputError`` at the first wrong row, if there is no row, and immediately if the symbol is unknown.
    """
    if not named_symbols(path):
        symbol = require_symbol(path, symbol)
    return _read(path, symbol, times, feed_latency_ns, notes)


def _read(path: Path, symbol: str | None, times: Times, latency: int, notes: ReadNotes) -> Iterator[TradeEvent]:
    newest_first = _is_newest_first(path, times)
    if newest_first:
        notes.warn("its newest row comes first, so it is read from its end")
    number, found, latest = 0, 0, 0
    fields: list[str] = []
    columns: _Columns | None = None
    with open_text(path) as text:
        numbered = ((n, line) for n, line in enumerate(text, 1) if line.strip())
        number, line = first_line(path, numbered)
        delimiter = delimiter_of(line)
        header = split_row(line, delimiter)
        ends = "\r\n " if delimiter == "\t" else None
        if {bare_name(name) for name in header} <= _COINBASE:
            notes.warn("its side is read as the taker's; Coinbase's API gives the maker's, so swap the sides there")
        try:
            for number, line in [*numbered][::-1] if newest_first else numbered:
                fields = line.rstrip(ends).split(delimiter) if '"' not in line else split_row(line, delimiter)
                if len(fields) != len(header):
                    raise width_fault(path, number, len(fields), len(header))
                if fields == header:
                    notes.skip("header in the middle")
                    continue
                if columns is None:
                    columns = _columns(path, header, fields)
                named = symbol or ""
                if columns.symbol is not None:
                    named = fields[columns.symbol].strip()
                    if symbol is not None and named != symbol:
                        continue
                found += 1
                side = _side(fields, columns)
                if side is None:
                    notes.skip("trade without a side")
                    continue
                ts = times.from_text(fields[columns.time])
                ts_ingress = ts + latency
                if columns.received is not None:
                    ts_ingress = times.from_text(fields[columns.received], "the receive time")
                if ts_ingress >= latest:
                    latest = ts_ingress
                else:
                    check_step_back(path, number, ts_ingress, latest)
                yield TradeEvent(
                    symbol=named,
                    price=Decimal(fields[columns.price]),
                    quantity=Decimal(fields[columns.quantity]),
                    side=side,
                    trade_id=_trade_id(fields[columns.id]) if columns.id is not None else 0,
                    ts=ts,
                    ts_ingress=ts_ingress,
                    source=SOURCE,
                )
        except FAULTS as error:
            raise row_fault(path, number, fields, columns.numbers if columns else {}, error) from None
    if not found:
        symbols = named_symbols(path)
        if symbols and symbol is not None:
            raise InputError(f"{path}: it has no trades of {symbol}; its symbols are {', '.join(symbols[:10])}")
        raise file_without_rows(path)


def _index(header: Iterable[str]) -> dict[str, int]:
    """The index of each known column. OKX writes a name in two languages, ``size/...``; the first one counts."""
    names = [bare_name(name.partition("/")[0]) for name in header]
    return {
        role: names.index(known)
        for role, wanted in _NAMES.items()
        for known in [next((name for name in wanted if name in names), None)]
        if known is not None
    }


def _columns(path: Path, header: list[str], row: list[str]) -> _Columns:
    """Where the columns are. ``row`` is a row of the file, which shows the unit of its sizes."""
    at = _index(header)
    quantity = at["quantity"]
    if "home" in at and "foreign" in at:
        size, home, foreign = (Decimal(row[at[role]]) for role in ("quantity", "home", "foreign"))
        if abs(size - home) > _LARGEST_DIFFERENCE * size:
            if abs(size - foreign) <= _LARGEST_DIFFERENCE * size:
                raise InputError(
                    f"{path}: its sizes are amounts of quote currency (size is foreignNotional), so it is an inverse"
                    " contract, whose profit Tickdeck does not calculate; use the spot market or a linear contract"
                )
            quantity = at["home"]
    elif "home" not in at:
        quantity = _base_quantity(path, header, row, at["price"])
    numbers = {header[at["price"]].strip(): at["price"], header[quantity].strip(): quantity}
    return _Columns(
        width=len(header),
        time=at["timestamp"],
        price=at["price"],
        quantity=quantity,
        side=at.get("side"),
        maker=at.get("maker"),
        id=at.get("id"),
        symbol=at.get("symbol"),
        received=at.get("received"),
        numbers=numbers,
    )


def _base_quantity(path: Path, header: list[str], row: list[str], price: int) -> int:
    """The index of the quantity in base currency. Of two columns that may be it, one is often the turnover: price times
    the other. Raises ``InputError`` if they differ otherwise."""
    names = [bare_name(name.partition("/")[0]) for name in header]
    found = [names.index(name) for name in _NAMES["quantity"] if name in names]
    if len(found) == 1:
        return found[0]
    values, cost = [_number(header, row, at) for at in found], _number(header, row, price)
    bases = [
        at
        for at, value in zip(found, values, strict=True)
        if all(other == value or _is_close(other, value * cost) for other in values)
    ]
    if bases:
        return bases[0]
    known = " and ".join(header[at].strip() for at in found)
    raise InputError(f"{path}: {known} differ; leave only the column with the quantity in base currency")


def _number(header: list[str], row: list[str], at: int) -> Decimal:
    try:
        return Decimal(row[at])
    except ArithmeticError:
        raise ValueError(f"{header[at].strip()} is {row[at]!r}, which is not a number") from None


def _is_close(one: Decimal, other: Decimal) -> bool:
    return abs(one - other) <= _ROUNDED * abs(other)


def _is_newest_first(path: Path, times: Times) -> bool:
    """Whether the first rows are in reverse order. A wrong row is left to the reader."""
    try:
        header, *rows = peek_rows(path, PEEK_LINES)
        at = _index(header)["timestamp"]
        begins = [times.from_text(row[at]) for row in (rows[0], rows[-1])]
    except FAULTS:
        return False
    return begins[1] < begins[0]


def _side(fields: list[str], columns: _Columns) -> Side | None:
    """The taker's side; ``None`` if the exchange did not say. Raises ``ValueError``."""
    if columns.side is None:
        assert columns.maker is not None
        return AGGRESSOR[fields[columns.maker].strip()]
    word = fields[columns.side].strip().lower()
    side = _SIDES.get(word)
    if side is None and word not in _WITHOUT_SIDE:
        raise ValueError(f"side is {fields[columns.side]!r}; it must be buy or sell")
    return side


def _trade_id(text: str) -> int | str:
    """A numeric id as an int. Any other id is text, and 0 if there is none."""
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and (text[0] != "0" or text == "0") else text or 0
