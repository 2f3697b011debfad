"""What we trade: orders and positions, with their life cycles.

Pure rules, without accounts and market data.
"""

from tickdeck.domain.trading.order import Order, reservation
from tickdeck.domain.trading.paused import PausedStrategies
from tickdeck.domain.trading.position import EXACT, Position, average_of, with_order
from tickdeck.domain.trading.round_trips import RoundTrip, RoundTrips, TripFill, cut
from tickdeck.domain.trading.trade import TRADE_TRANSITIONS, Trade, TradeStatus

__all__ = [
    "EXACT",
    "TRADE_TRANSITIONS",
    "Order",
    "PausedStrategies",
    "Position",
    "RoundTrip",
    "RoundTrips",
    "Trade",
    "TradeStatus",
    "TripFill",
    "average_of",
    "cut",
    "reservation",
    "with_order",
]
