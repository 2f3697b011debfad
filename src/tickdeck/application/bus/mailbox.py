"""An async handler's mailbox: bounded, in order, and only delivering events that are on disk."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import Context
from operator import attrgetter
from types import CoroutineType
from typing import Any

import msgspec

from tickdeck.application.bus.cursor import Cursor
from tickdeck.application.bus.dead_letters import DeadLetter
from tickdeck.application.bus.handling import HANDLING, Handling
from tickdeck.application.bus.overflow import BufferFull, BufferStatistics, OverflowBuffer, OverflowPolicy
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.selection import type_name
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TapeError, TickdeckError

__all__ = ["Mailbox"]

Sleep = Callable[[float], Awaitable[None]]

_CANCELLATIONS = 3
"""How often a running handler may be cancelled from outside on one event before the event becomes a dead letter."""


class _Entry(msgspec.Struct, frozen=True):
    """``event`` waits until the tape is durable up to ``position``. ``letter``: a dead letter that is sent again."""

    event: DomainEvent
    position: int
    letter: DeadLetter | None


class Mailbox:
    """Events waiting for one async handler, which receives them one at a time, in order.

    An event is released to the handler when everything that was on the tape when it arrived is durable. This rule alone
    makes the mailbox an outbox. If the tape fails, nothing more is released, and ``drain`` raises the tape's error.
    Without a running event loop, events wait for one. If a loop is closed or cancels its tasks, the current event stays
    here, and the next loop begins with it.

    - ``overflow`` decides about events beyond ``capacity``. ``retry`` limits the calls for one event, with
      ``sleep(seconds)`` in between.
    - ``bus`` and ``context`` are those of the handler: its calls run in ``context``.
    - ``busy`` lists the mailboxes with work.
    - ``cursor`` remembers what the handler has handled, across processes; ``None`` for a handler without a name.
    """

    def __init__(
        self,
        *,
        capacity: int,
        overflow: OverflowPolicy,
        retry: Retry | None,
        sleep: Sleep,
        position: Callable[[], int],
        wait_durable: Callable[[int], Awaitable[None]],
        busy: dict[Mailbox, None],
        bus: object,
        context: Context,
    ) -> None:
        self._position = position
        self._wait_durable = wait_durable
        self._retry = retry or Retry(attempts=1)
        self._sleep = sleep
        self._waiting: OverflowBuffer[_Entry] = OverflowBuffer(capacity, overflow, event_of=attrgetter("event"))
        self._in_hand: _Entry | None = None  # taken out, but not finished
        self._cancellations = 0  # cancellations of the current event, from outside
        self._busy = busy
        self._bus = bus
        self._context = context
        self._handling: Handling | None = None
        self._worker: object | None = None  # identifies the working task, which another loop may replace
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done = 0  # events that were current and are finished
        self._progress: list[asyncio.Future[None]] = []  # of the tasks that wait for it
        self.retried = 0
        self.unhandled: Counter[str] = Counter()
        """Events, by type, that could not be handled because the weakly held handler no longer existed."""
        self.cursor: Cursor | None = None
        self.running_over = False
        """An event found no room, and there has been none since. This is published once, then only counted."""
        self.handler: Callable[[], Callable[[Any], Awaitable[Any]] | None] = lambda: None
        """Returns the async handler; ``None`` if it was held weakly and no longer exists."""
        self.failed: Callable[[DomainEvent, BaseException, int, DeadLetter | None], None] = _ignore
        """Called with each event on which the handler's last attempt raised."""
        self.letter_handled: Callable[[DeadLetter], None] = lambda letter: None
        self.letter_returned: Callable[[DeadLetter], None] = lambda letter: None
        """Called with a dead letter that was sent again and did not reach the handler."""
        self.wanted: Callable[[DomainEvent], bool] = lambda event: True
        """Whether an event read from the tape is for the handler."""
        self.refused: Callable[[DomainEvent], None] | None = None
        """Called with each event that found no room."""

    # -- putting events in ----------------------------------------------------------------------------------------

    def put(self, event: DomainEvent) -> None:
        """Raises ``BufferFull`` if there is no room and nothing may be dropped."""
        cursor = self.cursor
        if cursor is not None and not cursor.wants(event.seq):
            return  # handled before, or still to be read from the tape
        try:
            self._put(_Entry(event, self._position(), None))
        except BufferFull:
            if self.refused is not None:
                self.refused(event)
            elif cursor is not None:
                cursor.fall_behind(event.seq)
            raise
        self.running_over = False

    def check_room(self, letter: DeadLetter) -> None:
        """Raises ``TickdeckError`` if there is no room for a dead letter."""
        if self._waiting.full:
            raise TickdeckError(
                f"dead letter {letter.letter_id}: the mailbox of {letter.handler!r} is full; resend it later"
            )

    def put_letter(self, letter: DeadLetter) -> None:
        """Send a dead letter to the handler again. Raises the errors of ``check_room``."""
        self.check_room(letter)
        self._waiting.reopen()  # resending the letters of an overrun ends a ``Halt``
        self._put(_Entry(letter.event, self._position(), letter))

    def _put(self, entry: _Entry) -> None:
        lost = self._waiting.put(entry)
        if lost is not None:
            if lost.letter is not None:
                self.letter_returned(lost.letter)
            self._tell_progress()
        self._busy[self] = None
        self._wake()

    def begin(self) -> None:
        """Start reading what the tape still has for the handler."""
        if self._has_work:
            self._busy[self] = None
            self._wake()

    def end(self) -> None:
        """The subscription has ended: handle the events that are already waiting, but stop reading the tape."""
        if self.cursor is not None:
            self.cursor.stop_reading()
        if not self._has_work:
            self._busy.pop(self, None)
            self._tell_progress()

    def replace(self) -> None:
        """Another mailbox continues from the same cursor: leave the waiting events to it."""
        if self.cursor is not None:
            self.cursor = None
            while len(self._waiting):
                self._waiting.get()
                self._done += 1
            self.end()

    def checkpoint(self) -> None:
        """Move the cursor to the present, if no event is waiting."""
        if self.cursor is not None and not self._has_work:
            self.cursor.advance_to_present()

    # -- working --------------------------------------------------------------------------------------------------

    def leave(self) -> asyncio.Task[None] | None:
        """Called by the handler: see ``leave_mailbox``."""
        entry, task = self._in_hand, self._task
        if entry is None or entry.letter is not None or _running_task() is not task:
            return None
        if self._handling is not None:
            self._handling.over = True
        self._context = self._context.copy()  # the caller keeps the one in which it runs
        self._worker = self._task = None
        self._finish(entry, handled=True)
        if self._has_work:
            self._wake()
        return task

    @property
    def _has_work(self) -> bool:
        if self._in_hand is not None or len(self._waiting):
            return True
        return self.cursor is not None and self.cursor.behind

    def _wake(self) -> None:
        """Start a task in the running loop. Without a loop, events wait."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._worker is not None:
            if self._loop is loop:
                return
            if self._loop is not None and self._loop.is_running():
                return  # in another thread, which continues
            self._abandon()
        worker = self._worker = object()
        self._loop = loop
        self._task = loop.create_task(self._work(worker), context=self._context)

    def _abandon(self) -> None:
        """The working task's loop was closed or stopped: the running loop takes over."""
        if self._handling is not None:
            self._handling.over = True
        self._worker = None
        if self._task is not None and self._loop is not None and not self._loop.is_closed():
            self._task.cancel()

    async def _work(self, worker: object) -> None:
        self._task = task = asyncio.current_task()
        assert task is not None
        try:
            while self._worker is worker:
                entry = self._in_hand or self._next()
                if entry is None:
                    if self.cursor is None or not self.cursor.behind:
                        break
                    await self._read_on(self.cursor, worker)
                    continue
                await self._wait_durable(entry.position)
                if self._worker is worker:
                    await self._handle(entry, worker)
        except asyncio.CancelledError:
            if self._worker is worker and _others_go_on():
                asyncio.get_running_loop().call_soon(self._wake)
            raise
        except TapeError:  # ``drain`` raises it, and so does the next append: asyncio need not report it
            task.add_done_callback(_take_note)
            raise
        finally:
            if self._worker is worker:
                self._worker = None
                self._tell_progress()

    def _next(self) -> _Entry | None:
        """Make the oldest waiting event current."""
        if not len(self._waiting):
            return None
        self._in_hand = entry = self._waiting.get()
        self._cancellations = 0
        return entry

    async def _read_on(self, cursor: Cursor, worker: object) -> None:
        """Fill the empty mailbox from the tape."""
        await asyncio.sleep(0)  # leave a ``publish`` that may be running, and let others run
        upto = cursor.present()
        await self._wait_durable(self._position())
        if self._worker is not worker or self.cursor is not cursor or not cursor.behind:
            return
        self._waiting.reopen()
        for event in cursor.read_on(upto, self._waiting.capacity):
            try:
                if self.wanted(event):
                    self._waiting.put(_Entry(event, 0, None))
            except Exception as error:  # noqa: BLE001 (published as a failed handler)
                self.failed(event, error, 1, None)
        if not self._has_work:
            cursor.advance_to_present()
            self._rest()

    async def _handle(self, entry: _Entry, worker: object) -> None:
        """Call the handler for the current event, up to the last attempt."""
        for attempt in range(1, self._retry.attempts + 1):
            handler = self.handler()
            if handler is None:
                self._lose(entry)
                return
            handling = self._handling = Handling(self._bus, entry.event, self)
            HANDLING.set(handling)
            try:
                result = handler(entry.event)
                # A decorator may have run the coroutine itself. ``isinstance`` takes ten times as long.
                if type(result) is CoroutineType or isinstance(result, Awaitable):
                    await result
            except BaseException as error:
                handling.over = True
                if self._worker is not worker or not self._counts(error):
                    raise  # the event stays current, for the next task
                tried_again = isinstance(error, Exception | asyncio.CancelledError) and not self._is_cancelled()
                if attempt == self._retry.attempts or not tried_again:
                    self._fail(entry, error, attempt)
                    if isinstance(error, SystemExit) or self._is_cancelled():
                        raise
                    return
            else:
                handling.over = True
                if self._worker is worker:
                    if entry.letter is None:
                        self._finish(entry, handled=True)
                    else:
                        await self._letter_succeeded(entry, entry.letter)
                    if self._is_cancelled():
                        raise asyncio.CancelledError  # the handler suppressed it
                return
            self.retried += 1
            await self._sleep(self._retry.pause(attempt))
            if self._worker is not worker:
                return

    def _counts(self, error: BaseException) -> bool:
        """Whether ``error`` is the handler's own, so that the call was an attempt. If not, the call was interrupted."""
        if isinstance(error, KeyboardInterrupt):
            return False
        task = _running_task()
        if task is None or task is not self._task:
            return False  # the coroutine is being destroyed
        if isinstance(error, asyncio.CancelledError) and self._is_cancelled():
            if not _others_go_on():
                return False  # the loop ends
            self._cancellations += 1
            return self._cancellations >= _CANCELLATIONS
        return True

    def _is_cancelled(self) -> bool:
        """The working task itself was cancelled, not something that its handler awaited."""
        return self._task is not None and self._task.cancelling() > 0

    # -- done with an event ---------------------------------------------------------------------------------------

    async def _letter_succeeded(self, entry: _Entry, letter: DeadLetter) -> None:
        handled = False
        try:
            self.letter_handled(letter)
            await self._wait_durable(self._position())  # otherwise a crash would bring the letter back
            handled = True
        finally:
            self._finish(entry, handled=handled)

    def _fail(self, entry: _Entry, error: BaseException, attempts: int) -> None:
        handled = False
        try:
            self.failed(entry.event, error, attempts, entry.letter)
            handled = True
        finally:
            self._finish(entry, handled=handled)

    def _lose(self, entry: _Entry) -> None:
        """The handler no longer exists, so the event can never be handled."""
        self.unhandled[type_name(entry.event)] += 1
        if entry.letter is not None:
            self.letter_returned(entry.letter)
        self._finish(entry, handled=False)

    def _finish(self, entry: _Entry, *, handled: bool) -> None:
        self._in_hand = None
        cursor = self.cursor
        if cursor is not None and entry.letter is None:
            if not handled:
                cursor.stop()
            elif len(self._waiting) or cursor.behind:
                cursor.advance(entry.event.seq)
            else:
                cursor.advance_to_present(entry.event.seq)
        self._done += 1
        if not self._has_work:
            self._rest()
        self._tell_progress()

    def _rest(self) -> None:
        """The mailbox is empty."""
        self._busy.pop(self, None)
        if self.refused is not None:
            self._waiting.reopen()  # events without room were handled there; otherwise ``Halt`` continues

    @property
    def _left(self) -> int:
        """Remove events that are not waiting any more, for whatever reason."""
        return self._done + self._waiting.displaced

    # -- waiting for it -------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Return when the mailbox is empty and the handler idle."""
        while self._has_work:
            await self._next_progress()

    async def drained(self) -> None:
        """Return when every event that is waiting or current now was handled, became a dead letter, or was dropped by
        the policy. Raises the tape's errors."""
        cursor, upto = self.cursor, self._position()
        while cursor is not None and cursor is self.cursor and cursor.is_behind(upto):
            await self._next_progress()
        target = self._left + len(self._waiting) + (self._in_hand is not None)
        while self._left < target and self._has_work:
            await self._next_progress()

    async def _next_progress(self) -> None:
        """Return when one more event is finished or the working task ended. Raises what ended it, unless that was a
        cancellation, or after ``leave``."""
        left, loop = self._left, asyncio.get_running_loop()
        self._wake()
        task = self._task
        if task is None or self._loop is not loop:
            raise TickdeckError(
                "the async handlers of this bus run in the event loop of another thread; wait for them there"
            )
        if self._left == left and not task.done():
            waiter: asyncio.Future[None] = loop.create_future()
            self._progress.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._progress:
                    self._progress.remove(waiter)
        if task is self._task and task.done() and not task.cancelled():
            task.result()

    def _tell_progress(self) -> None:
        if not self._progress:
            return
        waiters, self._progress = self._progress, []
        for waiter in waiters:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)

    def statistics(self) -> BufferStatistics:
        return self._waiting.statistics()


def _take_note(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _running_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _others_go_on() -> bool:
    """True if some task of the loop is not cancelled, so the loop is not ending."""
    return any(not task.cancelling() for task in asyncio.all_tasks())


def _ignore(event: DomainEvent, error: BaseException, attempts: int, letter: DeadLetter | None) -> None:
    """The callback of a mailbox without a subscription."""
