"""The tape: appending in groups, appending one event at a time, and reading."""

from __future__ import annotations

import itertools
import shutil
import sqlite3
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, OrderSubmittedEvent, TradeEvent, event_class
from tickdeck.domain.values import Side
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader, NullTape, SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.encoding import StreamVersions
from tickdeck.infrastructure.tape.jsonl import split_event
from tickdeck.infrastructure.tape.sqlite import COLUMNS, RowEncoder, open_for_reading, open_for_writing
from tickdeck.infrastructure.tape.sync import sync_content
from tickdeck.interfaces.bench.samples import SYMBOL, trades
from tickdeck.interfaces.bench.session import Figures, Session, rate

__all__ = [
    "Folders",
    "bare_commits",
    "bare_units",
    "ready_rows",
    "tape_append",
    "tape_jsonl_append",
    "tape_jsonl_read",
    "tape_one",
    "tape_read",
]

_ORDER_EVERY = 10
_INSERT = f"INSERT INTO events VALUES ({', '.join('?' * COLUMNS)})"  # noqa: S608 a number of question marks


class _Collector(NullTape):
    """Collects a kernel's cascades, so that they can be appended to several tapes."""

    def __init__(self) -> None:
        super().__init__()
        self.cascades: list[Sequence[DomainEvent]] = []

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> None:
        self.cascades.append(events)


def cascades(count: int) -> list[Sequence[DomainEvent]]:
    """``count`` stamped events: trades; every tenth causes an order, with a stream and a correlation."""
    tape = _Collector()
    kernel = Kernel(tape=tape)

    def on_trade(trade: TradeEvent) -> None:
        if kernel.inputs % _ORDER_EVERY == 0:
            kernel.publish(
                OrderSubmittedEvent(
                    order_id=f"td{kernel.inputs:026d}",
                    symbol=SYMBOL,
                    account_id="main",
                    strategy_id="bench",
                    side=Side.BUY,
                    quantity=trade.quantity,
                )
            )

    kernel.subscribe(TradeEvent, on_trade)
    for trade in trades(count):
        if kernel.seq >= count:
            break
        kernel.feed(trade)
    return tape.cascades


def ready_rows(made: list[Sequence[DomainEvent]]) -> tuple[list[tuple[int, str, int]], list[tuple[Any, ...]]]:
    """The types and rows that a tape would store for these cascades."""
    with sqlite3.connect(":memory:") as memory:
        memory.execute("CREATE TABLE types (id, name, version)")
        encoder = RowEncoder(memory, StreamVersions(None))
        values: list[Any] = []
        for cascade in made:
            values += encoder.encode(cascade, 0)
    memory.close()
    return encoder.new_types, [tuple(values[at : at + COLUMNS]) for at in range(0, len(values), COLUMNS)]


class Folders:
    """A new folder for each repetition. The previous one is removed, so that the disk does not fill up."""

    def __init__(self, parent: str) -> None:
        self._parent = Path(parent)
        self._numbers = itertools.count()
        self._last: Path | None = None

    def fresh(self) -> Path:
        if self._last is not None:
            shutil.rmtree(self._last)
        self._last = self._parent / f"tape-{next(self._numbers)}"
        self._last.mkdir()
        return self._last


def _bare_tape(path: Path, types: list[tuple[int, str, int]]) -> sqlite3.Connection:
    connection = open_for_writing(path)
    connection.executemany("INSERT INTO types VALUES (?, ?, ?)", types)
    return connection


def tape_append(*, count: int, folder: str) -> Session:
    """Durable events per second; ``group`` is the mean size of the committed groups.

    The ceiling: prepared rows with ``executemany``, in transactions of the same size.
    """
    folders = Folders(folder)
    made = cascades(count)
    types, rows = ready_rows(made)

    def session() -> Figures:
        place = folders.fresh()
        tape = SqliteTape(place / "tape.db")

        def append() -> None:
            for cascade in made:
                tape.append(cascade)
            tape.wait_durable(made[-1][-1].seq)

        value = rate(len(rows), append)
        group = -(-len(rows) // tape.statistics().commits)
        tape.close()
        connection = _bare_tape(place / "bare.db", types)

        def bare() -> None:
            for at in range(0, len(rows), group):
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_INSERT, rows[at : at + group])
                connection.execute("COMMIT")

        ceiling = rate(len(rows), bare)
        connection.close()
        return {"value": value, "ceiling": ceiling, "group": group}

    return session


def tape_one(*, count: int, folder: str) -> Session:
    """Events per second if you wait for each to be durable. The ceiling is a bare commit of a prepared row."""
    folders = Folders(folder)
    made = cascades(count)
    types, rows = ready_rows(made)

    def session() -> Figures:
        place = folders.fresh()
        tape = SqliteTape(place / "tape.db")

        def append() -> None:
            for cascade in made:
                tape.append(cascade)
                tape.wait_durable(cascade[-1].seq)

        value = rate(len(made), append)
        tape.close()
        return {"value": value, "ceiling": bare_commits(place / "bare.db", types, rows[: len(made)])}

    return session


