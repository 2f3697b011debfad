"""The kernel of a resumed run: it inserts recorded external inputs at their original positions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from tickdeck.application.bus import Held, HeldReceipt, Plan, Receipt, Subscription, not_taken
from tickdeck.application.kernel import STEPS
from tickdeck.application.proof.recalling import RecallingKernel
from tickdeck.application.proof.record import RecordCheck
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["CatchingUpKernel"]


class CatchingUpKernel(RecallingKernel):
    """Executes a run again up to the end of its record, and then continues like any kernel. It may restore the
    state from the beginning of the record instead.

    The driver, the timers and the simulated venue produce their inputs again. Every other input comes from the record:
    commands, events published by async handlers, and events handed over by other threads. ``record`` identifies these,
    and each is inserted after its predecessor and after the driver's steps that came between. Async handlers do not
    receive recorded events a second time. Exceptions are the gateway to a simulated venue (the component ``gateway``,
    without a mailbox) and handlers with a cursor, which knows what is missing.

    Events published from outside meanwhile wait for the end of the record, and so do their receipts. If the kernel ends
    before that, each stage of such a receipt raises ``TickdeckError``.
    """

    def __init__(self, *, record: RecordCheck, **options: Any) -> None:
        super().__init__(tape=record, **options)
        self._record = record
        self._recorded = record.last_seq
        self._waiting: deque[Held] = deque()
        """Inputs from outside that wait for the end of the record, oldest first."""

    def take(self, event: DomainEvent, record: bool = True) -> None:
        if not self.inputs:
            self.insert_recorded()
        super().take(event, record)
        self.insert_recorded()
        while self._waiting and self._record.next is None:
            held = self._waiting.popleft()
            try:
                super()._deliver(held)
            except BaseException as error:
                held.refuse(error)
                raise

    def step(self) -> None:
        super().step()
        self.insert_recorded()

    def insert_recorded(self) -> None:
        """Take the recorded inputs from outside that come next."""
        while (recorded := self._record.outside_at(self.seq + 1)) is not None:
            steps, wanted = self._outside.steps(self.inputs), recorded.metadata.get(STEPS, "")
            if wanted.isdecimal() and int(wanted) > steps:
                return
            super().take(recorded)

    def publish(self, event: DomainEvent) -> Receipt:
        waiting = len(self._waiting)
        receipt = super().publish(event)
        return receipt if len(self._waiting) <= waiting else self._waiting[-1].receipt or receipt

    def publish_all(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int] | None = None) -> Receipt:
        if expected is not None and self._record.next is not None:
            raise ConfigError(
                "publish_all(expected=...): a resumed run catches up with its tape, and its streams are not at their "
                "versions yet; wait until run.caught_up()"
            )
        return super().publish_all(events, expected=expected)

    def _refuse_waiting(self, why: str) -> None:
        super()._refuse_waiting(why)
        while self._waiting:
            self._waiting.popleft().refuse(not_taken(why))

    def _take_input(self, event: DomainEvent) -> None:
        if self._waits_for_the_record(event):
            self._waiting.append(Held(event, HeldReceipt(self)))
        else:
            super()._take_input(event)

    def _deliver(self, held: Held) -> None:
        if self._waits_for_the_record(held.event):
            self._waiting.append(held)
        else:
            super()._deliver(held)

    def _waits_for_the_record(self, event: DomainEvent) -> bool:
        return (self.is_recalling or self._record.next is not None) and event.source not in self.reserved

    def _serve_edges(self) -> None:
        outbox = self._outbox
        for place, (plan, event) in enumerate(outbox):
            if 0 < event.seq <= self._recorded:
                outbox[place] = (Plan((), tuple(filter(_serves_again, plan.edges))), event)
        super()._serve_edges()


def _serves_again(edge: Subscription) -> bool:
    if edge.component == "gateway":  # a simulated venue died with the process; a real one must not get a request twice
        return edge.mailbox is None
    return edge.mailbox is not None and edge.mailbox.cursor is not None
