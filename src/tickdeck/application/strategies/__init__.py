"""The strategy base class, and the built-in strategies by the names that ``--strategy`` accepts.

One file per strategy. Nothing here knows the engines.
"""

from tickdeck.application.strategies.condition_inputs import (
    INPUTS,
    LastCandles,
    asks_for_profits,
    describe_values,
    events_of,
    profit_percent,
    source_of,
    timeframes_in,
    without_value,
)
from tickdeck.application.strategies.desk import PositionView
from tickdeck.application.strategies.ema_cross import EmaCross
from tickdeck.application.strategies.market_maker import MarketMaker
from tickdeck.application.strategies.parts import Cooldown, TradesADay, position_size
from tickdeck.application.strategies.rsi_reversion import RsiReversion
from tickdeck.application.strategies.rules import Rules
from tickdeck.application.strategies.strategy import Strategy

__all__ = [
    "BUILT_IN",
    "INPUTS",
    "Cooldown",
    "EmaCross",
    "LastCandles",
    "MarketMaker",
    "PositionView",
    "RsiReversion",
    "Rules",
    "Strategy",
    "TradesADay",
    "asks_for_profits",
    "describe_values",
    "events_of",
    "position_size",
    "profit_percent",
    "source_of",
    "timeframes_in",
    "without_value",
]

BUILT_IN: dict[str, type[Strategy]] = {
    "ema-cross": EmaCross,
    "market-maker": MarketMaker,
    "rsi-reversion": RsiReversion,
    "rules": Rules,
}
