"""What we trade: orders and positions, with their life cycles.

Pure rules, without accounts and market data.
"""

from tickdeck.domain.trading.order import Order, reservation
from tickdeck.domain.trading.paused import PausedStrategies
from tickdeck.domain.trading.position import EXACT, Position, average_of, with_order
from tickdeck.domain.trading.round_trips import RoundTrip, RoundTrips, TripFill, cut

__all__ = [
    "EXACT",
    "Order",
    "PausedStrategies",
    "Position",
    "RoundTrip",
    "RoundTrips",
    "TripFill",
    "average_of",
    "cut",
    "reservation",
    "with_order",
]
