"""What a strategy sees of the run: its desk, and positions as they are shown to it."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Protocol

import msgspec

from tickdeck.application.clock import RunClock
from tickdeck.domain.accounts import Owned
from tickdeck.domain.events import ActionIntent, DomainEvent, StateLeg
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import Level, Price

__all__ = ["PositionView", "StrategyDesk"]


class PositionView(msgspec.Struct, frozen=True):
    """A position as a strategy sees it: ``quantity`` in base (negative: short), ``average_price`` and PnL in quote.

    ``quantity`` is exact. ``is_flat`` ignores dust: a remainder that is too small for an order. ``price`` (quote) is
    the last one, and ``instrument`` has the minimums; both may be unknown.
    """

    symbol: str
    quantity: Decimal
    average_price: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal
    price: Price | None = None
    instrument: Instrument | None = None

    @property
    def is_dust(self) -> bool:
        """Whether the position is not 0, but too little for an order."""
        return self.instrument is not None and self.instrument.is_dust(self.quantity, self.price)

    @property
    def is_flat(self) -> bool:
        """Whether there is nothing to sell or to buy back."""
        return not self.quantity or self.is_dust


class StrategyDesk(Protocol):
    """The services that a running strategy uses. In a run the strategy engine provides them, in a test a test
    double."""

    strategy_id: str
    symbols: tuple[str, ...]
    clock: RunClock
    rng: random.Random

    def decide(self, intents: tuple[ActionIntent, ...], reason: str) -> tuple[str, ...]: ...
    def bracket(self, intent: ActionIntent, expires: int, reason: str) -> str: ...
    def signal(self, name: str, symbol: str) -> float | None: ...
    def position(self, symbol: str) -> PositionView: ...
    def owned(self, symbol: str) -> Owned: ...
    def equity(self) -> Decimal: ...
    def known_equity(self) -> Decimal | None: ...
    def profit(self, strategy_id: str) -> Decimal | None: ...
    def profit_percent(self, strategy_id: str) -> Decimal | None: ...
    def price(self, symbol: str) -> Price | None: ...
    def best(self, symbol: str) -> tuple[Level | None, Level | None]: ...
    def open_orders(self, symbol: str | None) -> tuple[str, ...]: ...
    def set_timer(self, name: str, delay: int) -> int: ...
    def cancel_timer(self, timer_id: int) -> None: ...
    def update_state(self, values: dict[str, str], legs: tuple[StateLeg, ...]) -> None: ...
    def notify(self, text: str, severity: str, recipients: tuple[str, ...]) -> None: ...
    def publish(self, event: DomainEvent) -> None: ...
