"""The options of ``subscribe``, defined once for every call that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypedDict

from tickdeck.application.bus.overflow import OverflowPolicy, Throttle
from tickdeck.application.bus.retry import Retry
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["SubscribeOptions", "check_options"]


class SubscribeOptions(TypedDict, total=False):
    """See ``InMemoryEventBus.subscribe``."""

    where: Callable[[Any], bool] | None
    priority: int
    name: str | None
    component: str
    weak: bool
    edge: bool
    overflow: OverflowPolicy | Throttle | None
    retry: Retry | None
    mailbox: int
    refused: Callable[[DomainEvent], None] | None


def check_options(call: str, given: Iterable[str]) -> None:
    """Raise ``ConfigError`` for an option that ``subscribe`` does not have."""
    known = SubscribeOptions.__annotations__
    for name in given:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"the options are {', '.join(known)}"
            raise ConfigError(f"{call}: there is no option {name!r}; {hint}")
