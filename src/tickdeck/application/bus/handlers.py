"""What kind of callable a handler is."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["is_async"]


def is_async(handler: Callable[[Any], Any]) -> bool:
    """Whether calling ``handler`` gives a coroutine."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None))  # noqa: B004
