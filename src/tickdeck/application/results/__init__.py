"""The results of a run: its figures, and the figures of a backtest.

Only code that reads the engines afterwards belongs here; it never changes what a run does.
"""

from tickdeck.application.results.journal import (
    JOURNAL_EVENTS,
    STATISTICS_BY,
    TradeJournal,
    TradeStatistics,
    trade_statistics,
)
from tickdeck.application.results.queries import QUERIES, RunQueries
from tickdeck.application.results.reasons import Reasons
from tickdeck.application.results.report import Performance, PerformanceObserver, backtest_figures
from tickdeck.application.results.strategy_states import STRATEGY_EVENTS, StrategyStates
from tickdeck.application.results.summary import RunObserver, Summary, summarise

__all__ = [
    "JOURNAL_EVENTS",
    "QUERIES",
    "STATISTICS_BY",
    "STRATEGY_EVENTS",
    "Performance",
    "PerformanceObserver",
    "Reasons",
    "RunObserver",
    "RunQueries",
    "StrategyStates",
    "Summary",
    "TradeJournal",
    "TradeStatistics",
    "backtest_figures",
    "summarise",
    "trade_statistics",
]
