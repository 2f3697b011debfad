"""Which class stands for which dotted type."""

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
    """Enter a class under its ``event_type``; a base of a family has none and is not entered.

    A class of the same module and name takes the place of the one before: a module that is loaded again, a cell of a
    notebook that is run again. Raises ``EventValidationError`` for a type that is not well formed or belongs to
    another class.
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
            f"{cls.__name__}: the catalogue is closed, so {name!r} comes too late; import it before close_catalogue()"
        )
    _registry[name] = cls


def close_catalogue() -> None:
    """Say that all event classes of this process are defined. From now on a class of a new type is refused, and a
    subscription for an unknown type warns. Calling it twice is harmless."""
    if not _closed:
        _closed.append(True)


def catalogue_is_closed() -> bool:
    """``close_catalogue`` was called."""
    return bool(_closed)


def check_name(cls_name: str, name: object) -> None:
    if not isinstance(name, str) or not _TYPE.fullmatch(name):
        raise EventValidationError(
            f"{cls_name}: event_type {name!r} must be dotted lower case, such as 'news.published'"
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
