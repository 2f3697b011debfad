"""The registry of event classes, by dotted type."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tickdeck.errors import EventValidationError

if TYPE_CHECKING:
    from tickdeck.domain.events.base import DomainEvent

__all__ = [
    "catalogue_is_closed",
    "close_catalogue",
    "event_class",
    "event_types",
    "iter_event_classes",
    "register",
]

_TYPE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")

_registry: dict[str, type[DomainEvent]] = {}
_closed: list[bool] = []


def register(cls: type[DomainEvent]) -> None:
    """Register a class under its ``event_type``. A base class without ``event_type`` is ignored.

    A class with the same module and name replaces the earlier one, because a module may be reloaded and a notebook
    cell may run again. Raises ``EventValidationError`` if the type is malformed or belongs to another class.
    """
    name = cls.event_type
    if not name:
        return
    check_name(cls.__name__, name)
    other = _registry.get(name)
    if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
        raise EventValidationError(
            f"{cls.__name__}: event type {name!r} is taken by {other.__module__}.{other.__qualname__}; choose another"
        )
    if other is None and _closed:
        raise EventValidationError(
            f"{cls.__name__}: {name!r} is defined after close_catalogue(); import its module earlier"
        )
    _registry[name] = cls


def close_catalogue() -> None:
    """Declare that all event classes of this process are defined. From now on, defining a new type is an error, and
    subscribing to an unknown type gives a warning. You may call this more than once."""
    if not _closed:
        _closed.append(True)


def catalogue_is_closed() -> bool:
    """Whether ``close_catalogue`` was called."""
    return bool(_closed)


def check_name(cls_name: str, name: object) -> None:
    if not isinstance(name, str) or not _TYPE.fullmatch(name):
        raise EventValidationError(
            f"{cls_name}: event_type is {name!r}; it must be dotted lower case, such as 'news.published'"
        )


def event_class(event_type: str) -> type[DomainEvent] | None:
    """The class registered for a dotted type, or ``None``."""
    return _registry.get(event_type)


def event_types() -> list[str]:
    """All registered types, sorted."""
    return sorted(_registry)


def iter_event_classes() -> Iterator[type[DomainEvent]]:
    """All registered classes, by type."""
    return (_registry[name] for name in event_types())
