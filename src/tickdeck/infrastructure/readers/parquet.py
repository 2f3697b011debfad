"""Parquet files as the lines of the CSV file that they stand for, by way of pyarrow, which is an extra.

So each format that is CSV with its columns in order, or with a header, may come as Parquet too. Decimals and text keep
their digits; a float stands for the shortest decimal that reads back as it.
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
    """Whether the file begins as a Parquet file does, whatever its name; no, where it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def parquet_lines(path: Path) -> Iterator[str]:
    """The names of the columns, then each row, as lines with commas. Times become ISO 8601.

    Raises ``InputError`` where pyarrow is not installed, ``OSError`` where the file is damaged.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InputError(
            f"{path}: to read Parquet the package pyarrow is needed; `pip install 'tickdeck[parquet]'`, or give CSV"
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
    """A column of times so that Python's own can hold it."""
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
