"""Events that other threads hand over to the thread that owns the bus."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from tickdeck.application.bus.gate import Held
from tickdeck.application.bus.ingress import Ingress
from tickdeck.application.bus.receipt import HeldReceipt, ReceiptBus, not_taken
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import TickdeckError

__all__ = ["Handover"]


class _Bus(ReceiptBus, Protocol):
    def run_pending(self) -> int: ...


class Handover:
    """Puts events from other threads into the ingress, keeps their receipts, and wakes the owner's event loop.

    The loop then calls ``bus.run_pending()``.
    """

    def __init__(self, bus: _Bus, ingress: Ingress) -> None:
        self._bus = bus
        self._ingress = ingress
        self._receipts: dict[int, HeldReceipt] = {}  # by the identity of the event that waits at the ingress
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = ""
        self._refusal = ""  # why waiting events are refused too
        self.posted = 0
        """How many inputs the owner has posted itself."""
        self._next: DomainEvent | None = None  # taken from the ingress, but not dispatched

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wake ``loop`` from now on, and immediately if an event is waiting."""
        self._loop = loop
        if len(self._ingress):
            loop.call_soon(self._run_pending)

    def unbind(self) -> None:
        """Wake no loop any more: the owner has none."""
        self._loop = None

    @property
    def wakes_a_loop(self) -> bool:
        """Whether an event that is put wakes an event loop that still exists."""
        return self._loop is not None and not self._loop.is_closed()

    def put(self, event: DomainEvent) -> HeldReceipt:
        """Call this from any thread. Raises ``TickdeckError`` once the bus is closed."""
        if self._closed:
            raise TickdeckError(f"publish_threadsafe: the bus accepts no more events, because {self._closed}")
        event = event.__copy__()  # one object may be handed over twice; the copies distinguish its receipts
        self._receipts[id(event)] = receipt = HeldReceipt(self._bus)
        self._ingress.put(event)
        if self._refusal:  # since the check above
            self.refuse_waiting(self._refusal)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):  # closed meanwhile: the event waits for run_pending
                loop.call_soon_threadsafe(self._run_pending)
        return receipt

    def post(self, event: DomainEvent) -> None:
        """Put an event of the owner into the ingress. It has no receipt."""
        self.posted += 1
        self._ingress.put(event)

    def _run_pending(self) -> None:
        if not self._closed:
            self._bus.run_pending()

    def take(self) -> Held | None:
        """The next input of the ingress; ``None`` if there is none. Returns the same one again until ``begin``."""
        if self._next is None:
            self._next = self._ingress.first()
        self._ingress.remove_first()  # only after it is stored here, so that Ctrl-C in between drops nothing
        event = self._next
        if event is None:
            return None
        return Held(event, self._receipts.get(id(event)))

    @property
    def is_empty(self) -> bool:
        """Whether no input waits."""
        return self._next is None and self._ingress.is_empty

    def __len__(self) -> int:
        """The number of waiting inputs: those in the ingress, and one that was taken from it and not dispatched."""
        return len(self._ingress) + (self._next is not None and not self._ingress.offers)

    def begin(self) -> None:
        """The input returned by ``take`` is being dispatched."""
        self._receipts.pop(id(self._next), None)
        self._next = None

    def put_back(self, held: Held) -> None:
        """It was not dispatched after all: ``take`` returns it again."""
        if held.receipt is not None:
            self._receipts[id(held.event)] = held.receipt
        self._next = held.event

    def close(self, why: str) -> None:
        """Accept no more events; later ones are refused."""
        self._closed = why

    def refuse_waiting(self, why: str) -> None:
        """Waiting events will not be dispatched: refuse their receipts."""
        self._refusal = why
        for receipt in list(self._receipts.values()):
            receipt.refuse(not_taken(why))
