"""What we trade: orders and positions, with their life cycles.

Pure rules; no account, no market data.
"""

from tickdeck.domain.trading.order import Order
from tickdeck.domain.trading.position import EXACT, Position

__all__ = [
    "EXACT",
    "Order",
    "Position",
]
