"""``tickdeck replay``."""

from __future__ import annotations

import asyncio
import selectors
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from tickdeck.application.units import clock_time, day
from tickdeck.application.wording import counted
from tickdeck.interfaces.cli.commands.run import speed_value
from tickdeck.interfaces.cli.describing import describe_event
from tickdeck.interfaces.cli.exits import DONE
from tickdeck.interfaces.cli.options import (
    data_option,
    import_option,
    json_option,
    may_match_market,
    recorded_place,
    run_argument,
    time_value,
)
from tickdeck.interfaces.cli.output import cut, event_fields, note

if TYPE_CHECKING:
    from tickdeck.application.replay import Replayer
    from tickdeck.domain.events import DomainEvent

__all__ = ["replay"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _speed(text: str) -> float:
    return speed_value("max" if text == "0" else text)


@click.command()
@run_argument
@click.option("--speed", type=_speed, metavar="X|max", default="1", show_default=True, help="Times real time, or max.")
@click.option("--from", "first_ts", type=time_value, metavar="T", help="Start at this time: ISO 8601 or ns.")
@click.option("--to", "last_ts", type=time_value, metavar="T", help="Up to this time, inclusive.")
@click.option(
    "--type", "types", multiple=True, metavar="GLOB", help="Only these types: order.filled, order.*. Repeatable."
)
@click.option("--symbol", "symbols", multiple=True, metavar="S", help="Only events of this symbol. Repeatable.")
@click.option(
    "--exchange", "exchanges", multiple=True, metavar="E", help="Only events of this source: binance. Repeatable."
)
@import_option
@data_option
@json_option("One JSON object per event")
def replay(
    run: str,
    speed: float,
    first_ts: int | None,
    last_ts: int | None,
    types: tuple[str, ...],
    symbols: tuple[str, ...],
    exchanges: tuple[str, ...],
    data: Path,
    as_json: bool,
) -> int:
    """Play back the events of RUN in real time, including those of its input files.

    On a terminal you control it with keys: space pauses, up and down change the speed, left and right seek, ? shows all
    keys, q quits. It pauses at its end, unless you start it at full speed. Times are when the run received an event
    (ts_ingress). The last line on stderr says how late events were. RUN is a run's id, a path to its folder, a path to
    a tape (for example of a bus), or `last`.

    \b
    Examples:
      tickdeck replay last
      tickdeck replay last --speed 10 --type 'order.*' --type strategy.decision
      tickdeck replay last --from 2024-08-08T23:55:00Z --symbol BTCUSDT --speed max --json
    """
    from tickdeck.interfaces.cli.deck import Deck, deck_possible

    folder = recorded_place(data, run, market=may_match_market(types))
    replayer = _replayer(folder, types, symbols)
    events = replayer.replay(first_ts, last_ts, speed, types, symbols, exchanges)
    lines = _json if as_json else _Told(replayer)
    stopped_by: list[signal.Signals] = []

    async def work() -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None

        def stop(number: signal.Signals) -> None:
            stopped_by.append(number)
            task.cancel()

        for number in _SIGNALS:
            loop.add_signal_handler(number, stop, number)
        async with aclosing(events):
            if deck_possible():
                start, end = _bounds(folder, first_ts, last_ts)
                replayer.pause_at_end = speed != float("inf")
                await Deck(replayer, start, end, lines, task.cancel).play(events)
            else:
                await _print(events, replayer, lines)

    began = time.perf_counter()
    with asyncio.Runner(loop_factory=_precise_loop) as runner, suppress(asyncio.CancelledError):
        runner.run(work())  # cancelled by a signal or by the quit key
    _tell(replayer, time.perf_counter() - began, folder)
    return 128 + stopped_by[0] if stopped_by else DONE


def _replayer(folder: Path, types: tuple[str, ...], symbols: tuple[str, ...]) -> Replayer:
    """A replayer of the run in ``folder``. It uses the tape's indexes to read only the selected events.

    If events of input files are selected too, every pass reads everything from the start, also after a seek backwards.
    """
    from tickdeck.application.bus import takes_market_data
    from tickdeck.application.ports import TapeQuery
    from tickdeck.application.replay import Replayer
    from tickdeck.bootstrap import open_record
    from tickdeck.infrastructure.clock import SystemClock
    from tickdeck.infrastructure.runs import read_manifest
    from tickdeck.infrastructure.tape.opening import is_tape

    if not is_tape(folder) and read_manifest(folder).market_is_elsewhere and takes_market_data(types):
        return Replayer(lambda: open_record(folder), SystemClock())
    query = TapeQuery(types=types, symbol=symbols[0] if len(symbols) == 1 else None)
    return Replayer(
        lambda: open_record(folder, query),
        SystemClock(),
        record_from=lambda ts: open_record(folder, msgspec.structs.replace(query, first_ts=ts)),
    )


def _bounds(folder: Path, first_ts: int | None, last_ts: int | None) -> tuple[int, int]:
    """The first and last time (ns) of the run in ``folder``, or of the selected part."""
    from tickdeck.application.ports import TapeQuery
    from tickdeck.infrastructure.tape.opening import open_reader, tape_path

    with open_reader(tape_path(folder)) as tape:
        (first,) = tape.read(TapeQuery(limit=1))
        (last,) = tape.read(TapeQuery(first_seq=tape.last_seq, limit=1))
    start = first.ts_ingress if first_ts is None else first_ts
    end = last.ts_ingress if last_ts is None else min(last_ts, last.ts_ingress)
    return start, max(start, end)


async def _print(
    events: AsyncIterator[DomainEvent], replayer: Replayer, lines: Callable[[DomainEvent, int | None], list[str]]
) -> None:
    out = sys.stdout.buffer
    async for event in events:
        for line in lines(event, None):
            out.write(line.encode(errors="replace") + b"\n")
        if replayer.speed != float("inf"):
            out.flush()
    out.flush()


def _json(event: DomainEvent, width: int | None) -> list[str]:
    return [msgspec.json.encode(event_fields(event)).decode()]


class _Told:
    """Lines for people, with a heading line per day, and a line where a seek moved."""

    def __init__(self, replayer: Replayer) -> None:
        self._replayer = replayer
        self._day = ""
        self._seeks = 0

    def __call__(self, event: DomainEvent, width: int | None) -> list[str]:
        from tickdeck.application.bus import type_name

        lines = []
        seeks = self._replayer.statistics().seeks
        if day(event.ts_ingress) != self._day or seeks != self._seeks:
            self._day, self._seeks = day(event.ts_ingress), seeks
            lines.append(f"-- {self._day} UTC")
        head = f"{clock_time(event.ts_ingress)} {event.event_id:<8} {type_name(event):<17}"
        return [*lines, cut(f"{head} {describe_event(event)}".rstrip(), width)]


def _tell(replayer: Replayer, wall_s: float, folder: Path) -> None:
    """Report on stderr what was played and how late it was."""
    played = replayer.statistics().played
    if not played:
        note(f"run {folder.name} has no such event; `tickdeck events {folder.name}` lists what it has")
        return
    text = f"played {counted(played, 'event')} in {wall_s:,.2f} s"
    late = sorted(replayer.lags_ns)
    if late:
        text += f"; ms late: p50 {_ms(late, 0.5)}, p99 {_ms(late, 0.99)}, max {_ms(late, 1)}"
    note(text)


def _ms(sorted_ns: Sequence[int], part: float) -> str:
    return f"{sorted_ns[min(int(len(sorted_ns) * part), len(sorted_ns) - 1)] / 1e6:,.2f}"


def _precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop with timers accurate to a tenth of a millisecond: ``select`` waits in microseconds, whereas
    ``epoll`` and uvloop only know whole milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())
