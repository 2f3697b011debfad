"""Imports a file of market data to a tape: one format for all data, with indexes by time and symbol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from tickdeck.application.kernel import stamp_input
from tickdeck.errors import ConfigError, InputError
from tickdeck.infrastructure.fresh_file import fresh_file
from tickdeck.infrastructure.readers import DEFAULT_FEED_LATENCY_NS, InputFile, ReadNotes, open_input
from tickdeck.infrastructure.tape import SqliteTape

__all__ = ["Imported", "import_file"]

SUFFIX = ".db"


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """The result of an import: ``rows`` (events), the receive times of the first and last (ns UTC), the path of the
    tape, events by symbol, what was skipped, by kind, and further notes."""

    rows: int
    first_ts: int
    last_ts: int
    out: str
    format: str
    symbols: dict[str, int]
    skipped: dict[str, int]
    warnings: list[str]


def import_file(
    file: InputFile,
    out: Path,
    *,
    feed_latency_ns: int = DEFAULT_FEED_LATENCY_NS,
    progress: Callable[[int], None] = lambda rows: None,
) -> Imported:
    """Write the events of ``file`` to a new tape ``out``, stamped as inputs, with the file's order and times.

    A run on the tape takes the same decisions as a run on the file. Unlike the kernel of a run, this does not change
    receive times that go backwards. ``feed_latency_ns`` supplies receive times for formats without them.
    ``progress(rows)`` is called after each event.

    Raises ``ConfigError`` if ``out`` exists or cannot be created, and ``InputError`` if the file is invalid. Then no
    tape is left.
    """
    if out.suffix != SUFFIX:
        raise ConfigError(f"{out}: the name of a tape ends in {SUFFIX}; name it {out.name}{SUFFIX}")
    assert file.format is not None
    notes = ReadNotes()
    skipped = notes.skipped
    events = open_input(file, feed_latency_ns=feed_latency_ns, notes=notes)
    symbols: Counter[str] = Counter()
    rows = first_ts = last_ts = 0
    with fresh_file(out) as place:
        with SqliteTape(place) as tape:
            for rows, event in enumerate(events, 1):
                if rows == 1:
                    first_ts = event.ts_ingress
                last_ts = event.ts_ingress
                symbols[event.symbol] += 1
                tape.append((stamp_input(event, rows, rows, 0),))
                progress(rows)
        if not rows:
            passed = f" (skipped: {', '.join(f'{n} x {kind}' for kind, n in skipped.items())})" if skipped else ""
            raise InputError(f"{file.path}: no market data of {file.symbol or 'any symbol'} in it{passed}")
    return Imported(
        rows=rows,
        first_ts=first_ts,
        last_ts=last_ts,
        out=str(out),
        format=file.format,
        symbols=dict(symbols),
        skipped=skipped,
        warnings=notes.warnings,
    )
