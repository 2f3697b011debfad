"""Exports events to JSON Lines, CSV and Parquet, and the trade journal to CSV, JSON Lines and SQLite. Keeps
the journal of a tape in a SQLite file."""

from tickdeck.infrastructure.exporting.export import EXPORT_FORMATS, Exported, export_events
from tickdeck.infrastructure.exporting.trade_file import TradeFile
from tickdeck.infrastructure.exporting.trades import TRADE_FORMATS, export_trades, trade_row

__all__ = ["EXPORT_FORMATS", "TRADE_FORMATS", "Exported", "TradeFile", "export_events", "export_trades", "trade_row"]
