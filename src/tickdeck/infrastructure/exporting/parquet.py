"""Parquet, by way of pyarrow, which is an extra."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exporting.columns import BOOLEAN, FLOAT, INTEGER, TEXT, Columns

__all__ = ["write_parquet"]

_GROUP = 32_768
"""Rows that are written together, and so many are in memory."""


def write_parquet(columns: Callable[[], Columns], events: Iterable[DomainEvent], place: Path) -> None:
    """Write the events as one table, with the columns that ``columns()`` finds. Integers are ``int64``, floats
    ``double``; decimals are strings, since of one column with a fixed number of decimal places some digits would fall
    away.

    Raises ``ConfigError`` where pyarrow is not installed.
    """
    pa, pq = _pyarrow()
    found = columns()
    types = {INTEGER: pa.int64(), FLOAT: pa.float64(), BOOLEAN: pa.bool_(), TEXT: pa.string()}
    schema = pa.schema([(name, types[kind]) for name, kind in found.kinds.items()])
    rows = (found.row(event) for event in events)
    with pq.ParquetWriter(place, schema, compression="zstd") as writer:
        for group in _groups(rows):
            cells = [
                pa.array(column, field.type) for column, field in zip(zip(*group, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(cells, schema=schema))


def _groups(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while group := list(islice(rows, _GROUP)):
        yield group


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError(
            "Parquet needs the package pyarrow, which is not installed; "
            "`pip install 'tickdeck[parquet]'`, or take --format csv"
        ) from None
    return pa, pq
