"""The messages of the dialect, field by field, as documentation samples and recorded traffic show them.

Decimals have eight places. Times are ``unit`` ns each: 1,000,000 for milliseconds, 1,000 for microseconds.
"""

from tickdeck.infrastructure.venue.dialects.binance.messages.lists import (
    cancelled_list,
    list_answer,
    list_state,
    list_status,
)
from tickdeck.infrastructure.venue.dialects.binance.messages.market_data import (
    Quote,
    agg_trade_event,
    aggregate_trade,
    book_ticker,
    depth_event,
    kline_event,
    kline_row,
    levels,
    public_trade,
    trade_event,
)
from tickdeck.infrastructure.venue.dialects.binance.messages.orders import (
    cancelled,
    fill_row,
    order_answer,
    order_state,
)
from tickdeck.infrastructure.venue.dialects.binance.messages.private import (
    account_position,
    balance_update,
    execution_report,
)
from tickdeck.infrastructure.venue.dialects.binance.messages.symbols import MAX_AMENDS, symbol_info
from tickdeck.infrastructure.venue.dialects.binance.messages.text import decimal_text
from tickdeck.infrastructure.venue.dialects.binance.messages.tickers import mini_ticker_event, ticker_day, ticker_event

__all__ = [
    "MAX_AMENDS",
    "Quote",
    "account_position",
    "agg_trade_event",
    "aggregate_trade",
    "balance_update",
    "book_ticker",
    "cancelled",
    "cancelled_list",
    "decimal_text",
    "depth_event",
    "execution_report",
    "fill_row",
    "kline_event",
    "kline_row",
    "levels",
    "list_answer",
    "list_state",
    "list_status",
    "mini_ticker_event",
    "order_answer",
    "order_state",
    "public_trade",
    "symbol_info",
    "ticker_day",
    "ticker_event",
    "trade_event",
]
