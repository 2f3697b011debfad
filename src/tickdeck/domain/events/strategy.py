"""What our own code concludes before any order exists: signals and decisions."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

import msgspec

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.upcast import upcast
from tickdeck.domain.values import OrderType, Price, Quantity, Side, StrategyRole, TimeInForce
from tickdeck.errors import EventValidationError, format_value

__all__ = [
    "ActionIntent",
    "SignalSnapshotEvent",
    "StrategyActivated",
    "StrategyCreated",
    "StrategyDecisionEvent",
    "StrategyDeleted",
    "StrategyEvent",
    "StrategyPaused",
    "StrategyUpdated",
]


class SignalSnapshotEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The values of a symbol's signals at an instant. Emitted by the signal engine at each closed candle.

    ``values`` maps a signal's name (``ema-12``) to its value; floats, since no money is settled by them. A signal
    that has not seen enough data yet is absent.
    """

    event_type: ClassVar[str] = "signal.snapshot"
    symbol: str
    values: dict[str, float]

    @property
    def aggregate_id(self) -> str:
        return self.symbol


class ActionIntent(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One thing that a strategy wants done, before risk has seen it.

    ``action`` is ``order`` (then ``side``, ``symbol``, ``quantity`` in base, and for a limit order ``limit`` in quote),
    ``cancel`` (then ``order_id``) or ``amend`` (then ``order_id`` and what the order should have instead: ``quantity``
    in all, with what is filled already, or 0 to leave it; ``limit``, or ``None`` to leave it). An order that is
    ``reduce_only`` may only make a position smaller.
    """

    action: str
    symbol: str = ""
    side: Side | None = None
    quantity: Quantity = Decimal(0)
    limit: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    order_id: str = ""
    reduce_only: bool = False

    def __post_init__(self) -> None:
        for name in ("quantity", "limit"):
            value = getattr(self, name)
            if value is not None and (type(value) is not Decimal or not value.is_finite()):
                wanted = "it must be a finite decimal.Decimal (a float is not exact)"
                raise EventValidationError(f"action intent: {name} is {format_value(value)}; {wanted}")

    @property
    def order_type(self) -> OrderType:
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT


class StrategyDecisionEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A strategy decided to act. Emitted by the strategy's own calls (``buy``, ``sell``, ``amend``, ``cancel``).

    ``name`` and ``role`` are the strategy's, as in ``strategy.created``; ``user_id`` owns the account, empty where
    nobody is named."""

    event_type: ClassVar[str] = "strategy.decision"
    version: ClassVar[int] = 2
    strategy_id: str
    name: str = ""
    role: StrategyRole | None = None
    account_id: str = "main"
    user_id: str = ""
    intents: tuple[ActionIntent, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        for intent in self.intents:
            if intent.action == "cancel":
                if not intent.order_id:
                    raise invalid(self, "intents", "cancel intents with an order_id")
                continue
            if intent.action == "amend":
                if not intent.order_id:
                    raise invalid(self, "intents", "amend intents with an order_id")
                if intent.quantity < 0 or (intent.limit is not None and intent.limit <= 0):
                    raise invalid(self, "intents", "amend intents with a quantity and a limit above 0")
                if not intent.quantity and intent.limit is None:
                    raise invalid(self, "intents", "amend intents with a quantity, a limit or both")
                continue
            if intent.action != "order" or intent.side is None:
                raise invalid(self, "intents", "order intents with a side, amend intents or cancel intents")
            if not intent.symbol:
                raise invalid(self, "intents", "order intents with a symbol")
            for value in (intent.quantity, intent.limit):
                if value is not None and (value.is_signed() or value.is_zero()):
                    raise invalid(self, "intents", f"orders of decimals above 0, and {format_value(value)} is not")

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id


class StrategyEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one strategy of the run. Emitted by the strategy engine.

    ``strategy_id`` is unique in the run, ``name`` is what the strategy is called (two of one name have ids of their
    own), ``role`` what it is for. A tape of an earlier version has no name and no role."""

    strategy_id: str
    name: str = ""
    role: StrategyRole | None = None

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id

    @property
    def stream(self) -> str:
        return f"strategy/{self.strategy_id}"


class StrategyCreated(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy is part of the run. Emitted by the strategy engine at the start.

    ``strategy_type`` is its class, ``created_by`` says who asked for it (``configuration``), ``parameters`` are all of
    them as text."""

    event_type: ClassVar[str] = "strategy.created"
    version: ClassVar[int] = 2
    strategy_type: str
    created_by: str
    parameters: dict[str, str] = {}


class StrategyUpdated(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy's parameters were changed. Emitted by the strategy engine on a command.

    ``parameters`` are those that were given, with their new values as text."""

    event_type: ClassVar[str] = "strategy.updated"
    version: ClassVar[int] = 2
    parameters: dict[str, str] = {}
    reason: str = ""


class StrategyActivated(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy hears from here on. Emitted by the strategy engine at the start, and on a command after a pause."""

    event_type: ClassVar[str] = "strategy.activated"
    version: ClassVar[int] = 2
    reason: str = ""


class StrategyPaused(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy hears nothing from here on, and keeps its state and its orders. Emitted by the strategy engine after a
    fault of the strategy or on a command.
    """

    event_type: ClassVar[str] = "strategy.paused"
    version: ClassVar[int] = 2
    reason: str = ""


class StrategyDeleted(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy is no part of the run any more; its open orders are being cancelled. Emitted by the strategy engine on
    a command.
    """

    event_type: ClassVar[str] = "strategy.deleted"
    version: ClassVar[int] = 2
    reason: str = ""


for _cls in (
    StrategyDecisionEvent,
    StrategyCreated,
    StrategyUpdated,
    StrategyActivated,
    StrategyPaused,
    StrategyDeleted,
):
    upcast(_cls.event_type, 1, lambda fields: fields)  # new fields have defaults
