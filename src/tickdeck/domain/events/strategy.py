"""Signals, decisions and the life of strategies: what our own code concludes before any order exists."""

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
    "ProtectionTerms",
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
    """The signal values of a symbol. Emitted by the signal engine at each closed candle.

    ``values`` maps the name of a signal (``ema-12``) to its value. Values are floats, because they are not money. A
    signal that has not seen enough data yet is absent.
    """

    event_type: ClassVar[str] = "signal.snapshot"
    symbol: str
    values: dict[str, float]

    @property
    def aggregate_id(self) -> str:
        return self.symbol


class ProtectionTerms(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """Where a position is to be closed: each price (quote) is absolute, or given as a percentage.

    - ``stop_loss``: the worst price. ``stop_loss_percent``: its distance from the average price of the entry.
    - ``take_profit``, ``take_profit_percent``: the same for the target.
    - ``trailing``: the distance (quote) at which a stop follows the best price since the entry. ``trailing_percent``:
      the same as a percentage of that price.

    The stop that is reached first counts if there are both.
    """

    stop_loss: Price | None = None
    stop_loss_percent: Decimal | None = None
    take_profit: Price | None = None
    take_profit_percent: Decimal | None = None
    trailing: Price | None = None
    trailing_percent: Decimal | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and (type(value) is not Decimal or not value.is_finite() or value <= 0):
                raise EventValidationError(f"protection: {name} is {format_value(value)}; give a Decimal above 0")


class ActionIntent(msgspec.Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """One action that a strategy wants to take, before risk has checked it.

    - ``action`` is ``order``: ``side``, ``symbol``, ``quantity`` (base), and ``limit`` (quote) for a limit order.
    - ``action`` is ``cancel``: ``order_id``.
    - ``action`` is ``amend``: ``order_id``, and the new ``quantity`` (including what is filled; 0 leaves it unchanged)
      or ``limit`` (``None`` leaves it unchanged).
    - ``action`` is ``exit``: ``order_id``, an entry. What it filled is closed at market, and no more is entered.
    - ``action`` is ``protect``: ``protection``, for the position of the entry ``order_id`` or for all in ``symbol``.
      What it leaves out stays as it is. Without a ``protection``, the positions are no longer protected.

    A ``reduce_only`` order may only make a position smaller. ``protection`` of an order says where the position is to
    be closed that it opens.

    ``protects`` is not empty if the order closes a protected position: then it is the id of the protection. Such an
    order may have a ``stop`` (quote). It waits until the price reaches the stop, and becomes a market order. If it also
    has a ``limit``, it rests there as a target until then.
    """

    action: str
    symbol: str = ""
    side: Side | None = None
    quantity: Quantity = Decimal(0)
    limit: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    order_id: str = ""
    reduce_only: bool = False
    stop: Price | None = None
    protects: str = ""
    protection: ProtectionTerms | None = None

    def __post_init__(self) -> None:
        quantity, limit = self.quantity, self.limit
        is_limit = limit is None or (type(limit) is Decimal and limit.is_finite())
        if is_limit and self.stop is None and type(quantity) is Decimal and quantity.is_finite():
            return  # nearly always
        for name in ("quantity", "limit", "stop"):
            value = getattr(self, name)
            if value is not None and (type(value) is not Decimal or not value.is_finite()):
                wanted = "it must be a finite decimal.Decimal (a float is not exact)"
                raise EventValidationError(f"action intent: {name} is {format_value(value)}; {wanted}")

    @property
    def order_type(self) -> OrderType:
        return OrderType.MARKET if self.limit is None else OrderType.LIMIT


class StrategyDecisionEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A strategy decided to act. Emitted by the strategy's own calls (``buy``, ``sell``, ``amend``, ``cancel``).

    ``name`` and ``role`` are those of the strategy, as in ``strategy.created``. ``user_id`` is the owner of the
    account; empty if there is none.
    """

    event_type: ClassVar[str] = "strategy.decision"
    version: ClassVar[int] = 3
    strategy_id: str
    name: str = ""
    role: StrategyRole | None = None
    account_id: str = "main"
    user_id: str = ""
    intents: tuple[ActionIntent, ...]
    reason: str = ""

    def __post_init__(self) -> None:
        for intent in self.intents:
            if intent.action in ("cancel", "exit"):
                if not intent.order_id:
                    raise invalid(self, "intents", f"{intent.action} intents with an order_id")
                continue
            if intent.action == "protect":
                if not intent.order_id and not intent.symbol:
                    raise invalid(self, "intents", "protect intents with an order_id or a symbol")
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
                    raise invalid(
                        self, "intents", f"orders with a quantity and a limit above 0 (one has {format_value(value)})"
                    )

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id


class StrategyEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Base of what happens to one strategy of the run. Emitted by the strategy engine.

    ``strategy_id`` is unique in the run. ``name`` may be the same for several strategies. ``role`` is its purpose.
    Events of an earlier version have no name and no role.
    """

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
    """A strategy was added to the run. Emitted by the strategy engine at the start.

    ``strategy_type`` is its class, ``created_by`` is who asked for it (``configuration``), and ``parameters`` are all
    its parameters as text.
    """

    event_type: ClassVar[str] = "strategy.created"
    version: ClassVar[int] = 2
    strategy_type: str
    created_by: str
    parameters: dict[str, str] = {}


class StrategyUpdated(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """Parameters of a strategy were changed. Emitted by the strategy engine on a command.

    ``parameters`` are the changed ones, with their new values as text.
    """

    event_type: ClassVar[str] = "strategy.updated"
    version: ClassVar[int] = 2
    parameters: dict[str, str] = {}
    reason: str = ""


class StrategyActivated(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy receives events from now on. Emitted by the strategy engine at the start, and on a command after a
    pause."""

    event_type: ClassVar[str] = "strategy.activated"
    version: ClassVar[int] = 2
    reason: str = ""


class StrategyPaused(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy receives no events from now on. It keeps its state and its orders. Emitted by the strategy engine
    after an error in the strategy or on a command."""

    event_type: ClassVar[str] = "strategy.paused"
    version: ClassVar[int] = 2
    reason: str = ""


class StrategyDeleted(StrategyEvent, frozen=True, kw_only=True, gc=False):
    """A strategy was removed from the run. Its open orders are being cancelled. Emitted by the strategy engine on a
    command."""

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
    upcast(_cls.event_type, 1, lambda fields: fields, keeps_stream=True)  # new fields have defaults
upcast(StrategyDecisionEvent.event_type, 2, lambda fields: fields, keeps_stream=True)
