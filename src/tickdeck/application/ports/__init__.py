"""The interfaces to the outside: small Protocols, each with more than one implementation.

``storage``: the tape. ``market_data``: a venue's public data. ``exchange``: a venue that takes orders.
``trading_venue``: how the core sees such a venue. A port is only added together with its second implementation.
"""

from tickdeck.application.ports.exchange import (
    Amendment,
    Balance,
    Exchange,
    ExchangeCapabilities,
    InstrumentStatus,
    ListedInstrument,
    OrderFill,
    OrderPair,
    OrderPairResult,
    OrderRequest,
    OrderResult,
    PairExchange,
    Transfer,
)
from tickdeck.application.ports.market_data import (
    ContinuingFeed,
    Frame,
    ListingFeed,
    MarketDataFeed,
    OverloadableFeed,
    RememberingFeed,
)
from tickdeck.application.ports.storage import (
    EVERYTHING,
    EdgeCursors,
    EventStore,
    FoundEvents,
    Snapshot,
    Tape,
    TapeQuery,
    TapeReader,
    TapeStatistics,
    check_expected,
    check_snapshot,
    check_versions,
    is_saved,
)
from tickdeck.application.ports.trading_venue import TradingVenue

__all__ = [
    "EVERYTHING",
    "Amendment",
    "Balance",
    "ContinuingFeed",
    "EdgeCursors",
    "EventStore",
    "Exchange",
    "ExchangeCapabilities",
    "FoundEvents",
    "Frame",
    "InstrumentStatus",
    "ListedInstrument",
    "ListingFeed",
    "MarketDataFeed",
    "OrderFill",
    "OrderPair",
    "OrderPairResult",
    "OrderRequest",
    "OrderResult",
    "OverloadableFeed",
    "PairExchange",
    "RememberingFeed",
    "Snapshot",
    "Tape",
    "TapeQuery",
    "TapeReader",
    "TapeStatistics",
    "TradingVenue",
    "Transfer",
    "check_expected",
    "check_snapshot",
    "check_versions",
    "is_saved",
]
