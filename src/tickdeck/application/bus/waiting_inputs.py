"""Inputs that a bus does not dispatch at once: posted, handed over by another thread, or held in a batch or a pause."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident

from tickdeck.application.arguments import check_flag
from tickdeck.application.bus.gate import Gate, Held
from tickdeck.application.bus.handling import caused
from tickdeck.application.bus.handover import Handover
from tickdeck.application.bus.ingress import Ingress
from tickdeck.application.bus.ownership import OwnedByThread
from tickdeck.application.bus.receipt import HeldReceipt, Receipt
from tickdeck.application.bus.subscriptions import Subscriptions, not_an_event
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["WaitingInputs"]


class WaitingInputs(OwnedByThread, ABC):
    """The part of a bus that lets events wait, and dispatches them later."""

    ingress: Ingress
    _busy: bool
    _ended_by: str
    _gate: Gate
    _handover: Handover
    _open: bool
    _staged: list[DomainEvent]
    _table: Subscriptions
    _wall_now: Callable[[], int] | None

    # -- from other threads, and at the ingress ---------------------------------------------------------------

    def publish_threadsafe(self, event: DomainEvent) -> Receipt:
        """Hand the event to the thread that owns the bus. Call this from any thread.

        The event is dispatched in the event loop given to ``bind``, or else by the owner's next ``run_pending``. The
        receipt shows when: ``receipt.wait(timeout)`` blocks the calling thread, ``await receipt`` works in any loop.

        Raises ``ConfigError`` if it is not an event, ``TickdeckError`` once the bus is closed.
        """
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        return self._handover.put(self._caused(event))

    def _why_waiting(self) -> str:
        """Why the owner may not have taken an event yet, and what to do."""
        if self._handover.wakes_a_loop:
            return "the thread that owns the bus is busy, or its event loop is blocked"
        return "nothing wakes the thread that owns the bus: call bind() in its event loop, or run_pending() there"

    def bind(self) -> None:
        """Make the calling thread the owner. ``publish_threadsafe`` then wakes its running event loop.

        If you run several loops one after another, call it in each. Raises ``ConfigError`` without a running event
        loop, and while a cascade runs in another thread.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise ConfigError("bind: no event loop is running in this thread; call bind in a coroutine") from None
        if self._busy and not self._is_owner():
            raise ConfigError("bind: a cascade is running in the thread that owns the bus; call bind between cascades")
        self._owner = get_ident()
        self._handover.bind(loop)

    def post(self, event: DomainEvent) -> None:
        """Queue an input at the ingress, in its lane; ``run_pending`` takes it."""
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        self._handover.post(self._caused(event))

    def run_next(self) -> bool:
        """Take one input from the most urgent lane of the ingress. Returns False if there is none.

        A paused bus holds it and a disabled bus discards it, as if it were published now. During a batch it stays at
        the ingress. Raises ``ConfigError`` inside a handler, because an input never starts within another's cascade.
        """
        self._check_taking()
        if self._gate.batch is not None:
            return False
        if self._handover.is_empty:
            return False
        before, held = -1, None
        try:
            held = self._handover.take()
            if held is None:
                return False
            before = self._table.count_of(held.event)
            self._handover.begin()
            if self._open:
                self._deliver(held)
            else:
                self._gate.take(held)
        except BaseException as error:
            if held is not None:
                taken = before >= 0 and self._table.count_of(held.event) > before
                if isinstance(error, Exception) or taken or self._ended_by:
                    held.refuse(error)
                else:
                    self._handover.put_back(held)  # Ctrl-C came before the input was taken
            raise
        return True

    def run_pending(self) -> int:
        """Take as many inputs as wait at the ingress and as their handlers ``post``, the most urgent lane first.
        Returns how many. So it ends even if other threads hand over events faster than it takes them."""
        self._check_taking()
        waiting = self._handover
        taken, upto, posted = 0, len(waiting), waiting.posted
        while taken < upto + waiting.posted - posted and self.run_next():
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

    def _deliver(self, held: Held) -> None:
        """Dispatch a held event and settle its receipt. If this raises, the caller refuses the receipt."""
        self._take_input(held.event)
        held.settle(self._position())

    def _hold(self, event: DomainEvent) -> Receipt:
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        receipt = HeldReceipt(self)
        self._gate.take(Held(self._caused(event), receipt))
        return receipt

    def _refuse_waiting(self, why: str) -> None:
        """No more events will be taken: refuse the receipts of all that wait."""
        self._handover.refuse_waiting(why)
        self._gate.refuse_waiting(why)

    # -- batches and pauses -----------------------------------------------------------------------------------

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
            gate.paused, self._open = True, False  # the rest stays held
            if item is not None:
                item.refuse(error)
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
        check_flag("enabled", "the value", value)
        if not value and self._gate.paused:
            self.resume()
        self._gate.disabled = not value
        self._open = self._gate.is_open

    # -- what the bus does --------------------------------------------------------------------------------------

    @abstractmethod
    def after_cascade(self, call: Callable[[], object]) -> bool:
        """Run ``call()`` after the current cascade."""

    @abstractmethod
    def _take_input(self, event: DomainEvent) -> None:
        """Dispatch an input, bypassing the gate."""

    @abstractmethod
    def _position(self) -> int:
        """The tape's last position."""

    @abstractmethod
    async def _wait_durable(self, position: int) -> None:
        """Return when everything up to ``position`` is on disk."""

    @abstractmethod
    async def _wait_handled(self) -> None:
        """Return when every mailbox has processed its current events."""
