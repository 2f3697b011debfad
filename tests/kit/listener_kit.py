"""Shared by the tests of the bus in memory: handlers."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.domain.events import DomainEvent


class Listener:
    """Remembers the events that it received."""

    def __init__(self) -> None:
        self.heard: list[DomainEvent] = []

    def hear(self, event: DomainEvent) -> None:
        self.heard.append(event)


def failing(_: DomainEvent) -> None:
    raise ValueError("broken")


def note(log: list[str], name: str) -> Callable[[DomainEvent], None]:
    return lambda _: log.append(name)
