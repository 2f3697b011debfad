"""Events about the run: start and stop, timers, commands, handler errors."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.upcast import upcast

__all__ = [
    "CommandReceived",
    "DeadLetterHandled",
    "EventDeadLettered",
    "HandlerFailed",
    "RunResumed",
    "RunStarted",
    "RunStopped",
    "SystemError",
    "SystemHeartbeat",
    "SystemWarning",
    "TimerCancelled",
    "TimerFired",
    "TimerSet",
]


class RunStarted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The first event of a run. An input of the run's driver."""

    event_type: ClassVar[str] = "run.started"
    priority: ClassVar[Priority] = Priority.P1
    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    seed: int = 0


class RunResumed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A run continues in a new process: a run on live data, or any run whose code has changed. An input of the run's
    driver.

    ``since`` (ns UTC) is the time of the last input before. A live run saw nothing of the market between then and
    ``ts``, so every order book is unusable until the venue sends a new one, and timers that were due meanwhile fire
    late, after this event.

    ``how`` is ``executed`` if the code is the same and executed the whole record again. It is ``folded`` if the code
    has changed: the state was folded from the record, and a new stretch of the proof begins with this event. Then
    ``code`` has the digest of each part of the new code. ``strategies`` says how each came back: ``restored`` from its
    snapshot, which is in ``snapshots`` as JSON, or ``warmed up`` with the recorded inputs. ``stopped_at`` is the
    ``seq`` of the last event of the process before, if that stopped in order: everything that followed from it is on
    the tape. It is 0 if that process was killed, and in events of an earlier version.
    """

    event_type: ClassVar[str] = "run.resumed"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 3
    since: int = 0
    how: str = "executed"
    code: dict[str, str] = {}
    strategies: dict[str, str] = {}
    snapshots: dict[str, str] = {}
    stopped_at: int = 0


class RunStopped(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The last event of a run that reached its end. An input of the run's driver."""

    event_type: ClassVar[str] = "run.stopped"
    priority: ClassVar[Priority] = Priority.P1
    reason: str = ""


class TimerSet(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A timer was set. Emitted by the kernel.

    ``timer_id`` numbers the timers of the run in order of creation. When the run's clock reaches ``due`` (ns UTC),
    ``timer.fired`` follows with the same ``name`` and ``owner``, unless ``timer.cancelled`` comes first.
    """

    event_type: ClassVar[str] = "timer.set"
    priority: ClassVar[Priority] = Priority.P1
    timer_id: int
    name: str
    owner: str = ""
    due: int

    @property
    def aggregate_id(self) -> str:
        return self.owner


class TimerCancelled(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A timer was cancelled before it fired. Emitted by the kernel. ``timer_id`` is that of ``timer.set``."""

    event_type: ClassVar[str] = "timer.cancelled"
    priority: ClassVar[Priority] = Priority.P1
    timer_id: int


class TimerFired(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A timer is due. An input of the kernel's clock.

    ``timer_id``, ``name``, ``owner`` and ``due`` (ns UTC) are those of ``timer.set``. Its cause is the event that was
    being handled when the timer was set.
    """

    event_type: ClassVar[str] = "timer.fired"
    priority: ClassVar[Priority] = Priority.P1
    timer_id: int
    name: str
    owner: str = ""
    due: int

    @property
    def aggregate_id(self) -> str:
        return self.owner


class CommandReceived(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A command from a person or another process: an input of the run's edges. Emitted by the trigger engine, too, when
    a trigger fires.

    ``command`` is its name, such as ``halt``; ``arguments`` are strings.
    """

    event_type: ClassVar[str] = "command.received"
    priority: ClassVar[Priority] = Priority.P1
    command: str
    arguments: dict[str, str] = {}
    reason: str = ""


class HandlerFailed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A handler raised an exception. The events that it had published were discarded. Emitted by the kernel.

    ``handler`` and ``component`` are its name and its component. ``failed_event_id`` and ``failed_event_type`` are the
    event that it was handling.
    """

    event_type: ClassVar[str] = "system.handler_failed"
    handler: str
    component: str = ""
    error: str
    message: str = ""
    failed_event_id: str = ""
    failed_event_type: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.component


class EventDeadLettered(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An edge could not handle an event in any of its attempts. The event waits to be sent again. Emitted by the bus.

    ``dead_event_id`` is the id of the event, and ``payload_json`` is the whole event as ``to_json`` returns it.
    ``handler`` is the handler that failed, ``attempts`` the number of calls, and ``error`` the last error.
    """

    event_type: ClassVar[str] = "system.event_dead_lettered"
    dead_event_id: str
    handler: str
    error: str
    attempts: int = 1
    payload_json: str

    @property
    def aggregate_id(self) -> str:
        return self.handler


class DeadLetterHandled(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A dead letter was sent again, and its handler handled it. Emitted by a bus with a tape.

    ``dead_event_id`` and ``handler`` are those of the ``system.event_dead_lettered`` that this settles.
    """

    event_type: ClassVar[str] = "system.dead_letter_handled"
    dead_event_id: str
    handler: str

    @property
    def aggregate_id(self) -> str:
        return self.handler


class SystemError(DomainEvent, frozen=True, kw_only=True, gc=False):  # noqa: A001 (the catalogue's name)
    """The run cannot continue. An input of the run's driver, if the market data is broken.

    ``component`` is where the error occurred, ``error`` its class and ``message`` its text.
    """

    event_type: ClassVar[str] = "system.error"
    component: str
    error: str
    message: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.component


class SystemWarning(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A request was not carried out, or something is wrong around a live run. The run continues. Emitted by the engine
    that received the request; an input if it comes from the feed, the gateway or the surroundings.

    ``component`` is where it comes from. ``message`` says what was not done or what is wrong, and why.
    """

    event_type: ClassVar[str] = "system.warning"
    component: str
    message: str

    @property
    def aggregate_id(self) -> str:
        return self.component


class SystemHeartbeat(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The core is alive. Emitted by the heartbeat engine, at fixed intervals of the run's clock.

    ``number`` counts from 1. ``inputs`` and ``events`` are the totals of the run so far, without this event.
    """

    event_type: ClassVar[str] = "system.heartbeat"
    number: int
    inputs: int
    events: int


for _version in (1, 2):
    upcast(RunResumed.event_type, _version, lambda fields: fields, keeps_stream=True)  # the new fields have defaults
