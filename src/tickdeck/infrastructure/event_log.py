"""Logs events: one structured line for each, named by its type, with its ids and fields."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase

from tickdeck.application.bus import EventBus, type_name
from tickdeck.domain.events import DomainEvent

__all__ = ["ALWAYS_LOGGED", "log_events"]

ALWAYS_LOGGED = (
    "order.*",
    "position.*",
    "risk.*",
    "trading.*",
    "notification.*",
    "trigger.fired",
    "feed.*",
    "command.received",
)
"""Always logged: events of orders (``order.filled`` and ``order.partially_filled`` are their trades), of positions and
of risk, alerts, triggers that fire, connections to the venue, and commands."""
_AFTER_ALL_OTHERS = -(1 << 30)

log = logging.getLogger("tickdeck.events")


def log_events(bus: EventBus, topics: Sequence[str] = ()) -> None:
    """Log each event of ``ALWAYS_LOGGED`` and of ``topics`` (types with wildcards) on ``bus``, at level ``info``.

    The message of a line is the event's type. Its fields are ``event_id``, ``correlation_id``, ``causation_id`` and the
    event's own fields, except empty ones. The log uses subscriptions, so other events cost nothing. It subscribes only
    if the logger ``tickdeck.events`` handles ``info`` lines.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    patterns: list[str] = []
    for topic in dict.fromkeys((*ALWAYS_LOGGED, *topics)):
        bus.subscribe(
            topic,
            _log,
            where=_not_matched_by(tuple(patterns)) if topic not in ALWAYS_LOGGED else None,
            priority=_AFTER_ALL_OTHERS,
            name="event-log",
            component="log",
        )
        patterns.append(topic)


def _not_matched_by(patterns: tuple[str, ...]) -> Callable[[DomainEvent], bool]:
    """Each event is logged once, even if several topics match it."""

    def is_new(event: DomainEvent) -> bool:
        name = type_name(event)
        return not any(fnmatchcase(name, pattern) for pattern in patterns)

    return is_new


def _log(event: DomainEvent) -> None:
    fields = {
        "event_id": event.event_id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        **event.payload,
    }
    visible = {name: value for name, value in fields.items() if value is not None and value not in ("", [], {})}
    log.info("%s", type_name(event), extra={"fields": visible})
