"""Use cases outside of a run: commands, queries, their handlers, and the unit of work in which they change aggregates.

A command is handled by one handler, in one process, on any bus of ``open_bus``. What it changes is saved as one unit.
"""

from tickdeck.application.commands.copy_trade import (
    CopyRule,
    ExecuteCopyTradeCommand,
    ExecuteCopyTradeHandler,
    LeaderTrade,
)
from tickdeck.application.commands.copying import CopyTrading, Follower
from tickdeck.application.commands.dispatcher import (
    Dispatcher,
    Middleware,
    log_commands,
    once_per_id,
    retry_on_conflict,
    time_commands,
)
from tickdeck.application.commands.messages import Command, CommandHandler, Query, QueryHandler
from tickdeck.application.commands.open_trades import OpenTrades
from tickdeck.application.commands.reconcile_trade import (
    ReconcileTradeCommand,
    ReconcileTradeHandler,
    SettleTradeCommand,
    SettleTradeHandler,
)
from tickdeck.application.commands.repositories import (
    BalanceRepository,
    OrderRepository,
    PositionRepository,
    ReconciliationRepository,
    Repository,
    TradeRepository,
)
from tickdeck.application.commands.unit_of_work import UnitOfWork

__all__ = [
    "BalanceRepository",
    "Command",
    "CommandHandler",
    "CopyRule",
    "CopyTrading",
    "Dispatcher",
    "ExecuteCopyTradeCommand",
    "ExecuteCopyTradeHandler",
    "Follower",
    "LeaderTrade",
    "Middleware",
    "OpenTrades",
    "OrderRepository",
    "PositionRepository",
    "Query",
    "QueryHandler",
    "ReconcileTradeCommand",
    "ReconcileTradeHandler",
    "ReconciliationRepository",
    "Repository",
    "SettleTradeCommand",
    "SettleTradeHandler",
    "TradeRepository",
    "UnitOfWork",
    "log_commands",
    "once_per_id",
    "retry_on_conflict",
    "time_commands",
]
