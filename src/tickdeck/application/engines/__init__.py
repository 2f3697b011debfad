"""The engines between an input and an order, from market data to the portfolio, and the gateway.

One file per engine. Each declares the events that it handles and publishes.
"""

from tickdeck.application.engines.account_bus import AccountBus, CoreBus
from tickdeck.application.engines.account_engines import AccountEngines
from tickdeck.application.engines.brackets import BracketEngine
from tickdeck.application.engines.candle_plan import CandlePlan, timeframes_of
from tickdeck.application.engines.command_meaning import why_meaningless
from tickdeck.application.engines.condition_values import ConditionValues
from tickdeck.application.engines.copying import CopyEngine, CopySettings, Leader
from tickdeck.application.engines.execution import ExecutionEngine
from tickdeck.application.engines.feed_monitor import FeedMonitor
from tickdeck.application.engines.gateway import VenueGateway
from tickdeck.application.engines.heartbeat import HeartbeatEngine
from tickdeck.application.engines.instruments import InstrumentEngine
from tickdeck.application.engines.market_data import Market, MarketDataEngine
from tickdeck.application.engines.operator import OPERATOR, OperatorEngine
from tickdeck.application.engines.portfolio import PortfolioEngine
from tickdeck.application.engines.portfolios import Portfolios, Valuations
from tickdeck.application.engines.protections import StopOrders
from tickdeck.application.engines.risk import RiskEngine
from tickdeck.application.engines.run_risk import RunRisk
from tickdeck.application.engines.signals import SignalEngine, with_timeframe
from tickdeck.application.engines.strategies import (
    StrategyEngine,
    StrategyProfits,
    StrategySnapshot,
    opposed,
    restore_snapshot,
    take_snapshot,
)
from tickdeck.application.engines.triggers import TriggerEngine, TriggerWish

__all__ = [
    "OPERATOR",
    "AccountBus",
    "AccountEngines",
    "BracketEngine",
    "CandlePlan",
    "ConditionValues",
    "CopyEngine",
    "CopySettings",
    "CoreBus",
    "ExecutionEngine",
    "FeedMonitor",
    "HeartbeatEngine",
    "InstrumentEngine",
    "Leader",
    "Market",
    "MarketDataEngine",
    "OperatorEngine",
    "PortfolioEngine",
    "Portfolios",
    "RiskEngine",
    "RunRisk",
    "SignalEngine",
    "StopOrders",
    "StrategyEngine",
    "StrategyProfits",
    "StrategySnapshot",
    "TriggerEngine",
    "TriggerWish",
    "Valuations",
    "VenueGateway",
    "opposed",
    "restore_snapshot",
    "take_snapshot",
    "timeframes_of",
    "why_meaningless",
    "with_timeframe",
]
