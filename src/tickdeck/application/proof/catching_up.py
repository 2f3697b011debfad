"""The kernel of a run that is resumed: it takes the record's inputs from outside where they stood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickdeck.application.bus import Plan, Subscription
from tickdeck.application.kernel import Kernel
from tickdeck.application.proof.record import RecordCheck
from tickdeck.domain.events import DomainEvent

__all__ = ["CatchingUpKernel"]


class CatchingUpKernel(Kernel):
    """Executes a run again up to the end of its record, and then goes on like any kernel.

    The driver, the timers and the simulated venue make their inputs again. Every other input is on the record:
    commands, what edges published, what other threads handed over. ``record`` tells which these are, and each is taken
    right after the event before it. Edges are not given an event of the record a second time, except for the venue's
    gateway (the component ``gateway``), and an edge that knows by its cursor what it is owed. What is published from
    outside meanwhile waits for the end of the record.
    """

    def __init__(self, *, record: RecordCheck, **options: Any) -> None:
        super().__init__(tape=record, **options)
        self._record = record
        self._recorded = record.last_seq
        self._waiting: list[Callable[[], object]] = []

    def take(self, event: DomainEvent, record: bool = True) -> None:
        super().take(event, record)
        while (recorded := self._record.outside_at(self.seq + 1)) is not None:
            super().take(recorded)
        if self._waiting and self._record.next is None:
            waiting, self._waiting = self._waiting, []
            for take_now in waiting:
                take_now()

    def _take_input(self, event: DomainEvent) -> None:
        if self._record.next is not None and event.source not in self.reserved:
            self._waiting.append(lambda: self._take_input(event))
        else:
            super()._take_input(event)

    def _serve_edges(self) -> None:
        outbox = self._outbox
        for place, (plan, event) in enumerate(outbox):
            if 0 < event.seq <= self._recorded:
                outbox[place] = (Plan((), tuple(filter(_serves_again, plan.edges))), event)
        super()._serve_edges()


def _serves_again(edge: Subscription) -> bool:
    return edge.component == "gateway" or getattr(edge.mailbox, "cursor", None) is not None
