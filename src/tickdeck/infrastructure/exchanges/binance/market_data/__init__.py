"""The rules of Binance's market data streams, without I/O: connections, sequences of book updates and trades, and
requests.

``MarketDataProtocol`` puts the parts together. ``market_feed.BinanceFeed`` runs it over a network.
"""

from tickdeck.infrastructure.exchanges.binance.market_data.output import (
    Action,
    CloseConnection,
    FeedStatistics,
    Fetch,
    OpenConnection,
    SendText,
)
from tickdeck.infrastructure.exchanges.binance.market_data.protocol import (
    DEFAULT_CHANNELS,
    INSTRUMENTS_EVERY,
    STALE_AFTER,
    MarketDataProtocol,
)

__all__ = [
    "DEFAULT_CHANNELS",
    "INSTRUMENTS_EVERY",
    "STALE_AFTER",
    "Action",
    "CloseConnection",
    "FeedStatistics",
    "Fetch",
    "MarketDataProtocol",
    "OpenConnection",
    "SendText",
]
