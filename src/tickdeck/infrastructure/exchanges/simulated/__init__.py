"""A simulated market for when there is no record, and market data as an async stream."""

from tickdeck.infrastructure.exchanges.simulated.market import SimulatedMarket, simulated_market
from tickdeck.infrastructure.exchanges.simulated.market_feed import MarketFeed, MarketStream

__all__ = [
    "MarketFeed",
    "MarketStream",
    "SimulatedMarket",
    "simulated_market",
]
