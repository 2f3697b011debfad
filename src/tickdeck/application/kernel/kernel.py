"""The kernel: the only place that gives events their order, ids and causes.

It is an event bus that takes one input at a time, runs the whole cascade that the input causes, stamps every event, and
appends the cascade to the tape as one unit. Only then do the edges receive it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import getcontext, setcontext
from threading import get_ident

from msgspec.structs import force_setattr

from tickdeck.application.arguments import (
    check_events,
    check_function,
    check_methods,
    check_whole,
)
from tickdeck.application.bus import (
    BufferHalted,
    Cursor,
    DeadLetter,
    Halt,
    Receipt,
    StagedReceipt,
    Subscription,
    Topic,
    caused,
    describe_error,
    new_receipt,
    not_an_event,
)
from tickdeck.application.bus.subscriptions import Subscriptions
from tickdeck.application.clock import WallClock
from tickdeck.application.kernel.agenda import Agenda
from tickdeck.application.kernel.interrupts import came_by_signal
from tickdeck.application.kernel.money import MONEY_CONTEXT
from tickdeck.application.kernel.outside_inputs import OutsideInputs, is_reserved
from tickdeck.application.kernel.runaway import describe_runaway
from tickdeck.application.kernel.storable import replace_unstorable
from tickdeck.application.kernel.timed_bus import TimedBus
from tickdeck.application.kernel.timers import TIMER_EVENTS, Timers
from tickdeck.application.ports import EdgeCursors, Tape, check_versions
from tickdeck.domain.events import DomainEvent, RawEvent, TradingHalted, check_fields, users_checks
from tickdeck.domain.events import SystemError as SystemErrorEvent
from tickdeck.errors import ConfigError, EventValidationError, Terminated, TickdeckError

log = logging.getLogger("tickdeck.kernel")

__all__ = ["CRITICAL_COMPONENTS", "STRATEGY", "Kernel", "stamp_input"]

CRITICAL_COMPONENTS = ("risk", "execution", "portfolio")
"""Components whose errors halt trading, because our positions or permissions are unknown after one."""
_LONGEST_ID = 1_000  # ids grow with each cause: after a chain of 500 an id is a thousand characters long
_ENDED = RawEvent(raw_type="ended")
"""The current event of a kernel that was interrupted between two inputs."""
STRATEGY = "strategy:"
"""The prefix of a strategy's component. An error in such a component ends the strategy's subscriptions."""


def stamp_input(event: DomainEvent, number: int, seq: int, now: int) -> DomainEvent:
    """A copy of ``event`` as input ``number`` of a run, at ``seq``; ``now`` (ns) is the clock's time before it."""
    event_id = str(number)
    event = event.__copy__()
    force_setattr(event, "event_id", event_id)
    force_setattr(event, "seq", seq)
    if not event.correlation_id:
        force_setattr(event, "correlation_id", event_id)
    if event.ts_ingress < now:
        force_setattr(event, "ts_ingress", now)
    if not event.ts:
        force_setattr(event, "ts", event.ts_ingress)
    return event


