"""The life of triggers: conditions that a run watches, and what follows when one holds."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority

__all__ = [
    "TriggerCreated",
    "TriggerDeleted",
    "TriggerEvaluated",
    "TriggerEvent",
    "TriggerExpired",
    "TriggerFired",
    "TriggerSet",
    "TriggerUpdated",
    "trigger_stream",
]


class TriggerEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one trigger of the run. Emitted by the trigger engine. ``trigger_id`` is unique in the
    run."""

    priority: ClassVar[Priority] = Priority.P1
    trigger_id: str

    @property
    def aggregate_id(self) -> str:
        return self.trigger_id

    @property
    def stream(self) -> str:
        return trigger_stream(self.trigger_id)


def trigger_stream(trigger_id: str) -> str:
    """The stream of one trigger."""
    return f"trigger/{trigger_id}"


class TriggerSet(TriggerEvent, frozen=True, kw_only=True, gc=False):
    """Base of the events that say what a trigger watches.

    ``when`` is its condition, and ``then`` what follows, such as ``halt``. With ``once`` it fires at most once;
    otherwise each time that the condition begins to hold, but not within ``every`` (ns) of the last time. It ends at
    ``expires`` (ns UTC; 0: never). ``account`` is the account that both are about; empty: all of the run.
    """

    when: str
    then: str
    once: bool = True
    every: int = 0
    expires: int = 0
    account: str = ""

    def __post_init__(self) -> None:
        for name in ("every", "expires"):
            if getattr(self, name) < 0:
                raise invalid(self, name, "at least 0")


class TriggerCreated(TriggerSet, frozen=True, kw_only=True, gc=False):
    """A trigger watches its condition from now on. Emitted by the trigger engine at the start, and on a command.

    ``created_by`` is who asked for it: ``configuration``, or ``command``.
    """

    event_type: ClassVar[str] = "trigger.created"
    created_by: str


class TriggerUpdated(TriggerSet, frozen=True, kw_only=True, gc=False):
    """A trigger watches something else from now on, also if it had fired or expired. Emitted by the trigger engine on a
    command. It has all settings, not only the changed ones."""

    event_type: ClassVar[str] = "trigger.updated"
    reason: str = ""


class TriggerEvaluated(TriggerEvent, frozen=True, kw_only=True, gc=False):
    """The value of a condition became known, or changed without firing. Emitted by the trigger engine.

    ``holds`` is the value. It is true only if the trigger had to wait after it had fired.
    """

    event_type: ClassVar[str] = "trigger.evaluated"
    holds: bool


class TriggerFired(TriggerEvent, frozen=True, kw_only=True, gc=False):
    """The condition of a trigger holds, and ``then`` follows. Emitted by the trigger engine.

    ``values`` are the values of the names in ``when``. ``number`` counts how often it has fired.
    """

    event_type: ClassVar[str] = "trigger.fired"
    when: str
    then: str
    number: int
    values: dict[str, str] = {}
    account: str = ""


class TriggerExpired(TriggerEvent, frozen=True, kw_only=True, gc=False):
    """A trigger came to the end of its time. Emitted by the trigger engine."""

    event_type: ClassVar[str] = "trigger.expired"


class TriggerDeleted(TriggerEvent, frozen=True, kw_only=True, gc=False):
    """A trigger was removed from the run. Emitted by the trigger engine on a command."""

    event_type: ClassVar[str] = "trigger.deleted"
    reason: str = ""
