"""What our own code concludes before any order exists: signals and decisions."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import ClassVar

import msgspec

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.values import OrderType, Price, Quantity, Side, TimeInForce
from tickdeck.errors import EventValidationError

__all__ = ["ActionIntent", "SignalSnapshotEvent", "StrategyDecisionEvent"]


class SignalSnapshotEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The values of a symbol's signals at an instant. Emitted by the signal engine at each closed candle.

    ``values`` maps a signal's name (``ema-12``) to its value; floats, since no money is settled by them. A signal
    that has not seen enough data yet is absent.
    """

    event_type: ClassVar[str] = "signal.snapshot"
    symbol: str
    values: dict[str, float]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(map(math.isfinite, self.values.values())):
            raise invalid(self, "values", "of finite floats (a signal without a value is absent)")

    @property
    def aggregate_id(self) -> str:
        return self.symbol


class ActionIntent(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that a strategy wants done, before risk has seen it.

    ``action`` is ``order`` (then ``side``, ``symbol``, ``quantity`` in base, and for a limit order ``limit`` in quote)
    or ``cancel`` (then ``order_id``).
    """

    action: str
    symbol: str
    side: Side | None = None
    quantity: Quantity = Decimal(0)
    limit: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    order_id: str = ""

    def __post_init__(self) -> None:
        for name in ("quantity", "limit"):
            value = getattr(self, name)
            if value is not None and (type(value) is not Decimal or not value.is_finite()):
                wanted = "it must be a finite decimal.Decimal (a float is not exact)"
                raise EventValidationError(f"action intent: {name} is {value!r}; {wanted}")

    @property
    def order_type(self) -> OrderType:
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT


class StrategyDecisionEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A strategy decided to act. Emitted by the strategy's own calls (``buy``, ``sell``, ``cancel``)."""

    event_type: ClassVar[str] = "strategy.decision"
    strategy_id: str
    account_id: str = "main"
    intents: tuple[ActionIntent, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        for intent in self.intents:
            if intent.action == "cancel":
                if not intent.order_id:
                    raise invalid(self, "intents", "cancel intents with an order_id")
                continue
            if intent.action != "order" or intent.side is None:
                raise invalid(self, "intents", "order intents with a side, or cancel intents")
            for value in (intent.quantity, intent.limit):
                if value is not None and (type(value) is not Decimal or not value.is_finite() or value <= 0):
                    raise invalid(self, "intents", f"orders of finite decimals above 0, and {value!r} is not")

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id
