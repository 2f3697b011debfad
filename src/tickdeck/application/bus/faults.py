"""Handlers that raise: counted, logged and published, with a text that finds the error, is the same in every run and
holds no secret."""

from __future__ import annotations

import logging
import re

from tickdeck.application.bus.dead_letters import DeadLetter, DeadLetters
from tickdeck.application.bus.selection import type_name
from tickdeck.application.bus.subscriptions import Subscription
from tickdeck.domain.events import DomainEvent, HandlerFailed
from tickdeck.errors import TickdeckError

__all__ = ["Faults", "describe_error", "error_text", "message_of", "place_of"]

log = logging.getLogger("tickdeck.bus")

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")


class Faults:
    """Counts and logs the errors of a bus's handlers, and keeps its dead letters."""

    def __init__(self, *, numbered: bool) -> None:
        self.count = 0
        self.dead_letters = DeadLetters(numbered=numbered)

    def record(
        self, subscription: Subscription, event: DomainEvent, error: BaseException, letter: DeadLetter | None = None
    ) -> HandlerFailed | None:
        """Count and log an error. Returns the event that reports it, or ``None`` where ``event`` is itself such a
        report: it becomes a dead letter in silence, so that no error reports itself for ever. ``letter``: it was one
        already, and was sent again."""
        subscription.failures += 1
        self.count += 1
        # The text of an edge's error may hold a secret, so it is not logged.
        inner = not subscription.edge or isinstance(error, TickdeckError)
        shown = "" if inner else f" with {type(error).__name__} at {place_of(error)}"
        log.error(
            "%s failed on %s %s%s",
            subscription.name, type_name(event), event.event_id, shown, exc_info=error if inner else None,
        )  # fmt: skip
        if isinstance(event, HandlerFailed):
            text = error_text(subscription, error)
            letter_id = "" if letter is None else letter.letter_id
            dead = DeadLetter(event=event, handler=subscription.name, error=text, letter_id=letter_id)
            self.dead_letters.add(dead, subscription)
            return None
        return HandlerFailed(
            handler=subscription.name,
            component=subscription.component,
            error=type(error).__name__,
            message=message_of(subscription, error),
            failed_event_id=event.event_id,
            failed_event_type=type_name(event),
            causation_id=event.event_id,
            correlation_id=event.correlation_id,
        )


def message_of(subscription: Subscription, error: BaseException) -> str:
    """An error's text. An edge's may hold a secret, such as the URL that it called; our own errors hold none."""
    return "" if subscription.edge and not isinstance(error, TickdeckError) else describe_error(error)


def error_text(subscription: Subscription, error: BaseException) -> str:
    message = message_of(subscription, error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def place_of(error: BaseException) -> str:
    """File and line where it was raised."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}" if traceback is not None else "?"


def describe_error(error: BaseException) -> str:
    """The text of an error, the same in every run: without the addresses of objects, and fit to be encoded."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (an error that cannot tell itself must not hide that there was one)
        return ""
    return _ADDRESS.sub("0x...", text).encode("utf-8", "replace").decode()
