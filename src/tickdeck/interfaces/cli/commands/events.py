"""``tickdeck events``."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickdeck.application.units import clock_time, day
from tickdeck.interfaces.cli.describing import describe_event
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import (
    check_span,
    data_option,
    import_option,
    json_option,
    may_match_market,
    recorded_place,
    time_value,
)
from tickdeck.interfaces.cli.output import cut, event_fields, note, print_lines

if TYPE_CHECKING:
    from tickdeck.domain.events import DomainEvent

__all__ = ["events"]

_POLL_S = 0.2
_WIDE = 110  # columns


@click.command()
@click.argument("run", metavar="RUN", required=False)
@click.option("--catalogue", "types_only", is_flag=True, help="List all event types instead of a run's events.")
@click.option(
    "--type", "types", multiple=True, metavar="GLOB", help="Only these types: order.filled, order.*. Repeatable."
)
@click.option("--symbol", metavar="S", help="Only events of this symbol.")
@click.option(
    "--from", "first_ts", type=time_value, metavar="T", help="Start at this time: ISO 8601 or ns, on the run's clock."
)
@click.option("--to", "last_ts", type=time_value, metavar="T", help="Up to this time, inclusive.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most this many.")
@click.option("--follow", is_flag=True, help="Keep listing new events of a running run, until it ends or Ctrl-C.")
@import_option
@data_option
@json_option("One JSON object per event")
def events(
    run: str | None,
    types_only: bool,
    types: tuple[str, ...],
    symbol: str | None,
    first_ts: int | None,
    last_ts: int | None,
    limit: int | None,
    follow: bool,
    data: Path,
    as_json: bool,
) -> int:
    """List the events of RUN in order, including those of its input files.

    Times are when the run received an event (ts_ingress). On a terminal, lines are cut to its width. RUN is a run's id,
    a path to its folder, a path to a tape (for example of a bus), or `last`.

    \b
    Examples:
      tickdeck events last --type 'order.*'
      tickdeck events last --type market.trade --from 2024-08-08T23:55:00Z --limit 100 --json
      tickdeck events last --type strategy.decision --follow
      tickdeck events --catalogue --type 'order.*'
    """
    if types_only:
        return _list_types(types, as_json)
    if run is None:
        raise click.UsageError("name a run, such as `last`, or list the event types with --catalogue")
    from tickdeck.application.ports import TapeQuery
    from tickdeck.bootstrap import open_record
    from tickdeck.infrastructure.tape.opening import tape_path

    folder = recorded_place(data, run, market=may_match_market(types))
    check_span(first_ts, last_ts)
    query = TapeQuery(types=types, symbol=symbol, first_ts=first_ts, last_ts=last_ts, limit=limit)
    more = _poll(tape_path(folder)) if follow else lambda: False
    listed = _Counted(open_record(folder, query, more=more))
    lines: Iterable[str | bytes]
    if as_json:
        lines = (msgspec.json.encode(event_fields(event)) for event in listed)
    else:
        lines = _for_people(listed, shutil.get_terminal_size().columns if sys.stdout.isatty() else None)
    print_lines(lines, at_once=follow)
    if not listed.count:
        for text in _why_nothing(folder, types, symbol):
            note(text)
    return DONE


def _list_types(patterns: tuple[str, ...], as_json: bool) -> int:
    """Print one line per type, grouped unless the output is JSON."""
    from tickdeck.application.catalogue import catalogue

    def lines() -> Iterator[str | bytes]:
        group = ""
        for entry in wanted:
            if as_json:
                yield msgspec.json.encode(entry)
                continue
            if entry.group != group:
                group = entry.group
                yield f"-- {group}"
            yield cut(f"{entry.event_type:<26} {entry.event_class:<26} {entry.line.replace('``', '`')}", width)

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    wanted = [e for e in catalogue() if not patterns or any(fnmatchcase(e.event_type, p) for p in patterns)]
    print_lines(lines())
    if not wanted:
        for text in _unknown_types(patterns):
            note(text)
    return DONE


def _poll(tape: Path) -> Callable[[], bool]:
    """Waits while the run continues. Returns whether it was running before the wait."""
    from tickdeck.infrastructure.tape.lock import writer_of

    def more() -> bool:
        running = writer_of(tape) is not None
        if running:
            time.sleep(_POLL_S)
        return running

    return more


class _Counted:
    """Iterates over events and counts them."""

    def __init__(self, events: Iterator[DomainEvent]) -> None:
        self._events = events
        self.count = 0

    def __iter__(self) -> Iterator[DomainEvent]:
        for event in self._events:
            self.count += 1
            yield event


def _for_people(listed: Iterable[DomainEvent], width: int | None) -> Iterator[str]:
    """One line per event, with a heading line per day; cut to ``width`` columns."""
    from tickdeck.application.bus import type_name

    today = ""
    for event in listed:
        if day(event.ts_ingress) != today:
            today = day(event.ts_ingress)
            yield f"-- {today} UTC"
        time, event_id, event_type = clock_time(event.ts_ingress), event.event_id, type_name(event)
        if width is not None and width < _WIDE:  # what happened matters more than the number and straight columns
            head = f"{time} {event_id:<11} {event_type:<15}"
        else:
            head = f"{time} {event.seq:>7} {event_id:<14} {event_type:<22}"
        yield cut(f"{head} {describe_event(event)}".rstrip(), width)


def _why_nothing(folder: Path, patterns: Iterable[str], symbol: str | None) -> Iterator[str]:
    """Explain an empty list: perhaps a type or a symbol is misspelt."""
    from tickdeck.infrastructure.runs import read_manifest
    from tickdeck.infrastructure.tape.opening import is_tape

    yield "no event matches"
    yield from _unknown_types(patterns)
    if is_tape(folder):
        return
    symbols = read_manifest(folder).symbols
    if symbol is not None and symbol not in symbols:
        yield f"the run has no symbol {symbol!r}; it has {', '.join(symbols)}"


def _unknown_types(patterns: Iterable[str]) -> Iterator[str]:
    from tickdeck.domain.events import event_types

    for pattern in patterns:
        if "," in pattern:
            yield f"there is no event type {pattern!r}; repeat --type for each type"
        elif not any(fnmatchcase(name, pattern) for name in event_types()):
            near = get_close_matches(pattern, event_types(), 1)
            groups = ", ".join(sorted({f"{name.partition('.')[0]}.*" for name in event_types()}))
            yield f"there is no event type {pattern!r}; " + (f"did you mean {near[0]!r}?" if near else f"try {groups}")
