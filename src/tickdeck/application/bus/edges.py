"""The edges of a bus: handlers that receive events after the cascade, and the mailboxes of async handlers."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from tickdeck.application.bus.cursor import Cursor
from tickdeck.application.bus.dead_letters import RESEND, DeadLetter
from tickdeck.application.bus.faults import Faults, error_text
from tickdeck.application.bus.handlers import holds, refuse_unfinished
from tickdeck.application.bus.handling import HANDLING, Handling, handler_context, handling_on
from tickdeck.application.bus.mailbox import Mailbox
from tickdeck.application.bus.overflow import BufferFull, BufferHalted, OverflowPolicy
from tickdeck.application.bus.receipt import Receipt
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.selection import type_name
from tickdeck.application.bus.subscriptions import Handler, Plan, Subscription, Subscriptions
from tickdeck.domain.events import CommandReceived, DeadLetterHandled, DomainEvent, EventDeadLettered, RawEvent
from tickdeck.errors import ConfigError

__all__ = ["Edges", "SyncEdge"]


class _Bus(Protocol):
    """What edges need from their bus."""

    _ended_by: str
    _records: bool
    _table: Subscriptions

    def publish(self, event: DomainEvent) -> Receipt: ...

    def _edge_failed(
        self,
        subscription: Subscription,
        event: DomainEvent,
        error: BaseException,
        attempts: int,
        letter: DeadLetter | None = None,
    ) -> None: ...

    def _is_fault(self, subscription: Subscription, error: BaseException) -> bool: ...

    def _position(self) -> int: ...

    async def _wait_durable(self, position: int) -> None: ...


_NOTHING = (Plan((), ()), RawEvent(raw_type="nothing"))
"""An outbox entry without a recipient."""


class SyncEdge:
    """Calls a plain handler that is an edge: after the cascade, in the context in which it was subscribed."""

    def __init__(self, bus: object) -> None:
        self._bus = bus
        self._context = handler_context(bus)
        self.handler: Callable[[], Handler | None] = lambda: None

    def __call__(self, event: DomainEvent) -> object:
        handler = self.handler()
        return None if handler is None else self._context.copy().run(self._handle, handler, event)

    def _handle(self, handler: Handler, event: DomainEvent) -> object:
        handling = Handling(self._bus, event)
        HANDLING.set(handling)
        try:
            return handler(event)
        finally:
            handling.over = True


class Edges:
    """Hands events to the edges after each cascade, and publishes failures.

    ``outbox`` holds the cascade's events for edges. ``sleep(seconds)`` paces retries.
    """

    def __init__(self, bus: _Bus, faults: Faults, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._bus = bus
        self.faults = faults
        self._sleep = sleep
        self.outbox: deque[tuple[Plan, DomainEvent]] = deque()
        self.releasing = False
        self._delivered = 0  # edges that already have the oldest event of the outbox
        self._calls_after: deque[Callable[[], object]] = deque()
        self.mailboxes: list[Mailbox] = []
        self._by_cursor: dict[str, Mailbox] = {}  # the latest mailbox of each name with a cursor
        self.busy: dict[Mailbox, None] = {}
        """The mailboxes with work, in the order in which they got it."""
        self._draining: list[Mailbox] = []  # whose handlers wait in ``drain``
        self.refused: Counter[str] = Counter()
        """Events for which a mailbox had no room, by type."""
        self._unhandled: Counter[str] = Counter()  # the weakly held handler no longer exists
        self._dropped: Counter[str] = Counter()  # by mailboxes that ended

    # -- mailboxes --------------------------------------------------------------------------------------------

    def make_mailbox(self, *, capacity: int, overflow: OverflowPolicy, retry: Retry | None) -> Mailbox:
        """A mailbox; ``attach`` then connects it to its subscription."""
        return Mailbox(
            capacity=capacity,
            overflow=overflow,
            retry=retry,
            sleep=self._sleep,
            position=self._bus._position,
            wait_durable=self._bus._wait_durable,
            busy=self.busy,
            bus=self._bus,
            context=handler_context(self._bus),
        )

    def attach(
        self,
        box: Mailbox,
        subscription: Subscription,
        *,
        where: Callable[[Any], bool] | None = None,
        refused: Callable[[DomainEvent], None] | None = None,
        cursor: Cursor | None = None,
    ) -> None:
        """Connect ``box`` to ``subscription``, whose end closes it. ``refused(event)`` receives each event for which
        there was no room. With a ``cursor``, the edge first reads what it missed from the tape, filtered by
        ``where``."""
        box.handler = subscription.handler
        box.failed = lambda event, error, attempts, letter: self._bus._edge_failed(
            subscription, event, error, attempts, letter
        )
        box.unhandled = self._unhandled
        box.letter_handled = self._letter_handled
        box.letter_returned = self.faults.dead_letters.mark_returned
        box.wanted = lambda event: subscription.matches(event) and (where is None or holds(where, event))
        box.refused = refused
        subscription.mailbox = box
        self.mailboxes.append(box)
        subscription.ended = lambda: self._end(box)
        if cursor is not None:
            before = self._by_cursor.get(subscription.name)
            if before is not None:
                before.replace()
            self._by_cursor[subscription.name] = box
            box.cursor = cursor
            box.begin()

    def _end(self, box: Mailbox) -> None:
        self.mailboxes.remove(box)
        box.end()
        self._dropped += _losses(box)

    def dropped(self) -> Counter[str]:
        """Events, by type, that a mailbox dropped or had no room for, or whose weakly held handler no longer
        existed."""
        return sum(map(_losses, self.mailboxes), self._dropped + self.refused + self._unhandled)

    def checkpoint(self) -> None:
        """Move the cursors of idle edges to the present."""
        for box in self.mailboxes:
            box.checkpoint()

    def running(self) -> Mailbox | None:
        """The caller's mailbox, if the caller is an async handler of this bus."""
        handling = handling_on(self._bus)
        return None if handling is None else handling.mailbox

    async def drain(self) -> None:
        """Return when every mailbox is empty and its handler idle. Inside an async handler, this skips the mailboxes of
        handlers that also wait here, so that none waits for itself."""
        caller = self.running()
        if caller is None:
            while self.busy:
                await next(iter(self.busy)).drain()
            return
        self._draining.append(caller)
        try:
            while (box := next((box for box in self.busy if box not in self._draining), None)) is not None:
                await box.drain()
        finally:
            self._draining.remove(caller)

    async def handled(self) -> None:
        """Return when every mailbox has processed its current events.

        Raises ``ConfigError`` inside an async handler, ``TapeError`` if the tape failed.
        """
        if self.running() is not None:
            raise ConfigError("receipt.handled() inside an async handler would wait for itself; await it elsewhere")
        await self.process_current()

    async def process_current(self) -> None:
        """Return when every mailbox has processed the events that it holds now. Unlike ``drain`` this ends even if more
        events come all the time. Inside an async handler, this skips the same mailboxes as ``drain``."""
        caller = self.running()
        if caller is None:
            await asyncio.gather(*(box.drained() for box in self.busy))
            return
        self._draining.append(caller)
        try:
            await asyncio.gather(*(box.drained() for box in self.busy if box not in self._draining))
        finally:
            self._draining.remove(caller)

    # -- delivery ---------------------------------------------------------------------------------------------

    def release(self) -> None:
        """The cascade is over: hand its events to the edges. What an edge publishes goes to the edges after them."""
        if self.releasing:
            return
        outbox = self.outbox
        try:
            self.releasing = True
            while outbox and not self._bus._ended_by:  # the rest of a broken kernel's cascade may not be on the tape
                plan, event = outbox[0]
                edges = plan.edges
                while self._delivered < len(edges):
                    self._give(edges[self._delivered], event)
                    self._delivered += 1
                self._delivered = 0
                outbox.popleft()
            self.releasing = False
        except BaseException:
            self.releasing = False
            raise

    def _give(self, subscription: Subscription, event: DomainEvent) -> None:
        try:
            call = subscription.call
            if not subscription.edge:  # a plain handler that waited for the disk
                call = self._as_edge(call)
            result = call(event)
            if result is not None:
                refuse_unfinished(result)
        except BaseException as error:
            if not isinstance(error, Exception) and not self._bus._is_fault(subscription, error):
                raise
            if self._bus._ended_by:  # an event published by the edge broke the kernel, so there is no recipient left
                raise
            self._bus._edge_failed(subscription, event, error, 1)

    def _as_edge(self, handler: Handler) -> SyncEdge:
        """Calls a plain handler once as an edge: what it publishes is caused by its event."""
        call = SyncEdge(self._bus)
        call.handler = lambda: handler
        return call

    def run_calls_after(self) -> None:
        """Run the calls that waited until the cascade was over and its events were released."""
        while self._calls_after and not self.releasing:
            self._calls_after.popleft()()

    def after(self, call: Callable[[], object]) -> None:
        """Run ``call()`` after the current or next release."""
        self._calls_after.append(call)
        self.outbox.append(_NOTHING)  # so that the cascade has something to release at its end

    def failed(
        self,
        subscription: Subscription,
        event: DomainEvent,
        error: BaseException,
        attempts: int,
        letter: DeadLetter | None = None,
    ) -> None:
        """An edge failed to handle an event: publish that, and keep the event as a dead letter. ``letter``: it was one
        already, and was sent again."""
        box = subscription.mailbox
        if isinstance(error, BufferFull):
            self.refused[type_name(event)] += 1
            attempts = 0
            told = box is not None and box.running_over
            if box is not None:
                box.running_over = True
            if not told:
                failure = self.faults.record(subscription, event, error)
                if failure is None:
                    return
                self._bus.publish(failure)
            if not self._keeps_refused(box, event, error):
                return
        else:
            failure = self.faults.record(subscription, event, error, letter)
            if failure is None:
                return
            self._bus.publish(failure)
        if isinstance(event, EventDeadLettered):
            return
        dead = DeadLetter(
            event=event,
            handler=subscription.name if letter is None else letter.handler,
            error=error_text(subscription, error),
            attempts=attempts,
            letter_id="" if letter is None else letter.letter_id,
        )
        self.faults.dead_letters.add(dead, subscription)
        self._bus.publish(
            EventDeadLettered(
                dead_event_id=event.event_id,
                handler=dead.handler,
                error=dead.error,
                attempts=attempts,
                payload_json=event.to_json().decode(),
                causation_id=event.event_id,
                correlation_id=event.correlation_id,
            )
        )

    def _keeps_refused(self, box: Mailbox | None, event: DomainEvent, error: BufferFull) -> bool:
        """Whether an event without room becomes a dead letter. It does under ``Halt``, except for market data, and
        unless the edge reads it from the tape later or its subscriber handles it in ``refused``."""
        if box is None or not isinstance(error, BufferHalted) or event.is_market_data:
            return False
        return box.cursor is None and box.refused is None

    # -- dead letters -----------------------------------------------------------------------------------------

    def resend(self, letter: DeadLetter, publish: Callable[[CommandReceived], object]) -> None:
        """Send a dead letter to its handler again, as a command that is given to ``publish``. Does nothing if that is
        already under way."""
        letters = self.faults.dead_letters
        if not isinstance(letter, DeadLetter):
            raise ConfigError(f"resend: {letter!r} is not a dead letter; give one of bus.dead_letters()")
        if letter not in letters:
            raise ConfigError(f"dead letter {letter.letter_id!r} no longer exists; see bus.dead_letters()")
        subscription = letters.owner(letter)
        if subscription is None or not subscription.active:
            subscription = self._only(self._bus._table.named(letter.handler), letter.handler)
        if letters.is_sent(letter):
            return
        box, handler = subscription.mailbox, subscription.handler()
        if handler is None:
            raise ConfigError(f"the handler {letter.handler!r} no longer exists; subscribe it again, then resend")
        if box is not None:
            box.check_room(letter)
        letters.mark_sent(letter)
        arguments = {"letter_id": letter.letter_id, "event_id": letter.event.event_id, "handler": letter.handler}
        try:
            publish(CommandReceived(command=RESEND, arguments=arguments, reason="dead letter"))
            if box is not None:
                box.put_letter(letter)
        except BaseException:
            letters.mark_returned(letter)
            raise
        if box is None:
            self._resend_in_step(letter, subscription, handler)

    def _resend_in_step(self, letter: DeadLetter, subscription: Subscription, handler: Handler) -> None:
        try:
            refuse_unfinished(self._as_edge(handler)(letter.event))
        except Exception as error:  # noqa: BLE001 (published as a failed handler)
            self._bus._edge_failed(subscription, letter.event, error, 1, letter)
        else:
            self._letter_handled(letter)

    def _only(self, found: list[Subscription], name: str) -> Subscription:
        if not found:
            raise ConfigError(f"no subscription is named {name!r}; subscribe it again, then resend")
        if len(found) > 1:
            raise ConfigError(
                f"{len(found)} subscriptions are named {name!r}, so the letter's is unknown; "
                "give each a different name="
            )
        return found[0]

    def _letter_handled(self, letter: DeadLetter) -> None:
        self.faults.dead_letters.remove(letter.letter_id)
        if self._bus._records:
            event = letter.event
            self._bus.publish(
                DeadLetterHandled(
                    dead_event_id=event.event_id,
                    handler=letter.handler,
                    causation_id=event.event_id,
                    correlation_id=event.correlation_id,
                )
            )


def _losses(box: Mailbox) -> Counter[str]:
    boxed = box.statistics()
    return Counter(boxed.dropped) + Counter(boxed.conflated)
