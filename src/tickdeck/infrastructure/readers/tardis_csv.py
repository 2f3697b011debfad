"""Trades as tardis.dev gives them: the ``trades`` data type of its downloadable CSV files.

Header: ``exchange,symbol,timestamp,local_timestamp,id,side,price,amount``. Times are in us since the epoch:
``timestamp`` the exchange's, ``local_timestamp`` that of the message's arrival, by which the rows are ordered. ``side``
is the aggressor's: ``buy``, ``sell``, or ``unknown`` where the exchange did not tell. ``id`` is a number or text, and
empty where the exchange gives none (docs.tardis.dev, "Downloadable CSV files").
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from tickdeck.domain.events import TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.columns import row_fault, width_fault
from tickdeck.infrastructure.readers.files import FAULTS, PEEK_LINES, check_step_back, fault, open_text, peek_lines

__all__ = ["TARDIS_HEADER", "read_tardis_trades", "tardis_symbols", "tardis_venues"]

TARDIS_HEADER = "exchange,symbol,timestamp,local_timestamp,id,side,price,amount"

_WIDTH = 8
_NUMBERS = {"timestamp": 2, "local_timestamp": 3, "price": 6, "amount": 7}
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
_UNKNOWN = "unknown"


def read_tardis_trades(
    path: Path, *, symbol: str | None = None, venue: str | None = None, skipped: dict[str, int] | None = None
) -> Iterator[TradeEvent]:
    """The trades of one exchange, in the file's order; with ``symbol`` that symbol's alone.

    One exchange, since several share symbols: ``venue``, or else that of the first row. Rows of other exchanges, and
    trades whose side is unknown, are counted in ``skipped``. ``ts`` is ``timestamp``, ``ts_ingress`` is
    ``local_timestamp``, ``source`` the exchange. A ``trade_id`` is an int where the id is a plain number, and 0 where
    there is none.

    Raises ``InputError`` at the first row that is not as described or arrived long before the one above it, and where
    there is no row of that exchange and symbol.
    """
    number, rows, latest = 0, 0, 0
    others: dict[str, int] = {} if skipped is None else skipped
    fields: list[str] = []
    with open_text(path) as lines:
        try:
            for number, line in enumerate(lines, 1):
                fields = line.rstrip().split(",")
                if number == 1:
                    if fields != TARDIS_HEADER.split(","):
                        raise fault(path, number, ValueError(f"the header must be {TARDIS_HEADER}"))
                    continue
                if len(fields) != _WIDTH:
                    if fields == [""]:
                        continue
                    raise width_fault(path, number, len(fields), _WIDTH)
                exchange, row_symbol, time, received, trade_id, aggressor, price, amount = fields
                if venue is None:
                    venue = exchange
                if exchange != venue:
                    _count(others, f"venue {exchange}")
                    continue
                if symbol is not None and row_symbol != symbol:
                    continue
                rows += 1
                side = _SIDES.get(aggressor)
                if side is None:
                    if aggressor != _UNKNOWN:
                        raise ValueError(f"side is {aggressor!r}; it must be buy, sell or unknown")
                    _count(others, "side unknown")
                    continue
                ts_ingress = int(received) * 1_000
                if ts_ingress >= latest:
                    latest = ts_ingress
                else:
                    check_step_back(path, number, ts_ingress, latest)
                yield TradeEvent(
                    symbol=row_symbol,
                    price=Decimal(price),
                    quantity=Decimal(amount),
                    side=side,
                    trade_id=_id(trade_id),
                    ts=int(time) * 1_000,
                    ts_ingress=ts_ingress,
                    source=exchange,
                )
        except FAULTS as error:
            raise row_fault(path, number, fields, _NUMBERS, error) from None
    if not rows:
        which = " ".join(part for part in (venue, symbol) if part)
        found = ", ".join(f"{v} {s}" for v, s in _streams(path)) or "none"
        raise InputError(f"{path}: no trades of {which or 'any exchange'} in it; exchanges and symbols there: {found}")


def tardis_symbols(path: Path, venue: str | None = None) -> list[str]:
    """The symbols of ``venue`` (by default of the first row's) in the first ``PEEK_LINES`` lines, as they appear."""
    streams = _streams(path)
    chosen = venue or (streams[0][0] if streams else "")
    return [symbol for of, symbol in streams if of == chosen]


def tardis_venues(path: Path) -> list[str]:
    """The exchanges in the first ``PEEK_LINES`` lines, as they appear."""
    return list(dict.fromkeys(venue for venue, _ in _streams(path)))


def _streams(path: Path) -> list[tuple[str, str]]:
    """(exchange, symbol) of the first lines, each once, in order of appearance."""
    rows = (line.split(",") for line in peek_lines(path, PEEK_LINES)[1:])
    return list(dict.fromkeys((row[0], row[1]) for row in rows if len(row) == _WIDTH))


def _id(text: str) -> int | str:
    """A number of its own digits counts up by one from trade to trade, as far as the venue's do; the rest is text."""
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and (text[0] != "0" or text == "0") else text


def _count(skipped: dict[str, int], kind: str) -> None:
    skipped[kind] = skipped.get(kind, 0) + 1
