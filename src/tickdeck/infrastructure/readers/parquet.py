"""Parquet files, read with pyarrow (an extra) as the lines of the equivalent CSV file.

So every CSV format with a header or a fixed order of columns may also be a Parquet file. Decimals and text keep their
digits. A float becomes the shortest decimal that reads back as the same float.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tickdeck.errors import InputError

__all__ = ["is_parquet", "parquet_lines"]

_MAGIC = b"PAR1"
_ROWS = 8_192
_INDEX = "__index_level_"  # of a table that pandas wrote


def is_parquet(path: Path) -> bool:
    """Whether the file starts like a Parquet file, whatever its name is. False if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def parquet_lines(path: Path) -> Iterator[str]:
    """The names of the columns, then each row, as lines with commas. Times become ISO 8601.

    Raises ``InputError`` if pyarrow is not installed, and ``OSError`` if the file is damaged.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            f"{path}: reading Parquet needs the package pyarrow; `pip install 'tickdeck[parquet]'`, or give a CSV file"
        ) from None
    try:
        with pq.ParquetFile(path) as file:
            names = [name for name in file.schema_arrow.names if not name.startswith(_INDEX)]
            yield ",".join(names)
            for batch in file.iter_batches(_ROWS, columns=names):
                columns = [_in_microseconds(column, pa).to_pylist() for column in batch.columns]
                for row in zip(*columns, strict=True):
                    yield ",".join(map(_text, row))
    except pa.ArrowException as error:
        raise OSError(str(error)) from None


def _in_microseconds(column: Any, pa: Any) -> Any:
    """Converts a column of times to a precision that Python's own type can hold."""
    return column.cast(pa.timestamp("us", column.type.tz)) if pa.types.is_timestamp(column.type) else column


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
