"""What the live view shows of a run at one moment."""

from __future__ import annotations

import time
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from tickdeck.domain.events import (
    HandlerFailed,
    RiskLimitBreachedEvent,
    StrategyDecisionEvent,
    TradingHalted,
    TradingResumed,
)
from tickdeck.domain.values import Money, Price, Quantity
from tickdeck.interfaces.cli.describing import describe_event

if TYPE_CHECKING:
    from tickdeck.bootstrap import Session
    from tickdeck.domain.events import DomainEvent
    from tickdeck.domain.trading import Order

__all__ = ["LiveOrder", "LiveState", "LiveSymbol", "LiveWatch"]

_REMEMBERED = 8
_LATENCIES = 2_048  # only this many of the newest are considered


class LiveSymbol(msgspec.Struct, frozen=True, kw_only=True):
    """Prices in quote, ``None`` if unknown; ``position`` in base; ``unrealized`` in quote, before fees."""

    symbol: str
    price: Price | None
    bid: Price | None
    ask: Price | None
    position: Quantity
    average: Price
    unrealized: Money


class LiveOrder(msgspec.Struct, frozen=True, kw_only=True):
    side: str
    symbol: str
    quantity: Quantity
    filled: Quantity
    limit: Price | None
    average: Price | None
    status: str


class LiveState(msgspec.Struct, frozen=True, kw_only=True):
    """``ts``: the run's clock, ns UTC. ``speed``: recent multiple of real time. Amounts are in ``currency``.
    ``events_per_s``: recent rate. ``p50_us``, ``p99_us``: an input with its cascade; ``None`` if none was timed.
    ``lanes``: waiting inputs, by priority. ``tape_waiting``: events not yet on disk. ``decisions``, ``problems``: time
    and description of the newest, the newest last. A halt that is over is not counted as a problem."""

    run: str
    strategies: tuple[str, ...]
    ts: int
    wall_s: float
    speed: float
    symbols: tuple[LiveSymbol, ...]
    currency: str
    equity: Money
    pnl: Money
    fees: Money
    orders: int
    orders_open: int
    in_doubt: int
    last_orders: tuple[LiveOrder, ...]
    decisions: int
    last_decisions: tuple[tuple[int, str], ...]
    problems: int
    last_problems: tuple[tuple[int, str], ...]
    events: int
    events_per_s: float
    p50_us: float | None
    p99_us: float | None
    lanes: tuple[int, int, int, int]
    tape_waiting: int
    halted: bool


class LiveWatch:
    """Observes a run: subscribes to its decisions and problems, and reads everything else on demand."""

    def __init__(self, run: Session) -> None:
        self._run = run
        self._decisions: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        self._problems: deque[tuple[int, str]] = deque(maxlen=_REMEMBERED)
        self._decided = self._failed = 0
        self._halts: list[tuple[int, str]] = []  # the halts since trading last resumed, as among the problems
        self._began = time.monotonic()
        self._before = (self._began, 0, 0)  # wall clock, run clock and events at the previous look
        for event_type, handler in (
            (StrategyDecisionEvent, self._on_decision),
            (HandlerFailed, self._on_problem),
            (RiskLimitBreachedEvent, self._on_problem),
            (TradingHalted, self._on_problem),
            (TradingResumed, self._on_resumed),
        ):
            run.kernel.subscribe(event_type, handler, priority=-200, component="report")

    def _on_decision(self, decision: DomainEvent) -> None:
        self._decided += 1
        self._decisions.append((decision.ts_ingress, describe_event(decision)))

    def _on_problem(self, problem: DomainEvent) -> None:
        self._failed += 1
        if isinstance(problem, HandlerFailed):
            text = f"{problem.handler} raised {problem.error}: {problem.message}"
        elif isinstance(problem, TradingHalted):
            text = f"trading is halted: {problem.reason}"
        else:
            text = f"risk refused {describe_event(problem)}"
        self._problems.append((problem.ts_ingress, text))
        if isinstance(problem, TradingHalted):
            self._halts.append((problem.ts_ingress, text))

    def _on_resumed(self, resumed: DomainEvent) -> None:
        """A halt that is over is no problem any more."""
        self._failed -= len(self._halts)
        self._problems = deque((shown for shown in self._problems if shown not in self._halts), maxlen=_REMEMBERED)
        self._halts.clear()

    def state(self, ts: int) -> LiveState:
        """The run at ``ts`` of its clock. Does not change the run."""
        run, core = self._run, self._run.core
        now, events = time.monotonic(), run.kernel.seq
        wall, last_ts, last_events = self._before
        self._before = (now, ts, events)
        elapsed = max(now - wall, 1e-9)
        strategies = tuple(core.strategies.strategies)
        p50, p99 = self._latencies()
        return LiveState(
            run=run.manifest.run_id,
            strategies=strategies,
            ts=ts,
            wall_s=now - self._began,
            speed=(ts - last_ts) / 1e9 / elapsed if last_ts else 0.0,
            symbols=tuple(map(self._symbol, run.manifest.symbols)),
            currency=core.figures.quote,
            equity=core.figures.equity(),
            pnl=core.figures.pnl(),
            fees=core.figures.fees(),
            orders=sum(account.execution.submitted for account in core.accounts),
            orders_open=sum(
                len(account.execution.open_orders(name)) for account in core.accounts for name in strategies
            ),
            in_doubt=sum(account.execution.unknown for account in core.accounts),
            last_orders=tuple(map(_order, self._last_orders())),
            decisions=self._decided,
            last_decisions=tuple(self._decisions),
            problems=self._failed,
            last_problems=tuple(self._problems),
            events=events,
            events_per_s=(events - last_events) / elapsed,
            p50_us=p50,
            p99_us=p99,
            lanes=run.kernel.ingress.depths(),
            tape_waiting=run.tape.statistics().waiting,
            halted=any(account.risk.gate.is_halted for account in core.accounts),
        )

    def _last_orders(self) -> list[Order]:
        """The newest orders, the newest first; those of each account together."""
        newest = (reversed(account.execution.orders.values()) for account in self._run.core.accounts)
        return [order for orders in newest for order in islice(orders, _REMEMBERED)][:_REMEMBERED]

    def _symbol(self, symbol: str) -> LiveSymbol:
        market = self._run.core.market_data.market(symbol)
        position, held = self._run.core.figures.view(symbol), self._run.core.figures.quantity(symbol)
        price, bid, ask = market.price, market.best_bid, market.best_ask
        return LiveSymbol(
            symbol=symbol,
            price=price,
            bid=bid[0] if bid else None,
            ask=ask[0] if ask else None,
            position=held,
            average=position.average_price,
            unrealized=position.unrealized_pnl,
        )

    def _latencies(self) -> tuple[float | None, float | None]:
        newest = sorted(islice(reversed(self._run.driver.latencies_ns), _LATENCIES))
        if not newest:
            return None, None
        last = len(newest) - 1
        return newest[round(last * 0.5)] / 1_000, newest[round(last * 0.99)] / 1_000


def _order(order: Order) -> LiveOrder:
    return LiveOrder(
        side=str(order.side),
        symbol=order.symbol,
        quantity=order.quantity,
        filled=order.filled,
        limit=order.limit,
        average=order.average_price,
        status=str(order.status),
    )
