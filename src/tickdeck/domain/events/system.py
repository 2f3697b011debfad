"""The run itself: its start and stop, timers, commands from people, failures of handlers."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent

__all__ = ["CommandReceived", "HandlerFailed", "RunResumed", "RunStarted", "RunStopped", "TimerFired"]


class RunStarted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The first event of a run. An input of the run's driver."""

    event_type: ClassVar[str] = "run.started"
    strategies: tuple[str, ...] = ()
    symbols: tuple[str, ...] = ()
    seed: int = 0


class RunResumed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A live run goes on after a stop or a crash. An input of the run's driver."""

    event_type: ClassVar[str] = "run.resumed"
    reason: str = ""


class RunStopped(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The last event of a run that came to its end. An input of the run's driver."""

    event_type: ClassVar[str] = "run.stopped"
    reason: str = ""


class TimerFired(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A timer came due. An input of the kernel's clock.

    ``timer_id`` counts the run's timers in order of creation; ``name`` and ``owner`` are as they were set; ``due`` in
    ns UTC. Its cause is the event that was being handled when the timer was set."""

    event_type: ClassVar[str] = "timer.fired"
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
