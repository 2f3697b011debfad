"""What we trade: orders and positions, with their life cycles.

Pure rules, without accounts and market data.
"""

from tickdeck.domain.trading.order import Order, reservation
from tickdeck.domain.trading.order_life_cycle import (
    ORDER_BY_FILL,
    ORDER_BY_REPORT,
    ORDER_FOUND_AFTER_ALL,
    ORDER_TRANSITIONS,
)
from tickdeck.domain.trading.paused import PausedStrategies
from tickdeck.domain.trading.position import EXACT, Position
from tickdeck.domain.trading.position_life_cycle import POSITION_TRANSITIONS, PositionStatus
from tickdeck.domain.trading.round_trips import RoundTrip, RoundTrips, TripFill, cut
from tickdeck.domain.trading.trade import Trade
from tickdeck.domain.trading.trade_life_cycle import TRADE_TRANSITIONS, TradeStatus

__all__ = [
    "EXACT",
    "ORDER_BY_FILL",
    "ORDER_BY_REPORT",
    "ORDER_FOUND_AFTER_ALL",
    "ORDER_TRANSITIONS",
    "POSITION_TRANSITIONS",
    "TRADE_TRANSITIONS",
    "Order",
    "PausedStrategies",
    "Position",
    "PositionStatus",
    "RoundTrip",
    "RoundTrips",
    "Trade",
    "TradeStatus",
    "TripFill",
    "cut",
    "reservation",
]
