"""Proof: the same code with the recorded inputs must produce every recorded event again, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from operator import sub
from typing import NamedTuple

import msgspec

from tickdeck.application.bus import ambient_bus
from tickdeck.application.kernel import TIMER_SOURCE, Agenda, Kernel, money_context
from tickdeck.application.proof.record import Divergence, RecordCheck, RecordDiverged, next_of
from tickdeck.domain.events import DomainEvent, TimerCancelled, TimerFired, TimerSet

__all__ = ["ProofKernel", "ProvenStretch", "Verdict", "verify"]


class ProvenStretch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a run that one code made, from event ``first_seq`` to ``last_seq``. ``changes``: what of that code is
    not here any more, in words."""

    first_seq: int
    last_seq: int
    identical: bool
    changes: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """``identical`` or not, with the first difference; ``inputs``, ``decisions``, ``orders`` and ``events`` that were
    executed until then. What was not executed, because its market data was dropped, is not counted.

    ``stretches``: the parts of the run that different code made, in order. ``other_code``: an execution differs, and
    its code is not that which made the stretch, so this says nothing about the record.

    ``faults``: descriptions of changes to the record since it was written, whether they have effects or not. A record
    with faults is not identical. ``complete``: the record reaches the run's orderly end. Otherwise it ends at
    ``last_seq``, because the run was killed, was stopped, or is still running. ``digest``: of the complete record, in
    hex; ``None`` if the tape has none.

    ``lost_from``: of a stretch that ended when its process was killed: the ``seq`` of the market data from which on
    effects were lost, because they were not durable. ``None``: nothing was lost.
    """

    identical: bool
    inputs: int
    events: int
    decisions: int
    orders: int
    divergence: Divergence | None = None
    faults: tuple[str, ...] = ()
    other_code: bool = False
    stretches: tuple[ProvenStretch, ...] = ()
    complete: bool = False
    last_seq: int = 0
    digest: str | None = None
    lost_from: int | None = None


class ProofKernel(Kernel):
    """The kernel of a bus without a driver, executed again: its async handlers receive nothing, because what they
    published is recorded as inputs."""

    fires_timers = False
    _executed_again = False

    def _publish_timer(self, event: TimerSet | TimerCancelled) -> None:
        if self._busy:
            super()._publish_timer(event)  # otherwise the record has it, as an input

    def take(self, event: DomainEvent, record: bool = True) -> None:
        if isinstance(event, TimerSet | TimerCancelled):  # set or cancelled outside the handlers
            self._timers.apply(event)
        elif isinstance(event, TimerFired):
            self._timers.forget(event.timer_id)
        super().take(event, record)

    def _serve_edges(self) -> None:
        self._outbox.clear()


def verify(
    kernel: Kernel,
    check: RecordCheck,
    market: Iterator[DomainEvent | None],
    timers: Agenda,
    *,
    upto: int = 0,
    lost_after: int | None = None,
) -> Verdict:
    """Feed the record's inputs to ``kernel`` (a fresh core without async handlers, whose tape is ``check``), in order.

    ``market`` supplies the events of the input files, for the gaps in the record, and for what follows its last event
    up to ``seq`` ``upto``, if there is as much. Nothing may follow from that, else it would be on the tape. But if the
    process was killed and other code took over, what followed from the market data after ``seq`` ``lost_after`` may be
    lost. Then the rest is counted and not executed: it never happened in the run. ``timers`` is the kernel's agenda.
    The figures count what is executed here, not a past that ``kernel`` has restored.
    The record determines when a timer fires, but the timer itself must have been set by the execution; otherwise a
    strategy that used the wall clock for it would go unnoticed. Raises ``RunError`` if the files end too early.
    """
    divergence, past, lost_from = None, _figures(kernel), None
    try:
        with money_context(), ambient_bus(kernel):
            while (recorded := check.next) is not None:
                if recorded.seq > kernel.seq + 1:
                    event = next_of(market, kernel.seq + 1)
                    _fire_unrecorded(timers, event.ts_ingress)
                    kernel.take(event, record=False)
                elif isinstance(recorded, TimerFired) and recorded.source == TIMER_SOURCE and kernel.fires_timers:
                    entry = timers.pop(recorded.due)
                    if entry is None:
                        raise RecordDiverged(Divergence(seq=recorded.seq, recorded=recorded, executed=None))
                    entry[1]()
                elif recorded.is_input:
                    if recorded.is_market_data and kernel.fires_timers:
                        _fire_unrecorded(timers, recorded.ts_ingress)
                    kernel.take(recorded)
                else:  # a derived event that its cause did not produce again
                    raise RecordDiverged(Divergence(seq=recorded.seq, recorded=recorded, executed=None))
                check.expect_nothing_before(kernel.seq)
            check.end()
            reached = _figures(kernel)
            while reached.seq < upto and (later := next(market, None)) is not None:
                if lost_from is None:
                    try:
                        _fire_unrecorded(timers, later.ts_ingress)
                        kernel.take(later, record=False)
                    except RecordDiverged:
                        if lost_after is None or reached.seq < lost_after:
                            raise
                        lost_from = reached.seq + 1
                if lost_from is None:
                    reached = _figures(kernel)
                else:
                    reached = reached._replace(inputs=reached.inputs + 1, seq=reached.seq + 1)
    except RecordDiverged as diverged:
        divergence = diverged.divergence
        reached = _figures(kernel)
    inputs, events, decisions, orders = map(sub, reached, past)
    return Verdict(
        identical=divergence is None,
        inputs=inputs,
        events=events,
        decisions=decisions,
        orders=orders,
        divergence=divergence,
        lost_from=lost_from,
    )


class _Figures(NamedTuple):
    """What was executed so far. ``seq`` is that of the last event."""

    inputs: int
    seq: int
    decisions: int
    orders: int


def _figures(kernel: Kernel) -> _Figures:
    published = kernel.statistics().published
    decisions, orders = published.get("strategy.decision", 0), published.get("order.submitted", 0)
    return _Figures(kernel.inputs, kernel.seq, decisions, orders)


def _fire_unrecorded(timers: Agenda, now: int) -> None:
    """In a run, due timers fire before the next market event. If the record has none here, the execution has set a
    timer that the run did not. Firing it reveals the difference, because the kernel's tape compares."""
    entry = timers.pop(now)
    if entry is not None:
        entry[1]()
