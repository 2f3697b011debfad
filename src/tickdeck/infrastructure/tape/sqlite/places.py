"""Where events are on a tape: their ``seq`` by id, by time, by stream and by correlation, without reading it all."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.records import decode_head

__all__ = ["GREATEST", "Places", "clamp"]

_DIGITS = 19
"""A number with fewer digits fits in 64 bits."""
_LEAST, GREATEST = -(1 << 63), (1 << 63) - 1
"""The bounds of SQLite's integers."""


class Places:
    """Finds events of the tape at ``path`` by ``connection``, which it does not close."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    @property
    def last_seq(self) -> int:
        """``seq`` of the last event that is on the tape now, 0 if it is empty."""
        seq: int | None = self.one("SELECT max(seq) FROM events")
        return seq or 0

    def rows(self, statement: str, *parameters: object) -> list[Any]:
        """The rows of any SELECT. Raises ``TapeError``."""
        try:
            return self._connection.execute(statement, parameters).fetchall()
        except sqlite3.Error as error:
            raise tape_error(self._path, "read the tape", error) from error

    def one(self, statement: str, *parameters: object) -> Any:
        """The only value of a SELECT. Raises ``TapeError``."""
        return self.row(statement, *parameters)[0]

    def row(self, statement: str, *parameters: object) -> Any:
        """The first row of a SELECT, or ``None``. Raises ``TapeError``."""
        try:
            return self._connection.execute(statement, parameters).fetchone()
        except sqlite3.Error as error:
            raise tape_error(self._path, "read the tape", error) from error

    def version_at(self, stream: str, seq: int) -> int:
        """The version of the stream at ``seq``: versions increase with seq."""
        low, high = 0, self.one("SELECT max(stream_version) FROM events WHERE stream = ?", stream) or 0
        while low < high:
            middle = (low + high + 1) // 2
            found = self._connection.execute(
                "SELECT stream_version, seq FROM events WHERE stream = ? AND stream_version <= ? "
                "ORDER BY stream_version DESC LIMIT 1",
                (stream, middle),
            ).fetchone()
            if found is not None and found[1] > seq:
                high = found[0] - 1
            else:
                low = middle
        return low

    def seqs_between(self, first_ts: int | None, last_ts: int | None) -> tuple[int, int]:
        """The first and last seq with a time within the bounds; (1, 0) if there is none."""
        first, last = clamp(first_ts), clamp(last_ts)
        low = self.one(
            "SELECT min(seq) FROM events INDEXED BY events_by_time WHERE ts BETWEEN ? AND ?",
            _LEAST if first is None else first,
            GREATEST if last is None else last,
        )
        if low is None:
            return 1, 0
        if last is None:
            return low, GREATEST
        high = self.one(
            "SELECT max(seq) FROM events INDEXED BY events_by_time WHERE ts BETWEEN ? AND ?",
            _LEAST if first is None else first,
            last,
        )
        return low, high

    def correlation_root(self, correlation_id: str) -> int | None:
        """``seq`` of the market data that starts a correlation. It has no entry in the index of correlations.

        The id of the n-th input is n, and the ids of derived events begin with that of their input. So these numbers
        never decrease along the tape, and bisection finds the event.
        """
        if not (correlation_id.isascii() and correlation_id.isdecimal() and len(correlation_id) < _DIGITS):
            return None
        wanted = int(correlation_id)
        low, high = wanted, self.last_seq  # the n-th input has seq n or higher
        while low <= high:
            middle = (low + high) // 2
            row = self.row("SELECT seq, payload FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", middle)
            seq, event_id = row[0], self._event_id(row)
            number = event_id.partition("-")[0]
            if not (number.isascii() and number.isdecimal()):
                return None  # not stamped by a kernel
            if event_id == correlation_id:
                return self._if_root(seq)
            if int(number) < wanted:
                low = seq + 1
            else:
                high = middle - 1
        return None

    def seq_of(self, event_id: str) -> int:
        """``seq`` of the event with this id. Uses the order of a kernel's ids if possible, else searches all events.
        Raises ``TapeError`` if there is none."""
        found: int | None
        number = event_id.partition("-")[0]
        if number.isascii() and number.isdecimal() and len(number) < _DIGITS:
            first = self._first_of_input(int(number))
            for row in self.rows("SELECT seq, payload FROM events WHERE seq >= ? ORDER BY seq LIMIT 1000", first):
                if self._event_id(row) == event_id:
                    found = row[0]
                    return found
        found = self.one("SELECT min(seq) FROM events WHERE json_extract(payload, '$.event_id') = ?", event_id)
        if found is None:
            raise TapeError(f"{self._path}: there is no event {event_id!r} on the tape; check the id")
        return found

    def _first_of_input(self, wanted: int) -> int:
        """``seq`` of the first event of input number ``wanted`` or later. Only correct if a kernel gave the ids."""
        low, high = 1, self.last_seq + 1
        while low < high:
            middle = (low + high) // 2
            row = self.row("SELECT seq, payload FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", middle)
            number = self._event_id(row).partition("-")[0]
            if number.isascii() and number.isdecimal() and len(number) < _DIGITS and int(number) < wanted:
                low = row[0] + 1
            else:
                high = middle
        return low

    def _if_root(self, seq: int) -> int | None:
        return None if self.one("SELECT correlation_id IS NOT NULL FROM events WHERE seq = ?", seq) else seq

    def _event_id(self, row: tuple[int, bytes]) -> str:
        try:
            return decode_head(row[1]).event_id
        except (msgspec.MsgspecError, TypeError, UnicodeDecodeError) as error:
            raise TapeError(f"{self._path}: event seq {row[0]} is damaged: {error}") from None


def clamp(bound: int | None) -> int | None:
    """Limit a bound to 64 bits, the size of SQLite's integers. No event is outside."""
    return None if bound is None else min(max(bound, _LEAST), GREATEST)
