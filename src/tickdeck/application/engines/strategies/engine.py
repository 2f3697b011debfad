"""The strategy engine: passes events to strategies, executes their decisions, and pauses strategies that fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tickdeck.application.bus import SubscribeOptions, Subscription, describe_error
from tickdeck.application.engines.candle_plan import DEFAULT_CANDLES, CandlePlan, timeframes_of
from tickdeck.application.engines.execution import ExecutionEngine
from tickdeck.application.engines.market_data import MarketDataEngine
from tickdeck.application.engines.operator import OPERATOR
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.signals import SignalEngine
from tickdeck.application.engines.strategies.desk import Desk
from tickdeck.application.engines.strategies.ids import check_id
from tickdeck.application.engines.strategies.needs import StrategyNeeds
from tickdeck.application.engines.strategies.profits import StrategyProfits
from tickdeck.application.engines.strategies.subscriptions import MARKET, OWN_ORDERS, StrategySubscriptions
from tickdeck.application.engines.strategies.surroundings import StrategySurroundings
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import STRATEGY, Kernel
from tickdeck.application.parameters import named
from tickdeck.application.redaction import redacted
from tickdeck.application.strategies import Rules, Strategy
from tickdeck.domain.events import (
    ActionIntent,
    BracketOpenedEvent,
    CommandReceived,
    DomainEvent,
    HandlerFailed,
    NotificationAlert,
    RunResumed,
    RunStarted,
    RunStopped,
    StateUpdated,
    StrategyActivated,
    StrategyCreated,
    StrategyDecisionEvent,
    StrategyDeleted,
    StrategyPaused,
    StrategyUpdated,
    SystemWarning,
    TimerFired,
)
from tickdeck.domain.market import Instrument, instrument_for
from tickdeck.domain.trading import FOR_ALL, PausedStrategies, StrategyDefinition
from tickdeck.errors import ConfigError

__all__ = ["StrategyEngine"]

_NO_PARAMETERS = ("strategy_id", "account")  # arguments of a command


class StrategyEngine:
    """Runs strategies. A strategy that raises is paused: it receives no more events (the kernel ensures that
    immediately), and its open orders stay as they are.

    Commands have the strategy's id as the argument ``strategy_id``: ``strategy-pause``; ``strategy-activate``, also
    after an error; ``strategy-update`` with parameters as further arguments; ``strategy-delete``, which cancels its
    open orders; ``strategy-create``, which adds one without code (``rules``) with the parameters in its other
    arguments, and ``account`` if the run has several. A command that cannot be executed changes nothing and causes a
    ``system.warning``.
    """

    component = "strategy"
    hears = (
        RunStarted,
        RunResumed,
        RunStopped,
        CommandReceived,
        HandlerFailed,
        StrategyActivated,
        StrategyUpdated,
        TimerFired,
        *(e for e, _ in MARKET),
        *(e for e, _ in OWN_ORDERS),
    )
    publishes = (
        StrategyDecisionEvent,
        BracketOpenedEvent,
        StrategyCreated,
        StrategyUpdated,
        StrategyActivated,
        StrategyPaused,
        StrategyDeleted,
        StateUpdated,
        NotificationAlert,
        SystemWarning,
    )

    def __init__(
        self,
        kernel: Kernel,
        *,
        market_data: MarketDataEngine,
        signals: SignalEngine,
        execution: ExecutionEngine,
        portfolio: PortfolioEngine,
        profits: StrategyProfits,
        symbols: tuple[str, ...],
        nonce: str,
        seed: int,
        instrument: Callable[[str], Instrument] = instrument_for,
        candles: CandlePlan = DEFAULT_CANDLES,
        books_of: Callable[[str], tuple[ExecutionEngine, PortfolioEngine]] | None = None,
    ) -> None:
        """``books_of(account_id)`` are those of one account; it raises ``ConfigError`` if the run has several and the
        id is empty, or if there is none. By default, ``execution`` and ``portfolio`` are those of every account."""
        self._kernel = kernel
        self.instrument = instrument
        self.market_data = market_data
        self.signals = signals
        self.execution = execution
        self.portfolio = portfolio
        self.profits = profits
        self._books_of = books_of
        self.symbols = symbols
        self.nonce = nonce
        self.seed = seed
        self.strategies: dict[str, Strategy] = {}
        self.paused = PausedStrategies()
        self.failed_in_past: Mapping[str, str] = {}
        """Why a strategy failed in a past that was restored from the record, by its id. It is paused when the run is
        resumed."""
        self.definitions: dict[str, StrategyDefinition] = {}
        """What each strategy is, by its id."""
        self._portfolios: dict[str, PortfolioEngine] = {}  # those of the strategies' accounts
        self._account_of_new = ""  # of the last command that created a strategy, in a past that is restored
        self._subscriptions = StrategySubscriptions(kernel, candles)
        self._needs = StrategyNeeds(signals, candles, profits, symbols)
        self._commands: dict[str, Callable[[str, CommandReceived], None]] = {
            "strategy-create": self._create,
            "strategy-pause": self._pause,
            "strategy-activate": self._activate,
            "strategy-update": self._update,
            "strategy-delete": self._delete,
        }
        # Before the strategies, because these events are about their life.
        own: SubscribeOptions = {"priority": PRIORITY[self.component] + 1, "component": self.component}
        kernel.subscribe(RunStarted, self.on_started, **own)
        kernel.subscribe(CommandReceived, self.on_command, **own)
        kernel.subscribe(HandlerFailed, self.on_handler_failed, **own)
        kernel.subscribe(RunResumed, self.on_resumed, **own)

    def add(
        self,
        strategy_id: str,
        strategy: Strategy,
        name: str = "",
        *,
        execution: ExecutionEngine | None = None,
        portfolio: PortfolioEngine | None = None,
    ) -> None:
        """Run ``strategy`` under a unique id. ``name`` is by default the id. It trades with the account of
        ``execution`` and ``portfolio``, by default that of this engine. Raises ``ConfigError`` if the id is taken."""
        if strategy_id in self.strategies:
            raise ConfigError(f"two strategies are called {strategy_id!r}; rename one of them")
        if strategy_id in FOR_ALL:
            whose = "of commands" if strategy_id == OPERATOR else "of the risk engine"
            raise ConfigError(f"a strategy is called {strategy_id!r}, like the orders {whose}; rename it")
        self.strategies[strategy_id] = strategy
        self._portfolios[strategy_id] = portfolio or self.portfolio
        self.definitions[strategy_id] = StrategyDefinition(strategy_id, name or strategy_id, strategy.role, in_run=True)
        strategy._desk = Desk(self, self._kernel, strategy_id, execution or self.execution, portfolio or self.portfolio)
        self._subscriptions.listen(strategy_id, strategy)

    def portfolio_of(self, strategy_id: str) -> PortfolioEngine:
        """That of the account with which a strategy trades."""
        return self._portfolios.get(strategy_id, self.portfolio)

    def account_of_new(self, account: str) -> str:
        """The id of the account with which a new strategy trades. Raises ``ConfigError`` if the run has no such one."""
        return (self._books_of(account)[1] if self._books_of is not None else self.portfolio).account_id

    def parameters(self, strategy_id: str) -> dict[str, Any]:
        """The current parameters of a strategy, JSON-ready, without secrets."""
        return _without_secrets(self.strategies[strategy_id].parameters())

    @property
    def surroundings(self) -> Mapping[str, StrategySurroundings]:
        """What is around the methods of each strategy, by its id."""
        return self._subscriptions.surroundings

    def listen_again(self, strategy_id: str) -> list[Subscription]:
        """Subscribe the methods of a strategy in a run that is restored, as after a pause. Returns the new
        subscriptions."""
        return self._subscriptions.listen(strategy_id, self.strategies[strategy_id])

    def on_handler_failed(self, failed: HandlerFailed) -> None:
        strategy_id = failed.component.removeprefix(STRATEGY)
        if failed.component != strategy_id and strategy_id in self.strategies and strategy_id not in self.paused:
            reason = f"{failed.handler} failed on {failed.failed_event_type} {failed.failed_event_id}: {failed.error}"
            self._subscriptions.mute(strategy_id)
            self._change(self.definitions[strategy_id].pause(reason))

    # -- life ---------------------------------------------------------------------------------------------------

    def on_started(self, _: RunStarted) -> None:
        for strategy_id in self.strategies:
            self._begin(strategy_id, "configuration", "the run begins")

    def _begin(self, strategy_id: str, created_by: str, reason: str) -> None:
        strategy, definition = self.strategies[strategy_id], self.definitions[strategy_id]
        parameters = _as_text(strategy.parameters())
        self._kernel.publish(definition.create(type(strategy).__name__, created_by, parameters))
        self._change(definition.activate(reason))

    def on_resumed(self, _: RunResumed) -> None:
        for strategy_id, reason in self.failed_in_past.items():
            if strategy_id in self.strategies and strategy_id not in self.paused:
                self._subscriptions.mute(strategy_id)
                self._change(self.definitions[strategy_id].pause(reason))

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        self.paused.apply(event)
        strategy_id = getattr(event, "strategy_id", "")
        if isinstance(event, CommandReceived) and event.command == "strategy-create":
            self._account_of_new = event.arguments.get("account", "")
        elif isinstance(event, StrategyCreated) and strategy_id not in self.strategies:
            self._join_again(event)
        if strategy_id not in self.strategies:
            return
        self.definitions[strategy_id].apply(event)
        if isinstance(event, StrategyPaused):
            self._subscriptions.mute(strategy_id)
        elif isinstance(event, StrategyActivated) and strategy_id not in self._subscriptions:
            self._subscriptions.listen(strategy_id, self.strategies[strategy_id])
        elif isinstance(event, StrategyUpdated):
            # The new code may not have the parameter any more, or refuse the value.
            with contextlib.suppress(Exception):
                self._set_parameters(strategy_id, event.parameters)
        elif isinstance(event, StrategyDeleted):
            self._subscriptions.mute(strategy_id)
            del self.strategies[strategy_id], self.definitions[strategy_id]

    def _join_again(self, created: StrategyCreated) -> None:
        """Add a strategy that joined the run in a past that is restored. If the new code refuses it, it is gone."""
        with contextlib.suppress(ConfigError):
            self._join(created.strategy_id, Rules(**created.parameters), self._account_of_new)

    def on_command(self, command: CommandReceived) -> None:
        carry_out = self._commands.get(command.command)
        if carry_out is None:
            return
        strategy_id = command.arguments.get("strategy_id", "")
        if carry_out == self._create or strategy_id in self.strategies:
            carry_out(strategy_id, command)
        else:
            there_is = ", ".join(self.strategies) or "none"
            self._warn(command, f"this run has no strategy {strategy_id!r}; it has: {there_is}")

    def _create(self, strategy_id: str, command: CommandReceived) -> None:
        """Add a strategy without code. The code of others is a part of the run, so they cannot join it."""
        parameters = {name: value for name, value in command.arguments.items() if name not in _NO_PARAMETERS}
        try:
            check_id(strategy_id)
            if strategy_id in self.definitions:
                raise ConfigError(f"there is a strategy {strategy_id!r} already; update or delete it")
            try:
                rules = Rules(**parameters)
            except ConfigError as error:
                raise named(error, Rules, strategy_id) from None
            self._join(strategy_id, rules, command.arguments.get("account", ""))
        except ConfigError as error:
            self._warn(command, describe_error(error))
            return
        self._begin(strategy_id, "command", _reason(command))

    def _join(self, strategy_id: str, strategy: Rules, account: str) -> None:
        """Add a strategy to a run that works. Raises ``ConfigError`` if the run does not have what it needs."""
        execution, portfolio = self._books_of(account) if self._books_of is not None else (None, None)
        self._needs.check(strategy, [*self.strategies, strategy_id])
        self.add(strategy_id, strategy, execution=execution, portfolio=portfolio)

    def _pause(self, strategy_id: str, command: CommandReceived) -> None:
        if strategy_id in self.paused:
            self._warn(command, f"strategy {strategy_id!r} is already paused")
            return
        self._subscriptions.mute(strategy_id)
        self._change(self.definitions[strategy_id].pause(_reason(command)))

    def _activate(self, strategy_id: str, command: CommandReceived) -> None:
        if strategy_id not in self.paused:
            self._warn(command, f"strategy {strategy_id!r} is not paused")
            return
        self._subscriptions.listen(strategy_id, self.strategies[strategy_id])
        self._change(self.definitions[strategy_id].activate(_reason(command)))

    def _update(self, strategy_id: str, command: CommandReceived) -> None:
        strategy = self.strategies[strategy_id]
        wanted = {name: value for name, value in command.arguments.items() if name != "strategy_id"}
        before, timeframes = strategy.parameters(), timeframes_of(strategy)
        try:
            self._set_parameters(strategy_id, wanted)
            if timeframes_of(strategy) != timeframes:
                raise ConfigError(
                    "required_candles() now returns different timeframes; they are fixed when the run begins"
                )
            self._needs.check(strategy, list(self.strategies))
        except Exception as error:  # noqa: BLE001 (this calls the strategy's own code, which may raise anything)
            self._set_parameters(strategy_id, before)
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            if isinstance(error, ConfigError) and isinstance(strategy, Rules):
                error = named(error, Rules, strategy_id)
            self._warn(command, f"{kind}{describe_error(error)}")
            return
        values = _as_text({name: getattr(strategy, name) for name in wanted})
        self._kernel.publish(self.definitions[strategy_id].update(values, _reason(command)))

    def _set_parameters(self, strategy_id: str, parameters: Mapping[str, Any]) -> None:
        """Change parameters of a strategy, and pass it other events if it needs others now."""
        strategy = self.strategies[strategy_id]
        events = strategy.required_events()
        strategy.set_parameters(parameters)
        if strategy_id in self._subscriptions and strategy.required_events() != events:
            self.listen_again(strategy_id)

    def _delete(self, strategy_id: str, command: CommandReceived) -> None:
        desk = self.strategies.pop(strategy_id).desk
        self._subscriptions.mute(strategy_id)
        cancels = (ActionIntent(action="cancel", symbol="", order_id=order_id) for order_id in desk.open_orders(None))
        intents = tuple(cancels)
        if intents:
            desk.decide(intents, "the strategy is deleted")
        self._change(self.definitions.pop(strategy_id).delete(_reason(command)))

    def _change(self, event: StrategyPaused | StrategyActivated | StrategyDeleted) -> None:
        self.paused.apply(event)
        self._kernel.publish(event)

    def _warn(self, command: CommandReceived, why: str) -> None:
        self._kernel.publish(SystemWarning(component=self.component, message=f"{command.command}: {why}"))


def _reason(command: CommandReceived) -> str:
    return command.reason or "asked for by a command"


def _as_text(parameters: dict[str, Any]) -> dict[str, str]:
    """Values in the form that a command accepts: strings unchanged, everything else as JSON. Values whose name marks a
    secret are left out, whatever they are, because a tape may be shared. A proof without the secret gives the same
    text."""
    plain = _without_secrets(parameters)
    return {name: v if isinstance(v, str) else msgspec.json.encode(v).decode() for name, v in plain.items()}


def _without_secrets(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: redacted(msgspec.to_builtins(value), name) for name, value in parameters.items()}
