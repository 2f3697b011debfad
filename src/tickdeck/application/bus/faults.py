"""What is said of a handler's error: enough to find it, the same in every run, and no secret."""

from __future__ import annotations

import re

from tickdeck.application.bus.subscriptions import Subscription
from tickdeck.errors import TickdeckError

__all__ = ["describe_error", "error_text", "message_of", "place_of"]

_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}")


def message_of(subscription: Subscription, error: Exception) -> str:
    """An error's text. An edge's may hold a secret, such as the URL that it called; our own errors hold none."""
    return "" if subscription.edge and not isinstance(error, TickdeckError) else describe_error(error)


def error_text(subscription: Subscription, error: Exception) -> str:
    message = message_of(subscription, error)
    return f"{type(error).__name__}: {message}" if message else type(error).__name__


def place_of(error: Exception) -> str:
    """File and line where it was raised."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_filename}:{traceback.tb_lineno}" if traceback is not None else "?"


def describe_error(error: Exception) -> str:
    """The text of an error, the same in every run: without the addresses of objects, and fit to be encoded."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 (an error that cannot tell itself must not hide that there was one)
        return ""
    return _ADDRESS.sub("0x...", text).encode("utf-8", "replace").decode()
