"""What a strategy needs that a run must compute."""

from __future__ import annotations

from collections.abc import Sequence

from tickdeck.application.engines.candle_plan import CandlePlan, timeframes_of
from tickdeck.application.engines.signals import SignalEngine
from tickdeck.application.engines.strategies.profits import StrategyProfits
from tickdeck.application.strategies import Rules, Strategy, asks_for_profits, timeframes_in
from tickdeck.domain.conditions import signal_name
from tickdeck.errors import ConfigError

__all__ = ["StrategyNeeds"]


class StrategyNeeds:
    """Compares the signals, candles and profits that a strategy asks for with those of the run, which are computed from
    the start on."""

    def __init__(
        self, signals: SignalEngine, candles: CandlePlan, profits: StrategyProfits, symbols: tuple[str, ...]
    ) -> None:
        self._signals = signals
        self._candles = candles
        self._profits = profits
        self._symbols = symbols

    def signals_of(self, strategy: Strategy) -> list[str]:
        """The full names of the signals that a strategy asks for."""
        return [self._signals.full_name(name, timeframes_of(strategy)) for name in strategy.required_signals()]

    def check(self, strategy: Strategy, strategies: Sequence[str]) -> None:
        """Raise ``ConfigError`` if ``strategy`` needs what the run does not have. ``strategies``: the ids that its
        conditions may name."""
        if isinstance(strategy, Rules):
            for reference in strategy.references():
                if (name := signal_name(reference)) and not self._signals.computes(name):
                    raise ConfigError(f"{reference} is not computed in this run; only what the configuration names is")
        self._signals.check(self.signals_of(strategy))
        if isinstance(strategy, Rules):
            strategy.check_names(self._symbols, strategies)
            self._candles.check(timeframes_in(strategy.conditions.values()))
            if asks_for_profits(strategy.conditions.values()) and not self._profits.is_kept:
                raise ConfigError("this run does not follow what strategies earn; ask for pnl before it starts")
