"""The matching engine: orders, books with price-time priority, balances with locks, filters and fees.

Pure and synchronous: no I/O, no clock of its own. Protocols, faults and storage belong outside this room.
"""

from tickdeck.infrastructure.venue.matching.balances import Balance, Balances
from tickdeck.infrastructure.venue.matching.engine import MatchingEngine
from tickdeck.infrastructure.venue.matching.fees import FEE_DISCOUNT
from tickdeck.infrastructure.venue.matching.lists import ListChange, ListStatus
from tickdeck.infrastructure.venue.matching.market import Market, MarketStatus
from tickdeck.infrastructure.venue.matching.orders import (
    FEE_ACCOUNT,
    HOUSE,
    Execution,
    ExecutionKind,
    NewOrder,
    Order,
    OrderList,
    OrderRefused,
    Refusal,
    SelfTrade,
    Status,
    Tif,
    Type,
)

__all__ = [
    "FEE_ACCOUNT",
    "FEE_DISCOUNT",
    "HOUSE",
    "Balance",
    "Balances",
    "Execution",
    "ExecutionKind",
    "ListChange",
    "ListStatus",
    "Market",
    "MarketStatus",
    "MatchingEngine",
    "NewOrder",
    "Order",
    "OrderList",
    "OrderRefused",
    "Refusal",
    "SelfTrade",
    "Status",
    "Tif",
    "Type",
]
