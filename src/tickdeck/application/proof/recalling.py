"""Restores the past of a run from its record, without executing it: for a run whose code has changed since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from msgspec.structs import force_setattr

from tickdeck.application.bus import Plan, Subscription, describe_error
from tickdeck.application.engines import MarketDataEngine, SignalEngine
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import STRATEGY, Agenda, Kernel
from tickdeck.domain.events import (
    DomainEvent,
    StrategyCreated,
    StrategyDecisionEvent,
    TimerCancelled,
    TimerFired,
    TimerSet,
    TradingHalted,
)

__all__ = ["RecallingKernel"]

_FOLDED = frozenset(
    (
        "feed_monitor",
        "risk",
        "execution",
        "portfolio",
        "heartbeat",
        "operator",
        "strategy",
        "profits",
        "trigger",
        "bracket",
        "copy",
    )
)
"""Components whose state is folded from the record, instead of handling its events."""
_MADE_AGAIN = frozenset((*MarketDataEngine.publishes, *SignalEngine.publishes))
"""Derived events that the engines make again from the recorded market data, because the new code may need others."""

E = TypeVar("E", bound=DomainEvent)


class RecallingKernel(Kernel):
    """A kernel that can restore a recorded past before it takes inputs.

    Nothing of the past is appended to the tape, and nothing is sent. ``fold(event)`` folds each recorded event into the
    state of the engines. The engines of the market data and of the signals, and the strategies, handle the recorded
    events as they did then; what a strategy decides is dropped, because the record says what was decided. The ids of
    orders and timers are those of the record, as far as the strategy decides the same at the same event.

    A strategy's timers fire as it sets them. Those of the engines are taken from the record. Async handlers receive
    only what their cursors lack.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.failed_in_past: dict[str, str] = {}
        """Why a strategy failed in the past that was restored, by its id."""
        self._fold: Callable[[DomainEvent], None] | None = None
        self._relived: set[str] = set()  # ids of the strategies that relive the past
        self._dormant: dict[str, tuple[int, Callable[[], None]]] = {}  # the others: see ``restored`` of ``recall``
        self._running = ""  # the id of the strategy that handles an event
        self._effects: dict[str, list[DomainEvent]] = {}  # recorded effects of the cascade's events, by cause
        self._folded: set[str] = set()  # ids of the cascade's events that were folded

    @property
    def is_recalling(self) -> bool:
        """Whether a past is being restored."""
        return self._fold is not None

    def recall(
        self,
        past: Iterable[DomainEvent],
        fold: Callable[[DomainEvent], None],
        *,
        agenda: Agenda,
        strategies: Collection[str] = (),
        restored: Mapping[str, tuple[int, Callable[[], None]]] | None = None,
    ) -> Iterator[DomainEvent]:
        """Restore ``past``, all events of the record in order of ``seq``, including its market data. Each step restores
        an input with its cascade, and yields the input. ``agenda`` is the kernel's; what is due on it runs before each
        market event. ``restored``: the strategies that have a snapshot, with its ``seq`` and a call that restores it.
        They handle only what follows."""
        self._fold = fold
        self._dormant = dict(restored or {})
        self._relived = set(strategies) - set(self._dormant)
        try:
            for cascade in _cascades(past):
                self._wake(cascade[0].seq)
                if cascade[0].is_market_data:
                    while (entry := agenda.pop(cascade[0].ts_ingress)) is not None:
                        entry[1]()
                self._recall_cascade(cascade)
                yield cascade[0]
            self._wake(self.seq + 1)
        finally:
            self._fold = None
        self._timers.set_remembered()

    # -- one cascade --------------------------------------------------------------------------------------------------

    def _wake(self, seq: int) -> None:
        """Let the strategies whose snapshot was taken before ``seq`` relive what follows."""
        for strategy_id in [name for name, (taken, _) in self._dormant.items() if taken < seq]:
            _, restore = self._dormant.pop(strategy_id)
            self._relived.add(strategy_id)
            self._timers.set_remembered(strategy_id)
            try:
                restore()
            except Exception as error:  # noqa: BLE001 (this calls the strategy's own code)
                why = f"{type(error).__name__}: {describe_error(error)}"
                self.failed_in_past[strategy_id] = f"its snapshot could not be restored: {why}"
                self._table.remove_component(f"{STRATEGY}{strategy_id}")

    def _recall_cascade(self, cascade: list[DomainEvent]) -> None:
        self._effects, self._folded = {}, set()
        for event in cascade[1:]:
            self._effects.setdefault(event.causation_id, []).append(event)
        self.continue_from(cascade[0])
        for event in cascade:
            self.seq = event.seq
            if isinstance(event, TradingHalted) and not event.resumable:
                self.halted = True
            if not event.is_input and type(event) in _MADE_AGAIN:
                self._relive_made_again(event)
            else:
                self._relive(event)
        self._relive_made_again(None)
        if self._outbox:
            self._serve_edges()

    def _relive_made_again(self, recorded: DomainEvent | None) -> None:
        """Handle what the engines made again, up to the counterpart of ``recorded``."""
        if recorded is not None and all(event.event_id != recorded.event_id for event in self._queue):
            self._fold_with_effects(recorded)
            return
        while self._queue:
            event = self._queue.popleft()
            found = recorded is not None and event.event_id == recorded.event_id
            if found and recorded is not None:
                force_setattr(event, "seq", recorded.seq)
            self._relive(event)
            if found:
                return

    def _relive(self, event: DomainEvent, *, recorded: bool = True) -> None:
        """Fold an event and its effects, and pass it to everyone else who handles it."""
        deaf = recorded and isinstance(event, TimerFired) and not self._is_relived_timer(event)
        plan = self._plans.get(type(event)) or self._table.plan_for(event)
        plan.count += recorded
        self._current, self._children, self._busy = event, 0, True
        folded = not recorded
        try:
            for subscription, call in zip(plan.handlers, plan.calls, strict=True):
                if not folded and subscription.priority <= PRIORITY["risk"]:
                    self._fold_with_effects(event)
                    folded = True
                strategy_id = _strategy_of(subscription)
                if subscription.component in _FOLDED or strategy_id in self._dormant or not subscription.active:
                    continue
                if strategy_id and deaf:
                    continue
                self._running = strategy_id
                try:
                    call(event)
                except BaseException as error:  # noqa: BLE001 (reported by ``_raised``, or raised again)
                    self._raised(plan, call, event, error)
                self._keep_made_again(event)
            if not folded:
                self._fold_with_effects(event)
        finally:
            self._running, self._busy, self._current = "", False, None
        if plan.edges:
            self._outbox.append((Plan((), tuple(filter(_has_cursor, plan.edges))), event))

    def _fold_with_effects(self, event: DomainEvent) -> None:
        """An engine changed its state when it handled the cause, before a strategy handled it. So the effects of an
        event are folded with it, except those that are made again: they are folded when the signals have them."""
        assert self._fold is not None
        effects = [one for one in self._effects.get(event.event_id, ()) if type(one) not in _MADE_AGAIN]
        for one in (event, *effects):
            if one.event_id not in self._folded:
                self._folded.add(one.event_id)
                if isinstance(one, StrategyCreated) and one.strategy_id not in self._dormant:
                    self._relived.add(one.strategy_id)  # also one that a command created
                self._remember_timer(one)
                self._fold(one)

    def _keep_made_again(self, cause: DomainEvent) -> None:
        """Drop what a handler published, except what the record does not replace."""
        for event in self._staged:
            if type(event) in _MADE_AGAIN:
                self._queue.append(self._derive(cause, event))
        self._staged.clear()

    def _failed(self, subscription: Subscription, event: DomainEvent, error: BaseException) -> None:
        if self._fold is None:
            super()._failed(subscription, event, error)
            return
        self._staged.clear()
        strategy_id = _strategy_of(subscription)
        if strategy_id:
            what = f"{subscription.name} failed on {event.event_type} {event.event_id}"
            why = f"{type(error).__name__}: {describe_error(error)}"
            self.failed_in_past.setdefault(strategy_id, f"while it was warmed up, {what}: {why}")
            self._table.remove_component(subscription.component)

    # -- ids and timers -----------------------------------------------------------------------------------------------

    def next_id(self) -> str:
        """While a past is restored: the id of the decision that the record has here."""
        if self._fold is None:
            return super().next_id()
        own = self._take_effect(StrategyDecisionEvent, lambda decision: decision.strategy_id == self._running)
        return own.event_id if own is not None else f"{super().next_id()}-dropped"

    def _take_effect(self, kind: type[E], wanted: Callable[[E], bool]) -> E | None:
        """The next recorded effect of the current event that is ``wanted``. Each is returned once."""
        effects = self._effects.get(self._current.event_id if self._current is not None else "", [])
        for place, event in enumerate(effects):
            if isinstance(event, kind) and wanted(event):
                del effects[place]
                return event
        return None

    def set_timer(self, due: int, name: str, owner: str = "") -> int:
        if self._fold is None:
            return super().set_timer(due, name, owner)
        own = self._take_effect(TimerSet, lambda timer: (timer.owner, timer.name, timer.due) == (owner, name, due))
        timer_id = own.timer_id if own is not None else self._timers.next_id_outside()
        current = self._current
        if owner == self._running and current is not None:
            self._timers.apply(
                TimerSet(
                    timer_id=timer_id,
                    name=name,
                    owner=owner,
                    due=due,
                    causation_id=current.event_id,
                    correlation_id=current.correlation_id,
                )
            )
        return timer_id

    def cancel_timer(self, timer_id: int) -> None:
        if self._fold is None:
            super().cancel_timer(timer_id)
        elif self._running:
            self._timers.forget(timer_id)

    def feed(self, event: DomainEvent, record: bool = True) -> None:
        if self._fold is None:
            super().feed(event, record)
            return
        fired = event.__copy__()  # a strategy's timer that it set itself; the record may not have it
        force_setattr(fired, "event_id", f"{self.inputs}-relived")
        self.clock._now = max(self.clock._now, fired.ts_ingress)
        self._relive(fired, recorded=False)

    def _is_relived_timer(self, fired: TimerFired) -> bool:
        """Whether a recorded timer is to be handled. That of a strategy must have been set by what it does now."""
        if fired.owner not in self._relived:
            return True
        pending = fired.timer_id in self._timers
        self._timers.forget(fired.timer_id)
        return pending

    def _remember_timer(self, event: DomainEvent) -> None:
        if isinstance(event, TimerSet) and event.owner in self._relived:
            self._timers.count(event)
        elif isinstance(event, TimerSet | TimerCancelled | TimerFired):
            self._timers.remember(event)


def _cascades(events: Iterable[DomainEvent]) -> Iterator[list[DomainEvent]]:
    """Each input with everything that it caused."""
    cascade: list[DomainEvent] = []
    for event in events:
        if event.is_input and cascade:
            yield cascade
            cascade = []
        cascade.append(event)
    if cascade:
        yield cascade


def _strategy_of(subscription: Subscription) -> str:
    component = subscription.component
    return component.removeprefix(STRATEGY) if component.startswith(STRATEGY) else ""


def _has_cursor(edge: Subscription) -> bool:
    return edge.mailbox is not None and edge.mailbox.cursor is not None
