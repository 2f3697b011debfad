"""The strategy base class, and the built-in strategies by the names that ``--strategy`` accepts.

One file per strategy. Nothing here knows the engines.
"""

from tickdeck.application.strategies.ema_cross import EmaCross
from tickdeck.application.strategies.market_maker import MarketMaker
from tickdeck.application.strategies.rsi_reversion import RsiReversion
from tickdeck.application.strategies.strategy import PositionView, Strategy

__all__ = ["BUILT_IN", "EmaCross", "MarketMaker", "PositionView", "RsiReversion", "Strategy"]

BUILT_IN: dict[str, type[Strategy]] = {
    "ema-cross": EmaCross,
    "market-maker": MarketMaker,
    "rsi-reversion": RsiReversion,
}
