"""Markets: instruments, order books, candles, indicators, and matching of our orders against recorded data."""

from tickdeck.domain.market.book import Crossed, Gap, OrderBook, Resynced
from tickdeck.domain.market.candle_opens import CandleOpen, MarketRecord, with_opens
from tickdeck.domain.market.candles import CandleBuilder, CandleResampler
from tickdeck.domain.market.indicators import Atr, BookImbalance, Ema, Rsi, Sma, Vwap
from tickdeck.domain.market.instrument import Instrument, instrument_for
from tickdeck.domain.market.liquidity import Liquidity
from tickdeck.domain.market.matching import Matcher
from tickdeck.domain.market.timeframe import Timeframe, parse_timeframe
from tickdeck.domain.market.trade_gaps import TradeGaps
from tickdeck.domain.market.working_order import Ended, Fill, Outcome, WorkingOrder

__all__ = [
    "Atr",
    "BookImbalance",
    "CandleBuilder",
    "CandleOpen",
    "CandleResampler",
    "Crossed",
    "Ema",
    "Ended",
    "Fill",
    "Gap",
    "Instrument",
    "Liquidity",
    "MarketRecord",
    "Matcher",
    "OrderBook",
    "Outcome",
    "Resynced",
    "Rsi",
    "Sma",
    "Timeframe",
    "TradeGaps",
    "Vwap",
    "WorkingOrder",
    "instrument_for",
    "parse_timeframe",
    "with_opens",
]
