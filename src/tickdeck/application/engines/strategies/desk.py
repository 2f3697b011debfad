"""What a strategy of a run sees and does: it reads the market and its account, decides, and sets timers."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import force_setattr

from tickdeck.application.bus import not_an_event
from tickdeck.application.engines.brackets import bracket_opened
from tickdeck.application.engines.candle_plan import timeframes_of
from tickdeck.application.engines.execution import ExecutionEngine
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.identity import client_order_id
from tickdeck.application.kernel import Kernel, money_context
from tickdeck.application.strategies import PositionView
from tickdeck.domain.accounts import Owned
from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    NotificationAlert,
    StateLeg,
    StateUpdated,
    StrategyDecisionEvent,
)
from tickdeck.domain.values import Level, Price
from tickdeck.errors import ConfigError

if TYPE_CHECKING:
    from tickdeck.application.engines.strategies.engine import StrategyEngine

__all__ = ["Desk"]


class Desk:
    """The ``StrategyDesk`` of one strategy in a run."""

    def __init__(
        self,
        engine: StrategyEngine,
        kernel: Kernel,
        strategy_id: str,
        execution: ExecutionEngine,
        portfolio: PortfolioEngine,
    ) -> None:
        self._engine = engine
        self._execution = execution
        self._portfolio = portfolio
        self._kernel = kernel
        self.strategy_id = strategy_id
        self.symbols = engine.symbols
        self.clock = kernel.clock
        self.rng = random.Random(f"{engine.seed}/{strategy_id}")
        self._timeframes = timeframes_of(engine.strategies[strategy_id])
        self._full_names: dict[str, str] = {}

    def decide(self, intents: tuple[ActionIntent, ...], reason: str) -> tuple[str, ...]:
        """Publish a decision. Each order intent gets its client order id now, so that the strategy can use it
        immediately. Quantities are rounded down to the lot size."""
        decision_id = self._kernel.next_id()
        named, order_ids = [], []
        for k, intent in enumerate(intents):
            intent = self._on_grid(intent)
            if intent.action == "order" and not intent.order_id:
                intent = msgspec.structs.replace(intent, order_id=client_order_id(self._engine.nonce, decision_id, k))
            named.append(intent)
            order_ids.append(intent.order_id)
        definition, account = self._engine.definitions[self.strategy_id], self._portfolio.account
        self._kernel.publish(
            StrategyDecisionEvent(
                strategy_id=self.strategy_id,
                name=definition.name,
                role=definition.role,
                account_id=account.account_id,
                user_id=account.user_id,
                intents=tuple(named),
                reason=reason,
                source=self.strategy_id,
            )
        )
        return tuple(order_ids)

    def bracket(self, intent: ActionIntent, expires: int, reason: str) -> str:
        """Publish the decision to enter with ``intent``, and the bracket order that begins with it, which ends its
        entry after ``expires`` ns (0: never). Returns its id."""
        intent = self._on_grid(intent)
        (order_id,) = self.decide((intent,), reason)
        self._kernel.publish(
            bracket_opened(
                msgspec.structs.replace(intent, order_id=order_id),
                self.clock.now() + expires if expires else 0,
                strategy_id=self.strategy_id,
                account_id=self._portfolio.account_id,
                user_id=self._portfolio.user_id,
                source=self.strategy_id,
            )
        )
        return order_id

    def _on_grid(self, intent: ActionIntent) -> ActionIntent:
        """The intent with its quantity rounded to the lot size, because ``equity * share / price`` has 28 digits. A
        quantity below one lot is unchanged, so that risk refuses it with a reason."""
        symbol = intent.symbol
        if intent.action == "amend":
            order = self._execution.orders.get(intent.order_id)
            symbol = order.symbol if order is not None else ""
        if not symbol or not intent.quantity:
            return intent
        try:
            quantity = self._engine.instrument(symbol).quantise_quantity(intent.quantity)
        except (ConfigError, ArithmeticError):
            return intent  # risk refuses the symbol or the number, with the reason
        if not quantity or quantity == intent.quantity:  # on the grid already: it stays as it was written
            return intent
        return msgspec.structs.replace(intent, quantity=quantity)

    def signal(self, name: str, symbol: str) -> float | None:
        signals = self._engine.signals
        if self._timeframes:
            full = self._full_names.get(name)
            if full is None:
                full = self._full_names[name] = signals.full_name(name, self._timeframes)
            name = full
        return signals.value(name, symbol)

    def position(self, symbol: str) -> PositionView:
        with money_context():
            return self._portfolio.view(symbol)

    def owned(self, symbol: str) -> Owned:
        return self._portfolio.owned.of(self.strategy_id, symbol)

    def equity(self) -> Decimal:
        with money_context():
            return self._portfolio.equity()

    def known_equity(self) -> Decimal | None:
        with money_context():
            return self._portfolio.known_equity()

    def profit(self, strategy_id: str) -> Decimal | None:
        with money_context():
            return self._engine.profits.profit(strategy_id)

    def profit_percent(self, strategy_id: str) -> Decimal | None:
        with money_context():
            return self._engine.profits.percent(strategy_id)

    def price(self, symbol: str) -> Price | None:
        return self._engine.market_data.market(symbol).price

    def best(self, symbol: str) -> tuple[Level | None, Level | None]:
        market = self._engine.market_data.market(symbol)
        return market.best_bid, market.best_ask

    def open_orders(self, symbol: str | None) -> tuple[str, ...]:
        return self._execution.open_orders(self.strategy_id, symbol)

    def set_timer(self, name: str, delay: int) -> int:
        return self._kernel.set_timer(self._kernel.clock.now() + max(delay, 0), name, self.strategy_id)

    def cancel_timer(self, timer_id: int) -> None:
        self._kernel.cancel_timer(timer_id)

    def update_state(self, values: dict[str, str], legs: tuple[StateLeg, ...]) -> None:
        self._kernel.publish(
            StateUpdated(owner=self.strategy_id, kind="strategy", values=values, legs=legs, source=self.strategy_id)
        )

    def notify(self, text: str, severity: str, recipients: tuple[str, ...]) -> None:
        self._kernel.publish(
            NotificationAlert(text=text, severity=severity, recipients=recipients, source=self.strategy_id)
        )

    def publish(self, event: DomainEvent) -> None:
        if not isinstance(event, DomainEvent):
            raise not_an_event(event)
        if type(event).__module__.startswith("tickdeck."):
            raise ConfigError(
                f"publish: {event.event_type} belongs to Tickdeck; publish events of your own classes, and trade with "
                "buy, sell and cancel"
            )
        event = event.__copy__()
        force_setattr(event, "source", self.strategy_id)
        self._kernel.publish(event)
