"""What we trade: orders and positions, with their life cycles.

Pure rules, without accounts and market data.
"""

from tickdeck.domain.trading.bracket import Bracket
from tickdeck.domain.trading.bracket_life_cycle import BRACKET_TRANSITIONS, BracketStatus
from tickdeck.domain.trading.copy_life_cycle import COPY_FOUND_AFTER_ALL, COPY_TRANSITIONS, CopyStatus
from tickdeck.domain.trading.copy_rules import (
    CopyRule,
    CopySizing,
    LeaderTrade,
    check_symbol,
    tradable_quantity,
    wanted_quantity,
    worst_price,
)
from tickdeck.domain.trading.copy_saga import CopySaga
from tickdeck.domain.trading.exact import EXACT, average_of, cut
from tickdeck.domain.trading.fill_changes import balance_changes, position_change
from tickdeck.domain.trading.order import Order, reservation
from tickdeck.domain.trading.order_life_cycle import (
    ORDER_BY_FILL,
    ORDER_BY_REPORT,
    ORDER_FOUND_AFTER_ALL,
    ORDER_TRANSITIONS,
)
from tickdeck.domain.trading.ownership import FOR_ALL, Ownership
from tickdeck.domain.trading.paused import PausedStrategies
from tickdeck.domain.trading.position import Position
from tickdeck.domain.trading.position_life_cycle import POSITION_TRANSITIONS, PositionStatus
from tickdeck.domain.trading.protected_lots import ProtectedLots
from tickdeck.domain.trading.protection import ExitOrder, ExitPlan, Protection
from tickdeck.domain.trading.protection_life_cycle import PROTECTION_TRANSITIONS, ProtectionStatus
from tickdeck.domain.trading.protection_terms import (
    Distance,
    merged_terms,
    terms_from_text,
    terms_of,
    why_terms_fail,
)
from tickdeck.domain.trading.reconciliation import Reconciliation
from tickdeck.domain.trading.reconciliation_life_cycle import RECONCILIATION_TRANSITIONS, ReconciliationStatus
from tickdeck.domain.trading.round_trips import RoundTrip, RoundTrips, TripFill
from tickdeck.domain.trading.saga import Saga
from tickdeck.domain.trading.silence import Silence, judge_silence
from tickdeck.domain.trading.strategy_definition import StrategyDefinition
from tickdeck.domain.trading.strategy_life_cycle import STRATEGY_TRANSITIONS, StrategyStatus
from tickdeck.domain.trading.strategy_trades import TRADE_EVENTS, StrategyTrades
from tickdeck.domain.trading.trade import Trade
from tickdeck.domain.trading.trade_life_cycle import TRADE_FOUND_AFTER_ALL, TRADE_TRANSITIONS, TradeStatus
from tickdeck.domain.trading.trigger import Trigger, TriggerSettings
from tickdeck.domain.trading.trigger_action import NOTIFY, Action, parse_action
from tickdeck.domain.trading.trigger_life_cycle import TRIGGER_TRANSITIONS, TriggerStatus

__all__ = [
    "BRACKET_TRANSITIONS",
    "COPY_FOUND_AFTER_ALL",
    "COPY_TRANSITIONS",
    "EXACT",
    "FOR_ALL",
    "NOTIFY",
    "ORDER_BY_FILL",
    "ORDER_BY_REPORT",
    "ORDER_FOUND_AFTER_ALL",
    "ORDER_TRANSITIONS",
    "POSITION_TRANSITIONS",
    "PROTECTION_TRANSITIONS",
    "RECONCILIATION_TRANSITIONS",
    "STRATEGY_TRANSITIONS",
    "TRADE_EVENTS",
    "TRADE_FOUND_AFTER_ALL",
    "TRADE_TRANSITIONS",
    "TRIGGER_TRANSITIONS",
    "Action",
    "Bracket",
    "BracketStatus",
    "CopyRule",
    "CopySaga",
    "CopySizing",
    "CopyStatus",
    "Distance",
    "ExitOrder",
    "ExitPlan",
    "LeaderTrade",
    "Order",
    "Ownership",
    "PausedStrategies",
    "Position",
    "PositionStatus",
    "ProtectedLots",
    "Protection",
    "ProtectionStatus",
    "Reconciliation",
    "ReconciliationStatus",
    "RoundTrip",
    "RoundTrips",
    "Saga",
    "Silence",
    "StrategyDefinition",
    "StrategyStatus",
    "StrategyTrades",
    "Trade",
    "TradeStatus",
    "Trigger",
    "TriggerSettings",
    "TriggerStatus",
    "TripFill",
    "average_of",
    "balance_changes",
    "check_symbol",
    "cut",
    "judge_silence",
    "merged_terms",
    "parse_action",
    "position_change",
    "reservation",
    "terms_from_text",
    "terms_of",
    "tradable_quantity",
    "wanted_quantity",
    "why_terms_fail",
    "worst_price",
]
