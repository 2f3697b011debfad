"""Parquet, with pyarrow, which is an extra."""

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
"""Rows per write, and the most in memory at a time."""


def write_parquet(columns: Callable[[], Columns], events: Iterable[DomainEvent], place: Path) -> None:
    """Write the events as one table with the columns of ``columns()``. Integers are ``int64``, floats ``double``.
    Decimals are strings, because a column with a fixed number of decimal places would lose digits.

    Raises ``ConfigError`` if pyarrow is not installed.
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
            "`pip install 'tickdeck[parquet]'`, or use --format csv"
        ) from None
    return pa, pq
