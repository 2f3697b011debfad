"""The message about a cascade that does not end."""

from __future__ import annotations

from collections.abc import Sequence

from tickdeck.domain.events import DomainEvent

__all__ = ["describe_runaway"]


def describe_runaway(cascade: Sequence[DomainEvent], max_cascade: int) -> str:
    """Why the cascade was stopped, with its last event and up to four of that event's causes."""
    chain = [cascade[-1]]
    by_id = {event.event_id: event for event in cascade}
    while (cause := by_id.get(chain[-1].causation_id)) is not None and len(chain) < 5:
        chain.append(cause)
    shown = " <- ".join(f"{event.event_type} {event.event_id[-40:]}" for event in chain)
    what = f"more than {max_cascade} events" if len(cascade) >= max_cascade else "a chain without end"
    return f"one input caused {what}; the last and its causes: {shown}"
