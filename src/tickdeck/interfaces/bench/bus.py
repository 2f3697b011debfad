"""The bus alone, and the kernel around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import SignalSnapshotEvent, TickEvent, TradeEvent
from tickdeck.infrastructure.tape import NullTape
from tickdeck.interfaces.bench.samples import SYMBOL, ticks, trades
from tickdeck.interfaces.bench.session import Figures, Session, rate

__all__ = ["bus", "kernel", "make_handlers"]


def make_handlers(count: int) -> list[Callable[[Any], None]]:
    """Handlers that do nothing; each is a separate function."""

    def make() -> Callable[[Any], None]:
        def handler(event: object) -> None:
            pass

        return handler

    return [make() for _ in range(count)]


def bus(*, handlers: int, count: int, stamp: bool = False) -> Session:
    """Deliveries per second for ``count`` events published to ``handlers`` plain handlers. The ceiling is a dict of
    lists."""
    events = list(ticks(min(count, 1_000)))
    rounds = count // len(events)
    calls = make_handlers(handlers)
    subject = InMemoryEventBus(stamp=stamp)
    for call in calls:
        subject.subscribe(TickEvent, call)
    table: dict[type, list[Callable[[Any], None]]] = {TickEvent: calls}

    def tickdeck() -> None:
        publish = subject.publish
        for _ in range(rounds):
            for event in events:
                publish(event)

    def bare() -> None:
        for _ in range(rounds):
            for event in events:
                for call in table[type(event)]:
                    call(event)

    deliveries = rounds * len(events) * handlers

    def session() -> Figures:
        before = subject.statistics().handlers[0].calls
        figures = {"value": rate(deliveries, tickdeck), "ceiling": rate(deliveries, bare)}
        assert subject.statistics().handlers[0].calls - before == rounds * len(events)
        return figures

    return session


def kernel(*, count: int) -> Session:
    """Events per second on a null tape: half are inputs (trades), half are derived (one prepared signal each).

    The ceiling only copies the events and calls the handlers, without a kernel.
    """
    inputs = list(trades(min(count // 2, 1_000)))
    signal = SignalSnapshotEvent(symbol=SYMBOL, values={"ema-12": 1.5})
    rounds = count // 2 // len(inputs)
    events = rounds * len(inputs) * 2
    handler = make_handlers(1)[0]

    def session() -> Figures:
        subject = Kernel(tape=NullTape())
        publish = subject.publish
        subject.subscribe(TradeEvent, lambda _: publish(signal))
        subject.subscribe(SignalSnapshotEvent, handler)

        def tickdeck() -> None:
            feed = subject.take  # as a driver does
            for _ in range(rounds):
                for event in inputs:
                    feed(event)

        def bare() -> None:
            for _ in range(rounds):
                for event in inputs:
                    handler(event.__copy__())
                    handler(signal.__copy__())

        figures = {"value": rate(events, tickdeck), "ceiling": rate(events, bare)}
        assert subject.seq == events
        return figures

    return session
