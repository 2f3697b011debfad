"""The trade journal in a SQLite file that is kept while events are recorded, and that any tool can read."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from tickdeck.application.bus import EventBus
from tickdeck.application.clock import WallClock
from tickdeck.application.log import bound_logger
from tickdeck.application.results import TradeJournal
from tickdeck.domain.events import DomainEvent
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import TRADE_EVENTS
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exporting.trades import create_trades, holds_trades, insert_trades, trade_row

__all__ = ["TradeFile"]

_LOGGER = "tickdeck.trades"
_EVERY = 0.2  # seconds between two looks at whether there is something to write
_LOCKED = 0.5  # seconds to wait for another program that has locked the file
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class TradeFile:
    """Keeps the SQLite file ``path`` as the trade journal of a tape. ``read(seq)`` reads the journal's events after
    ``seq`` in order, and only durable ones. ``instrument(symbol)`` is as for ``TradeJournal``.

    The rows and the position on the tape up to which they go are written in one transaction. Each process reads the
    tape from its start once and writes the whole file, so no trade is missing or twice, whatever happened to the one
    before or to the file. Afterwards only what is new is read and written. A damaged file is put aside and written
    again.

    No failure of the file is raised: it is logged once, and what is missing is written later.
    """

    def __init__(
        self, path: Path, instrument: Callable[[str], Instrument], read: Callable[[int], Iterable[DomainEvent]]
    ) -> None:
        self.path = path
        self._instrument = instrument
        self._read = read
        self._lock = threading.Lock()  # one thread writes at a time
        self._wanted = 0  # the newest event that may change a trade
        self._failing = False
        self._begin()

    def _begin(self) -> None:
        """Forget everything: the next ``catch_up`` reads the tape from its start."""
        self._journal = TradeJournal(self._instrument)
        self._ended = 0  # how many trades of the file have ended
        self._seq = 0  # of the last event that was read
        self._written: int | None = None  # that of the file
        self._unsaved = True

    def follow(self, bus: EventBus) -> None:
        """Hear from ``bus`` when there is something to read from its tape. That is all that happens within the bus."""
        for event_class in TRADE_EVENTS:
            bus.subscribe(event_class, self._note, name="trade file", priority=-100, component="report")

    def _note(self, event: DomainEvent) -> None:
        self._wanted = max(self._wanted, event.seq)

    async def keep(self, clock: WallClock) -> None:
        """Keep the file, in another thread, until this is cancelled. Call ``follow`` before."""
        while True:
            if self._unsaved or self._wanted > self._seq:
                await asyncio.to_thread(self.catch_up)
            await clock.sleep(_EVERY)

    def catch_up(self) -> bool:
        """Write what the tape has and the file has not. Returns whether that worked; it never raises."""
        with self._lock:
            for _ in range(2):  # a file that is not as we left it is written again as a whole
                try:
                    self._take()
                except Exception as error:  # noqa: BLE001 (nothing about this file may harm what is recorded)
                    self._begin()  # the journal may know half of an event
                    return self._failed(error)
                try:
                    if not self._unsaved or self._write():
                        return self._succeeded()
                    self._warn("it is not as it was left, so it is rebuilt from the tape")
                except (sqlite3.Error, OSError, ConfigError) as error:
                    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED or not self._put_aside(error):
                        return self._failed(error)
                self._begin()
            return self._failed("another program writes it, too")

    def _take(self) -> None:
        for event in self._read(self._seq):
            self._journal.apply(event)
            self._seq = event.seq
            self._unsaved = True

    def _write(self) -> bool:
        """Write the trades that have ended since the last time, and all open ones. Returns False if the file is not
        the one that was written last."""
        if self._written is not None and not self.path.exists():
            return False
        ended = self._journal.closed
        with closing(sqlite3.connect(self.path, timeout=_LOCKED, isolation_level=None)) as database:
            database.execute("BEGIN IMMEDIATE")
            if self._written is None:
                create_trades(database)
                database.execute("DROP TABLE IF EXISTS position")
                database.execute("CREATE TABLE position (seq INTEGER)")
            elif not holds_trades(database) or self._position(database) != self._written:
                return False
            database.execute("DELETE FROM trades WHERE id > ?", (self._ended,))
            insert_trades(database, map(trade_row, (*ended, *self._journal.open())), after=self._ended)
            database.execute("DELETE FROM position")
            database.execute("INSERT INTO position VALUES (?)", (self._seq,))
            database.execute("COMMIT")
        self._ended += len(ended)
        ended.clear()
        self._written, self._unsaved = self._seq, False
        return True

    def _position(self, database: sqlite3.Connection) -> int | None:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'position'").fetchone():
            return None
        row = database.execute("SELECT seq FROM position").fetchone()
        return None if row is None else int(row[0])

    def _put_aside(self, error: Exception) -> bool:
        aside = self.path.with_name(f"{self.path.name}.damaged")
        try:
            self.path.replace(aside)
            self.path.with_name(f"{self.path.name}-journal").unlink(missing_ok=True)  # it belongs to that file
        except OSError:
            return False
        self._warn(f"{error}, so it is rebuilt from the tape; the damaged file is {aside.name}")
        return True

    def _failed(self, error: object) -> bool:
        if not self._failing:
            self._warn(f"the trades cannot be written ({error}); they are written later")
        self._failing = True
        return False

    def _succeeded(self) -> bool:
        if self._failing:
            bound_logger(_LOGGER).info(f"{self.path}: the trades are complete again")
        self._failing = False
        return True

    def _warn(self, text: str) -> None:
        bound_logger(_LOGGER).warning(f"{self.path}: {text}")
