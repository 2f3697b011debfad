"""Which trades are neither executed nor failed: a projection of their events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tickdeck.application.bus import Subscription
from tickdeck.application.commands.repositories import AggregateStore
from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import DomainEvent, TradeExecutedEvent, TradeFailedEvent, TwoPhaseTradeEvent
from tickdeck.errors import ConfigError

__all__ = ["OpenTrades"]


class _Bus(Protocol):
    @property
    def store(self) -> AggregateStore: ...

    def subscribe(
        self, topic: type[TwoPhaseTradeEvent], handler: Callable[[TwoPhaseTradeEvent], object], *, name: str
    ) -> Subscription: ...


class OpenTrades:
    """Follows the trades of a bus, beginning with those on its store. Create one for each bus."""

    def __init__(self, bus: _Bus) -> None:
        if getattr(bus, "store", None) is None:
            raise ConfigError("OpenTrades: this bus has no store; use the bus of open_bus(url)")
        self._open: dict[str, dict[str, None]] = {}  # trade ids by account
        for event in bus.store.read(TapeQuery(types=("trade.*",))):
            self.apply(event)
        bus.subscribe(TwoPhaseTradeEvent, self.apply, name="open trades")

    def apply(self, event: DomainEvent) -> None:
        if not isinstance(event, TwoPhaseTradeEvent):
            return
        trades = self._open.setdefault(event.account_id, {})
        if isinstance(event, TradeExecutedEvent | TradeFailedEvent):
            trades.pop(event.trade_id, None)
        else:
            trades[event.trade_id] = None

    def of(self, account_id: str) -> tuple[str, ...]:
        """The ids of an account's open trades, oldest first."""
        return tuple(self._open.get(account_id, ()))

    def all(self) -> list[tuple[str, str]]:
        """Account and id of every open trade."""
        return [(account_id, trade_id) for account_id, trades in self._open.items() for trade_id in trades]
