"""The common part of both tapes on disk: cascades wait in memory and are committed in groups, with one sync each.

A caller that waits for durability commits the waiting group itself, without a change of threads. If nobody waits, a
thread commits after ``linger_ms``.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from decimal import getcontext
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, NoReturn, Self

from tickdeck.application.arguments import check_stream, check_whole
from tickdeck.application.ports import Snapshot, TapeQuery, TapeStatistics, check_snapshot, is_saved
from tickdeck.domain.events import DomainEvent, plain_digits
from tickdeck.errors import ConcurrencyError, TapeError
from tickdeck.infrastructure.tape import process
from tickdeck.infrastructure.tape.cursors import CursorFile
from tickdeck.infrastructure.tape.encoding import EventEncoder
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.lock import WriterLock
from tickdeck.infrastructure.tape.reading import Reading
from tickdeck.infrastructure.tape.records import Record
from tickdeck.infrastructure.tape.stamping import check_events, stamped

__all__ = ["GroupCommitTape"]

_Waiter = tuple[int, asyncio.AbstractEventLoop, "asyncio.Future[None]"]


class _Group(NamedTuple):
    """Events that are committed together. ``appended``: the events since opening, up to and including this group.
    ``since``: when the first of them was appended (s, monotonic)."""

    values: list[Any]
    last_seq: int
    appended: int
    since: float


class GroupCommitTape(Reading):
    """A tape that one process writes. It implements the whole port, except for the files.

    ``linger_ms``: how long events may wait for others before they are committed, if nobody asks for them sooner.
    ``max_waiting``: ``append`` blocks while this many events are not durable yet; no event is dropped. The default
    holds a third of a second at 100,000 events a second, so a short stall of the disk (such as a checkpoint) does not
    stop the kernel.

    Only one thread, the kernel's, may call ``append``; any thread may call the other methods. After a failed write
    (disk full, I/O error) the tape accepts no more events: ``append`` and waiting raise ``TapeError``, and what was
    durable stays readable.

    A subclass opens its files, then calls ``_start``.
    """

    keeps_events: ClassVar[bool] = True
    """Durable events can be read back, also by later processes."""
    group: ClassVar[int]
    """This many waiting events are committed without lingering."""

    _encoder: EventEncoder[Any]

    def __init__(self, path: Path, lock: WriterLock, *, linger_ms: float, max_waiting: int) -> None:
        self._path = path
        self._writer_lock = lock
        self._linger_s = linger_ms / 1000
        self._max_waiting = max_waiting
        self._last_seq = self._durable_seq = 0
        self._appended = self._durable = self._commits = self._repaired = 0
        self._values: list[Any] = []  # of the waiting events
        self._since = 0.0  # s, monotonic: when the first of them was appended
        self._group: _Group | None = None  # the group that is being committed
        self._failure = ""
        self._closed = False  # accepts no more events
        self._released = False  # the files are closed
        self._accepts_events = True  # not failed and not closed
        self._urgent = False  # commit now, do not linger
        self._idle = False  # the thread sleeps until there is work
        self._waiters: list[_Waiter] = []
        self._stamping = threading.Lock()  # held while unstamped events are stamped and appended
        self._last_stamped: DomainEvent | None = None
        self._lock = threading.Lock()  # guards the fields above; held briefly
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._commit_lock = threading.Lock()  # guards the files; held while a group is committed
        self.before_commit: Callable[[], None] = _no_op
        """Called before each commit, in the committing thread. It writes the data that the events refer to. If it
        raises, the commit fails."""
        self._thread = threading.Thread(target=self._commit_when_due, name=f"tape {path.name}", daemon=True)

    def _start(self, last_seq: int) -> None:
        """Begin to accept events. ``last_seq`` is that of the last event on the disk."""
        self._last_seq = self._durable_seq = last_seq
        try:
            self.cursors = CursorFile(self._path, last_seq, wake=self._wake_for_cursors)
            """The positions of the async handlers of the tape's bus."""
        except BaseException:
            self._close_files()
            self._writer_lock.release()
            raise
        self._thread.start()
        process.watch(self)

    # -- the port -------------------------------------------------------------------------------------------------

    @property
    def last_seq(self) -> int:
        return self._last_seq

    @property
    def durable_seq(self) -> int:
        return self._durable_seq

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> Sequence[DomainEvent]:
        if not events:
            check_events(events)
            return events
        try:
            stamped_by_kernel = events[-1].seq
        except (TypeError, AttributeError, LookupError):
            check_events(events)
            raise
        if type(stamped_by_kernel) is not int:
            check_events(events)
        if not stamped_by_kernel:
            return self._append_unstamped(events, expected_version, expected)
        with self._lock:
            if not self._accepts_events:
                self._refuse()
            if self._appended - self._durable >= self._max_waiting:
                self._wait_for_room()
            if getcontext().capitals == 1:  # always in a kernel's cascade
                values = self._encoder.encode(events, self._last_seq, expected_version, expected)
            else:
                with plain_digits():
                    values = self._encoder.encode(events, self._last_seq, expected_version, expected)
            last_seq, count = events[-1].seq, len(events)
            if not self._values:
                self._since = time.monotonic()
            # There is no call in these three lines, so Ctrl-C cannot come between them.
            self._values += values
            self._last_seq = last_seq
            self._appended += count
            if self._appended - self._durable >= self.group:
                if not self._urgent:
                    self._commit_soon()
            elif self._idle:
                self._work.notify()
        return events

    def _append_unstamped(
        self, events: Sequence[DomainEvent], expected_version: int | None, expected: Mapping[str, int] | None
    ) -> Sequence[DomainEvent]:
        """Stamp events that no kernel stamped, and append them. Any thread may call this."""
        check_events(events)
        with self._stamping:
            last = self._last_stamped
            if last is None or last.seq != self._last_seq:
                self.wait_durable(self._last_seq)
                last = next(self._events(TapeQuery(first_seq=self._last_seq)), None) if self._last_seq else None
            events = stamped(events, last, time.time_ns())
            self.append(events, expected_version, expected=expected)
            self._last_stamped = events[-1]
            return events

    def append_records(self, records: Sequence[Record]) -> None:
        """Append a cascade as another tape stored it, including types that this process does not know. Raises the
        errors of ``append``."""
        with self._lock:
            if not self._accepts_events:
                self._refuse()
            self._wait_for_room()
            values, last_seq = self._encoder.encode_records(records, self._last_seq)
            if not self._values:
                self._since = time.monotonic()
            self._values += values
            self._last_seq = last_seq
            self._appended += len(records)
            self._commit_soon()

    def wait_durable(self, seq: int) -> None:
        check_whole("wait_durable", "seq", seq)
        seq = min(seq, self._last_seq)  # a hole after the last event has nothing to wait for
        while self._durable_seq < seq:
            with self._commit_lock:
                if self._durable_seq < seq:
                    self._commit_waiting()
            if self._failure and self._durable_seq < seq:
                raise TapeError(self._failure)

    async def wait_durable_async(self, seq: int) -> None:
        seq = min(seq, self._last_seq)
        if self._durable_seq >= seq:
            return
        with self._lock:
            if self._durable_seq >= seq:
                return
            if self._failure:
                raise TapeError(self._failure)
            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()
            self._waiters.append((seq, loop, future))
            self._commit_soon()
        await future

    def _prepare(self, query: TapeQuery) -> None:
        """Commit the events that the query may ask for, so that a writer can read its own events."""
        upto = self._last_seq if query.last_seq is None else min(query.last_seq, self._last_seq)
        if query.stream is not None:  # events of other streams can wait for their group
            with self._lock:
                upto = min(upto, self._encoder.versions.last_seq(query.stream))
        if self._durable_seq < upto:
            with contextlib.suppress(TapeError):  # append reports the error; durable events stay readable
                self.wait_durable(upto)

    @property
    def _readable_seq(self) -> int:
        return self._durable_seq

    @property
    def _ended(self) -> bool:
        return self._closed or bool(self._failure)

    def stream_version(self, stream: str) -> int:
        check_stream("stream_version", stream)
        with self._lock:
            return self._encoder.versions.last(stream)

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None:
        check_snapshot(stream, version, state)
        with self._lock:
            if not self._accepts_events:
                self._refuse()
            known, last_seq = self._encoder.versions.last(stream), self._last_seq
        if not 0 <= version <= known:
            raise ConcurrencyError(
                f"{self._path}: a snapshot of stream {stream!r} at version {version}, but the stream has {known} events"
            )
        self.wait_durable(last_seq)  # the events behind the state come first
        with self._commit_lock:
            if not self._accepts_events:
                self._refuse()
            snapshot, found = Snapshot(version, state), None
            with contextlib.suppress(TapeError):  # a damaged snapshot is replaced
                found = self.load_snapshot(stream, version)
            if is_saved(stream, snapshot, found):
                return
            try:
                self._write_snapshot(stream, snapshot)
            except Exception as error:
                raise tape_error(self._path, f"write a snapshot of {stream!r}", error) from error

    @abstractmethod
    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """See ``Tape.load_snapshot``."""

    def statistics(self) -> TapeStatistics:
        with self._lock:
            waiting = self._appended - self._durable
            since = self._group.since if self._group is not None else self._since
            return TapeStatistics(
                appended=self._appended,
                durable=self._durable,
                commits=self._commits,
                waiting=waiting,
                waiting_seconds=time.monotonic() - since if waiting else 0.0,
                repaired=self._repaired,
                failure=self._failure,
            )

    def close(self) -> None:
        """Make everything durable and close the files. You may close a tape twice.

        Raises ``TapeError`` if a failed write lost events. The files are closed in any case.
        """
        with self._lock:
            if self._released:
                return
            self._closed = True
            self._accepts_events = False
            self._work.notify()
            self._room.notify_all()
        self._thread.join()  # if Ctrl-C interrupts this, call close again
        with self._commit_lock:
            self._commit_waiting()
            self.cursors.write(self._durable_seq)
            self._close_files()
        self._released = True
        self._writer_lock.release()
        if self._durable < self._appended:
            raise TapeError(self._failure)

    def leave_to_parent(self) -> None:
        """Called in a child that was forked from the writer. The child writes nothing, and releases the writer's lock
        and the waiting events.

        The parent's thread may have held any lock at the fork, so the child gets new locks.
        """
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._commit_lock = threading.Lock()
        self._accepts_events = False
        self._closed = self._released = True
        self._values, self._group, self._waiters = [], None, []
        self._failure = f"{self._path}: this process is a fork of the one that writes the tape; open another tape"
        self._writer_lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- for subclasses; ``_commit_lock`` is held -------------------------------------------------------------------

    @abstractmethod
    def _write(self, values: list[Any], last_seq: int) -> None:
        """Write a group to the disk. It is synced when this returns, and removed when this raises."""

    @abstractmethod
    def _has_written(self, last_seq: int) -> bool:
        """True if a ``_write`` that Ctrl-C interrupted had written its group to the disk."""

    @abstractmethod
    def _write_snapshot(self, stream: str, snapshot: Snapshot) -> None:
        """Write a snapshot to the disk."""

    @abstractmethod
    def _close_files(self) -> None:
        """Close the files."""

    def _after_commit(self) -> None:
        """Maintain the files after a commit. Nobody waits for this; it must not raise."""

    def _forget_streams(self, durable_seq: int) -> None:
        """Remove stream versions from memory that can be read from the disk. ``_lock`` is held."""

    # -- committing -----------------------------------------------------------------------------------------------

    def _commit_when_due(self) -> None:
        """The thread's loop: wait for events, linger so that more can join them, commit."""
        while True:
            with self._lock:
                while not (self._values or self._urgent or self._closed or self.cursors.due_in(self._durable_seq) == 0):
                    self._idle = True
                    self._work.wait(self.cursors.due_in(self._durable_seq))
                    self._idle = False
                if not (self._urgent or self._closed):
                    self._work.wait_for(lambda: self._urgent or self._closed, self._linger_s)
                if self._closed:
                    return
                self._urgent = False
            with self._commit_lock:
                self._commit_waiting()
            if self.cursors.due_in(self._durable_seq) == 0:
                self.cursors.write(self._durable_seq)

    def _wake_for_cursors(self) -> None:
        with self._lock:
            self._work.notify()

    def _commit_soon(self) -> None:
        """Make the thread commit now. ``_lock`` is held."""
        self._urgent = True
        self._work.notify()

    def _commit_waiting(self) -> None:
        """Commit all waiting events as one group. ``_commit_lock`` is held. A failure is stored for the waiting
        callers."""
        with self._lock:
            if self._failure or not (self._values or self._group):
                return
            group = self._group
            interrupted = group is not None  # by Ctrl-C, perhaps after the commit
            if group is None:
                group = _Group(self._values, self._last_seq, self._appended, self._since)
                self._group, self._values = group, []
        failure = ""
        try:
            if not (interrupted and self._has_written(group.last_seq)):
                self.before_commit()
                self._write(group.values, group.last_seq)
        except Exception as error:  # noqa: BLE001 whatever it was, the group is not on disk, and the waiting callers must know
            failure = str(tape_error(self._path, f"write the tape after seq {self._durable_seq}", error))
        with self._lock:
            if failure:
                self._failure = failure
                self._accepts_events = False
                woken, self._waiters = self._waiters, []
            else:
                self._durable_seq, self._durable = group.last_seq, group.appended
                self._commits += 1
                woken = [waiter for waiter in self._waiters if waiter[0] <= group.last_seq]
                if woken:
                    self._waiters = [waiter for waiter in self._waiters if waiter[0] > group.last_seq]
                self._forget_streams(group.last_seq)
            self._group = None
            self._room.notify_all()
        _wake(woken, failure)
        if not failure:
            self._after_commit()

    def _wait_for_room(self) -> None:
        """Wait until fewer events are pending. ``_lock`` is held, except while this waits."""
        while self._appended - self._durable >= self._max_waiting:
            self._commit_soon()
            self._room.wait()
            if not self._accepts_events:
                self._refuse()

    def _refuse(self) -> NoReturn:
        raise TapeError(self._failure or f"{self._path}: the tape is closed; open it again to append")


def _wake(waiters: list[_Waiter], failure: str) -> None:
    """Report the result of the write to the waiting coroutines, each in its own event loop."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for _, loop, future in waiters:
        by_loop.setdefault(loop, []).append(future)
    for loop, futures in by_loop.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits in it
            loop.call_soon_threadsafe(_settle, futures, failure)


def _settle(futures: list[asyncio.Future[None]], failure: str) -> None:
    for future in futures:
        if future.done():
            continue  # cancelled
        if failure:
            future.set_exception(TapeError(failure))
        else:
            future.set_result(None)


def _no_op() -> None:
    """The default of ``before_commit``, for events that refer to no other data."""
