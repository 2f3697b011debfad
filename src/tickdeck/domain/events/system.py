"""The run itself: its start and stop, timers, commands from people, failures of handlers."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority

__all__ = [
    "CommandReceived",
    "DeadLetterHandled",
    "EventDeadLettered",
    "HandlerFailed",
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


class RunStopped(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The last event of a run that came to its end. An input of the run's driver."""

    event_type: ClassVar[str] = "run.stopped"
    priority: ClassVar[Priority] = Priority.P1
    reason: str = ""


class TimerSet(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A timer was set. Emitted by the kernel.

    ``timer_id`` counts the run's timers in order of creation; ``timer.fired`` comes with the same ``name`` and
    ``owner`` when the run's clock reaches ``due`` (ns UTC), unless ``timer.cancelled`` comes before."""

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
    """A timer that had not fired was cancelled. Emitted by the kernel. ``timer_id`` is that of ``timer.set``."""

    event_type: ClassVar[str] = "timer.cancelled"
    priority: ClassVar[Priority] = Priority.P1
    timer_id: int


class TimerFired(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A timer came due. An input of the kernel's clock.

    ``timer_id`` counts the run's timers in order of creation; ``name`` and ``owner`` are as they were set; ``due`` in
    ns UTC. Its cause is the event that was being handled when the timer was set."""

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
    """A person or another process asks the run to do something. An input of the run's edges.

    ``command`` is ``halt`` in this version; ``arguments`` are strings."""

    event_type: ClassVar[str] = "command.received"
    priority: ClassVar[Priority] = Priority.P1
    command: str
    arguments: dict[str, str] = {}
    reason: str = ""


class HandlerFailed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A handler raised; what it had published was discarded. Emitted by the kernel.

    ``handler`` and ``component`` name it, ``failed_event_id`` and ``failed_event_type`` what it was handling."""

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
    """An edge could not take an event, in all its attempts; the event waits to be sent again. Emitted by the bus.

    ``dead_event_id`` and ``payload_json`` (self-contained, as ``to_json`` gives it) are the event, ``handler`` is
    who could not take it, ``error`` what it raised last, after ``attempts`` calls."""

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
    """A dead letter was sent again, and its handler has handled it. Emitted by a bus with a tape.

    ``dead_event_id`` and ``handler`` are those of the ``system.event_dead_lettered`` that is settled by this."""

    event_type: ClassVar[str] = "system.dead_letter_handled"
    dead_event_id: str
    handler: str

    @property
    def aggregate_id(self) -> str:
        return self.handler


class SystemError(DomainEvent, frozen=True, kw_only=True, gc=False):  # noqa: A001 (the catalogue's name)
    """The run cannot go on. An input of the run's driver, where the market data that it reads is broken.

    ``component`` had it; ``error`` is its class, ``message`` says it in words."""

    event_type: ClassVar[str] = "system.error"
    component: str
    error: str
    message: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.component


class SystemWarning(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Something that was asked for is not done, and the run goes on. Emitted by the engine that was asked.

    ``component`` is that engine, ``message`` says in words what and why."""

    event_type: ClassVar[str] = "system.warning"
    component: str
    message: str

    @property
    def aggregate_id(self) -> str:
        return self.component


class SystemHeartbeat(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The core is alive. Emitted by the heartbeat engine, in fixed steps of the run's clock.

    ``number`` counts from 1; ``inputs`` and ``events`` are the run's so far, this one not among them."""

    event_type: ClassVar[str] = "system.heartbeat"
    number: int
    inputs: int
    events: int
