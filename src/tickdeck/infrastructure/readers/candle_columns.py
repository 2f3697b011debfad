"""Which columns a file of candles has, and where: by the names in its header, or by Binance's and Kraken's order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tickdeck.domain.market.instrument import quote_rank
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.columns import bare_name, header_of
from tickdeck.infrastructure.readers.files import FAULTS, fault
from tickdeck.infrastructure.readers.times import Times

__all__ = [
    "NUMBERS",
    "Header",
    "Plan",
    "find_header",
    "is_candles",
    "may_be_thousands",
    "plan_by_names",
    "plan_by_order",
    "what_candles_lack",
]

_BEGIN = (
    "timestamp",
    "opentime",
    "opentimestamp",
    "datetime",
    "date",
    "time",
    "starttime",
    "startat",
    "unix",
    "ts",
    "windowstart",
)
_END = ("closetime", "endtime", "endat")
_SYMBOL = ("symbol", "ticker", "pair")
NUMBERS = ("open", "high", "low", "close", "volume")
_VOLUMES = ("volume", "vol", "basevolume", "volumebase")
_NO_PRICE = ("", "nan", "null", "none")
_CLOSED = ("confirm", "confirmed", "closed", "isclosed", "final", "isfinal", "complete")
"""Whether the candle has ended (OKX, OANDA): a file that was saved while it was open ends with half a candle."""
_NOT_CLOSED = ("0", "false", "f", "no")

_THOUSANDS = re.compile(r"\d{1,3}\.\d{3}")

_KLINE = 12
"""Columns of Binance's klines: open time, open, high, low, close, volume, close time, and five that are not read."""


class Plan(NamedTuple):
    """The index of each column. ``clock`` is the time of day if ``begin`` is only the date."""

    width: int
    begin: int
    clock: int | None
    end: int | None
    symbol: int | None
    numbers: dict[str, int]
    closed: int | None = None

    def is_header(self, fields: list[str]) -> bool:
        """Whether a row is a header in the middle of the file."""
        return not fields[self.begin][:1].isdigit() and not what_candles_lack(fields)

    def has_no_price(self, fields: list[str]) -> bool:
        """Whether a row has a begin only, as where nothing was traded in its interval."""
        return all(fields[self.numbers[name]].strip().lower() in _NO_PRICE for name in NUMBERS[:4])

    def is_open(self, fields: list[str]) -> bool:
        """Whether the candle had not ended when the file was saved, so that the row is half a candle."""
        return self.closed is not None and fields[self.closed].strip().lower() in _NOT_CLOSED


def may_be_thousands(plan: Plan, rows: Sequence[list[str]]) -> bool:
    """Whether each number has a point and three digits behind it, as where a point stands between thousands."""
    numbers = [row[at].strip() for row in rows if len(row) == plan.width for at in plan.numbers.values()]
    return bool(numbers) and all(_THOUSANDS.fullmatch(number) for number in numbers)


class Header(NamedTuple):
    fields: list[str]
    lines: int
    symbol: str | None = None


def is_candles(rows: list[list[str]]) -> bool:
    """Whether the first rows of a file are candles with a header, or klines without one."""
    return bool(rows) and (not what_candles_lack(*rows) or plan_by_order(rows[0]) is not None)


def what_candles_lack(header: list[str], *following: list[str]) -> list[str]:
    """The columns that a header of candles lacks, by name. ``following`` are the rows below it."""
    names = header_of(find_header((header, *following)).fields)
    lacking = [] if any(name in names for name in _BEGIN) else ["timestamp"]
    lacking += [name for name in NUMBERS[:4] if name not in names]
    return lacking if _volume_at(names) is not None else [*lacking, "volume"]


def find_header(rows: Sequence[list[str]]) -> Header:
    """The header that stands in the first rows, as one line."""
    first = rows[0]
    begin = bare_name(first[0])
    if begin == "price" and len(rows) > 2 and bare_name(rows[1][0]) == "ticker" and bare_name(rows[2][0]) in _BEGIN:
        tickers = {cell.strip() for cell in rows[1][1:]}
        return Header([rows[2][0], *first[1:]], 3, tickers.pop() if len(tickers) == 1 else None)
    if not begin and len(rows) > 1 and _is_time(rows[1][0]) and not any(name in _BEGIN for name in header_of(first)):
        return Header(["timestamp", *first[1:]], 1)
    return Header(first, 1)


def _is_time(text: str) -> bool:
    try:
        Times().from_text(text)
    except ValueError:
        return False
    return True


def plan_by_names(path: Path, line: int, header: list[str]) -> Plan:
    """The plan for rows below ``header``. Raises ``InputError`` if a column is missing, also if the only volume is in
    quote currency."""
    names = header_of(header)
    lacking = what_candles_lack(header)
    if lacking:
        has = ", ".join(name.strip() for name in header)
        raise fault(path, line, ValueError(f"no column named {', '.join(lacking)}; it has {has}"))
    pairs = re.findall(r"[A-Z0-9]+", path.name.upper())
    volume = _volume_at(names, pairs)
    assert volume is not None
    currency = names[volume].removeprefix("volume").upper()
    if quote_rank(currency) < 1 and not _begins_one(currency, pairs):
        raise InputError(
            f"{path}: {header[volume].strip()} is in quote currency; give a column volume in base currency, because"
            " orders are filled from it"
        )
    numbers = {name: names.index(name) for name in NUMBERS[:4]} | {"volume": volume}
    begin = _index(names, _BEGIN) or 0
    clock = _index(names, ("time",)) if names[begin] == "date" else None
    return Plan(len(header), begin, clock, _index(names, _END), _index(names, _SYMBOL), numbers, _index(names, _CLOSED))


def plan_by_order(fields: list[str]) -> Plan | None:
    """The plan for rows without a header, where ``fields`` is one of them."""
    if len(fields) not in (6, 7, _KLINE) or not fields[0].strip()[:1].isdigit():
        return None
    try:
        Times().from_text(fields[0])
        for cell in fields[1:6]:
            Decimal(cell)
    except FAULTS:
        if len(fields) != _KLINE:
            return None
    return Plan(
        len(fields), 0, None, 6 if len(fields) == _KLINE else None, None, {n: i for i, n in enumerate(NUMBERS, 1)}
    )


def _index(names: list[str], wanted: tuple[str, ...]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _volume_at(names: list[str], pairs: Sequence[str] = ()) -> int | None:
    """The volume in the base currency: ``volume``, or a column that is called so, with its currency (``Volume BTC``).

    If there are several, the one whose currency one of ``pairs`` begins with, else the one that is the least likely to
    be a quote currency: ``Volume USDT,Volume BTC`` stand in either order.
    """
    exact = _index(names, _VOLUMES)
    if exact is not None:
        return exact
    named = {i: n.removeprefix("volume").upper() for i, n in enumerate(names) if n.startswith("volume")}
    base = [i for i, currency in named.items() if _begins_one(currency, pairs)]
    return base[0] if len(base) == 1 else max(named, key=lambda i: (quote_rank(named[i]), -i), default=None)


def _begins_one(currency: str, pairs: Sequence[str]) -> bool:
    return any(pair.startswith(currency) and pair != currency for pair in pairs)
