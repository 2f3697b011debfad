"""The edges of a bus: handlers that get an event after its cascade, and the async ones' mailboxes."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from tickdeck.application.bus.dead_letters import RESEND, DeadLetter
from tickdeck.application.bus.faults import Faults, error_text
from tickdeck.application.bus.handlers import refuse_unfinished
from tickdeck.application.bus.mailbox import RUNNING, Mailbox
from tickdeck.application.bus.overflow import BufferFull, OverflowPolicy
from tickdeck.application.bus.receipt import Receipt
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.selection import type_name
from tickdeck.application.bus.subscriptions import Plan, Subscription
from tickdeck.domain.events import CommandReceived, DomainEvent, EventDeadLettered
from tickdeck.errors import ConfigError

__all__ = ["Edges"]


class _Bus(Protocol):
    """What edges need of their bus."""

    _ended_by: str

    def publish(self, event: DomainEvent) -> Receipt: ...

    def _edge_failed(self, subscription: Subscription, event: DomainEvent, error: Exception, attempts: int) -> None: ...

    def _position(self) -> int: ...

    async def _wait_durable(self, position: int) -> None: ...


_NOTHING = (Plan((), ()), DomainEvent())
"""An entry of the outbox that goes to nobody."""


class Edges:
    """Hands events to the edges when a cascade is over, and publishes what became of those that an edge could not take.

    ``outbox`` holds the cascade's events for edges. ``sleep(seconds)`` paces retries.
    """

    def __init__(self, bus: _Bus, faults: Faults, sleep: Callable[[float], Awaitable[None]]) -> None:
        self._bus = bus
        self._faults = faults
        self._sleep = sleep
        self.outbox: deque[tuple[Plan, DomainEvent]] = deque()
        self.releasing = False
        self._delivered = 0  # edges that have the oldest event of the outbox already
        self._calls_after: deque[Callable[[], object]] = deque()
        self.mailboxes: list[Mailbox] = []
        self.busy: dict[Mailbox, None] = {}
        """The mailboxes with work, in order of getting it."""
        self._draining: list[Mailbox] = []  # whose handlers wait in ``drain``
        self.refused: Counter[str] = Counter()
        """Events that found no room in a mailbox, by type."""

    # -- mailboxes --------------------------------------------------------------------------------------------

    def make_mailbox(self, *, capacity: int, overflow: OverflowPolicy, retry: Retry | None) -> Mailbox:
        """A mailbox that ``attach`` then ties to its subscription."""
        return Mailbox(
            capacity=capacity,
            overflow=overflow,
            retry=retry,
            sleep=self._sleep,
            position=self._bus._position,
            wait_durable=self._bus._wait_durable,
            busy=self.busy,
        )

    def attach(
        self, box: Mailbox, subscription: Subscription, refused: Callable[[DomainEvent], None] | None = None
    ) -> None:
        """Tie ``box`` to ``subscription``: it ends with it. ``refused(event)`` gets each event that found no room."""
        box.handler = subscription.handler
        box.failed = lambda event, error, attempts: self._bus._edge_failed(subscription, event, error, attempts)
        subscription.mailbox = box
        if refused is not None:
            box.refused = refused
        self.mailboxes.append(box)
        subscription.ended = lambda: self.mailboxes.remove(box)

    def running(self) -> Mailbox | None:
        """The mailbox whose handler is the caller, where the caller is an async handler of this bus."""
        box = RUNNING.get()
        return box if box is not None and box.is_of(self.busy) and box.handling else None

    async def drain(self) -> None:
        """Return when every mailbox is empty and its handler idle. Inside an async handler: every other mailbox, but
        for those whose handlers wait here too, so that none waits for itself."""
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
        """Return when every mailbox is through what it holds now.

        Raises ``ConfigError`` inside an async handler, ``TapeError`` where the tape failed.
        """
        if self.running() is not None:
            raise ConfigError("receipt.handled() inside an async handler would wait for itself; await it elsewhere")
        await asyncio.gather(*(box.drained() for box in self.busy))

    # -- delivery ---------------------------------------------------------------------------------------------

    def release(self) -> None:
        """The cascade is over: hand its events to the edges. What an edge publishes comes to the edges after them."""
        if self.releasing:
            return
        outbox = self.outbox
        try:
            self.releasing = True
            while outbox and not self._bus._ended_by:  # what a broken kernel left may not be on the tape
                plan, event = outbox[0]
                edges = plan.edges
                while self._delivered < len(edges):
                    subscription = edges[self._delivered]
                    try:
                        result = subscription.call(event)
                        if result is not None:
                            refuse_unfinished(result)
                    except Exception as error:
                        if self._bus._ended_by:  # what the edge published broke the kernel off: nobody can be told
                            raise
                        self._bus._edge_failed(subscription, event, error, 1)
                    self._delivered += 1
                self._delivered = 0
                outbox.popleft()
            self.releasing = False
        except BaseException:
            self.releasing = False
            raise

    def run_calls_after(self) -> None:
        """Run what waited for the end of the cascade and of its release."""
        while self._calls_after and not self.releasing:
            self._calls_after.popleft()()

    def after(self, call: Callable[[], object]) -> None:
        """Have ``call()`` run when the release that goes on, or that comes next, is over."""
        self._calls_after.append(call)
        self.outbox.append(_NOTHING)  # so that the cascade, once it is over, has something to release

    def failed(self, subscription: Subscription, event: DomainEvent, error: Exception, attempts: int) -> None:
        """An edge could not take an event: publish that, and keep the event as a dead letter."""
        if isinstance(error, BufferFull):
            self.refused[type_name(event)] += 1
            box = subscription.mailbox
            if box is not None:
                if box.running_over:
                    return
                box.running_over = True
        failure = self._faults.record(subscription, event, error)
        if failure is None:
            return
        self._bus.publish(failure)
        if not isinstance(error, BufferFull) and not isinstance(event, EventDeadLettered):
            letter = DeadLetter(
                event=event, handler=subscription.name, error=error_text(subscription, error), attempts=attempts
            )
            self._faults.dead_letters.add(letter)
            self._bus.publish(
                EventDeadLettered(
                    dead_event_id=event.event_id,
                    handler=letter.handler,
                    error=letter.error,
                    attempts=attempts,
                    payload_json=event.to_json().decode(),
                    causation_id=event.event_id,
                    correlation_id=event.correlation_id,
                )
            )

    def resend(self, letter: DeadLetter, subscription: Subscription) -> None:
        """Hand a dead letter to its handler again, as a command that is itself published."""
        self._faults.dead_letters.remove(letter.event.event_id, letter.handler)
        arguments = {"event_id": letter.event.event_id, "handler": letter.handler}
        self._bus.publish(CommandReceived(command=RESEND, arguments=arguments, reason="dead letter"))
        try:
            subscription.call(letter.event)
        except Exception as error:  # noqa: BLE001 (published as a failed handler)
            self._bus._edge_failed(subscription, letter.event, error, 1)
