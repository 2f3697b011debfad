"""Where published events go while they are not dispatched: a batch, a pause, or a bus that is switched off."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from tickdeck.domain.events import DomainEvent

__all__ = ["Batch", "Discard", "Gate", "Pause"]


class Gate(Protocol):
    """Takes what is published from outside in place of the dispatch."""

    def append(self, event: DomainEvent, /) -> None: ...


class Batch(list[DomainEvent]):
    """Holds the events of one ``batch`` block."""


class Pause(deque[DomainEvent]):
    """Holds events until ``resume``."""


class Discard:
    """Discards events while a bus is disabled, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def append(self, event: DomainEvent, /) -> None:
        self.count += 1
