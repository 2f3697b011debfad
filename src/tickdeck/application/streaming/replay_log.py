"""What the past is replayed from, for subscribers who come late, connections that were lost, and debugging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Protocol

from tickdeck.application.bus import type_name
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError, TickdeckError

__all__ = ["EventTest", "ReplayGap", "ReplayLog", "check_count", "event_test"]

EventTest = Callable[[Any], bool]
"""A pure function that says whether an event is wanted."""


class ReplayGap(TickdeckError):
    """The log no longer has all that was asked for; what it has would be a sequence with a hole."""


class ReplayLog(Protocol):
    """The newest events of a run, or all of them, in order of ``seq``.

    ``types`` are dotted types or wildcards (``order.*``), none for all; ``where`` narrows them.
    """

    @property
    def in_step(self) -> bool:
        """An event is in the log before any other handler hears it; otherwise when its whole cascade is over."""

    @property
    def forgotten_seq(self) -> int:
        """``seq`` of the newest event that the log once had and no longer has, 0 where it has all."""

    def last(self, count: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> list[DomainEvent]:
        """The last ``count`` matching events that the log has, oldest first; fewer where it has fewer.

        Raises ``ConfigError`` where ``count`` is negative.
        """

    def since(self, seq: int, *, types: tuple[str, ...] = (), where: EventTest | None = None) -> Iterator[DomainEvent]:
        """The matching events after ``seq``, which the caller has seen, as of now.

        Raises ``ReplayGap``, at once, where the log has forgotten events after ``seq``, and ``ConfigError`` where
        ``seq`` is negative.
        """


def check_count(what: str, value: int) -> None:
    if type(value) is not int or value < 0:
        raise ConfigError(f"replay: {what} is {value!r}; give a whole number, 0 or above")


def event_test(types: tuple[str, ...], where: EventTest | None) -> EventTest:
    """The two conditions as one function; what it finds of a type it remembers."""
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
