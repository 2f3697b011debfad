"""Writes the trade journal to a new file: CSV, JSON Lines, or a SQLite database that any tool can read."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickdeck.application.units import iso_time
from tickdeck.domain.trading import RoundTrip
from tickdeck.domain.values import Side, plain
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exporting.export import packed
from tickdeck.infrastructure.fresh_file import fresh_file

__all__ = ["TRADE_FORMATS", "create_trades", "export_trades", "holds_trades", "insert_trades", "trade_row"]

_NS = 1_000_000_000
_APPLICATION = 0x7464_6A31  # marks our databases of trades


def trade_row(trip: RoundTrip) -> dict[str, Any]:
    """A round trip as a flat row.

    Decimals are text without an exponent or trailing zeros. ``opened_at`` and ``closed_at`` are ISO 8601, ``entry_ts``
    and ``exit_ts`` ns UTC. ``return`` is a fraction. Lists are joined with spaces. What is not known yet is ``None``.
    """
    return {
        "opened_at": iso_time(trip.entry_ts),
        "closed_at": None if trip.exit_ts is None else iso_time(trip.exit_ts),
        "account_id": trip.account_id,
        "user_id": trip.user_id,
        "strategy_id": trip.strategy_id,
        "symbol": trip.symbol,
        "side": "long" if trip.side is Side.BUY else "short",
        "quantity": _text(trip.quantity),
        "held": _text(trip.held),
        "entry_price": _text(trip.entry_price),
        "exit_price": _text(trip.exit_price),
        "currency": trip.currency,
        "volume": _text(trip.volume),
        "fees": _text(trip.fees),
        "other_fees": " ".join(f"{_text(fee)} {name}" for name, fee in trip.other_fees.items()),
        "pnl": _text(trip.pnl),
        "return": None if trip.return_ is None else float(trip.return_),
        "duration_s": None if trip.exit_ts is None else (trip.exit_ts - trip.entry_ts) / _NS,
        "entry_reason": trip.entry_reason,
        "exit_reason": trip.exit_reason,
        "entry_orders": " ".join(trip.entry_orders),
        "exit_orders": " ".join(trip.exit_orders),
        "entry_event": trip.entry_event,
        "exit_event": trip.exit_event,
        "entry_ts": trip.entry_ts,
        "exit_ts": trip.exit_ts,
    }


def export_trades(rows: Iterable[dict[str, Any]], format_: str, out: Path) -> int:
    """Write the rows of ``trade_row`` to a new file ``out``. Returns how many. ``format_`` is one of ``TRADE_FORMATS``.
    Text is compressed if the name of ``out`` ends in ``.gz``.

    Raises ``ConfigError`` if ``out`` exists or cannot be created; then no file is left.
    """
    made = list(rows)
    with fresh_file(out) as place:
        TRADE_FORMATS[format_](made, place)
    return len(made)


def _write_csv(rows: list[dict[str, Any]], place: Path) -> None:
    with packed(place) as file, io.TextIOWrapper(file, "utf-8", newline="") as text:
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_jsonl(rows: list[dict[str, Any]], place: Path) -> None:
    with packed(place) as file:
        file.writelines(json.dumps(row).encode() + b"\n" for row in rows)


def _write_sqlite(rows: list[dict[str, Any]], place: Path) -> None:
    with closing(sqlite3.connect(place)) as database, database:
        create_trades(database)
        insert_trades(database, rows)


def create_trades(database: sqlite3.Connection) -> None:
    """Create the table ``trades``, without rows. ``id`` is the place of a trade in the journal: first those that have
    ended, which keep it, then the open ones. Decimals stay exact as text; SQLite's ``sum`` and ``avg`` read them as
    numbers.

    Raises ``ConfigError`` if the database is another program's.
    """
    if not holds_trades(database) and database.execute("SELECT 1 FROM sqlite_master").fetchone():
        raise ConfigError("this is a database of another program; name another file")
    database.execute(f"PRAGMA application_id = {_APPLICATION}")
    columns = ", ".join(f'"{name}" {_SQL_TYPES.get(name, "TEXT")}' for name in _COLUMNS)
    database.execute("DROP TABLE IF EXISTS trades")
    database.execute(f"CREATE TABLE trades (id INTEGER PRIMARY KEY, {columns})")


def holds_trades(database: sqlite3.Connection) -> bool:
    """Whether ``create_trades`` has made it."""
    return bool(database.execute("PRAGMA application_id").fetchone() == (_APPLICATION,))


def insert_trades(database: sqlite3.Connection, rows: Iterable[dict[str, Any]], *, after: int = 0) -> None:
    """Insert rows of ``trade_row``, in the order of the journal, after those with ids up to ``after``."""
    values = ", ".join(f":{name}" for name in _COLUMNS)
    numbered = ({"id": number, **row} for number, row in enumerate(rows, after + 1))
    database.executemany(f"INSERT INTO trades VALUES (:id, {values})", numbered)  # noqa: S608 (names of our own)


def _text(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


_NOTHING = RoundTrip(
    symbol="",
    side=Side.BUY,
    entry_ts=0,
    exit_ts=None,
    quantity=Decimal(0),
    entry_price=Decimal(0),
    exit_price=None,
    volume=Decimal(0),
    fees=Decimal(0),
    pnl=Decimal(0),
)
_COLUMNS = tuple(trade_row(_NOTHING))
_SQL_TYPES = {"return": "REAL", "duration_s": "REAL", "entry_ts": "INTEGER", "exit_ts": "INTEGER"}

TRADE_FORMATS: dict[str, Callable[[list[dict[str, Any]], Path], None]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "sqlite": _write_sqlite,
}
