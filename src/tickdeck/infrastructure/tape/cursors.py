"""The positions of a bus's async handlers: one small file next to its tape.

The file is synced and then replaced as a whole. It never records more than the tape holds durably. If it is older than
what the handlers did, they receive some events again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = ["CursorFile", "cursor_path"]

_log = logging.getLogger(__name__)


_PAUSE_S = 0.05
"""The shortest time between two writes. An older file only means that some events are handled twice after a crash, and
the tape's thread has commits to do."""


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    format: Literal["tickdeck-cursors"]
    version: Literal[1]
    cursors: dict[str, int]


class _Pending(msgspec.Struct):
    """A handler has handled everything up to ``seq``. That counts once the tape is durable up to ``after``."""

    seq: int
    after: int


def cursor_path(tape: Path) -> Path:
    """The file of the cursors: in the folder of a JSON Lines tape, next to an SQLite tape."""
    return tape / "edges.cursors" if tape.is_dir() else tape.with_name(tape.name + ".cursors")


class CursorFile:
    """The cursors of the tape ``tape``, whose events end at ``last_seq``.

    The bus's thread moves cursors. The tape's thread writes the file, after the events; ``wake()`` tells it that there
    is something to write. Raises ``TapeError`` if the file cannot be read.
    """

    def __init__(self, tape: Path, last_seq: int, wake: Callable[[], None]) -> None:
        self._path = cursor_path(tape)
        self._last_seq = last_seq
        self._wake = wake
        self._lock = threading.Lock()  # guards the fields below; held briefly
        self._write_lock = threading.Lock()  # only one thread writes the file at a time
        self._moves: dict[str, list[_Pending]] = {}  # at most two per name: the next one that can count, and the newest
        self._cursors = {name: min(seq, last_seq) for name, seq in self._load().items()}
        self._changed = False  # since it was written
        self._failed = False  # the last write did
        self._written_at = -_PAUSE_S

    def _load(self) -> dict[str, int]:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=_Content).cursors
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise TapeError(f"{self._path}: cannot be read: {error.strerror}; check its permissions") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise TapeError(
                f"{self._path}: not a file of cursors ({error}); restore it, or remove it: edges with a name then "
                "start with new events"
            ) from error

    def lowest(self) -> int | None:
        """The position of the handler that is furthest behind; ``None`` without any."""
        with self._lock:
            return min(self._cursors.values(), default=None)

    # -- the port, for the bus's thread -------------------------------------------------------------------------------

    def start(self, name: str, now: int) -> int:
        with self._lock:
            waiting = self._moves.get(name)
            if waiting:
                return waiting[-1].seq
            if name in self._cursors:
                return self._cursors[name]
            seq = self._cursors[name] = max(now, self._last_seq)
            self._changed = True
        if not self._write():
            raise TapeError(f"{self._path}: cannot be written, so edge {name!r} cannot start; check the disk")
        return seq

    def advance(self, name: str, seq: int, after: int) -> None:
        with self._lock:
            waiting = self._moves.setdefault(name, [])
            if seq <= (waiting[-1].seq if waiting else self._cursors.get(name, -1)):
                return
            move = _Pending(seq, after)
            if len(waiting) == 2:
                waiting[1] = move
            else:
                waiting.append(move)
        self._wake()

    # -- for the tape's thread ----------------------------------------------------------------------------------------

    def due_in(self, durable_seq: int) -> float | None:
        """Seconds until the file must be written, given that the tape is durable up to ``durable_seq``; ``None`` if
        there is nothing to write."""
        moves = list(self._moves.values())  # no lock: if this misses a move, the thread is woken again
        if not any(waiting and waiting[0].after <= durable_seq for waiting in moves):
            return None
        return max(0.0, self._written_at + _PAUSE_S - time.monotonic())

    def write(self, durable_seq: int) -> None:
        """Move the cursors as far as ``durable_seq`` allows, and write the file if one moved."""
        with self._lock:
            for name, waiting in self._moves.items():
                while waiting and waiting[0].after <= durable_seq:
                    self._cursors[name] = waiting.pop(0).seq
                    self._changed = True
            if not self._changed:
                return
        self._write()

    def _write(self) -> bool:
        with self._write_lock:
            with self._lock:
                content = _Content("tickdeck-cursors", 1, dict(sorted(self._cursors.items())))
                self._changed = False
            try:
                replace_file(self._path, msgspec.json.encode(content) + b"\n", durable=True)
            except (OSError, TapeError) as error:
                with self._lock:
                    self._changed = True
                if not self._failed:
                    what = "edges may get events again after a restart"
                    _log.error("%s: cannot be written (%s); %s", self._path, error, what)
                self._failed = True
                return False
            finally:
                self._written_at = time.monotonic()
            self._failed = False
            return True
