"""Delimited text in the forms that people and spreadsheets write, and errors that name column, line and value."""

from __future__ import annotations

import contextlib
import csv
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from itertools import dropwhile
from pathlib import Path

from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.files import FAULTS, fault, open_text, peek_lines

__all__ = [
    "AGGRESSOR",
    "NoRowsError",
    "bare_name",
    "delimiter_of",
    "distinct_cells",
    "file_without_rows",
    "first_line",
    "header_of",
    "is_above_header",
    "peek_rows",
    "row_fault",
    "split_row",
    "width_fault",
]

AGGRESSOR = {
    text: side
    for side, words in ((Side.SELL, ("true", "1", "t", "yes")), (Side.BUY, ("false", "0", "f", "no")))
    for word in words
    for text in (word, word.capitalize(), word.upper())
}
"""The aggressor's side, by the value of a column that says whether the buyer is the maker."""


class NoRowsError(InputError):
    """The file has a known format but no row, for example because nothing was traded that day."""


def delimiter_of(line: str) -> str:
    """The delimiter of a file by its first line: a comma, a semicolon or a tab."""
    return max(",;\t", key=line.count)


def split_row(line: str, delimiter: str) -> list[str]:
    """The cells of a line, quoted or not, without the line ending."""
    if '"' not in line:
        return line.rstrip("\r\n ").split(delimiter)
    return next(csv.reader((line.strip("\r\n "),), delimiter=delimiter), [""])


def bare_name(name: str) -> str:
    """A column name for comparisons: ``Quote Asset_Volume`` and ``quoteAssetVolume`` become the same."""
    return "".join(filter(str.isalnum, name)).lower()


def header_of(fields: Iterable[str]) -> list[str]:
    """The bare names of a header."""
    return [bare_name(name) for name in fields]


def is_above_header(line: str) -> bool:
    """Whether a line at the start of a file is not part of the table: it is blank, a comment, or without a delimiter,
    such as a URL.
    """
    return not any(map(line.__contains__, ",;\t")) or (line.startswith("# ") and "," not in line.partition(" ")[0])


def peek_rows(path: Path, count: int) -> list[list[str]]:
    """The cells of the first ``count`` lines, without blank lines and lines above the header. Raises ``InputError`` as
    ``open_text`` does.
    """
    lines = [line for line in dropwhile(is_above_header, peek_lines(path, count)) if line.strip()]
    delimiter = delimiter_of(lines[0]) if lines else ","
    return [split_row(line, delimiter) for line in lines]


def first_line(path: Path, numbered: Iterator[tuple[int, str]]) -> tuple[int, str]:
    """Take the first line of the table, a header or a row, from the numbered lines of a file. Raises ``InputError`` if
    there is none or the file is damaged.
    """
    try:
        return next((number, line) for number, line in numbered if not is_above_header(line))
    except StopIteration:
        raise file_without_rows(path) from None
    except FAULTS as error:
        raise fault(path, 0, error) from None


def distinct_cells(path: Path, columns: tuple[int, ...]) -> list[tuple[str, ...]]:
    """The distinct values of some columns in a whole file with a header, in order of appearance. Headers and rows of
    another width are left out. Reads the file once and remembers the answer until the file changes. A damaged end is
    left to the reader."""
    state = path.stat()
    return list(_distinct_cells(path, columns, state.st_mtime_ns, state.st_size))


@lru_cache(maxsize=64)
def _distinct_cells(path: Path, columns: tuple[int, ...], modified: int, size: int) -> tuple[tuple[str, ...], ...]:
    del modified, size  # they only tell a changed file from what is remembered
    found: dict[tuple[str, ...], None] = {}
    with contextlib.suppress(*FAULTS, InputError), open_text(path) as text:
        lines = dropwhile(is_above_header, text)
        first = next(lines, "")
        delimiter = delimiter_of(first)
        header = split_row(first, delimiter)
        width = len(header)
        repeated = tuple(header[at] for at in columns)
        for line in lines:
            fields = line.rstrip("\r\n").split(delimiter) if '"' not in line else split_row(line, delimiter)
            if len(fields) == width:
                found[tuple([fields[at] for at in columns])] = None
        found.pop(repeated, None)
    return tuple(found)


def row_fault(path: Path, line: int, fields: list[str], numbers: Mapping[str, int], error: Exception) -> InputError:
    """The ``InputError`` for an ``error`` in the row ``fields``. ``numbers`` are the numeric columns (name -> index);
    the message names the first one that does not hold a number."""
    for name, index in numbers.items():
        value = fields[index] if index < len(fields) else ""
        try:
            Decimal(value)
        except InvalidOperation:
            hint = ""
            if "," in value and set(value) <= set("0123456789.,- "):
                hint = "; use a decimal point, and no separator between thousands"
            return fault(path, line, ValueError(f"{name} is {value!r}, which is not a number{hint}"))
    if isinstance(error, KeyError):
        return fault(path, line, ValueError(f"the maker flag is {error.args[0]!r}; it must be true or false"))
    return fault(path, line, error)


def width_fault(path: Path, line: int, found: int, wanted: int) -> InputError:
    """The ``InputError`` for a row of ``found`` columns in a file of ``wanted``."""
    return fault(path, line, ValueError(f"the row has {found} columns; it must have {wanted}"))


def file_without_rows(path: Path, what: str = "rows") -> NoRowsError:
    """The error for a file that ends without a row."""
    return NoRowsError(f"{path}: no {what} in it; give a file with market data")