class Kernel(TimedBus):
    """Processes one input and its whole cascade, then the next.

    ``tape`` stores each cascade. ``cursors`` remember what each named edge has handled; when an edge subscribes, it
    first reads the rest from the tape. ``agenda`` receives the timers; with ``None``, timers are only counted, because
    the record will fire them (``verify``). ``max_cascade`` bounds how many events one input may cause; beyond it,
    trading is halted. ``reserved``: sources of the driver's inputs; nobody else may publish with them. ``wall_now()``
    (ns UTC) gives published inputs their ``ts_ingress`` if the run is not on the virtual clock. ``clock``, ``measure``
    and ``shuffle`` are as for the bus.
    """

    _overflow = Halt()
    _records = True

    def __init__(
        self,
        *,
        tape: Tape,
        cursors: EdgeCursors | None = None,
        agenda: Agenda | None = None,
        max_cascade: int = 10_000,
        reserved: frozenset[str] = frozenset(),
        wall_now: Callable[[], int] | None = None,
        clock: WallClock | None = None,
        measure: bool = False,
        shuffle: Callable[[list[Subscription]], None] | None = None,
    ) -> None:
        super().__init__(clock=clock, measure=measure, shuffle=shuffle, stamp=False)
        call = type(self).__name__
        check_methods(call, "tape", tape, "append")
        check_whole(call, "max_cascade", max_cascade, least=1)
        check_function(call, "wall_now", wall_now)
        if not isinstance(reserved, frozenset):
            raise ConfigError(f"{call}: reserved is a {type(reserved).__name__}; give a frozenset of sources")
        if agenda is not None and not isinstance(agenda, Agenda):
            raise ConfigError(f"{call}: agenda is {agenda!r}; give an Agenda, or None")
        self._wall_now = wall_now
        self._tape = tape
        self._cursors = cursors
        self._max_cascade = max_cascade
        self._outside = OutsideInputs(self.clock, reserved, wall_now)
        self._queue: deque[DomainEvent] = deque()
        self._current: DomainEvent | None = None
        self._timers = Timers(agenda, self.feed)
        self.seq = 0
        self.halted = False
        """True if the kernel had to halt trading: an error in a critical component, or an endless cascade."""

    @property
    def max_cascade(self) -> int:
        """How many events one input may cause before trading is halted."""
        return self._max_cascade

    @property
    def reserved(self) -> frozenset[str]:
        """The sources of the driver's inputs. Nobody else may publish with them."""
        return self._outside.reserved

    @property
    def is_broken(self) -> bool:
        """Whether an input was interrupted, so that the engines may have processed a part of it."""
        return self._current is not None

    @property
    def current(self) -> DomainEvent | None:
        """The event that is being handled; ``None`` between two inputs."""
        return self._current if self._busy else None

    # -- inputs -----------------------------------------------------------------------------------------------

    def feed(self, event: DomainEvent, record: bool = True) -> None:
        """Process one input with its whole cascade, in ``MONEY_CONTEXT`` whatever the caller's decimal context.

        Its ``ts_ingress`` moves the clock; if it is 0 or in the past, it is set to the clock's time. ``record=False``
        keeps the input itself off the tape (its seq stays a gap), because a file named in the manifest contains it.

        Raises the tape's errors. The cascade is then on the tape completely or not at all, and no edge has received it.
        But the engines have processed it, so the kernel cannot continue: every further call raises ``TickdeckError``.
        The same applies to anything else that interrupts a cascade, such as Ctrl-C. Raises ``ConfigError`` in a thread
        that does not own the kernel.
        """
        if get_ident() != self._owner:
            self._claim("feed")
        callers = getcontext()
        try:
            setcontext(MONEY_CONTEXT)
            self.take(event, record)
        finally:
            setcontext(callers)

    def take(self, event: DomainEvent, record: bool = True) -> None:
        """``feed`` for a driver, which owns the kernel and has already set ``MONEY_CONTEXT``."""
        if self._current is not None:
            raise self._refusal()
        clock = self.clock
        try:
            event = event.__copy__()
            if event.ts_ingress < clock._now:
                force_setattr(event, "ts_ingress", clock._now)
        except (AttributeError, TypeError):
            raise _not_an_input(event) from None
        cascade = invalid = None
        try:
            # Until the end of the block the input is half processed, and ``_current`` marks the kernel as broken.
            # The last line removes the mark. If anything interrupts the cascade, at any line, the kernel stays marked.
            self._current = event
            self.inputs = number = self.inputs + 1
            self.seq = seq = self.seq + 1
            # Like ``stamp_input``, but inlined: it saves a call for each tick of a backtest.
            event_id = str(number)
            force_setattr(event, "event_id", event_id)
            force_setattr(event, "seq", seq)
            if not event.correlation_id:
                force_setattr(event, "correlation_id", event_id)
            clock._now = now = event.ts_ingress
            if not event.ts:
                force_setattr(event, "ts", now)
            self._children = 0
            self._busy = True
            self._dispatch(event)
            if record or self._queue:
                cascade = self._run_cascade(event, record)
                self._tape.append(cascade)
            self._busy = False
            self._current = None
        except BaseException as error:
            self._busy = False
            if self._current is None:
                raise
            invalid = self._store_without_invalid(cascade, error, f"input {self.inputs} ({type(event).event_type})")
        if self._outbox:
            self._serve_edges()
        if invalid is not None:
            raise invalid

    def publish(self, event: DomainEvent) -> Receipt:
        """Inside a handler: queue a derived event. Outside: process an input, caused by the event that the running edge
        received. Raises ``ConfigError`` in a thread that does not own the kernel."""
        if get_ident() != self._owner:
            self._claim("publish")
        if self._busy:
            if type(event) not in self._plans and not isinstance(event, DomainEvent):  # isinstance takes twice as long
                raise not_an_event(event)
            if type(event) in users_checks:
                check_fields(event)
            if not self._staged:  # the first of this handler
                self._staged_receipt = receipt = new_receipt(StagedReceipt)
                receipt._bus = self
            self._staged.append(event)
            return self._staged_receipt
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        check_fields(event)
        event = self._caused(event)
        if event.source in self._outside.reserved:
            raise is_reserved(event)
        if not self._open:
            return self._hold(event)
        self._take_input(event)
        return self._receipt

    def publish_threadsafe(self, event: DomainEvent) -> Receipt:
        self._check_given(event)
        return super().publish_threadsafe(event)

    def post(self, event: DomainEvent) -> None:
        self._check_given(event)
        super().post(event)

    def _check_given(self, event: DomainEvent) -> None:
        if isinstance(event, DomainEvent):
            check_fields(event)
            if event.source in self._outside.reserved:
                raise is_reserved(event)

    def post_own(self, event: DomainEvent) -> None:
        """``post`` for the driver, which may use the reserved sources."""
        super().post(event)

    def _caused(self, event: DomainEvent) -> DomainEvent:
        return caused(self, event)

    def _take_input(self, event: DomainEvent) -> None:
        self.feed(self._outside.received(event, self.inputs))

    def step(self) -> None:
        """The driver did something that is not an input: see ``OutsideInputs.step``."""
        self._outside.step(self.inputs)

    def publish_all(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int] | None = None) -> Receipt:
        """``publish`` each, in order. With ``expected`` this is atomic: all events and their effects are written to the
        tape as one unit, and only if each stream in ``expected`` has the given number of events.

        Raises ``ConcurrencyError`` if a stream has another version; nothing is published then. With ``expected``,
        raises ``ConfigError`` inside a handler, a batch or a pause, because the versions are not known there.
        """
        if expected is None:
            return super().publish_all(events)
        return self._publish_together("publish_all", events, expected, self._dispatch)

    def _publish_together(
        self,
        call: str,
        events: Iterable[DomainEvent],
        expected: Mapping[str, int],
        dispatch: Callable[[DomainEvent], None],
    ) -> Receipt:
        """``call`` names the method in errors. ``dispatch`` hands out each event before it is on the tape."""
        if get_ident() != self._owner:
            self._claim(call)
        if self._busy or not self._open:
            raise ConfigError(
                f"{call}(expected=...): not inside a handler, a batch, a pause or while the bus is disabled"
            )
        given = check_events(call, events)
        for event in given:
            if event.source in self._outside.reserved:
                raise is_reserved(event)
            check_fields(event)
        check_versions(self._tape.stream_version, expected)
        callers = getcontext()
        try:
            setcontext(MONEY_CONTEXT)
            received = [self._outside.received(self._caused(event), self.inputs) for event in given]
            self._take_together(received, dispatch)
        finally:
            setcontext(callers)
        return self._receipt

    def _take_together(self, events: list[DomainEvent], dispatch: Callable[[DomainEvent], None]) -> None:
        """``take`` for several inputs whose cascades are written to the tape as one unit."""
        if self._current is not None:
            raise self._refusal()
        cascades: list[DomainEvent] = []
        invalid = None
        try:
            for given in events:
                self._current = given
                event = stamp_input(given, self.inputs + 1, self.seq + 1, self.clock._now)
                self.inputs, self.seq, self.clock._now = self.inputs + 1, self.seq + 1, event.ts_ingress
                self._current = event
                self._children = 0
                self._busy = True
                dispatch(event)
                cascades += self._run_cascade(event, record=True)
            if cascades:
                self._tape.append(cascades)
            self._busy = False
            self._current = None
        except BaseException as error:
            self._busy = False
            if self._current is None:
                raise
            what = f"input {self.inputs} ({type(self._current).event_type})"
            invalid = self._store_without_invalid(cascades, error, what)
        if self._outbox:
            self._serve_edges()
        if invalid is not None:
            raise invalid

    def continue_from(self, last: DomainEvent) -> None:
        """Continue numbering after ``last``, the last event of an existing tape, and never run the clock before its
        time."""
        self.seq = last.seq
        number = last.event_id.split("-", 1)[0]
        # An id that a user chose is not a number. The number of an input never exceeds its seq.
        self.inputs = int(number) if number.isascii() and number.isdecimal() else last.seq
        self.clock._now = last.ts_ingress

    @property
    def is_at_rest(self) -> bool:
        """Whether everything that the kernel was given is processed, and nothing waits or was interrupted."""
        waiting = self._busy or self._queue or self._staged or self._outbox or len(self._handover)
        return not (waiting or self._current is not None or self._ended_by) and self._open

    def state_parts(self) -> dict[str, object]:
        """The objects that hold the kernel's state between two inputs, by name, for a snapshot. The numbers are apart
        (``continue_at``), and so are the subscriptions (``table``)."""
        return {
            "clock": self.clock,
            "timers": self._timers,
            "outside inputs": self._outside,
            "faults": self._edges.faults,
        }

    @property
    def table(self) -> Subscriptions:
        """The subscriptions, for a snapshot."""
        return self._table

    def continue_at(self, *, seq: int, inputs: int, halted: bool) -> None:
        """Continue numbering in a run whose state is restored. The clock and the timers are restored apart."""
        self.seq, self.inputs, self.halted = seq, inputs, halted

    def _refusal(self) -> Exception:
        if self._busy:
            if self._owner and not self._is_owner():
                return ConfigError("feed: another thread's cascade is running; call publish_threadsafe(event) instead")
            return RuntimeError("feed() inside a handler: handlers publish events, they do not take inputs")
        why = self._ended_by or "an input was interrupted; resume the run from its tape"
        return TickdeckError(f"the kernel takes no more inputs, because {why}")

    def refuse_inputs(self, why: str) -> None:
        """Take no more inputs; ``why`` gives the reason and what to do, after "because". Receipts of events that wait
        raise it. Inside a handler, this happens after its cascade."""
        if self._busy and self._is_owner():
            self.after_cascade(lambda: self.refuse_inputs(why))
            return
        self.leave(why)
        self._refuse_waiting(self._ended_by)

    def leave(self, why: str) -> None:
        """``refuse_inputs`` in a forked child, which must not touch its parent's receipts."""
        self._ended_by = self._ended_by or why
        self._current = self._current or _ENDED
        self._handover.close(why)

    def _end(self, what: str, error: BaseException) -> None:
        """Take no more inputs, because ``error`` interrupted ``what``."""
        self._current = self._current or _ENDED
        self._ended_by = f"{what} ended in {type(error).__name__}"
        self._abandon()
        if isinstance(error, Exception) and (text := describe_error(error)):
            self._ended_by += f": {text}"
        self._ended_by += "; resume the run from its tape"
        self._handover.close(self._ended_by)
        self._refuse_waiting(self._ended_by)

    def _serve_edges(self) -> None:
        """As on the bus. If Ctrl-C interrupts a handler, the kernel cannot continue, because the handler's effects are
        unknown."""
        try:
            self._edges.release()
        except BaseException as error:
            if not isinstance(error, Exception) and self._current is None:
                self._end(f"an edge after input {self.inputs}", error)
            raise
        self._edges.run_calls_after()

    # -- the cascade ------------------------------------------------------------------------------------------

    def _run_cascade(self, root: DomainEvent, record: bool) -> list[DomainEvent]:
        """Dispatch the root's effects, and their effects. Returns the part of the cascade that is written to the
        tape."""
        queue = self._queue
        cascade = [root] if record else []
        limit, longest = self._max_cascade, _LONGEST_ID
        while queue:
            event = queue.popleft()
            if len(cascade) >= limit or len(event.event_id) > longest:
                self._stop_runaway(cascade, halt=longest == _LONGEST_ID)
                limit, longest = limit + 1_000, longest * 2  # room for the effects of the halt itself
                continue
            self.seq += 1
            force_setattr(event, "seq", self.seq)
            self._current = event
            self._children = 0
            if type(event) in TIMER_EVENTS:  # isinstance costs 180 ns
                self._timers.apply(event)  # type: ignore[arg-type]
            self._dispatch(event)
            cascade.append(event)
        return cascade

    def _store_without_invalid(
        self, cascade: list[DomainEvent] | None, error: BaseException, what: str
    ) -> EventValidationError | None:
        """``error`` interrupted an input, perhaps because the tape cannot encode an event of its ``cascade``. Then
        store ``system.error`` in the place of such events, keep them from the edges, and halt trading, because the
        engines have processed what is not on the tape. Returns the error for the publisher if one of them is an input.

        Otherwise the kernel cannot continue, and this raises ``error``. ``what`` names the input.
        """
        try:
            kept, reasons = replace_unstorable(cascade) if cascade and isinstance(error, Exception) else ([], {})
            if not cascade or not reasons:
                raise error
            log.error("%s", next(iter(reasons.values())))
            replaced = [event for event in kept if isinstance(event, SystemErrorEvent) and event.seq in reasons]
            for _ in range(len(self._outbox)):
                plan, event = self._outbox.popleft()
                if event.seq not in reasons:
                    self._outbox.append((plan, event))
            if not self.halted:
                self.halted = self._busy = True
                self._queue.append(self._derive(cascade[-1], TradingHalted(reason=replaced[0].message)))
                kept += replace_unstorable(self._run_cascade(cascade[-1], record=False))[0]
            self._tape.append(kept)
        except BaseException as final:
            self._busy = False
            self._end(what, final)
            raise
        self._busy = False
        self._current = None
        refused = [event for event in replaced if event.is_input]
        return EventValidationError(reasons[refused[0].seq]) if refused else None

    def _take_staged(self, parent: DomainEvent) -> None:
        for event in self._staged:
            self._queue.append(self._derive(parent, event))
        self._staged.clear()

    def next_id(self) -> str:
        """The id of the next published event, if the running handler returns (outside a handler: of the next input)."""
        if self._current is None:
            return str(self.inputs + 1)
        return f"{self._current.event_id}-{self._children + len(self._staged) + 1}"

    def _stop_runaway(self, cascade: list[DomainEvent], halt: bool) -> None:
        """The cascade does not end: discard the waiting events, and halt with the chain of causes. If the halt itself
        causes endless events, they are discarded silently. The edges still receive what was dispatched. The gateway
        also receives the halt, and ends the orders among these events as never sent."""
        self._queue.clear()
        if not halt:
            return
        reason = describe_runaway(cascade, self._max_cascade)
        self.halted = True
        self._queue.append(self._derive(cascade[-1], TradingHalted(reason=reason)))

    def _is_fault(self, subscription: Subscription, error: BaseException) -> bool:
        """``sys.exit()`` in a strategy counts as that strategy's error; it does not end the run. A real Ctrl-C does."""
        if super()._is_fault(subscription, error):
            return True
        if not subscription.component.startswith(STRATEGY) or isinstance(error, Terminated):
            return False
        return not came_by_signal(error)

    def _failed(self, subscription: Subscription, event: DomainEvent, error: BaseException) -> None:
        super()._failed(subscription, event, error)
        component = subscription.component
        if component in CRITICAL_COMPONENTS:
            if not self.halted:
                self.halted = True
                what = f"{component} failed on {event.event_type} {event.event_id}"
                self._staged.append(TradingHalted(reason=f"{what}: {type(error).__name__}: {describe_error(error)}"))
        elif component.startswith(STRATEGY):
            self._table.remove_component(component)  # now, because it must not decide on the rest of this cascade

    def _edge_failed(
        self,
        subscription: Subscription,
        event: DomainEvent,
        error: BaseException,
        attempts: int,
        letter: DeadLetter | None = None,
    ) -> None:
        super()._edge_failed(subscription, event, error, attempts, letter)
        if isinstance(error, BufferHalted) and not self.halted:
            self.halted = True
            self.publish(
                TradingHalted(reason=f"{subscription.name} fell behind by a whole mailbox: {describe_error(error)}")
            )

    # -- durability -------------------------------------------------------------------------------------------

    def _position(self) -> int:
        return self._tape.last_seq

    async def _wait_durable(self, position: int) -> None:
        if self._tape.durable_seq < position:
            await self._tape.wait_durable_async(position)

    def _cursor(self, name: str, topic: Topic) -> Cursor | None:
        if self._cursors is None:
            return None
        return Cursor(
            name,
            self._cursors,
            topic=topic,
            now=self.seq,
            present=self._present,
            position=self._position,
            read=self._tape.read,
        )

    def _present(self) -> int:
        """The ``seq`` up to which all events were handed to the edges."""
        return self.seq if self._ended_by or not (self._busy or self._outbox) else 0

    def close_tape(self) -> None:
        """Write everything to disk, and accept no more inputs. You may call this twice. Raises ``ConfigError``
        inside a handler, whose cascade is not on the tape yet."""
        if self._busy and self._is_owner():
            raise ConfigError("the bus cannot be closed inside a handler; call bus.after_cascade(bus.close_tape) there")
        self.refuse_inputs("the bus is closed; open it again to publish")
        self._edges.checkpoint()
        self._tape.close()

    async def close(self) -> None:
        """Let the edges finish their waiting events, then write everything to disk. The file is closed even if an edge
        or the tape fails; the error is raised. Inside an async handler, this only waits for the other handlers."""
        try:
            await self.aclose()
        finally:
            self.close_tape()


def _not_an_input(given: object) -> Exception:
    if isinstance(given, DomainEvent):
        return EventValidationError(
            f"{type(given).event_type}: ts_ingress is {given.ts_ingress!r}; give nanoseconds since 1970, as an int"
        )
    return not_an_event(given)
