"""The sample strategies, by the names that ``--strategy`` takes."""

from tickdeck.application.strategies.ema_cross import EmaCross
from tickdeck.application.strategies.market_maker import MarketMaker
from tickdeck.application.strategies.rsi_reversion import RsiReversion
from tickdeck.application.strategy import Strategy

__all__ = ["BUILT_IN", "EmaCross", "MarketMaker", "RsiReversion"]

BUILT_IN: dict[str, type[Strategy]] = {
    "ema-cross": EmaCross,
    "market-maker": MarketMaker,
    "rsi-reversion": RsiReversion,
}
