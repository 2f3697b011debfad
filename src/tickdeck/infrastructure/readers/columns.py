"""Errors of comma-separated files: which column of which line is wrong, and how."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path

from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.files import fault

__all__ = ["AGGRESSOR", "file_without_rows", "row_fault", "width_fault"]

AGGRESSOR = {
    "true": Side.SELL,
    "True": Side.SELL,
    "TRUE": Side.SELL,
    "false": Side.BUY,
    "False": Side.BUY,
    "FALSE": Side.BUY,
}
"""Side of the aggressor by a column that says whether the buyer is the maker."""


def row_fault(path: Path, line: int, fields: list[str], numbers: Mapping[str, int], error: Exception) -> InputError:
    """The ``InputError`` for ``error``, raised while the row ``fields`` was read; ``numbers`` are the numeric columns
    (name -> index), of which the first that holds no number is named."""
    for name, index in numbers.items():
        value = fields[index] if index < len(fields) else ""
        try:
            Decimal(value)
        except InvalidOperation:
            return fault(path, line, ValueError(f"{name} is {value!r}, which is no number"))
    if isinstance(error, KeyError):
        return fault(path, line, ValueError(f"the maker flag is {error.args[0]!r}; it must be true or false"))
    return fault(path, line, error)


def width_fault(path: Path, line: int, found: int, wanted: int) -> InputError:
    """The ``InputError`` for a row of ``found`` columns in a file of ``wanted``."""
    return fault(path, line, ValueError(f"{found} columns where there should be {wanted}"))


def file_without_rows(path: Path, what: str = "rows") -> InputError:
    """The ``InputError`` for a file that ends without a row."""
    return InputError(f"{path}: no {what} in it; give a file with market data")
