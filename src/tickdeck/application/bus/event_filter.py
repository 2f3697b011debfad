"""Filters that can be stored, named and combined: ``where=orders & ~of_others``."""

from __future__ import annotations

from collections.abc import Callable, Collection
from fnmatch import fnmatchcase

from tickdeck.application.bus.handlers import check_plain, holds
from tickdeck.application.bus.selection import type_name
from tickdeck.application.bus.topics import checked_topic
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["EventFilter"]


class EventFilter:
    """Decides for each event whether it passes. Use it for ``where=`` of ``subscribe``, or call it.

    ``types`` are event classes (with their subclasses), dotted types or wildcards. An event passes if it matches one
    entry of each of ``types``, ``symbols`` and ``sources`` that is given, and if ``where`` is true. Filters combine:
    ``a & b``, ``a | b``, ``~a``. A filter without conditions passes everything. Raises ``ConfigError`` if you give one
    name instead of a tuple of names, or a ``where`` that is no function.
    """

    __slots__ = ("_passes",)

    def __init__(
        self,
        *types: type[DomainEvent] | str,
        symbols: tuple[str, ...] = (),
        sources: tuple[str, ...] = (),
        where: Callable[[DomainEvent], bool] | None = None,
    ) -> None:
        named: tuple[tuple[str, object], ...] = (("symbols", symbols), ("sources", sources))
        for name, given in named:
            if isinstance(given, str):
                raise ConfigError(f"EventFilter: {name} is {given!r}, a single name; give a tuple: ({given!r},)")
            if not isinstance(given, Collection):
                raise ConfigError(f"EventFilter: {name} is {given!r}; give a tuple of names")
        if where is not None and not callable(where):
            raise ConfigError(f"EventFilter: where is {where!r}; give a function of the event")

        check_plain("EventFilter: where", where)

        topics = tuple(checked_topic(topic, "EventFilter") for topic in types)
        classes = tuple(topic for topic in topics if isinstance(topic, type))
        patterns = tuple(topic for topic in topics if isinstance(topic, str))

        def passes(event: DomainEvent) -> bool:
            if topics and not isinstance(event, classes):
                name = type_name(event)
                if not any(fnmatchcase(name, wanted) for wanted in patterns):
                    return False
            if symbols and getattr(event, "symbol", None) not in symbols:
                return False
            if sources and event.source not in sources:
                return False
            return where is None or holds(where, event)

        self._passes: Callable[[DomainEvent], bool] = passes

    def __call__(self, event: DomainEvent) -> bool:
        return self._passes(event)

    def __and__(self, other: EventFilter) -> EventFilter:
        return EventFilter(where=lambda event: self(event) and other(event))

    def __or__(self, other: EventFilter) -> EventFilter:
        return EventFilter(where=lambda event: self(event) or other(event))

    def __invert__(self) -> EventFilter:
        return EventFilter(where=lambda event: not self(event))
