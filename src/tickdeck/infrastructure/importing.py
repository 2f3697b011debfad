"""From a file of market data to a tape that holds it: one form for every format, with indexes by time and symbol."""

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
    """What an import came to: ``rows`` (events), the receive times of the first and the last (ns UTC), where the tape
    is, events by symbol, what of the file was passed over, by kind, and what else is to be known about it.
    """

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
    """Write the events of ``file`` to a new tape ``out``, stamped as inputs, in the file's order and with its times.

    A run on the tape takes the same decisions as one on the file: unlike the kernel of a run, this does not move a
    receive time that goes back. ``feed_latency_ns`` makes the receive times of formats that have none.
    ``progress(rows)`` is called after each event.

    Raises ``ConfigError`` where ``out`` exists or cannot be made, ``InputError`` where the file is not as it should be;
    no tape is left then.
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
            passed = f" (passed over: {', '.join(f'{n} x {kind}' for kind, n in skipped.items())})" if skipped else ""
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
