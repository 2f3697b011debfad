"""Restores the past of a run from its record: in a run that is resumed, and in the proof of what followed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import takewhile
from typing import NamedTuple, TypeAlias

import msgspec

from tickdeck.application.engines import StrategySnapshot, restore_snapshot
from tickdeck.application.kernel import Agenda
from tickdeck.application.ports import TapeQuery, TapeReader
from tickdeck.application.proof import CatchingUpKernel, RecallingKernel, merge_record
from tickdeck.bootstrap.core import Core
from tickdeck.domain.events import DomainEvent, RunResumed, RunStarted
from tickdeck.domain.market import CandleOpen
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.exchanges.paper import PaperVenue, VenuePast

__all__ = [
    "PastToRecall",
    "Stretch",
    "began_at",
    "beside",
    "recall",
    "recall_with_venue",
    "recorded",
    "shown_to",
    "stretches_of",
]

Fold: TypeAlias = Callable[[DomainEvent], object]
Venue: TypeAlias = PaperVenue | ExchangeVenue


class Stretch(NamedTuple):
    """A part of a run that one code made, from event ``first`` to ``last`` (``seq``; ``None``: to the end of the
    record). ``resumed`` is the event with which it begins, or ``None`` for the first stretch. ``stopped_at``: if other
    code took over, the ``seq`` up to which everything that followed is on the tape; 0 if its process was killed."""

    first: int
    last: int | None
    resumed: RunResumed | None
    stopped_at: int | None

    @property
    def code(self) -> Mapping[str, str]:
        """The code that made it; empty for the first stretch, whose code is in the manifest."""
        return self.resumed.code if self.resumed is not None else {}


class PastToRecall(NamedTuple):
    """What a resumed run restores: everything on ``tape`` before ``seq`` ``upto`` (``NEVER``: everything). The run
    began at ``began`` (ns UTC). ``resumed`` is published then; ``None`` if the tape has it already. ``snapshots`` are
    those that it names."""

    tape: TapeReader
    upto: int
    began: int
    resumed: RunResumed | None
    snapshots: Mapping[str, str]


def stretches_of(tape: TapeReader) -> list[Stretch]:
    """The stretches of a run, in order. Where the same code went on, a stretch continues."""
    begins = [
        event
        for event in tape.read(TapeQuery(types=(RunResumed.event_type,)))
        if isinstance(event, RunResumed) and event.how != "executed"
    ]
    firsts = [1, *(event.seq for event in begins)]
    lasts = [*(event.seq - 1 for event in begins), None]
    stops = [*(event.stopped_at for event in begins), None]
    return [Stretch(*each) for each in zip(firsts, lasts, [None, *begins], stops, strict=True)]


def began_at(tape: TapeReader) -> int | None:
    """The time (ns UTC) of ``run.started``, or ``None`` if nothing is on the tape."""
    started = next(iter(tape.read(TapeQuery(types=(RunStarted.event_type,), limit=1))), None)
    return started.ts if started is not None else None


def recall(
    past: Iterator[DomainEvent],
    kernel: RecallingKernel,
    core: Core,
    agenda: Agenda,
    *,
    snapshots: Mapping[str, str],
    also: Fold | None = None,
) -> Iterator[DomainEvent]:
    """Restore ``past``. Each step restores an input with its effects, and yields it. ``snapshots`` are those of
    ``run.resumed``, which follows. ``also`` receives each event that is folded, too."""
    strategies, restored = core.strategies.strategies, {}
    for strategy_id, text in snapshots.items():
        snapshot = msgspec.json.decode(text, type=StrategySnapshot)
        restored[strategy_id] = (snapshot.seq, partial(restore_snapshot, strategies[strategy_id], snapshot))

    def fold(event: DomainEvent) -> None:
        core.recall(event)
        if also is not None:
            also(event)

    core.strategies.failed_in_past = kernel.failed_in_past
    yield from kernel.recall(past, fold, agenda=agenda, strategies=strategies, restored=restored)


def recall_with_venue(
    past: Iterator[DomainEvent],
    kernel: CatchingUpKernel,
    core: Core,
    agenda: Agenda,
    venue: PaperVenue,
    *,
    snapshots: Mapping[str, str],
) -> Iterator[DomainEvent]:
    """The same for a run on paper. ``venue`` continues where the past ends."""
    asked = VenuePast()
    yield from recall(past, kernel, core, agenda, snapshots=snapshots, also=asked.take)
    orders = {order_id: order for one in core.accounts for order_id, order in one.execution.orders.items()}
    venue.take_up(asked, orders, [one.portfolio.account for one in core.accounts], kernel.clock.now())


def recorded(
    tape: TapeReader, upto: int, market: Iterator[DomainEvent | None] | None = None, *, rest: bool = False
) -> Iterator[DomainEvent]:
    """All events of a run before ``seq`` ``upto``. ``market``: the market data, unless the tape has it, with ``None``
    for an event that was dropped. ``rest``: to its end."""
    events = iter(tape.read())
    if market is not None:
        events = merge_record(events, market, rest=rest)
    return takewhile(lambda event: event.seq < upto, events)


def shown_to(venue: Venue, market: Iterator[DomainEvent | CandleOpen | None]) -> Iterator[DomainEvent | None]:
    """The events of ``market``, each of which ``venue`` sees first. ``None`` stands for one that was dropped."""
    for event in market:
        if event is not None:
            venue.on_market(event)
        if not isinstance(event, CandleOpen):
            yield event


def beside(past: Iterator[DomainEvent], market: Iterator[DomainEvent | None]) -> Iterator[DomainEvent]:
    """The events of ``past``, which has the market data. ``market`` produces it again, and is kept abreast."""
    for event in past:
        if event.is_input and event.is_market_data:
            next(market, None)
        yield event
