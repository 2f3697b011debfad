"""The event bus: publishing an event calls every matching handler, in one order. An error in one handler does not
affect the others.

This is the bus without a tape. A run's ``Kernel`` is this bus with one, and with inputs that are taken one at a time.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from threading import get_ident
from typing import Any, TypeVar, Unpack, overload

from msgspec.structs import force_setattr

from tickdeck.application.bus.cursor import Cursor
from tickdeck.application.bus.dead_letters import DeadLetter
from tickdeck.application.bus.edges import Edges, SyncEdge
from tickdeck.application.bus.faults import Faults
from tickdeck.application.bus.gate import Gate, Held
from tickdeck.application.bus.handlers import check_plain, check_runs, holds, is_async, refuse_unfinished
from tickdeck.application.bus.handling import caused
from tickdeck.application.bus.handover import Handover
from tickdeck.application.bus.ingress import Ingress
from tickdeck.application.bus.options import SubscribeOptions, check_options, check_values
from tickdeck.application.bus.overflow import Block, OverflowPolicy, Throttle, Throttler, check_lossy
from tickdeck.application.bus.receipt import HeldReceipt, Receipt, StagedReceipt, new_receipt
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.statistics import BusStatistics
from tickdeck.application.bus.subscriptions import Handler, Plan, Subscription, Subscriptions, not_an_event
from tickdeck.application.bus.throttles import Throttles
from tickdeck.application.bus.topics import Topic, checked_topic
from tickdeck.application.clock import RunClock, WallClock, default_wall_now
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["InMemoryEventBus"]

E = TypeVar("E", bound=DomainEvent)
H = TypeVar("H", bound=Handler)
R = TypeVar("R")

_NEVER_FROM_OUTSIDE = (asyncio.CancelledError, GeneratorExit)
"""A plain handler gets these from what it calls, such as a future that was cancelled."""


class InMemoryEventBus:
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

    _overflow: OverflowPolicy = Block()
    """The default overflow policy of mailboxes: refuse until there is room."""
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
        if wall_now is not None and not stamp:
            raise ConfigError("stamp=False stamps no times; omit wall_now")
        if measure and clock is None:
            raise ConfigError("measuring needs a clock: InMemoryEventBus(clock=..., measure=True)")
        self._table = Subscriptions(shuffle, clock.monotonic_ns if measure and clock else None)
        self._plans = self._table.plans
        self._clock = clock
        self._wall_now = wall_now or default_wall_now() if stamp else None
        self.clock = RunClock()
        self.inputs = 0
        self._children = 0  # of the event that is being handled
        self.ingress = Ingress()
        self._handover = Handover(self, self.ingress)
        self._posted = 0
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
        self._throttles = Throttles()
        self._gate = Gate()
        self._open = True  # the gate holds nothing back

    # -- subscribing ------------------------------------------------------------------------------------------

    @overload
    def subscribe(
        self, topic: type[E], handler: Callable[[E], object], **options: Unpack[SubscribeOptions]
    ) -> Subscription: ...

    @overload
    def subscribe(self, topic: str, handler: Handler, **options: Unpack[SubscribeOptions]) -> Subscription: ...

    def subscribe(
        self,
        topic: Topic,
        handler: Handler,
        *,
        where: Callable[[Any], bool] | None = None,
        priority: int = 0,
        name: str | None = None,
        component: str = "",
        weak: bool = False,
        edge: bool = False,
        overflow: OverflowPolicy | Throttle | None = None,
        retry: Retry | None = None,
        mailbox: int = 10_000,
        refused: Callable[[DomainEvent], None] | None = None,
    ) -> Subscription:
        """Call ``handler(event)`` for every event of ``topic``: a class, a dotted type, or a wildcard.

        ``where`` filters events. Handlers with higher ``priority`` run first. ``component`` names the handler's owner;
        an error in ``risk``, ``execution`` or ``portfolio`` halts trading. ``weak`` holds the handler weakly. ``edge``
        calls it after the cascade, outside the core.

        An ``async`` handler is always an edge. Its mailbox holds ``mailbox`` events, and ``overflow`` decides about
        more. By default they are refused and counted until there is room again, and ``refused(event)`` receives each.
        With ``Halt()`` (the default in a run), the mailbox accepts no more events, and trading halts. ``DropOldest()``
        and ``Conflate(key)`` are for market data. ``retry`` repeats failed calls before the event becomes a dead
        letter. ``Throttle(interval, key)`` works with any handler; it uses the event's own time, or the bus's clock if
        the event has none.

        Raises ``ConfigError`` for a lossy policy on anything but market data, for an option that does not fit the kind
        of handler, and for ``weak`` with a lambda or a local function. Warns (``TopicWarning``) if no event can have
        the type ``topic``.
        """
        topic = checked_topic(topic)
        if callable(handler):
            check_runs(handler)
        check_values(
            "subscribe",
            where=where, priority=priority, name=name, component=component, weak=weak, edge=edge, overflow=overflow,
            retry=retry, mailbox=mailbox, refused=refused,
        )  # fmt: skip
        check_plain("where", where)
        check_plain("refused", refused)
        if overflow is not None:
            check_lossy(overflow, topic)
        throttle = overflow if isinstance(overflow, Throttle) else None
        wanted = where
        throttler = Throttler(throttle) if throttle is not None else None
        if throttler is not None:
            where = self._throttled(throttler, where)
        in_step = not is_async(handler)
        if isinstance(overflow, Block):
            raise ConfigError("overflow: Block is for sockets; a blocking handler would stop the bus")
        if in_step and (retry is not None or (overflow is not None and throttle is None)):
            raise ConfigError(
                f"subscribe: {handler!r} is a plain handler, so it has no mailbox and no retries; "
                "make it async, or use Throttle"
            )
        options: dict[str, Any] = {
            "where": where, "priority": priority, "name": name, "component": component, "weak": weak,
        }  # fmt: skip
        if in_step:
            sync_edge = SyncEdge(self) if edge else None
            subscription = self._table.add(topic, handler, edge=edge, deliver=sync_edge, **options)
            if sync_edge is not None:
                sync_edge.handler = subscription.handler
            return self._throttles.watch(subscription, throttler)
        policy = self._overflow if overflow is None or isinstance(overflow, Throttle) else overflow
        box = self._edges.make_mailbox(capacity=mailbox, overflow=policy, retry=retry)
        subscription = self._table.add(topic, handler, edge=True, deliver=box.put, **options)
        cursor = self._cursor(name, topic) if name is not None and refused is None else None
        self._edges.attach(box, subscription, where=wanted, refused=refused, cursor=cursor)
        return self._throttles.watch(subscription, throttler)

    def _cursor(self, name: str, topic: Topic) -> Cursor | None:
        """The position of the edge ``name``, if this bus remembers positions across processes."""
        return None

    subscribe_async = subscribe
    """The same function. An ``async`` handler is an edge, whichever method subscribes it."""

    @overload
    def on(
        self, topic: type[E], **options: Unpack[SubscribeOptions]
    ) -> Callable[[Callable[[E], R]], Callable[[E], R]]: ...

    @overload
    def on(self, topic: str, **options: Unpack[SubscribeOptions]) -> Callable[[H], H]: ...

    def on(self, topic: Topic, **options: Unpack[SubscribeOptions]) -> Callable[[H], H]:
        """``subscribe`` as a decorator: ``@bus.on("order.*", priority=1)``. Returns the function unchanged."""
        check_options("on", options)

        def enter(handler: H) -> H:
            self.subscribe(topic, handler, **options)
            return handler

        return enter

    def _throttled(self, throttler: Throttler, where: Callable[[Any], bool] | None) -> Callable[[Any], bool]:
        def admitted(event: DomainEvent) -> bool:
            if where is not None and not holds(where, event):
                return False
            ts = event.ts_ingress if self._records else event.ts or event.ts_ingress
            if not ts:  # the bus stamps nothing
                if self._clock is None:
                    raise ConfigError("Throttle needs a time: give the event a ts, or the bus a clock (clock=...)")
                ts = self._clock.monotonic_ns()
            return throttler.admit(event, ts)

        return admitted

    @overload
    def unsubscribe(self, target: Subscription | Handler) -> int: ...

    @overload
    def unsubscribe(self, target: Topic, handler: Handler) -> int: ...

    def unsubscribe(self, target: Subscription | Handler | Topic, handler: Handler | None = None) -> int:
        """End a subscription, all subscriptions of a handler, or those of a handler for one topic:
        ``unsubscribe("order.*", handler)``. Returns how many ended; 0 is not an error.

        Raises ``ConfigError`` for a topic without a handler.
        """
        if isinstance(target, Subscription):
            ending = [target] if target.active else []
        elif handler is not None:
            topic: Any = target
            ending = self._table.find(handler, checked_topic(topic))
        elif isinstance(target, str) or (isinstance(target, type) and issubclass(target, DomainEvent)):
            raise ConfigError(
                f"unsubscribe: {target!r} is a topic; give a subscription, a handler, or a topic and a handler"
            )
        else:
            ending = self._table.find(target)
        for subscription in ending:
            subscription.cancel()
        return len(ending)

    # -- publishing -------------------------------------------------------------------------------------------

    def publish(self, event: DomainEvent) -> Receipt:
        """Outside a handler: run the event's whole cascade. Inside a handler: queue the event after those already
        queued.

        Raises ``ConfigError`` in a thread that does not own the bus.
        """
        if get_ident() != self._owner:
            self._claim("publish")
        if self._busy:
            if not isinstance(event, DomainEvent):
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
        for event in events:
            self.publish(event)
        return self._receipt

    def publish_threadsafe(self, event: DomainEvent) -> Receipt:
        """Hand the event to the thread that owns the bus. Call this from any thread.

        The event is dispatched in the event loop given to ``bind``, or else by the owner's next ``run_pending``. The
        receipt shows when: ``receipt.wait(timeout)`` blocks the calling thread, ``await receipt`` works in any loop.

        Raises ``ConfigError`` if it is not an event, ``TickdeckError`` once the bus is closed.
        """
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        return self._handover.put(self._caused(event))

    def bind(self) -> None:
        """Make the calling thread the owner. ``publish_threadsafe`` then wakes its running event loop.

        If you run several loops one after another, call it in each. Raises ``ConfigError`` while a cascade runs in
        another thread.
        """
        loop = asyncio.get_running_loop()
        if self._busy and not self._is_owner():
            raise ConfigError("bind: a cascade is running in the thread that owns the bus; call bind between cascades")
        self._owner = get_ident()
        self._handover.bind(loop)

    def post(self, event: DomainEvent) -> None:
        """Queue an input at the ingress, in its lane; ``run_pending`` takes it."""
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        self._posted += 1
        self.ingress.put(self._caused(event))

    def run_next(self) -> bool:
        """Take one input from the most urgent lane of the ingress. Returns False if there is none.

        A paused bus holds it and a disabled bus discards it, as if it were published now. During a batch it stays at
        the ingress. Raises ``ConfigError`` inside a handler, because an input never starts within another's cascade.
        """
        self._check_taking()
        if self._gate.batch is not None:
            return False
        before = self._table.total()
        held = None
        try:
            held = self._handover.take()
            if held is None:
                return False
            self._handover.begin()
            if self._open:
                self._deliver(held)
            else:
                self._gate.take(held)
        except BaseException as error:
            if held is not None:
                if not isinstance(error, Exception) and self._table.total() == before and not self._ended_by:
                    self._handover.put_back(held)  # Ctrl-C came before the input was taken
                else:
                    held.receipt.refuse(error)
            raise
        return True

    def run_pending(self) -> int:
        """Take as many inputs as wait at the ingress and as their handlers ``post``, the most urgent lane first.
        Returns how many. So it ends even if other threads hand over events faster than it takes them."""
        self._check_taking()
        taken, upto, posted = 0, len(self._handover), self._posted
        while taken < upto + self._posted - posted and self.run_next():
            taken += 1
        return taken

    def _check_taking(self) -> None:
        if get_ident() != self._owner:
            self._claim("run_pending")
        if self._busy:
            raise ConfigError("run_pending inside a handler: handlers publish events, they do not take inputs")

    def _caused(self, event: DomainEvent) -> DomainEvent:
        """The event with its cause, if an edge of this bus publishes it and the bus stamps events."""
        return event if self._wall_now is None else caused(self, event)

    def _take_input(self, event: DomainEvent) -> None:
        """Dispatch an input, bypassing the gate."""
        if self._wall_now is not None:
            event = self._stamped(event, self._wall_now)
        try:
            self._open = True
            self.publish(event)
        finally:
            self._open = self._gate.is_open

    def _deliver(self, held: Held) -> None:
        """Dispatch a held event and settle its receipt. If this raises, the caller refuses the receipt."""
        self._take_input(held.event)
        held.receipt.settle(self._position())

    def _hold(self, event: DomainEvent) -> Receipt:
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        return self._gate.take(Held(self._caused(event), HeldReceipt(self)))

    def _refuse_waiting(self, why: str) -> None:
        """Nothing will be taken any more: refuse the receipts of all that waits."""
        self._handover.refuse_waiting(why)
        self._gate.refuse_waiting(why)

    # -- ownership --------------------------------------------------------------------------------------------

    def _is_owner(self) -> bool:
        return get_ident() == self._owner

    def _claim(self, call: str) -> None:
        """Make the calling thread the owner if no living thread is the owner; otherwise refuse the call.

        ``setdefault`` is one step, so one of two simultaneous threads wins. A lock could stay locked if Ctrl-C came at
        its end.
        """
        caller = get_ident()
        living = {thread.ident: thread.name for thread in threading.enumerate() if thread.ident != caller}
        for owner in (self._owner, self._claims.setdefault(self._owner, caller)):
            if owner in living:
                raise ConfigError(
                    f"{call}: thread {threading.current_thread().name!r} does not own the bus, {living[owner]!r} does; "
                    "call publish_threadsafe(event) here, or bind() in the thread that should own it"
                )
        self._claims[self._owner] = caller
        self._owner = caller

    # -- the gate ---------------------------------------------------------------------------------------------

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold the events published in the block and deliver them together at its end; discard them on an exception.

        This delivers all of the block's events or none, also inside a handler, a pause or another batch. Do not await
        in the block: events that others publish meanwhile would be held or discarded too.
        """
        if get_ident() != self._owner:
            self._claim("batch")
        if self._busy:
            staged, before = self._staged, len(self._staged)
            try:
                yield  # a handler's events wait anyway
            except BaseException:
                del staged[before:]
                raise
            return
        gate = self._gate
        outer, held = gate.batch, list[Held]()
        try:
            gate.batch, self._open = held, False
            yield
            gate.batch = outer
            self._open = gate.is_open
            waiting = deque(held)
            while waiting:
                item = waiting.popleft()
                if self._open:
                    self._deliver(item)
                else:
                    gate.take(item)
        except BaseException as error:
            gate.batch = outer
            self._open = gate.is_open
            gate.discard(held, error)
            raise

    def pause(self) -> None:
        """Hold events published from outside until ``resume``. A running cascade continues to its end."""
        self._gate.paused = True
        self._open = False

    def resume(self) -> None:
        """Deliver the held events in order, and continue. Inside a handler, this happens after its cascade."""
        if self._busy:
            self.after_cascade(self.resume)
            return
        if get_ident() != self._owner:
            self._claim("resume")
        gate, item = self._gate, None
        try:
            gate.paused = False
            self._open = gate.is_open
            while gate.held and not gate.paused and gate.batch is None:
                item = gate.held.popleft()
                self._deliver(item)
        except BaseException as error:
            gate.paused, self._open = True, False  # what is left stays held
            if item is not None:
                item.receipt.refuse(error)
            raise

    @property
    def paused(self) -> bool:
        return self._gate.paused

    @property
    def enabled(self) -> bool:
        """While false, events published from outside are discarded and counted. Disabling ends a pause and first
        delivers the events it held."""
        return not self._gate.disabled

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if not value and self._gate.paused:
            self.resume()
        self._gate.disabled = not value
        self._open = self._gate.is_open

    def after_cascade(self, call: Callable[[], object]) -> bool:
        """Run ``call()`` after the current cascade, once its edges were served. Returns False, without keeping it, if
        no cascade runs. Signal handlers may use this."""
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

    def resend(self, letter: DeadLetter) -> None:
        """Send a dead letter to its handler again, as a command that is itself published (and recorded). The letter
        leaves ``dead_letters()`` when the handler has handled it. Until then, sending it again does nothing.

        Raises ``ConfigError`` if the letter is not kept any more, or if not exactly one subscription has the handler's
        name; ``TickdeckError`` if its mailbox is full. The letter is then kept.
        """
        self._edges.resend(letter)

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

    @overload
    def collect(self, topic: type[E]) -> AbstractContextManager[list[E]]: ...

    @overload
    def collect(self, topic: str) -> AbstractContextManager[list[DomainEvent]]: ...

    @contextmanager
    def collect(self, topic: Topic) -> Iterator[list[Any]]:
        """A list of the events of ``topic`` that are published in the block; for tests."""
        events: list[DomainEvent] = []
        with self.subscribe(topic, events.append, name="collect"):
            yield events
