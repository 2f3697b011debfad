"""The metrics of a run, in the types of ``prometheus_client``. docs/operate.md lists them."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tickdeck.application.kernel import money_context
from tickdeck.application.ports import CountingFeed
from tickdeck.bootstrap import LiveRun
from tickdeck.domain.values import Side
from tickdeck.infrastructure.version import full_version

if TYPE_CHECKING:
    from tickdeck.application.bus import BusStatistics
    from tickdeck.bootstrap import Session
    from tickdeck.interfaces.monitoring.watch import RunWatch

__all__ = ["collect"]

_NS = 1e9
_NEWEST = 2_048  # cascades whose times are considered
_QUANTILES = (0.5, 0.99, 1.0)
_BREAKER = {"closed": 0, "half_open": 1, "open": 2}


def collect(watch: RunWatch) -> Iterator[Metric]:
    """The current metrics. Call it in the thread of the run's event loop: it reads what the run stores anyway, and
    changes nothing.
    """
    run = watch.run
    statistics = run.kernel.statistics()
    yield _info(run)
    yield from _events(run, statistics)
    yield from _queues(run, statistics)
    yield from _tape(run)
    yield from _orders(run, statistics)
    yield from watch.round_trips.collect()
    yield from _connections(watch)
    with money_context():
        yield from _money(run)
        if len(run.core.accounts) > 1:
            yield from _accounts(run)


def _info(run: Session) -> Metric:
    manifest = run.manifest
    orders = "real" if run.config.live else "paper"
    labels = {"run": manifest.run_id, "version": full_version(), "orders": orders}
    family = GaugeMetricFamily("tickdeck_run_info", "The run that this process works on.", labels=list(labels))
    family.add_metric(list(labels.values()), 1)
    return family


def _events(run: Session, statistics: BusStatistics) -> Iterator[Metric]:
    yield _counters("tickdeck_events", "Events by type.", "type", statistics.published)
    yield _counter("tickdeck_inputs", "Inputs, each with its cascade.", run.kernel.inputs)
    failures: Counter[str] = Counter()
    for handler in statistics.handlers:
        failures[handler.component or handler.name] += handler.failures
    yield _counters("tickdeck_handler_failures", "Handlers that raised.", "component", failures)
    yield _gauge("tickdeck_dead_letters", "Undelivered events that can be sent again.", statistics.dead_letters)
    newest = sorted(islice(reversed(run.driver.latencies_ns), _NEWEST))
    times = {str(q): newest[round((len(newest) - 1) * q)] / _NS for q in _QUANTILES} if newest else {}
    what = f"Time of an input with its cascade, of the newest {_NEWEST:,} that were timed."
    yield _gauges("tickdeck_cascade_seconds", what, "q", times)
    yield _gauge("tickdeck_caught_up", "0 while a resumed run executes its record again.", run.caught_up())


def _queues(run: Session, statistics: BusStatistics) -> Iterator[Metric]:
    depths = {f"P{lane}": depth for lane, depth in enumerate(run.kernel.ingress.depths())}
    dropped = Counter(statistics.dropped)
    if isinstance(run, LiveRun):
        intake = run.intake
        depths["frames"] = len(intake.queue)
        dropped["frames"], dropped["conflated frames"] = intake.dropped, intake.conflated
    for handler in statistics.handlers:
        if handler.waiting is not None:
            name = f"mailbox of {handler.component or handler.name}"
            depths[name] = depths.get(name, 0) + handler.waiting
    yield _gauges("tickdeck_queue_depth", "What waits in each queue.", "queue", depths)
    yield _counters("tickdeck_dropped", "What queues dropped, by type of event; frames of a feed.", "what", dropped)


def _tape(run: Session) -> Iterator[Metric]:
    tape = run.tape.statistics()
    yield _gauge("tickdeck_tape_waiting_events", "Events that are not durable yet.", tape.waiting)
    waited = "How long the oldest event that is not durable yet has waited."
    yield _gauge("tickdeck_tape_waiting_seconds", waited, tape.waiting_seconds)
    yield _counter("tickdeck_tape_events", "Events appended by this process.", tape.appended)
    yield _counter("tickdeck_tape_commits", "Groups committed by this process.", tape.commits)
    yield _gauge("tickdeck_tape_writable", "0 after a write has failed.", not tape.failure)
    yield _gauge("tickdeck_disk_free_bytes", "Free space where the run is stored.", shutil.disk_usage(run.folder).free)


def _orders(run: Session, statistics: BusStatistics) -> Iterator[Metric]:
    executions, published = [account.execution for account in run.core.accounts], statistics.published
    submitted = sum(execution.submitted for execution in executions)
    yield _counter("tickdeck_orders_submitted", "Orders of the run.", submitted)
    yield _counter("tickdeck_orders_rejected", "Orders that were rejected.", published.get("order.rejected", 0))
    yield _counter("tickdeck_risk_refused", "Intents that risk refused.", published.get("risk.limit_breached", 0))
    still_open = sum(len(execution.open_of()) for execution in executions)
    yield _gauge("tickdeck_orders_open", "Orders that have not ended.", still_open)
    yield _gauge("tickdeck_orders_unknown", "Open orders in doubt.", sum(execution.unknown for execution in executions))
    unknown = sum(execution.unknown_reports for execution in executions)
    yield _counter("tickdeck_unknown_reports", "Reports about orders that the run does not know.", unknown)


def _connections(watch: RunWatch) -> Iterator[Metric]:
    yield _gauge("tickdeck_trading_halted", "1 while trading is halted.", bool(watch.halted))
    yield _gauges("tickdeck_feed_connected", "Whether a feed is connected.", "feed", watch.run.feeds)
    states = {name: _BREAKER[state] for name, state in watch.breakers.items()}
    what = "0 closed, 1 half open, 2 open; absent: never opened."
    yield _gauges("tickdeck_breaker_state", what, "breaker", states)
    silences = {symbol: silence for symbol in watch.heard if (silence := watch.silence(symbol)) is not None}
    yield _gauges("tickdeck_feed_silence_seconds", "Time since the last market data.", "symbol", silences)
    if isinstance(watch.run, LiveRun):
        if isinstance(watch.run.feed, CountingFeed):
            counts = Counter(watch.run.feed.counts())
            yield _counters("tickdeck_feed_counts", "What the feed of this process counted.", "what", counts)
        yield _limits(watch.run)


def _limits(run: LiveRun) -> Metric:
    what = "What was used of a rate limit of the venue in its current interval, as a share."
    family = GaugeMetricFamily("tickdeck_rate_limit_used_ratio", what, labels=["account", "limit"])
    for account, limiter in run.limiters.items():
        for limit in limiter.limits:
            used = limiter.used(limit.name, limit.seconds) / limit.limit
            family.add_metric([account, f"{limit.name} in {limit.seconds} s"], used)
    return family


def _money(run: Session) -> Iterator[Metric]:
    portfolio = run.core.figures
    labels = ["currency"]
    for name, what, amount in (
        ("equity", "Cash and positions of all currencies.", portfolio.equity()),
        ("pnl", "Result of trading and holding, after fees.", portfolio.pnl()),
        ("fees", "Fees paid minus rebates.", portfolio.fees()),
    ):
        family = GaugeMetricFamily(f"tickdeck_{name}", what, labels=labels)
        family.add_metric([portfolio.quote], float(amount))
        yield family
    drawdown = run.observer.performance().max_drawdown
    yield _gauge("tickdeck_max_drawdown_ratio", "The deepest fall from a peak of the equity.", drawdown)
    locked: dict[str, float] = {}
    for one in run.core.accounts:
        for currency, amount in one.portfolio.account.locks.items():
            if amount:
                locked[currency] = locked.get(currency, 0.0) + float(amount)
    yield _gauges("tickdeck_locked_by_others", "What orders of others lock, in the currency.", "currency", locked)
    held = GaugeMetricFamily("tickdeck_position", "Position in base currency; short is negative.", labels=["symbol"])
    value = GaugeMetricFamily(
        "tickdeck_position_value", "Position at the market's price, in quote currency.", labels=["symbol"]
    )
    working = GaugeMetricFamily(
        "tickdeck_working_quantity", "What open orders may still fill, in base.", labels=["symbol", "side"]
    )
    for symbol in run.manifest.symbols:
        position = portfolio.quantity(symbol)
        held.add_metric([symbol], float(position))
        price = run.core.market_data.price(symbol)
        if price is not None or not position:
            value.add_metric([symbol], float(position * (price or Decimal(0))))
        for side in Side:
            worked = sum(account.execution.working(symbol, side) for account in run.core.accounts)
            working.add_metric([symbol, side.value], float(worked))
    yield from (held, value, working)


def _accounts(run: Session) -> Iterator[Metric]:
    """By account, if the run has several."""
    labels = ["account", "user", "currency"]
    equity = GaugeMetricFamily("tickdeck_account_equity", "Cash and positions of one account.", labels=labels)
    pnl = GaugeMetricFamily("tickdeck_account_pnl", "Result of one account, after fees.", labels=labels)
    unknown = GaugeMetricFamily("tickdeck_account_orders_unknown", "Open orders in doubt.", labels=labels[:2])
    halted = GaugeMetricFamily("tickdeck_account_halted", "1 while the account's trading is halted.", labels=labels[:2])
    for one in run.core.accounts:
        portfolio, who = one.portfolio, [one.portfolio.account_id, one.portfolio.user_id]
        equity.add_metric([*who, portfolio.quote], float(portfolio.equity()))
        pnl.add_metric([*who, portfolio.quote], float(portfolio.pnl()))
        unknown.add_metric(who, one.execution.unknown)
        halted.add_metric(who, float(bool(one.risk.gate.closed_because)))
    yield from (equity, pnl, unknown, halted)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=float(value))


def _gauges(name: str, what: str, label: str, values: Mapping[str, float] | Mapping[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], float(value))
    return family


def _counter(name: str, what: str, value: float) -> Metric:
    return CounterMetricFamily(name, what, value=value)


def _counters(name: str, what: str, label: str, values: dict[str, int] | Counter[str]) -> Metric:
    family = CounterMetricFamily(name, what, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
