"""Logs events: one structured line for each, named by its type, with its ids and fields."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from tickdeck.application.bus import EventBus, type_name
from tickdeck.application.repeats import Repeats
from tickdeck.domain.events import DomainEvent, NotificationAlert, RiskLimitBreachedEvent, SystemWarning

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
    "system.warning",
)
"""Always logged: events of orders (``order.filled`` and ``order.partially_filled`` are their trades), of positions and
of risk, alerts, warnings, triggers that fire, connections to the venue, and commands."""
_ALERTS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}
_LOGGED_BY_THEMSELVES = ("surroundings", "archive")
"""Components that log their warnings even before they are events."""
_AFTER_ALL_OTHERS = -(1 << 30)

log = logging.getLogger("tickdeck.events")


def log_events(bus: EventBus, topics: Sequence[str] = ()) -> None:
    """Log each event of ``ALWAYS_LOGGED`` and of ``topics`` (types with wildcards) on ``bus``, at level ``info``;
    warnings at ``warning``, and alerts as their severity says, ``critical`` ones at ``error``.

    The message of a line is the event's type. Its fields are ``event_id``, ``correlation_id``, ``causation_id`` and the
    event's own fields, except empty ones. Of a decision that is refused again and again, the first is logged, then the
    10th, the 100th and so on, with their number as ``refused``. The log uses subscriptions, so other events cost
    nothing. It subscribes only if the logger ``tickdeck.events`` handles ``info`` lines.
    """
    if not log.isEnabledFor(logging.INFO):
        return
    write = _Log()
    patterns: list[str] = []
    for topic in dict.fromkeys((*ALWAYS_LOGGED, *topics)):
        bus.subscribe(
            topic,
            write,
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


class _Log:
    """Writes a line for each event, except for most refusals of a kind: rules try an order again each minute while
    their condition holds. A kind is a strategy, a symbol and a limit; it begins anew after an hour without one."""

    def __init__(self) -> None:
        self._refused = Repeats()

    def __call__(self, event: DomainEvent) -> None:
        if not isinstance(event, RiskLimitBreachedEvent):
            _write(event)
            return
        key = event.strategy_id, event.account_id, event.intent.symbol, event.limit
        number = self._refused.count(key, event.ts)
        if number == 1:
            _write(event)
        elif number:
            _write(event, refused=number)


def _write(event: DomainEvent, **more: Any) -> None:
    fields = {
        "event_id": event.event_id,
        "correlation_id": event.correlation_id,
        "causation_id": event.causation_id,
        **event.payload,
        **more,
    }
    level, message = logging.INFO, type_name(event)
    if isinstance(event, SystemWarning):
        if event.component in _LOGGED_BY_THEMSELVES:
            return
        level, message = logging.WARNING, fields.pop("message")
    elif isinstance(event, NotificationAlert):
        level = _ALERTS[event.severity]
    visible = {name: value for name, value in fields.items() if value is not None and value not in ("", [], {}, ())}
    log.log(level, "%s", message, extra={"fields": visible})
