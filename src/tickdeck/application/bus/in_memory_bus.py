"""The event bus: publishing an event calls every matching handler, in one order. An error in one handler does not
affect the others.

This is the bus without a tape. A run's ``Kernel`` is this bus with one, and with inputs that are taken one at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from threading import get_ident
from typing import TypeVar

from msgspec.structs import force_setattr

from tickdeck.application.arguments import check_events, check_flag, check_function, check_methods
from tickdeck.application.bus.dead_letters import DeadLetter
from tickdeck.application.bus.edges import Edges
from tickdeck.application.bus.faults import Faults
from tickdeck.application.bus.gate import Gate
from tickdeck.application.bus.handlers import refuse_unfinished
from tickdeck.application.bus.handling import caused
from tickdeck.application.bus.handover import Handover
from tickdeck.application.bus.ingress import Ingress
from tickdeck.application.bus.receipt import Receipt, StagedReceipt, new_receipt
from tickdeck.application.bus.statistics import BusStatistics
from tickdeck.application.bus.subscribing import Subscribing
from tickdeck.application.bus.subscriptions import (
    Handler,
    Plan,
    Subscription,
    Subscriptions,
    not_an_event,
)
from tickdeck.application.bus.throttles import Throttles
from tickdeck.application.bus.waiting_inputs import WaitingInputs
from tickdeck.application.clock import RunClock, WallClock, default_wall_now
from tickdeck.domain.events import CommandReceived, DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["InMemoryEventBus"]

E = TypeVar("E", bound=DomainEvent)
H = TypeVar("H", bound=Handler)
R = TypeVar("R")

_NEVER_FROM_OUTSIDE = (asyncio.CancelledError, GeneratorExit)
"""A plain handler gets these from what it calls, such as a future that was cancelled."""


class InMemoryEventBus(Subscribing, WaitingInputs):
    """Publishes and dispatches synchronously: an event and everything it causes (first in, first out) are complete
    before ``publish`` returns.

    Handlers run by priority, then in order of subscription. If a handler raises, the other handlers and the publisher
    are not affected: the events it had published are discarded, and ``system.handler_failed`` is published instead. An
    ``async`` handler is an edge: it has its own bounded mailbox and receives events after the cascade.

    One thread owns the bus: the first that publishes, or the one that calls ``bind``. Other threads use
    ``publish_threadsafe``. ``clock`` paces the retries of edges and, with ``measure``, times every call of a handler.
    ``shuffle`` orders handlers of equal priority, for tests.

    Publishing stamps a copy of the event, as ``open_bus`` does: an id (``1``, ``2``; ``2-1`` is the first event that
    input 2 caused), its cause, its correlation, and times in ns UTC from ``wall_now()`` (by default the system's).
    ``seq`` stays 0, because there is no tape to have a position on. An event that has an ``event_id`` already, such as
    a recorded one, is dispatched as it is. ``stamp=False`` dispatches the very object that was published, with empty
    ids and ``ts`` 0: about three times as fast, for events that need neither.
    """

    _records = False
    """Whether events go on a tape, so that each has an id that no other event of the bus has."""

    def __init__(
        self,
        *,
        clock: WallClock | None = None,
        measure: bool = False,
        shuffle: Callable[[list[Subscription]], None] | None = None,
        stamp: bool = True,
        wall_now: Callable[[], int] | None = None,
    ) -> None:
        call = type(self).__name__
        check_flag(call, "stamp", stamp)
        check_flag(call, "measure", measure)
        check_function(call, "wall_now", wall_now)
        check_function(call, "shuffle", shuffle)
        if clock is not None:
            check_methods(call, "clock", clock, "sleep", "monotonic_ns")
        if wall_now is not None and not stamp:
            raise ConfigError("with stamp=False the bus sets no times; omit wall_now")
        if measure and clock is None:
            raise ConfigError("measuring needs a clock: InMemoryEventBus(clock=..., measure=True)")
        self._table = Subscriptions(shuffle, clock.monotonic_ns if measure and clock else None)
        self._plans = self._table.plans
        self._wall_now = wall_now or default_wall_now() if stamp else None
        self.clock = RunClock()
        self.inputs = 0
        self._children = 0  # of the event that is being handled
        self.ingress = Ingress()
        self._handover = Handover(self, self.ingress)
        self._owner = 0  # ident of the owning thread; 0 until one claims the bus
        self._claims: dict[int, int] = {}  # previous owner -> the thread that claimed the bus after it
        self._busy = False
        self._ended_by = ""  # what broke a kernel's cascade; from then on the bus accepts nothing
        self._staged: list[DomainEvent] = []  # published by the running handler
        self._queue: deque[DomainEvent] = deque()  # published by handlers that have returned
        self._edges = Edges(
            self, Faults(numbered=not self._records), clock.sleep if clock is not None else asyncio.sleep
        )
        self._outbox = self._edges.outbox  # for the edges, after the cascade
        self._receipt = Receipt(self)
        self._staged_receipt = StagedReceipt(self)  # of the handler that published last
        self._throttles = Throttles(clock, by_receipt=self._records)
        self._gate = Gate()
        self._open = True  # the gate holds nothing back

    # -- publishing -------------------------------------------------------------------------------------------

    def publish(self, event: DomainEvent) -> Receipt:
        """Outside a handler: run the event's whole cascade. Inside a handler: queue the event after those already
        queued.

        Raises ``ConfigError`` in a thread that does not own the bus.
        """
        if get_ident() != self._owner:
            self._claim("publish")
        if self._busy:
            if type(event) not in self._plans and not isinstance(event, DomainEvent):  # isinstance takes twice as long
                raise not_an_event(event)
            if not self._staged:  # the first of this handler
                self._staged_receipt = receipt = new_receipt(StagedReceipt)
                receipt._bus = self
            self._staged.append(event)
            return self._staged_receipt
        if self._open:
            # Ctrl-C may come between any two lines. The first line of the block and the last but one are placed so that
            # the bus is never left busy.
            try:
                self._busy = True
                if self._wall_now is not None:
                    event = self._stamped(event, self._wall_now, published=True)
                self._dispatch(event)
                queue = self._queue
                while queue:
                    self._children = 0
                    self._dispatch(queue.popleft())
                self._busy = False
            except BaseException:
                self._busy = False
                self._abandon()
                raise
            if self._outbox:
                self._serve_edges()
        else:
            return self._hold(event)
        return self._receipt

    def publish_all(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int] | None = None) -> Receipt:
        """``publish`` each, in order. Raises ``ConfigError`` for ``expected``, which needs a bus with a store."""
        if expected is not None:
            raise ConfigError("publish_all: this bus has no store, so no streams with versions; open_bus(url) has one")
        for event in check_events("publish_all", events):
            self.publish(event)
        return self._receipt

    def _take_input(self, event: DomainEvent) -> None:
        """Dispatch an input, bypassing the gate."""
        if self._wall_now is not None:
            event = self._stamped(event, self._wall_now)
        try:
            self._open = True
            self.publish(event)
        finally:
            self._open = self._gate.is_open

    def after_cascade(self, call: Callable[[], object]) -> bool:
        """Run ``call()`` after the current cascade, once its edges were served. Returns False, without keeping it, if
        no cascade runs. Signal handlers may use this."""
        check_methods("after_cascade", "call", call, "__call__")
        if not self._busy and not self._edges.releasing:
            return False
        self._edges.after(call)
        return True

    # -- the cascade ------------------------------------------------------------------------------------------

    @property
    def dispatched(self) -> int:
        """The total number of dispatched events. Any thread may read it."""
        return self._table.total()

    @property
    def busy(self) -> bool:
        """True if a cascade is running, that is, if the caller is inside a handler."""
        return self._busy

    @property
    def occupied(self) -> bool:
        """True if a handler or a plain edge is running. Any thread may read it."""
        return self._busy or self._edges.releasing

    def _dispatch(self, event: DomainEvent) -> None:
        plan = self._plans.get(type(event))
        if plan is None:
            plan = self._table.plan_for(event)
        plan.count += 1
        staged = self._staged
        for call in plan.calls:
            try:
                result = call(event)
                if result is not None and result is not self._staged_receipt:
                    refuse_unfinished(result)
            except BaseException as error:  # noqa: BLE001 (reported by ``_raised``, or raised again)
                self._raised(plan, call, event, error)
            if staged:
                self._take_staged(event)
        if plan.edges:
            self._outbox.append((plan, event))

    def _take_staged(self, parent: DomainEvent) -> None:
        """A handler of ``parent`` returned: queue what it published."""
        if self._wall_now is None:
            self._queue.extend(self._staged)
        else:
            for event in self._staged:
                self._queue.append(event if event.event_id else self._derive(parent, event))
        self._staged.clear()

    def _stamped(self, event: DomainEvent, wall_now: Callable[[], int], *, published: bool = False) -> DomainEvent:
        """A copy of ``event`` as the next input; the event itself if it has an id. If it is being ``published``, it may
        be caused by the running edge; one that was held has its cause already."""
        self._children = 0
        try:
            if event.event_id:
                return event
            event = (caused(self, event) if published else event).__copy__()
            now, received, clock = wall_now(), event.ts_ingress, self.clock
            if 0 < received < now:
                now = received
            if now > clock._now:  # the wall clock may be set back; the times of a bus never go back
                clock._now = now
            self.inputs = number = self.inputs + 1
            event_id = str(number)
            force_setattr(event, "event_id", event_id)
            if not event.correlation_id:
                force_setattr(event, "correlation_id", event_id)
            force_setattr(event, "ts_ingress", clock._now)
            if not event.ts:
                force_setattr(event, "ts", clock._now)
        except (AttributeError, TypeError):
            if isinstance(event, DomainEvent):
                raise
            raise not_an_event(event) from None
        return event

    def _derive(self, parent: DomainEvent, event: DomainEvent) -> DomainEvent:
        """A stamped copy of ``event`` as the next child of ``parent``. It has no ``seq`` yet."""
        self._children += 1
        event = event.__copy__()
        force_setattr(event, "event_id", f"{parent.event_id}-{self._children}")
        force_setattr(event, "causation_id", parent.event_id)
        force_setattr(event, "correlation_id", parent.correlation_id)
        force_setattr(event, "ts_ingress", self.clock._now)
        if not event.ts:
            force_setattr(event, "ts", self.clock._now)
        return event

    def _serve_edges(self) -> None:
        """The cascade is over: hand its events to the edges, then run the calls that waited for that."""
        self._edges.release()
        self._edges.run_calls_after()

    def _abandon(self) -> None:
        """The cascade cannot continue: discard the rest, so that it does not join the next. Completely dispatched
        events still go to the edges, with the next cascade."""
        if self._staged:
            self._staged_receipt.discard("its cascade was interrupted")
            self._staged.clear()
        self._queue.clear()

    # -- faults -----------------------------------------------------------------------------------------------

    def _is_fault(self, subscription: Subscription, error: BaseException) -> bool:
        """Whether an error that is not an ``Exception`` is the handler's own. On a bare bus, most may be Ctrl-C, which
        ends the program. But nobody cancels or closes a plain function from outside."""
        del subscription
        return isinstance(error, _NEVER_FROM_OUTSIDE)

    def _raised(self, plan: Plan, call: Handler, event: DomainEvent, error: BaseException) -> None:
        """A handler raised ``error``, which is being handled. The bus isolates handlers: the error is reported, unless
        it is not the handler's fault, but ends the program."""
        subscription = plan.owner(call)
        if not isinstance(error, Exception) and not self._is_fault(subscription, error):
            raise error
        self._failed(subscription, event, error)

    def _failed(self, subscription: Subscription, event: DomainEvent, error: BaseException) -> None:
        """A handler raised: discard what it published, and report the error."""
        if self._staged:
            self._staged_receipt.discard(f"{subscription.name}, which published it, raised {type(error).__name__}")
            self._staged.clear()
        failure = self._edges.faults.record(subscription, event, error)
        if failure is not None:
            self._staged.append(failure)

    def _edge_failed(
        self,
        subscription: Subscription,
        event: DomainEvent,
        error: BaseException,
        attempts: int,
        letter: DeadLetter | None = None,
    ) -> None:
        self._edges.failed(subscription, event, error, attempts, letter)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Events that a handler failed to handle and has not handled since, oldest first."""
        return self._edges.faults.dead_letters.all()

    def restore_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Take over the letters of an earlier process: see ``dead_letters_on``."""
        for letter in letters:
            self._edges.faults.dead_letters.add(letter)

    def resend(self, letter: DeadLetter, *, publish: Callable[[CommandReceived], object] | None = None) -> None:
        """Send a dead letter to its handler again, as a command that is itself published (and recorded). The letter
        leaves ``dead_letters()`` when the handler has handled it. Until then, sending it again does nothing.
        ``publish(command)`` publishes the command instead of this bus.

        Raises ``ConfigError`` if the letter is not kept any more, or if not exactly one subscription has the handler's
        name; ``TickdeckError`` if its mailbox is full. The letter is then kept.
        """
        self._edges.resend(letter, publish or self.publish)

    # -- edges ------------------------------------------------------------------------------------------------

    def _position(self) -> int:
        """The tape's last position, for the edges; 0 without a tape."""
        return 0

    async def _wait_durable(self, position: int) -> None:
        """Return when everything up to ``position`` is on disk."""

    async def _wait_handled(self) -> None:
        await self._edges.handled()

    async def drain(self) -> None:
        """Return when every mailbox is empty and its handler idle. Inside an async handler, this skips the mailboxes of
        handlers that also wait here."""
        await self._edges.drain()

    async def aclose(self) -> None:
        """Dispatch what was handed over and held before this call and while the edges processed it, then process the
        mailboxes, so that no task is left. Afterwards ``publish_threadsafe`` raises ``TickdeckError``.

        Raises ``TapeError`` if the tape failed.
        """
        if self._gate.paused:
            self.resume()
        self.run_pending()
        await self._edges.process_current()
        self._handover.close("the bus is being closed; open it again to publish")
        self.run_pending()
        await self.drain()

    async def close(self) -> None:
        """``aclose``, and take nothing more: what is published afterwards raises ``TickdeckError``. Closing twice is
        harmless."""
        if not self._gate.closed:
            self._gate.disabled = False
            await self.aclose()
            self._gate.closed = True
            self._open = False
            self._handover.close("the bus is closed")

    # -- looking ----------------------------------------------------------------------------------------------

    def statistics(self) -> BusStatistics:
        """The counters of this bus, and those of each of its subscriptions."""
        handlers = self._table.statistics()
        dropped = self._edges.dropped() + self._throttles.suppressed()
        return BusStatistics(
            published=dict(sorted(self._table.published.items())),
            handlers=handlers,
            failures=self._edges.faults.count,
            dead_letters=len(self._edges.faults.dead_letters),
            dropped=dict(sorted(dropped.items())),
            waiting=len(self._handover),
            discarded=self._gate.discarded,
        )
