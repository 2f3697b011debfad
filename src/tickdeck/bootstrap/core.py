"""The engines around one kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches

from tickdeck.application.engines import (
    OPERATOR,
    AccountEngines,
    BracketEngine,
    CandlePlan,
    ConditionValues,
    CopyEngine,
    ExecutionEngine,
    FeedMonitor,
    HeartbeatEngine,
    InstrumentEngine,
    Leader,
    MarketDataEngine,
    PortfolioEngine,
    Portfolios,
    RunRisk,
    SignalEngine,
    StopOrders,
    StrategyEngine,
    StrategyProfits,
    TriggerEngine,
    timeframes_of,
    with_timeframe,
)
from tickdeck.application.engines.order_arguments import name_one_of
from tickdeck.application.kernel import Kernel
from tickdeck.application.parameters import Parametrised
from tickdeck.application.ports import Amendment
from tickdeck.application.strategies import Rules, Strategy, asks_for_profits, timeframes_in
from tickdeck.application.units import duration_ns
from tickdeck.application.wording import counted
from tickdeck.bootstrap.account_engines import AccountCommands, build_accounts
from tickdeck.bootstrap.run_accounts import account_of, run_accounts
from tickdeck.bootstrap.strategies import signal_factories
from tickdeck.domain.conditions import Condition, parse_condition, signal_name
from tickdeck.domain.events import DomainEvent, OrderEvent, event_class, event_types
from tickdeck.domain.market import Instrument, parse_timeframe
from tickdeck.domain.values import Price, plain
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.config_copy import CopyConfig
from tickdeck.infrastructure.exchanges.factory import ExchangeFactory
from tickdeck.infrastructure.runs import (
    Manifest,
)
from tickdeck.infrastructure.strategies import strategy_name

__all__ = ["Core"]


def _conditions_of(strategies: Sequence[tuple[str, Strategy]]) -> list[Condition]:
    return [one for _, strategy in strategies if isinstance(strategy, Rules) for one in strategy.conditions.values()]


def stop_orders_of(config: RunConfig) -> StopOrders:
    """Which stop orders the venue of a run takes."""
    if not config.live:
        return StopOrders()
    known = ExchangeFactory.capabilities.get(config.exchange)
    return StopOrders(stops=known is not None and known.stop_orders, pairs=known is not None and known.order_pairs)


def _amendment_of(config: RunConfig) -> Amendment:
    """What the venue of a run can change of an open order, as far as it is known."""
    known = ExchangeFactory.capabilities.get(config.exchange) if config.live else None
    return known.amendment if known is not None else Amendment.FULL


class Core:
    """The engines around one kernel: the same in a run, in a backtest and in a proof."""

    def __init__(
        self, config: RunConfig, manifest: Manifest, strategies: list[tuple[str, Strategy]], kernel: Kernel
    ) -> None:
        own_signals = signal_factories(config)
        triggers = [parse_condition(wish.when) for wish in config.triggers]
        self.users: list[type[Parametrised]] = [type(strategy) for _, strategy in strategies]
        """The classes of the strategies, and of the user's signals."""
        self.users += [type(make()) for make in own_signals.values()]
        conditions = [*_conditions_of(strategies), *triggers]
        names = [
            with_timeframe(name, timeframes_of(strategy), own_signals)
            for _, strategy in strategies
            for name in strategy.required_signals()
        ]
        names += [name for condition in triggers for one in condition.references if (name := signal_name(one))]
        self.candles = CandlePlan.of(
            parse_timeframe(config.candles) if config.candles is not None else None,
            (strategy for _, strategy in strategies),
            names,
            own_signals=bool(own_signals),
            timeframes=timeframes_in(conditions),
        )
        self.kernel = kernel
        self.instruments = InstrumentEngine(kernel, config.instrument, self._at_stake)
        instrument = self.instruments.instrument
        self.market_data = MarketDataEngine(
            kernel,
            self.candles,
            snapshot_interval=duration_ns(config.snapshots) if config.snapshots else None,
            snapshot_depth=config.snapshot_depth,
        )
        monitor = FeedMonitor(kernel, duration_ns(config.stale_after)) if config.stale_after else None
        heartbeat = HeartbeatEngine(kernel, duration_ns(config.heartbeat)) if config.heartbeat else None
        self.signals = SignalEngine(kernel, self.market_data, names, own_signals, self.candles)
        self.commands = AccountCommands(kernel)  # a part with a name: the state of the accounts refers to it
        self.accounts = build_accounts(
            kernel,
            run_accounts(config),
            self.commands,
            symbols=manifest.symbols,
            nonce=manifest.nonce,
            market_data=self.market_data,
            configured=config.instrument,
            instrument=instrument,
            why_closed=self.instruments.why_closed,
            on_difference=config.account_difference,
            stop_orders=stop_orders_of(config),
            amendment=_amendment_of(config),
        )
        """The engines of each account; ``risk``, ``execution`` and ``portfolio`` are those of the first."""
        _, self.risk, self.execution, self.portfolio = self.accounts[0]
        self.brackets = BracketEngine(kernel, self.accounts, symbols=manifest.symbols, nonce=manifest.nonce)
        self.figures = self.portfolio if len(self.accounts) == 1 else Portfolios([a.portfolio for a in self.accounts])
        """The figures of all accounts together."""
        self.run_risk: RunRisk | None = None
        """The limits of all accounts together, if there are any."""
        if config.limits is not None:
            self.run_risk = RunRisk(
                kernel,
                config.limits,
                [account.risk for account in self.accounts],
                Portfolios([account.portfolio for account in self.accounts]),
                clock=kernel.clock.now,
                price=self.market_data.price,
                instrument=instrument,
            )
        traders = {
            strategy_id: self.account(account_of(config, wanted))
            for (strategy_id, _), wanted in zip(strategies, config.strategies, strict=bool(strategies))
        }
        self.profits = StrategyProfits(
            kernel,
            lambda strategy_id: self.strategies.portfolio_of(strategy_id),
            price=self.market_data.price,
            instrument=instrument,
            wanted=asks_for_profits(conditions),
        )
        self.strategies = StrategyEngine(
            kernel,
            market_data=self.market_data,
            signals=self.signals,
            execution=self.execution,
            portfolio=self.portfolio,
            profits=self.profits,
            symbols=manifest.symbols,
            nonce=manifest.nonce,
            seed=config.seed,
            instrument=instrument,
            candles=self.candles,
            books_of=self._books_of,
        )
        for (strategy_id, strategy), wanted in zip(strategies, config.strategies, strict=bool(strategies)):
            mine = traders[strategy_id]
            self.strategies.add(
                strategy_id,
                strategy,
                wanted.name or strategy_name(wanted.spec),
                execution=mine.execution,
                portfolio=mine.portfolio,
            )
        self.triggers = TriggerEngine(
            kernel,
            ConditionValues(kernel, self.market_data, self.signals, self.figures_of, self.profits),
            self.signals,
            symbols=manifest.symbols,
            candles=self.candles,
            strategies=lambda: self.strategies.strategies,
            accounts=tuple(one.account_id for one in self.accounts) if len(self.accounts) > 1 else (),
            wishes=[wish.as_wish() for wish in config.triggers],
        )
        if strategies or not config.strategies:  # who only reads the tape has none, and they were checked at the start
            self._check(config, manifest)
        self.copies = [self._copier(copy, config, manifest, instrument) for copy in config.copy]
        """One for each ``[[copy]]``."""
        engines = (
            monitor,
            *self.accounts,
            self.run_risk,
            self.brackets,
            heartbeat,
            self.profits,
            self.strategies,
            self.triggers,
            *self.copies,
        )
        self._folding = tuple(engine.recall for engine in engines if engine is not None)

    def _books_of(self, account_id: str) -> tuple[ExecutionEngine, PortfolioEngine]:
        """Those of one account. Raises ``ConfigError`` if there is none, or if it is not clear which one is meant."""
        names = [account.account_id for account in self.accounts]
        if not account_id and len(names) > 1:
            raise ConfigError(name_one_of(names))
        if account_id and account_id not in names:
            raise ConfigError(f"this run has no account {account_id!r}; it has: {', '.join(names)}")
        mine = self.account(account_id or names[0])
        return mine.execution, mine.portfolio

    def figures_of(self, account_id: str) -> PortfolioEngine | Portfolios:
        """Those of one account; with an empty id, those of all."""
        return self.account(account_id).portfolio if account_id else self.figures

    def _check(self, config: RunConfig, manifest: Manifest) -> None:
        """Raise ``ConfigError`` for all symbols, strategies, accounts and values that strategies without code, triggers
        and copies name, and that this run does not have."""
        mistakes: list[str] = []
        ids = list(self.strategies.strategies)
        for strategy_id, strategy in self.strategies.strategies.items():
            if isinstance(strategy, Rules):
                try:
                    strategy.check_names(manifest.symbols, ids)
                except ConfigError as error:
                    mistakes += [f"strategy {strategy_id}: {mistake}" for mistake in error.lines]
        try:
            self.triggers.check_wishes()
        except ConfigError as error:
            mistakes += error.lines
        for copy in config.copy:
            mistakes += [f"copy {copy.copy_name}: {mistake}" for mistake in self._why_no_copy(copy)]
        if mistakes:
            raise ConfigError.of(mistakes)

    def _why_no_copy(self, copy: CopyConfig) -> list[str]:
        """Why the run cannot copy as a ``[[copy]]`` says."""
        names = [account.account_id for account in self.accounts]
        ids = self.strategies.strategies
        kind, _, who = copy.leader.partition(":")
        found = [
            f"the run does not trade with account {name}"
            for name in ((copy.follower, who) if kind == "account" else (copy.follower,))
            if name not in names
        ]
        if kind == "strategy" and who != OPERATOR and who not in ids:
            found.append(f"the run has no strategy {who!r}; it has: {', '.join(ids) or 'none'}")
        if kind == "event" and event_class(who) is None:
            near = get_close_matches(who, event_types(), 1)
            found.append(f"there is no event of type {who!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        if copy.copy_name in ids:
            found.append("a strategy has the same name; give the copy another")
        return found

    def _copier(
        self, copy: CopyConfig, config: RunConfig, manifest: Manifest, instrument: Callable[[str], Instrument]
    ) -> CopyEngine:
        [paper] = [one.paper for one in run_accounts(config) if one.account_id == copy.follower]
        return CopyEngine(
            self.kernel,
            copy.settings(),
            Leader(copy.leader, instrument, self._stop_of),
            portfolio=self.account(copy.follower).portfolio,
            instrument=instrument,
            nonce=manifest.nonce,
            yielding=self.account(copy.follower).risk.protections.orders_that_yield,
            may_owe=paper.short_selling or paper.margin is not None,
        )

    def _at_stake(self, symbol: str) -> Iterator[str]:
        """What each account has in a symbol, as far as it has anything."""
        for account in self.accounts:
            held = account.risk.exposure.position(symbol)
            count = len(account.execution.open_of(symbol))
            if held or count:
                name = f"account {account.account_id} has " if len(self.accounts) > 1 else ""
                yield f"{name}{plain(held)} {symbol} in its position and {counted(count, 'open order')} on the record"

    def _stop_of(self, fill: OrderEvent) -> Price | None:
        """The stop of the position that ``fill`` opened."""
        for account in self.accounts:
            if account.account_id == fill.account_id:
                protection = account.risk.protections.book.protections.get(fill.order_id)
                return protection.stop()[0] if protection is not None else None
        return None

    def account(self, account_id: str) -> AccountEngines:
        """The engines of one account."""
        return next(account for account in self.accounts if account.account_id == account_id)

    def without_value(self) -> list[str]:
        """A line for each condition of a strategy or a trigger whose indicators or candles have no value now, because
        there was too little market data."""
        found = {
            name: one.without_value() for name, one in self.strategies.strategies.items() if isinstance(one, Rules)
        }
        found |= {f"trigger {name}": texts for name, texts in self.triggers.without_value().items()}
        return [
            f"{who}: {', '.join(texts)} had no value until the end: too little market data"
            for who, texts in found.items()
            if texts
        ]

    def recall(self, event: DomainEvent) -> None:
        """Fold an event of the record into the state of the engines."""
        for fold in self._folding:
            fold(event)
