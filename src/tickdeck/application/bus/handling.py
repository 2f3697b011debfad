"""The event that the running code handles, and its bus. Both are stored in the context (``contextvars``)."""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar, copy_context
from typing import TYPE_CHECKING, Any

from msgspec.structs import force_setattr

from tickdeck.domain.events import DomainEvent

if TYPE_CHECKING:
    from tickdeck.application.bus.mailbox import Mailbox

__all__ = [
    "AMBIENT",
    "HANDLING",
    "Handling",
    "caused",
    "handled_event",
    "handler_context",
    "handling_on",
    "leave_mailbox",
]


class Handling:
    """One call of an edge. Tasks started by the edge inherit it, but it only counts until the call ends."""

    __slots__ = ("bus", "event", "mailbox", "over")

    def __init__(self, bus: object, event: DomainEvent, mailbox: Mailbox | None = None) -> None:
        self.bus = bus
        self.event = event
        self.mailbox = mailbox  # of an async handler
        self.over = False


HANDLING: ContextVar[Handling | None] = ContextVar("tickdeck_handling", default=None)
AMBIENT: ContextVar[Any] = ContextVar("tickdeck_bus", default=None)
"""The bus that ``get_event_bus`` returns."""


def handling_on(bus: object) -> Handling | None:
    """The current call of an edge of ``bus`` in this context. Its event is the cause of what is published now."""
    handling = HANDLING.get()
    if handling is None or handling.over or handling.bus is not bus:
        return None
    return handling


def caused(bus: object, event: DomainEvent) -> DomainEvent:
    """``event`` with its cause and correlation, if an edge of ``bus`` publishes it. A cause that it has stays."""
    handling = handling_on(bus)
    if handling is not None and not event.causation_id:
        event = event.__copy__()
        force_setattr(event, "causation_id", handling.event.event_id)
        force_setattr(event, "correlation_id", handling.event.correlation_id)
    return event


def handled_event() -> DomainEvent | None:
    """The event that an edge of any bus is handling in this context."""
    handling = HANDLING.get()
    return None if handling is None or handling.over else handling.event


def handler_context(bus: object) -> Context:
    """A copy of the current context for handlers of ``bus``, in which ``bus`` is the ambient bus."""
    context = copy_context()
    context.run(AMBIENT.set, bus)
    return context


def leave_mailbox() -> asyncio.Task[None] | None:
    """Let the mailbox go on with its next event, while the async handler that calls this continues in its own task.

    The event counts as handled from now on: an error after this is neither retried nor a dead letter, and nobody waits
    for the rest, so keep a reference to the task, which this returns. Returns ``None``, and changes nothing, outside a
    handler's own task and for a dead letter that was sent again."""
    handling = HANDLING.get()
    if handling is None or handling.over or handling.mailbox is None:
        return None
    return handling.mailbox.leave()
