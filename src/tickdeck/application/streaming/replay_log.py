"""The source of past events for late and returning subscribers, and for debugging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Protocol

from tickdeck.application.arguments import check_function, type_names
from tickdeck.application.bus import check_plain, type_name
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError, TickdeckError

__all__ = ["EventTest", "ReplayGap", "ReplayLog", "check_count", "event_test"]

EventTest = Callable[[Any], bool]
"""A pure function that says whether an event matches."""


class ReplayGap(TickdeckError):
    """The log no longer has all the requested events; returning the rest would hide a gap."""


class ReplayLog(Protocol):
    """Past events of a run in order of ``seq``: all of them, or the newest.

    ``types`` are dotted types or wildcards such as ``order.*``; none means all. ``where`` narrows them.
    """

    @property
    def in_step(self) -> bool:
        """True if an event is in the log before any other handler receives it. False if it arrives there only after its
        cascade."""

    @property
    def forgotten_seq(self) -> int:
        """``seq`` of the newest event that the log has forgotten; 0 if it has forgotten none."""

    def last(self, count: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> list[DomainEvent]:
        """The last ``count`` matching events, oldest first; fewer if the log has fewer.

        Raises ``ConfigError`` if ``count`` is negative.
        """

    def since(self, seq: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> Iterator[DomainEvent]:
        """The matching events after ``seq``, the last event that the caller has seen.

        Raises ``ReplayGap`` immediately if the log has forgotten events after ``seq``, and ``ConfigError`` if ``seq``
        is negative.
        """


def check_count(what: str, value: int) -> None:
    if type(value) is not int or value < 0:
        raise ConfigError(f"replay: {what} is {value!r}; give a whole number, 0 or above")


def event_test(types: tuple[str, ...], where: EventTest | None) -> EventTest:
    """Combine both conditions in one function, which caches its result for each type."""
    check_plain("replay: where", where)
    check_function("replay", "where", where)
    given_types: object = types
    if isinstance(given_types, str | type):
        raise ConfigError(f"replay: types is {given_types!r}, a single type; give a tuple")
    types = tuple(name for given in types for name in type_names("replay", given))
    if not types:
        return where or (lambda event: True)
    known: dict[str, bool] = {}

    def wanted(event: DomainEvent) -> bool:
        name = type_name(event)
        matches = known.get(name)
        if matches is None:
            matches = known[name] = any(fnmatchcase(name, pattern) for pattern in types)
        return matches and (where is None or where(event))

    return wanted
