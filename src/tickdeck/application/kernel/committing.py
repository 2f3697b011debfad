"""A kernel for units of work: no handler hears of what is committed before the disk has it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from decimal import getcontext, setcontext
from threading import get_ident

from tickdeck.application.bus import Plan, Receipt
from tickdeck.application.clock import WallClock
from tickdeck.application.kernel.agenda import Agenda
from tickdeck.application.kernel.kernel import Kernel
from tickdeck.application.kernel.money import MONEY_CONTEXT
from tickdeck.application.ports import EdgeCursors, Tape
from tickdeck.domain.events import DomainEvent

__all__ = ["CommittingKernel"]


class _OnceDurable(Plan):
    """The plain handlers of a committed event."""


class CommittingKernel(Kernel):
    """A kernel that can ``commit``. The arguments are those of ``Kernel``."""

    def __init__(
        self,
        *,
        tape: Tape,
        cursors: EdgeCursors | None,
        agenda: Agenda,
        wall_now: Callable[[], int],
        clock: WallClock,
    ) -> None:
        super().__init__(tape=tape, cursors=cursors, agenda=agenda, wall_now=wall_now, clock=clock)
        self._unheard: deque[tuple[Plan, DomainEvent]] = deque()  # committed, and not known to be durable
        self._commits = False  # the outbox has plain handlers that wait for the disk

    def commit(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int]) -> Receipt:
        """Like ``publish_all`` with ``expected``, but also plain handlers get the events only when they are durable: in
        order, before ``receipt.durable()`` returns, and never if the disk fails. What they publish is no part of the
        unit: each is an input, caused by the event. An event on which a plain handler fails becomes a dead letter.

        Raises the same errors as ``publish_all``.
        """
        return self._publish_together("commit", events, expected, self._put_off)

    def _put_off(self, event: DomainEvent) -> None:
        """``_dispatch`` for a committed event: nobody hears of it yet, but mailboxes, which wait for the disk too."""
        plan = self._plans.get(type(event)) or self._table.plan_for(event)
        plan.count += 1
        if not plan.handlers and not plan.edges:
            return
        plain = tuple(s for s in (*plan.handlers, *plan.edges) if s.mailbox is None)
        if plain:
            self._outbox.append((_OnceDurable((), plain), event))
            self._commits = True
        mailboxes = tuple(s for s in plan.edges if s.mailbox is not None)
        if mailboxes:
            self._outbox.append((Plan((), mailboxes), event))

    def _serve_edges(self) -> None:
        if self._commits:
            self._commits = False
            for _ in range(len(self._outbox)):
                entry = self._outbox.popleft()
                (self._unheard if isinstance(entry[0], _OnceDurable) else self._outbox).append(entry)
        super()._serve_edges()

    async def _wait_durable(self, position: int) -> None:
        await super()._wait_durable(position)
        if self._unheard and get_ident() == self._owner:
            self._tell_durable()

    def _tell_durable(self) -> None:
        """Call the plain handlers of committed events that are on disk now. Everybody who waits for the disk comes
        here first, so async handlers get an event after the plain ones."""
        durable = self._tape.durable_seq
        while self._unheard and self._unheard[0][1].seq <= durable:
            plan, event = self._unheard.popleft()
            self._outbox.append((Plan((), tuple(s for s in plan.edges if s.active)), event))
        callers = getcontext()
        try:
            setcontext(MONEY_CONTEXT)
            if self._outbox:
                self._serve_edges()
        finally:
            setcontext(callers)

    async def drain(self) -> None:
        """As on the bus; also plain handlers have heard of everything that was committed."""
        if self._unheard:  # whoever committed does not wait any more
            await self._wait_durable(self._position())
        await super().drain()
