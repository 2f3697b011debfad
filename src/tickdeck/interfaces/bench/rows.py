"""The table of measurements."""

from __future__ import annotations

from tickdeck.errors import ConfigError
from tickdeck.interfaces.bench.row import Row
from tickdeck.interfaces.bench.rows_of_runs import RUN_ROWS
from tickdeck.interfaces.bench.rows_of_the_bus import BUS_ROWS
from tickdeck.interfaces.bench.rows_of_the_tape import TAPE_ROWS

__all__ = ["ROWS", "select_rows"]

ROWS: tuple[Row, ...] = (*BUS_ROWS, *TAPE_ROWS, *RUN_ROWS)


def select_rows(name: str | None) -> list[Row]:
    """The rows with this name or prefix (``bus``: all that begin with ``bus-``); ``None``: all.

    Raises ``ConfigError`` if there are none.
    """
    found = [row for row in ROWS if name is None or row.name == name] or [
        row for row in ROWS if row.name.startswith(f"{name}-")
    ]
    if not found:
        raise ConfigError(f"bench: there is no row {name!r}; the rows are {', '.join(row.name for row in ROWS)}")
    return found
