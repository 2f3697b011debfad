"""Follows what nothing else in a run keeps, while the run works."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Histogram

from tickdeck.application.units import duration_ns
from tickdeck.bootstrap import LiveRun
from tickdeck.domain.events import (
    CandleEvent,
    MarketEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
    RunResumed,
    TickEvent,
    TradeEvent,
    VenueCircuitChanged,
)

if TYPE_CHECKING:
    from tickdeck.application.bus import SubscribeOptions
    from tickdeck.bootstrap import Session

__all__ = ["RunWatch"]

_NS = 1e9
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)  # seconds
_PRICES = (TradeEvent, TickEvent, OrderBookEvent, OrderBookDeltaEvent, CandleEvent)


class RunWatch:
    """Follows the connections, circuit breakers and order round trips of ``run``. Create it before the run is
    driven. It publishes nothing, so the record is the same with and without it.

    - ``breakers``: the state of each circuit breaker that ever opened.
    - ``heard``: when the last market data of each symbol arrived (ns UTC).
    - ``round_trips``: seconds from the input that led to an order to the exchange's first report about it: the
      decision, the durable write, and the way to the exchange and back.
    """

    def __init__(self, run: Session) -> None:
        self.run = run
        self.breakers: dict[str, str] = {}
        self.heard: dict[str, int] = dict.fromkeys(run.manifest.symbols, 0)
        self.round_trips = Histogram(
            "tickdeck_order_round_trip_seconds",
            "From the input that led to an order to the first report about it.",
            buckets=_BUCKETS,
            registry=CollectorRegistry(),
        )
        self._problems: Callable[[], tuple[str, ...]] = tuple  # around the run
        if isinstance(run, LiveRun):
            self._problems = lambda: run.watch.problems
        stale_after = run.config.stale_after if run.manifest.is_live else None
        self._stale_after = duration_ns(stale_after) / _NS if stale_after else 0.0
        self._sent: dict[str, int] = {}  # orders without a report: when they were decided
        own: SubscribeOptions = {"priority": -200, "component": "report"}
        run.kernel.subscribe(RunResumed, self._on_resumed_run, **own)
        run.kernel.subscribe(VenueCircuitChanged, self._on_breaker, **own)
        run.kernel.subscribe(OrderEvent, self._on_order, **own)
        for price in _PRICES:
            run.kernel.subscribe(price, self._on_market, **own)

    def silence(self, symbol: str) -> float | None:
        """Seconds since the last market data of ``symbol``; ``None`` before the first. Of recorded market data, on the
        run's own clock."""
        heard = self.heard[symbol]
        now = time.time_ns() if self.run.manifest.is_live else self.run.kernel.clock.now()
        return max(now - heard, 0) / _NS if heard else None

    @property
    def halted(self) -> str:
        """Why trading is halted, for an account at least; empty if it is not."""
        accounts = self.run.core.accounts
        reasons = {account.account_id: account.risk.gate.closed_because for account in accounts}
        if len(accounts) == 1:
            return reasons[accounts[0].account_id]
        return "; ".join(f"account {name}: {reason}" for name, reason in reasons.items() if reason)

    def obstacles(self) -> list[str]:
        """Why the run cannot trade now; empty if it can."""
        run = self.run
        found = []
        if not run.kernel.seq or not run.caught_up():
            found.append("the run has not begun, or executes its record again")
        lost = [name for name, connected in run.feeds.items() if not connected]
        if lost:
            found.append(f"not connected: {', '.join(lost)}")
        elif len(run.feeds) < 1 + (len(run.core.accounts) if run.config.live else 0):
            found.append("not connected yet")
        if self.halted:
            found.append(f"trading is halted: {self.halted}")
        found += [problem for problem in self._problems() if problem not in self.halted]
        for symbol in run.manifest.symbols:
            if closed := run.core.instruments.why_closed(symbol):
                found.append(closed)
            if (silence := self.silence(symbol)) is not None and self._stale_after and silence >= self._stale_after:
                found.append(f"{symbol} has been silent for {silence:.0f} s")
        failure = run.tape.statistics().failure
        if failure:
            found.append(f"the tape cannot be written: {failure}")
        return found

    def _on_resumed_run(self, _: RunResumed) -> None:
        # What follows is of this process: it has its own connections, circuit breakers and calls.
        self.breakers.clear()
        self._sent.clear()

    def _on_breaker(self, change: VenueCircuitChanged) -> None:
        self.breakers[change.name] = change.after

    def _on_order(self, order: OrderEvent) -> None:
        if isinstance(order, OrderSubmittedEvent):
            self._sent[order.order_id] = order.ts_ingress
        elif not isinstance(order, OrderCancelRequestedEvent | OrderUnknownEvent):
            began = self._sent.pop(order.order_id, None)
            if began is not None:
                self.round_trips.observe((order.ts_ingress - began) / _NS)

    def _on_market(self, event: MarketEvent) -> None:
        if event.is_input:  # a candle may be one of ours
            self.heard[event.symbol] = event.ts_ingress
