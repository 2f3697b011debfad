"""Shared by the tests of the kernel."""

from __future__ import annotations

from application_kit import START, MemoryTape, Ping

from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.domain.events import DomainEvent


def kernel_with(*, max_cascade: int = 10_000, agenda: Agenda | None = None) -> tuple[Kernel, MemoryTape]:
    tape = MemoryTape()
    return Kernel(tape=tape, agenda=agenda, max_cascade=max_cascade), tape


def stamps(events: list[DomainEvent]) -> list[tuple[int, str, str, str]]:
    return [(e.seq, e.event_id, e.causation_id, e.correlation_id) for e in events]


def ping(n: int = 0, ts: int = START) -> Ping:
    return Ping(n=n, ts=ts, ts_ingress=ts, source="test")


def failing(_: DomainEvent) -> None:
    raise ValueError("broken")


def run_due(agenda: Agenda, now: int) -> None:
    while (entry := agenda.pop(now)) is not None:
        entry[1]()
