"""The options of ``subscribe``, defined once for every call that takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Any, TypedDict

from tickdeck.application.bus.overflow import Block, Conflate, DropOldest, Halt, OverflowPolicy, Throttle
from tickdeck.application.bus.retry import Retry
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["SubscribeOptions", "check_options", "check_values"]


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


def check_values(call: str, **given: Any) -> None:
    """Raise ``ConfigError`` for an option of ``subscribe`` whose value has the wrong type."""
    for name, value in given.items():
        fits, wanted = _VALUES[name]
        if not fits(value):
            raise ConfigError(f"{call}: {name} is {value!r}; give {wanted}")


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return value is None
    return not any("\ud800" <= letter <= "\udfff" for letter in value)  # cursors and dead letters keep it as UTF-8


_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "where": (lambda value: value is None or callable(value), "a function of the event, or None"),
    "priority": (lambda value: type(value) is int, "a whole number"),
    "name": (_is_name, "a text that is not empty, or None"),
    "component": (lambda value: isinstance(value, str), "a text"),
    "weak": (lambda value: isinstance(value, bool), "True or False"),
    "edge": (lambda value: isinstance(value, bool), "True or False"),
    "overflow": (
        lambda value: value is None or isinstance(value, Block | Conflate | DropOldest | Halt | Throttle),
        "a policy such as DropOldest(), or None",
    ),
    "retry": (lambda value: value is None or isinstance(value, Retry), "a Retry(...), or None"),
    "mailbox": (lambda value: type(value) is int and value > 0, "a whole number above 0"),
    "refused": (lambda value: value is None or callable(value), "a function of the event, or None"),
}
