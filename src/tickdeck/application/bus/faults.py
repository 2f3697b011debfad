"""Errors in handlers: they are counted, logged and published. The published text locates the error, is the same in
every run, and contains no secret."""

from __future__ import annotations

import logging
import re

from tickdeck.application.bus.dead_letters import DeadLetter, DeadLetters
from tickdeck.application.bus.selection import type_name
from tickdeck.application.bus.subscriptions import Subscription
from tickdeck.application.redaction import without_known_secrets
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
        """Count and log an error. Returns the event that reports it. Returns ``None`` if ``event`` is itself such a
        report, which silently becomes a dead letter, so that reports cannot cause further reports forever. ``letter``:
        the event was a dead letter already, and was sent again."""
        subscription.failures += 1
        self.count += 1
        # The error text of an async handler may contain a secret, so it is not logged.
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
    """The text of an error. An async handler's text may contain a secret, such as a URL with a key, so only the class
    and the location are kept. Our own errors contain no secrets."""
    return "" if subscription.edge and not isinstance(error, TickdeckError) else describe_error(error)


def error_text(subscription: Subscription, error: BaseException) -> str:
    message = message_of(subscription, error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def place_of(error: BaseException) -> str:
    """The file and line that raised it."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}" if traceback is not None else "?"


def describe_error(error: BaseException) -> str:
    """The text of an error, the same in every run: without addresses of objects and known secrets, and encodable."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (an error whose text fails must still be reported)
        return ""
    return without_known_secrets(_ADDRESS.sub("0x...", text).encode("utf-8", "replace").decode())
