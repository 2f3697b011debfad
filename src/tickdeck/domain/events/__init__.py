"""The catalogue of events: one file per subject, such as ``orders`` or ``market``.

The machinery: ``base`` defines what all events share. ``declaration`` checks an event class when it is defined.
``annotations`` and ``kinds`` decide which values a field accepts. ``registry`` maps types to classes. ``codec`` decodes
events from JSON. ``upcast`` converts older versions, and ``raw`` holds events of unknown types.
"""

from tickdeck.domain.events.backtest import BacktestCompleted, BacktestFailed, BacktestProgressed, BacktestStarted
from tickdeck.domain.events.base import DomainEvent, encode_payload, plain_digits
from tickdeck.domain.events.codec import decode_payload, event_from_dict, event_from_json, payload_decoder
from tickdeck.domain.events.declaration import fault_of
from tickdeck.domain.events.feed import FeedConnected, FeedDisconnected, FeedStale
from tickdeck.domain.events.market import (
    BookResynced,
    CandleEvent,
    GapDetected,
    GapFilled,
    MarketEvent,
    MarketSnapshotEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.events.notification import NotificationAlert
from tickdeck.domain.events.orders import (
    OrderAcceptedEvent,
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderAmendRequestedEvent,
    OrderCancelledEvent,
    OrderCancelRejectedEvent,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderExpiredEvent,
    OrderFilledEvent,
    OrderPartiallyFilledEvent,
    OrderRejectedEvent,
    OrderSubmittedEvent,
    OrderUnknownEvent,
)
from tickdeck.domain.events.portfolio import (
    BalanceEvent,
    PositionClosedEvent,
    PositionEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
)
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.raw import RawEvent
from tickdeck.domain.events.registry import (
    catalogue_is_closed,
    close_catalogue,
    event_class,
    event_types,
    iter_event_classes,
)
from tickdeck.domain.events.risk import (
    RiskApprovedEvent,
    RiskDayStarted,
    RiskLimitBreachedEvent,
    TradingHalted,
    TradingResumed,
)
from tickdeck.domain.events.state import StateLeg, StateUpdated
from tickdeck.domain.events.strategy import (
    ActionIntent,
    SignalSnapshotEvent,
    StrategyActivated,
    StrategyCreated,
    StrategyDecisionEvent,
    StrategyDeleted,
    StrategyEvent,
    StrategyPaused,
    StrategyUpdated,
)
from tickdeck.domain.events.system import (
    CommandReceived,
    DeadLetterHandled,
    EventDeadLettered,
    HandlerFailed,
    RunStarted,
    RunStopped,
    SystemError,  # noqa: A004 (the catalogue's name)
    SystemHeartbeat,
    SystemWarning,
    TimerCancelled,
    TimerFired,
    TimerSet,
)
from tickdeck.domain.events.upcast import upcast
from tickdeck.domain.events.venue import VenueBalanceReported, VenueCancelRefused, VenueFillReported, VenueOrderReported

__all__ = [
    "ActionIntent",
    "BacktestCompleted",
    "BacktestFailed",
    "BacktestProgressed",
    "BacktestStarted",
    "BalanceEvent",
    "BookResynced",
    "CandleEvent",
    "CommandReceived",
    "DeadLetterHandled",
    "DomainEvent",
    "EventDeadLettered",
    "FeedConnected",
    "FeedDisconnected",
    "FeedStale",
    "GapDetected",
    "GapFilled",
    "HandlerFailed",
    "MarketEvent",
    "MarketSnapshotEvent",
    "NotificationAlert",
    "OrderAcceptedEvent",
    "OrderAmendRejectedEvent",
    "OrderAmendRequestedEvent",
    "OrderAmendedEvent",
    "OrderBookDeltaEvent",
    "OrderBookEvent",
    "OrderCancelRejectedEvent",
    "OrderCancelRequestedEvent",
    "OrderCancelledEvent",
    "OrderEvent",
    "OrderExpiredEvent",
    "OrderFilledEvent",
    "OrderPartiallyFilledEvent",
    "OrderRejectedEvent",
    "OrderSubmittedEvent",
    "OrderUnknownEvent",
    "PositionClosedEvent",
    "PositionEvent",
    "PositionOpenedEvent",
    "PositionUpdatedEvent",
    "Priority",
    "RawEvent",
    "RiskApprovedEvent",
    "RiskDayStarted",
    "RiskLimitBreachedEvent",
    "RunStarted",
    "RunStopped",
    "SignalSnapshotEvent",
    "StateLeg",
    "StateUpdated",
    "StrategyActivated",
    "StrategyCreated",
    "StrategyDecisionEvent",
    "StrategyDeleted",
    "StrategyEvent",
    "StrategyPaused",
    "StrategyUpdated",
    "SystemError",
    "SystemHeartbeat",
    "SystemWarning",
    "TickEvent",
    "TimerCancelled",
    "TimerFired",
    "TimerSet",
    "TradeEvent",
    "TradingHalted",
    "TradingResumed",
    "VenueBalanceReported",
    "VenueCancelRefused",
    "VenueFillReported",
    "VenueOrderReported",
    "catalogue_is_closed",
    "close_catalogue",
    "decode_payload",
    "encode_payload",
    "event_class",
    "event_from_dict",
    "event_from_json",
    "event_types",
    "fault_of",
    "iter_event_classes",
    "payload_decoder",
    "plain_digits",
    "upcast",
]
