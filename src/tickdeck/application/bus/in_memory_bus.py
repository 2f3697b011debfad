"""The event bus: publish an event, and every handler that asked for it is called, in one order, apart from each
other's faults.

This is the bus by itself, without stamps and tape; a run's ``Kernel`` is this bus with both.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tickdeck.application.bus.dead_letters import DeadLetter
from tickdeck.application.bus.edges import Edges
from tickdeck.application.bus.faults import Faults
from tickdeck.application.bus.gate import Batch, Discard, Gate, Pause
from tickdeck.application.bus.handlers import is_async
from tickdeck.application.bus.ingress import Ingress
from tickdeck.application.bus.overflow import Block, OverflowPolicy, Throttle, Throttler, check_lossy
from tickdeck.application.bus.receipt import Receipt
from tickdeck.application.bus.retry import Retry
from tickdeck.application.bus.statistics import BusStatistics
from tickdeck.application.bus.subscriptions import Handler, Subscription, Subscriptions, Topic, not_an_event
from tickdeck.application.clock import WallClock
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["InMemoryEventBus"]

H = TypeVar("H", bound=Handler)


class InMemoryEventBus:
    """Publish and subscribe, in step: an event and all that it causes (first in, first out) are done before
    ``publish`` returns.

    Handlers run by priority, then in order of subscription. A handler that raises harms neither the others nor the
    publisher: what it had published is discarded, and a ``system.handler_failed`` is published in its stead. An
    ``async`` handler is an edge: it has a bounded mailbox of its own and gets events when the cascade is over.

    All belongs to the thread that owns the bus; other threads use ``publish_threadsafe``. ``clock`` paces the
    retries of edges, and with ``measure`` times every call of a handler. ``shuffle`` orders handlers of equal
    priority, for tests.
    """

    _overflow: OverflowPolicy = Block()
    """What mailboxes do that were told nothing else: refuse until there is room."""

    def __init__(
        self,
        *,
        clock: WallClock | None = None,
        measure: bool = False,
        shuffle: Callable[[list[Subscription]], None] | None = None,
    ) -> None:
        if measure and clock is None:
            raise ConfigError("a bus that measures needs a clock: InMemoryEventBus(clock=..., measure=True)")
        self._table = Subscriptions(shuffle, clock.monotonic_ns if measure and clock else None)
        self._plans = self._table.plans
        self._clock = clock
        self.ingress = Ingress()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._busy = False
        self._ended_by = ""  # what broke a kernel's cascade off; from then on nothing more is taken
        self._staged: list[DomainEvent] = []  # published by the handler that is running
        self._queue: deque[DomainEvent] = deque()  # published by handlers that returned
        self._faults = Faults()
        self._edges = Edges(self, self._faults, clock.sleep if clock is not None else asyncio.sleep)
        self._outbox = self._edges.outbox  # for the edges, when the cascade is over
        self._receipt = Receipt()
        self._throttlers: list[Throttler] = []
        self._gate: Gate | None = None  # where what is published from outside goes instead: a batch, a pause, nowhere
        self._discard = Discard()

    # -- subscribing ------------------------------------------------------------------------------------------

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

        ``where`` narrows it; a higher ``priority`` goes first; ``component`` is whose handler it is (a fault in
        ``risk``, ``execution`` or ``portfolio`` halts trading); ``weak`` holds the handler weakly. ``edge``: call it
        after the cascade, outside the core.

        An ``async`` handler is always an edge. Its mailbox holds ``mailbox`` events; ``overflow`` says what becomes of
        more: by default they are refused and counted until there is room again, and ``refused(event)`` gets each; with
        ``Halt()`` (the default in a run) nothing more is taken, and trading halts; ``DropOldest()`` and
        ``Conflate(key)`` are for market data. ``retry`` tries it again before the
        event becomes a dead letter. ``Throttle(interval, key)`` goes with any handler and is by the events' own
        time, or by the bus's clock where an event has none.

        Raises ``ConfigError`` where a lossy policy meets anything but market data, or an option the kind of handler.
        """
        if overflow is not None:
            check_lossy(overflow, topic)
        throttle = overflow if isinstance(overflow, Throttle) else None
        if throttle is not None:
            where = self._throttled(throttle, where)
        in_step = not is_async(handler)
        if isinstance(overflow, Block):
            raise ConfigError("overflow: Block is for sockets; a handler that could block the bus would stop it")
        if in_step and (retry is not None or (overflow is not None and throttle is None)):
            raise ConfigError(
                f"subscribe: {handler!r} is called in step, so nothing waits and nothing is tried again; "
                "make it async, or use Throttle"
            )
        options: dict[str, Any] = {
            "where": where, "priority": priority, "name": name, "component": component, "weak": weak,
        }  # fmt: skip
        if in_step:
            return self._table.add(topic, handler, edge=edge, **options)
        policy = self._overflow if overflow is None or isinstance(overflow, Throttle) else overflow
        box = self._edges.make_mailbox(capacity=mailbox, overflow=policy, retry=retry)
        subscription = self._table.add(topic, handler, edge=True, deliver=box.put, **options)
        self._edges.attach(box, subscription, refused)
        return subscription

    subscribe_async = subscribe
    """The same: what is ``async`` is an edge, by whichever name it came."""

    def on(self, topic: Topic, **options: Any) -> Callable[[H], H]:
        """``subscribe`` as a decorator: ``@bus.on("order.*", priority=1)``. Leaves the function as it is."""

        def enter(handler: H) -> H:
            self.subscribe(topic, handler, **options)
            return handler

        return enter

    def _throttled(self, throttle: Throttle, where: Callable[[Any], bool] | None) -> Callable[[Any], bool]:
        throttler = Throttler(throttle)
        self._throttlers.append(throttler)

        def admitted(event: DomainEvent) -> bool:
            if where is not None and not where(event):
                return False
            ts = event.ts_ingress or event.ts
            if not ts:  # a bus without a kernel stamps nothing
                if self._clock is None:
                    raise ConfigError("Throttle needs a time: give the event a ts, or the bus a clock (clock=...)")
                ts = self._clock.monotonic_ns()
            return throttler.admit(event, ts)

        return admitted

    def unsubscribe(self, target: Subscription | Handler) -> None:
        """End a subscription, or all those of a handler."""
        if isinstance(target, Subscription):
            target.cancel()
        else:
            for subscription in self._table.find(target):
                subscription.cancel()

    # -- publishing -------------------------------------------------------------------------------------------

    def publish(self, event: DomainEvent) -> Receipt:
        """Outside a handler: run the event's whole cascade. Inside one: queue it behind what is already queued."""
        if self._busy:
            if not isinstance(event, DomainEvent):
                raise not_an_event(event)
            self._staged.append(event)
        elif self._gate is not None:
            self._gate.append(event)
        else:
            self._busy = True
            try:
                self._dispatch(event)
                queue = self._queue
                while queue:
                    self._dispatch(queue.popleft())
            except BaseException:
                self._abandon()
                raise
            finally:
                self._busy = False
            if self._outbox:
                self._edges.release()
        return self._receipt

    def publish_all(self, events: Iterable[DomainEvent]) -> Receipt:
        """``publish`` each, in order."""
        for event in events:
            self.publish(event)
        return self._receipt

    def publish_threadsafe(self, event: DomainEvent) -> None:
        """From any thread: let the event wait at the ingress. It is taken in the thread of the loop that was given to
        ``bind``, or else by the owner's next ``run_pending``."""
        self.ingress.put(event)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self.run_pending)

    def bind(self) -> None:
        """Call it in the owner's event loop, so that ``publish_threadsafe`` can wake it."""
        self._loop = asyncio.get_running_loop()

    def post(self, event: DomainEvent) -> None:
        """Let an input wait at the ingress, in its lane; ``run_pending`` takes it."""
        self.ingress.put(event)

    def run_next(self) -> bool:
        """Take one input of those that wait at the ingress, from the most urgent lane. False where none waits."""
        event = self.ingress.take()
        if event is None:
            return False
        self._take_input(event)
        return True

    def run_pending(self) -> int:
        """Take what waits at the ingress, the most urgent lane first, until nothing does. Returns how many."""
        taken = 0
        while self.run_next():
            taken += 1
        return taken

    def _take_input(self, event: DomainEvent) -> None:
        self.publish(event)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Hold what is published in the block and deliver it together at its end; on an exception it is discarded.

        Do not await in the block: what others publish meanwhile would wait, or be discarded, with it.
        """
        if self._busy or self._gate is not None:
            yield  # inside a handler, a pause or another batch publishing waits anyway
            return
        held = Batch()
        self._gate = held
        try:
            yield
        finally:
            self._gate = None
        self.publish_all(held)

    def pause(self) -> None:
        """Hold what is published from outside until ``resume``; a running cascade goes on to its end."""
        if self._gate is None:
            self._gate = Pause()

    def resume(self) -> None:
        """Deliver what was held, in order, and go on."""
        held, self._gate = self._gate, None
        if isinstance(held, Pause):
            self.publish_all(held)
        else:
            self._gate = held  # a batch, or the bus is disabled: there was no pause

    @property
    def paused(self) -> bool:
        return isinstance(self._gate, Pause)

    @property
    def enabled(self) -> bool:
        """While false, what is published from outside is discarded, and counted."""
        return self._gate is not self._discard

    @enabled.setter
    def enabled(self, value: bool) -> None:
        if value and not self.enabled:
            self._gate = None
        elif not value:
            self.resume()
            self._gate = self._discard

    @property
    def dispatched(self) -> int:
        """How many events were dispatched, all in all. May be asked from another thread."""
        return self._table.total()

    @property
    def busy(self) -> bool:
        """A cascade is running: the caller is inside a handler."""
        return self._busy

    def _dispatch(self, event: DomainEvent) -> None:
        plan = self._plans.get(type(event))
        if plan is None:
            plan = self._table.plan_for(event)
        plan.count += 1
        staged = self._staged
        for call in plan.calls:
            try:
                call(event)
            except Exception as error:  # noqa: BLE001 (isolation is the bus's promise; it is told, not lost)
                self._failed(plan.owner(call), event, error)
            except BaseException as error:
                if not self._is_fault(plan.owner(call), error):
                    raise
                self._failed(plan.owner(call), event, error)
            if staged:
                self._take_staged(event)
        if plan.edges:
            self._outbox.append((plan, event))

    def _take_staged(self, parent: DomainEvent) -> None:
        """A handler of ``parent`` returned: what it published joins the queue."""
        self._queue.extend(self._staged)
        self._staged.clear()

    def _abandon(self) -> None:
        """The cascade cannot end: forget what is left of it, so that it does not join the next."""
        self._staged.clear()
        self._queue.clear()
        self._outbox.clear()

    # -- faults -----------------------------------------------------------------------------------------------

    def _is_fault(self, subscription: Subscription, error: BaseException) -> bool:
        """Whether an error that is no ``Exception`` is the handler's own fault. On a bare bus it is not: it may be
        Ctrl-C, which ends the program."""
        del subscription, error
        return False

    def _failed(self, subscription: Subscription, event: DomainEvent, error: BaseException) -> None:
        """A handler raised: discard what it published, and tell."""
        self._staged.clear()
        failure = self._faults.record(subscription, event, error)
        if failure is not None:
            self._staged.append(failure)

    def _edge_failed(self, subscription: Subscription, event: DomainEvent, error: Exception, attempts: int) -> None:
        self._edges.failed(subscription, event, error, attempts)

    def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Events that a handler could not take and that were not sent again, oldest first."""
        return self._faults.dead_letters.all()

    def restore_dead_letters(self, letters: Iterable[DeadLetter]) -> None:
        """Take over the letters that an earlier process left: see ``dead_letters_on``."""
        for letter in letters:
            self._faults.dead_letters.add(letter)

    def resend(self, letter: DeadLetter) -> None:
        """Hand a dead letter to its handler again, as a command that is itself published (and recorded).

        Raises ``ConfigError`` where nobody of that name is subscribed any more; the letter is kept then.
        """
        subscription = self._table.named(letter.handler)
        if subscription is None:
            raise ConfigError(f"no subscription is called {letter.handler!r}; subscribe it again, then resend")
        self._edges.resend(letter, subscription)

    # -- edges ------------------------------------------------------------------------------------------------

    def _position(self) -> int:
        """Where the tape stands, for the edges; 0 where there is none."""
        return 0

    async def _wait_durable(self, position: int) -> None:
        """Return when everything up to ``position`` is on disk."""

    async def drain(self) -> None:
        """Return when every mailbox is empty and its handler idle."""
        await self._edges.drain()

    async def aclose(self) -> None:
        """Finish what waits in the mailboxes, so that no task is left. Raises ``TapeError`` where the tape failed."""
        await self.drain()

    # -- looking ----------------------------------------------------------------------------------------------

    def statistics(self) -> BusStatistics:
        handlers = self._table.statistics()
        dropped = Counter(self._edges.refused)
        for box in self._edges.mailboxes:
            boxed = box.statistics()
            dropped += Counter(boxed.dropped) + Counter(boxed.conflated)
        for throttler in self._throttlers:
            dropped += Counter(throttler.statistics().suppressed)
        return BusStatistics(
            published=dict(sorted(self._table.published.items())),
            handlers=handlers,
            failures=self._faults.count,
            dead_letters=len(self._faults.dead_letters),
            dropped=dict(sorted(dropped.items())),
            waiting=len(self.ingress),
            discarded=self._discard.count,
        )

    @contextmanager
    def collect(self, topic: Topic) -> Iterator[list[DomainEvent]]:
        """The events of ``topic`` that are published in the block, in a list; for tests."""
        events: list[DomainEvent] = []
        with self.subscribe(topic, events.append, name="collect"):
            yield events
