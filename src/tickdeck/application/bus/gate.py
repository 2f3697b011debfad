"""Holds events published from outside: during a batch, during a pause, or while the bus is disabled."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from tickdeck.application.bus.receipt import HeldReceipt, not_taken
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TickdeckError

__all__ = ["Gate", "Held"]


class Held(NamedTuple):
    """An event that waits to be dispatched, and its publisher's receipt; ``None`` if nobody asked for one."""

    event: DomainEvent
    receipt: HeldReceipt | None

    def settle(self, position: int) -> None:
        """It was dispatched, and the tape was then at ``position``."""
        if self.receipt is not None:
            self.receipt.settle(position)

    def refuse(self, error: BaseException) -> None:
        """It will not be dispatched."""
        if self.receipt is not None:
            self.receipt.refuse(error)


class Gate:
    """The three reasons to hold an event. The innermost batch comes first, then disabled, then paused."""

    def __init__(self) -> None:
        self.batch: list[Held] | None = None
        """The events of the innermost ``batch`` block."""
        self.disabled = False
        self.paused = False
        self.closed = False
        """No more events are accepted."""
        self.held: deque[Held] = deque()
        """Events that wait for ``resume``, oldest first."""
        self.discarded = 0
        self._ended_by = ""

    @property
    def is_open(self) -> bool:
        return self.batch is None and not self.disabled and not self.paused and not self.closed

    def take(self, held: Held) -> None:
        """Hold or discard an event instead of dispatching it."""
        if self.closed:
            raise TickdeckError("the bus is closed; open it again to publish")
        if self._ended_by:
            raise TickdeckError(f"the bus takes no more events, because {self._ended_by}")
        if self.batch is not None:
            self.batch.append(held)
        elif self.disabled:
            self.discarded += 1
            held.refuse(TickdeckError("the event was discarded: the bus was disabled"))
        else:
            self.held.append(held)

    def refuse_waiting(self, why: str) -> None:
        """Held events will not be dispatched, and no more are held."""
        self._ended_by = why
        for held in (*self.held, *(self.batch or ())):
            held.refuse(not_taken(why))
        self.held.clear()

    def discard(self, batch: list[Held], error: BaseException) -> None:
        """Count the undelivered events of a batch that ended in ``error``, and settle their receipts."""
        reason = TickdeckError(f"the event was discarded: its batch ended in {type(error).__name__}")
        for held in batch:
            if held.receipt is None or not held.receipt.settled:
                self.discarded += 1
                held.refuse(reason)
