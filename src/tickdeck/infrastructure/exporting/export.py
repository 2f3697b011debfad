"""Writes events to a new file in one of the formats."""

from __future__ import annotations

import gzip
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias, cast

import msgspec

from tickdeck.application.bus import type_name
from tickdeck.domain.events import DomainEvent
from tickdeck.infrastructure.exporting.columns import Cell, Columns
from tickdeck.infrastructure.exporting.parquet import write_parquet
from tickdeck.infrastructure.fresh_file import fresh_file

__all__ = ["EXPORT_FORMATS", "Exported", "export_events", "packed"]

Events: TypeAlias = Callable[[], Iterator[DomainEvent]]

_TO_BE_QUOTED = re.compile(r'[",\r\n]').search


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an export: ``rows`` (events), ``ts_ingress`` of the first and last (ns UTC, ``None`` if there are
    none), the file, its format, and the number of events by type."""

    rows: int
    first_ts: int | None
    last_ts: int | None
    out: str
    format: str
    types: dict[str, int]


def export_events(
    events: Events,
    format_: str,
    out: Path,
    *,
    for_spreadsheets: bool = False,
    progress: Callable[[int], None] = lambda rows: None,
) -> Exported:
    """Write the events of ``events()`` to a new file ``out``. For a table, ``events()`` is called twice, because the
    columns must be known first. ``format_`` is one of ``EXPORT_FORMATS``.

    ``for_spreadsheets`` applies to CSV. Times become ISO 8601 text, because spreadsheets cut integers of ns to 15
    digits. The file starts with a byte order mark, so that spreadsheets recognize UTF-8. Text formats are compressed if
    the name of ``out`` ends in ``.gz``. ``progress(rows)`` is called after each event.

    Raises ``ConfigError`` if ``out`` exists, cannot be created, or needs a package that is missing. In these cases, and
    if ``events`` raises, no file is left.
    """
    count = _Count(events, progress)
    with fresh_file(out) as place:
        if for_spreadsheets and format_ == "csv":
            _write_csv(count, place, for_spreadsheets=True)
        else:
            EXPORT_FORMATS[format_](count, place)
    return Exported(
        rows=count.rows,
        first_ts=count.first_ts,
        last_ts=count.last_ts,
        out=str(out),
        format=format_,
        types=dict(sorted(count.types.items())),
    )


class _Count:
    """Iterates over the events and collects statistics. A second pass yields no more events than the first, because the
    run may be adding events meanwhile."""

    def __init__(self, events: Events, progress: Callable[[int], None]) -> None:
        self._events = events
        self._progress = progress
        self.rows = 0
        self.first_ts: int | None = None
        self.last_ts: int | None = None
        self.types: Counter[str] = Counter()

    def columns(self, *, iso_times: bool = False) -> Columns:
        """The columns of a table of all events."""
        columns = Columns(iso_times=iso_times)
        for event in self:
            columns.add(event)
        return columns

    def __iter__(self) -> Iterator[DomainEvent]:
        before = self.rows or None
        self.rows, self.types = 0, Counter()
        for event in self._events():
            if self.rows == before:
                return
            if not self.rows:
                self.first_ts = event.ts_ingress
            self.rows += 1
            self.last_ts = event.ts_ingress
            self.types[type_name(event)] += 1
            self._progress(self.rows)
            yield event


@contextmanager
def packed(place: Path) -> Iterator[IO[bytes]]:
    """The output file. For ``.gz`` it is compressed without a time stamp, so that equal events give equal files."""
    with place.open("wb") as file:
        if place.suffix != ".gz":
            yield file
            return
        with gzip.GzipFile("", "wb", 6, file, 0) as packed:
            yield cast(IO[bytes], packed)


def _write_jsonl(events: _Count, place: Path) -> None:
    with packed(place) as file:
        for event in events:
            file.write(event.to_json() + b"\n")


def _write_csv(events: _Count, place: Path, *, for_spreadsheets: bool = False) -> None:
    columns = events.columns(iso_times=for_spreadsheets)
    encoding = "utf-8-sig" if for_spreadsheets else "utf-8"
    with packed(place) as file, io.TextIOWrapper(file, encoding, newline="") as text:
        text.write(_line(columns.kinds))
        text.writelines(_line(columns.row(event)) for event in events)


def _line(cells: Iterable[Cell]) -> str:
    """A line of CSV. The standard library's writer does not quote a lone carriage return, which ends a line."""
    return ",".join(map(_csv_cell, cells)) + "\n"


def _csv_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    text = str(cell).lower() if isinstance(cell, bool) else str(cell)
    return '"' + text.replace('"', '""') + '"' if _TO_BE_QUOTED(text) else text


def _write_parquet(events: _Count, place: Path) -> None:
    write_parquet(events.columns, events, place)


EXPORT_FORMATS: dict[str, Callable[[_Count, Path], None]] = {
    "csv": _write_csv,
    "parquet": _write_parquet,
    "jsonl": _write_jsonl,
}
"""The writer of each format."""
