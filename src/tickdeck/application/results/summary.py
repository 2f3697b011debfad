"""The figures of a run: the same for people, scripts and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.application.bus import EventBus
from tickdeck.application.engines import AccountEngines, PortfolioEngine, Portfolios
from tickdeck.application.kernel import Kernel
from tickdeck.application.proof import BookState, PriceJumps, RecordQuality
from tickdeck.application.results.reasons import Reasons
from tickdeck.domain.events import (
    FeedConnected,
    FeedDisconnected,
    OrderRejectedEvent,
    RiskLimitBreachedEvent,
    RunResumed,
    RunStarted,
    RunStopped,
    TradeFailedEvent,
    TradingHalted,
    TradingResumed,
)
from tickdeck.domain.values import Money, Quantity, plain

__all__ = ["AccountSummary", "Latency", "RunObserver", "Summary", "summarise"]


_NO_RATE = (
    "; the limits are in another currency than the symbol is quoted in: say what one unit is worth, such as"
    " [risk] rates = {{ {currency} = 1.1 }}, or add a tape with its price"
)


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Microseconds from the kernel receiving an input to the end of its cascade, over the inputs that were timed (one
    in 16 at full speed); ``None`` if none was."""

    p50: float | None = None
    p99: float | None = None
    max: float | None = None


class AccountSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one account of several. ``user``: its owner. ``halted``: why its trading is halted. The rest is as
    in ``Summary``."""

    account: str
    user: str
    halted: str | None
    orders: int
    unknown: int
    position: dict[str, Quantity]
    cash: Money
    equity: Money
    pnl: Money
    fees: Money


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A run's figures. Money is exact and in ``currency``; positions are in base, by symbol. ``dust``: those that are
    too little for an order.

    - ``status``: ``completed``, or ``interrupted`` if it can be resumed. ``reason``: why it ended. ``halted``: why
      trading stopped before that, ``None`` if it did not.
    - ``events``: dispatched events. ``inputs`` of them came from outside; ``ticks`` of these were market data.
    - ``fills`` includes partial ones. ``rejected`` orders were refused by the venue, ``refused`` intents by risk.
      ``unknown`` orders are in doubt at the end. ``dropped`` events were lost because a mailbox was full.
    - ``refused_because`` and ``rejected_because``: the most frequent reasons and their counts: the limits of risk, and
      the venue's message up to the first colon.
    - ``copies_failed``: trades of ``[[copy]]`` that failed, and their most frequent reasons in the same way.
    - ``equity``, ``cash``, ``pnl`` and ``fees`` are over all currencies of the account, at the last prices; fees at
      their value when they were paid. ``pnl``: the equity minus the deposits, so after fees. ``left_out``: amounts by
      currency that are in none of these, because no price tells what they are worth.
    - ``gaps``: gaps in the market data, by symbol; ``repeated``: trades that came again; ``jumps``: impossible
      changes of the price; ``crossed``: how often an update crossed the order book. ``books``: the order books at the
      end, for the symbols that had any.
    - ``accounts``: each account of a run with several; the figures above are those of all together.
    - ``failures`` of handlers, and the strategies that were ``paused`` because of one.
    - ``first_ts`` and ``last_ts`` on the run's clock, ns UTC. ``wall_s``: real time; the two rates use it.
    """

    run: str
    status: str
    reason: str
    halted: str | None
    strategies: tuple[str, ...]
    symbols: tuple[str, ...]
    first_ts: int
    last_ts: int
    events: int
    inputs: int
    ticks: int
    signals: int
    decisions: int
    orders: int
    fills: int
    rejected: int
    refused: int
    refused_because: dict[str, int]
    rejected_because: dict[str, int]
    copies_failed: int = 0
    copies_failed_because: dict[str, int] = {}
    unknown: int
    dropped: int
    gaps: dict[str, int]
    repeated: dict[str, int]
    jumps: dict[str, PriceJumps]
    crossed: dict[str, int]
    books: dict[str, BookState]
    failures: int
    paused: tuple[str, ...]
    position: dict[str, Quantity]
    dust: dict[str, Quantity]
    currency: str
    cash: Money
    equity: Money
    pnl: Money
    fees: Money
    left_out: dict[str, Money]
    accounts: tuple[AccountSummary, ...] = ()
    wall_s: float
    events_per_s: float
    ticks_per_s: float
    latency_us: Latency
    tape: str

    @property
    def failed(self) -> bool:
        """True if a handler raised or the kernel had to halt: an error, as opposed to a reached limit."""
        return self.failures > 0

    @property
    def nothing_passed(self) -> str | None:
        """One line for a run that asked for orders and got none: every intent was refused by risk, or every order was
        rejected by the venue. It ends with the reason given most often. ``None`` for any other run."""
        told = []
        if self.rejected and self.rejected >= self.orders:
            reason = next(iter(self.rejected_because), "no reason given")
            told.append(f"the venue rejected every order ({self.orders:,}), most often because: {reason}")
        if self.refused and (not self.orders or told):
            limit = next(iter(self.refused_because), "no reason given")
            whole = f"risk refused every order ({self.refused:,})" if not told else f"risk refused {self.refused:,}"
            hint = _NO_RATE.format(currency=self.currency) if limit == "currency" else ""
            told.append(f"{whole}, most often because of: {limit}{hint}")
        return "nothing was traded: " + "; ".join(told) if told and not self.fills else None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values: money and quantities as strings without an exponent."""
        out: dict[str, Any] = {}
        for name in self.__struct_fields__:
            value = getattr(self, name)
            out[name] = plain(value) if isinstance(value, Decimal) else msgspec.to_builtins(value)
        out["left_out"] = {currency: plain(amount) for currency, amount in self.left_out.items()}
        out["accounts"] = [_plain(one) for one in self.accounts]
        out["position"] = {symbol: plain(quantity) for symbol, quantity in self.position.items()}
        return out


def _plain(account: AccountSummary) -> dict[str, Any]:
    amounts = {name: getattr(account, name) for name in account.__struct_fields__}
    out = {name: plain(value) if isinstance(value, Decimal) else value for name, value in amounts.items()}
    return out | {"position": {symbol: plain(quantity) for symbol, quantity in account.position.items()}}


class RunObserver:
    """Records how a run began and ended, why trading halted and why orders were refused, and the connections. Publishes
    nothing."""

    def __init__(self, bus: EventBus, *, is_live: bool = False) -> None:
        self._is_live = is_live
        self.feeds: dict[str, bool] = {}
        """Whether each feed is connected, in this process."""
        self.started: RunStarted | None = None
        self.stopped: RunStopped | None = None
        self.halts: dict[str, TradingHalted] = {}
        """The first halt of each account, because its effects may halt again, until trading is resumed; that of the
        whole run under the empty name."""
        self.reasons = Reasons()
        bus.subscribe(RiskLimitBreachedEvent, self.reasons.on_refused, priority=-100, component="report")
        bus.subscribe(TradeFailedEvent, self.reasons.on_failed, priority=-100, component="report")
        bus.subscribe(OrderRejectedEvent, self.reasons.on_rejected, priority=-100, component="report")
        for event_type in (RunStarted, RunStopped, TradingHalted, TradingResumed):
            bus.subscribe(event_type, self._on_event, priority=-100, component="report")
        for feed in (FeedConnected, FeedDisconnected):
            bus.subscribe(feed, self._on_feed, priority=-100, component="report")
        bus.subscribe(RunResumed, self._on_resumed, priority=-100, component="report")

    def _on_event(self, event: RunStarted | RunStopped | TradingHalted | TradingResumed) -> None:
        if isinstance(event, RunStarted):
            self.started = event
        elif isinstance(event, RunStopped):
            self.stopped = event
        elif isinstance(event, TradingResumed):
            self.halts.pop(event.account_id, None)
        else:
            self.halts.setdefault(event.account_id, event)

    def why_halted(self, account_id: str = "") -> str | None:
        """Why trading was halted and is not resumed: of the run or of any account, or of one account."""
        if account_id:
            halt = self.halts.get(account_id) or self.halts.get("")
            return halt.reason if halt is not None else None
        reasons = (f"account {name}: {halt.reason}" if name else halt.reason for name, halt in self.halts.items())
        return "; ".join(reasons) or None

    def _on_resumed(self, _: RunResumed) -> None:
        self.feeds.clear()  # this process has its own connections

    def _on_feed(self, feed: FeedConnected | FeedDisconnected) -> None:
        if not self._is_live or feed.source != "driver":  # which publishes them before the sockets are open
            self.feeds[feed.feed] = isinstance(feed, FeedConnected)


def summarise(
    *,
    run: str,
    tape: str,
    kernel: Kernel,
    portfolio: PortfolioEngine | Portfolios,
    accounts: Sequence[AccountEngines],
    observer: RunObserver,
    quality: RecordQuality,
    symbols: tuple[str, ...],
    paused: Sequence[str],
    ticks: int,
    latencies_ns: Sequence[int],
    wall_s: float,
) -> Summary:
    """Collect the current figures of a run, without changing it. ``portfolio`` has the figures of all ``accounts``.
    ``ticks``: the number of inputs that are market data.
    ``wall_s``: its duration in seconds."""
    statistics = kernel.statistics()
    published = statistics.published
    started, stopped = observer.started, observer.stopped
    return Summary(
        run=run,
        status="completed" if stopped is not None else "interrupted",
        reason=stopped.reason if stopped is not None else "stopped from outside",
        halted=observer.why_halted(),
        strategies=started.strategies if started is not None else (),
        symbols=symbols,
        first_ts=started.ts_ingress if started is not None else 0,
        last_ts=kernel.clock.now(),
        events=kernel.seq,
        inputs=kernel.inputs,
        ticks=ticks,
        signals=published.get("signal.snapshot", 0),
        decisions=published.get("strategy.decision", 0),
        orders=published.get("order.submitted", 0),
        fills=published.get("order.filled", 0) + published.get("order.partially_filled", 0),
        rejected=published.get("order.rejected", 0),
        refused=published.get("risk.limit_breached", 0),
        refused_because=observer.reasons.refused,
        rejected_because=observer.reasons.rejected,
        copies_failed=published.get("trade.failed", 0),
        copies_failed_because=observer.reasons.failed,
        unknown=sum(account.execution.unknown for account in accounts),
        dropped=sum(statistics.dropped.values()),
        gaps=dict(quality.gaps),
        repeated=quality.repeated(),
        jumps=quality.jumps(),
        crossed=dict(quality.crossed),
        books=quality.books(kernel.clock.now()),
        failures=max(statistics.failures, int(kernel.halted)),  # an endless cascade is not the failure of a handler
        paused=tuple(paused),
        position={symbol: portfolio.quantity(symbol) for symbol in symbols},
        dust=portfolio.dust(symbols),
        currency=portfolio.quote,
        cash=portfolio.cash(),
        equity=portfolio.equity(),
        pnl=portfolio.pnl(),
        fees=portfolio.fees(),
        left_out=portfolio.left_out(),
        accounts=tuple(_of_account(account, symbols, observer) for account in accounts) if len(accounts) > 1 else (),
        wall_s=round(wall_s, 6),
        events_per_s=round(kernel.seq / wall_s, 1) if wall_s > 0 else 0.0,
        ticks_per_s=round(ticks / wall_s, 1) if wall_s > 0 else 0.0,
        latency_us=_latency(latencies_ns),
        tape=tape,
    )


def _of_account(account: AccountEngines, symbols: tuple[str, ...], observer: RunObserver) -> AccountSummary:
    portfolio = account.portfolio
    return AccountSummary(
        account=portfolio.account_id,
        user=portfolio.user_id,
        halted=observer.why_halted(portfolio.account_id),
        orders=account.execution.submitted,
        unknown=account.execution.unknown,
        position={symbol: portfolio.quantity(symbol) for symbol in symbols},
        cash=portfolio.cash(),
        equity=portfolio.equity(),
        pnl=portfolio.pnl(),
        fees=portfolio.fees(),
    )


def _latency(latencies_ns: Sequence[int]) -> Latency:
    """The latencies in microseconds; each quantile is the value at the nearest rank."""
    if not latencies_ns:
        return Latency()
    ordered = sorted(latencies_ns)
    last = len(ordered) - 1
    p50, p99, worst = (round(ordered[round(last * share)] / 1_000, 1) for share in (0.5, 0.99, 1.0))
    return Latency(p50=p50, p99=p99, max=worst)