def bare_commits(path: Path, types: list[tuple[int, str, int]], rows: Sequence[tuple[Any, ...]]) -> float:
    """Bare commits per second, one prepared row after the other."""
    connection = _bare_tape(path, types)

    def bare() -> None:
        for row in rows:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(_INSERT, row)
            connection.execute("COMMIT")

    try:
        return rate(len(rows), bare)
    finally:
        connection.close()


def bare_units(path: Path, units: Sequence[Sequence[DomainEvent]]) -> float:
    """Microseconds of a bare commit of the prepared rows of one unit, with all its events: the median of ``units``."""
    types, rows = ready_rows(list(units))
    connection, took, at = _bare_tape(path, types), list[int](), 0
    try:
        for unit in units:
            part, at = rows[at : at + len(unit)], at + len(unit)
            began = time.perf_counter_ns()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_INSERT, part)
            connection.execute("COMMIT")
            took.append(time.perf_counter_ns() - began)
    finally:
        connection.close()
    return statistics.median(took) / 1e3


def tape_read(*, count: int, folder: str) -> Session:
    """Typed events per second. The ceiling is one SELECT and msgspec's decoders."""
    path = Path(folder) / "tape.db"
    made = cascades(count)
    with SqliteTape(path) as tape:
        for cascade in made:
            tape.append(cascade)
    total = sum(map(len, made))

    def read() -> int:
        with SqliteTapeReader(path) as reader:
            return sum(1 for _ in reader.read())

    def bare() -> int:
        connection = open_for_reading(path)
        decoders: dict[int, Callable[[bytes], Any]] = {}
        for type_id, name in connection.execute("SELECT id, name FROM types"):
            cls = event_class(name.decode())
            assert cls is not None
            decoders[type_id] = msgspec.json.Decoder(cls).decode
        found = 0
        for type_id, payload in connection.execute("SELECT type_id, payload FROM events ORDER BY seq"):
            decoders[type_id](payload)
            found += 1
        connection.close()
        return found

    def session() -> Figures:
        assert read() == bare() == total
        return {"value": rate(total, read), "ceiling": rate(total, bare)}

    return session


def _lines_of(tape: Path) -> list[bytes]:
    """The event lines of a JSON Lines tape."""
    with JsonlTapeReader(tape) as reader:
        return [line for _, group in reader.groups() for line in group.lines.splitlines(keepends=True)]


def tape_jsonl_append(*, count: int, folder: str) -> Session:
    """Durable events per second; ``group`` is the mean size of the committed groups.

    The ceiling: prepared lines, joined to groups of the same size, each with one write and one fdatasync.
    """
    folders = Folders(folder)
    made = cascades(count)
    total = sum(map(len, made))

    def session() -> Figures:
        place = folders.fresh()
        tape = JsonlTape(place / "tape")

        def append() -> None:
            for cascade in made:
                tape.append(cascade)
            tape.wait_durable(made[-1][-1].seq)

        value = rate(total, append)
        group = -(-total // tape.statistics().commits)
        tape.close()
        lines = _lines_of(place / "tape")
        with (place / "bare.jsonl").open("wb", buffering=0) as file:

            def bare() -> None:
                for at in range(0, len(lines), group):
                    file.write(b"".join(lines[at : at + group]))
                    sync_content(file.fileno())

            ceiling = rate(total, bare)
        return {"value": value, "ceiling": ceiling, "group": group}

    return session


def tape_jsonl_read(*, count: int, folder: str) -> Session:
    """Typed events per second. The ceiling is msgspec's decoders on payloads in memory."""
    path = Path(folder) / "tape"
    made = cascades(count)
    with JsonlTape(path) as tape:
        for cascade in made:
            tape.append(cascade)
    total = sum(map(len, made))
    decode = {type(event): msgspec.json.Decoder(type(event)).decode for cascade in made for event in cascade}
    events = [event for cascade in made for event in cascade]
    payloads = [split_event(line.rstrip())[-1] for line in _lines_of(path)]
    ready = [(decode[type(event)], payload) for event, payload in zip(events, payloads, strict=True)]

    def read() -> int:
        with JsonlTapeReader(path) as reader:
            return sum(1 for _ in reader.read())

    def bare() -> int:
        for decode_payload, payload in ready:
            decode_payload(payload)
        return len(ready)

    def session() -> Figures:
        assert read() == bare() == total
        return {"value": rate(total, read), "ceiling": rate(total, bare)}

    return session
