"""Which candles a run makes, and who hears which."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

from tickdeck.application.signals import split_timeframe
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CandleEvent
from tickdeck.domain.market import Timeframe, parse_timeframe
from tickdeck.errors import ConfigError

__all__ = ["DEFAULT_CANDLES", "CandlePlan", "timeframes_of"]

_FROM_TRADES = Timeframe(250_000_000)


class CandlePlan(NamedTuple):
    """The timeframes of a run.

    - ``base``: the run's own timeframe (``--candles``). ``None``: candles of files as they are, and from trades those
      of 250 ms.
    - ``others``: what strategies and signals name beside it.
    - ``base_wanted``: whether anybody hears the run's own candles. If nobody does, they are not made.
    """

    base: Timeframe | None = None
    others: tuple[Timeframe, ...] = ()
    base_wanted: bool = False

    @classmethod
    def of(
        cls,
        base: Timeframe | None,
        strategies: Iterable[Strategy],
        signals: Iterable[str],
        *,
        own_signals: bool = False,
    ) -> CandlePlan:
        """What the strategies and the ``signals`` of a run need. ``own_signals``: the user has signals, which may hear
        the run's own candles. Raises ``ConfigError`` for a name that is no timeframe."""
        others: dict[Timeframe, None] = {}
        base_wanted = own_signals
        for strategy in strategies:
            timeframes = timeframes_of(strategy)
            others |= dict.fromkeys(timeframes)
            if not timeframes and type(strategy).on_candle is not Strategy.on_candle:
                base_wanted = True
        for name in signals:
            timeframe = split_timeframe(name)[1]
            if timeframe is None:
                base_wanted = True
            else:
                others[timeframe] = None
        return cls(base, tuple(others), base_wanted)

    def from_trades(self) -> tuple[Timeframe, ...]:
        """What is made from trades."""
        own = (self.base or _FROM_TRADES,) if self.base_wanted else ()
        return tuple(dict.fromkeys((*own, *self.others)))

    def from_candles(self) -> tuple[Timeframe, ...]:
        """What is made from finer candles."""
        own = (self.base,) if self.base is not None and self.base_wanted else ()
        return tuple(dict.fromkeys((*own, *self.others)))

    def filter(self, timeframes: tuple[Timeframe, ...] = ()) -> Callable[[CandleEvent], bool] | None:
        """Whether a candle is for a listener that named ``timeframes``; without any it hears the run's own candles.
        ``None``: every candle of the run is."""
        wanted = timeframes or (() if self.base is None else (self.base,))
        if not wanted:
            if not self.others:
                return None
            default = _FROM_TRADES.ns
            return lambda candle: candle.is_input or candle.interval == default
        if len(wanted) == 1:
            return lambda candle: wanted[0].lasts(candle.interval)
        return lambda candle: any(timeframe.lasts(candle.interval) for timeframe in wanted)


DEFAULT_CANDLES = CandlePlan()
"""The candles of files as they are, and none from trades."""


def timeframes_of(strategy: Strategy) -> tuple[Timeframe, ...]:
    """The timeframes that a strategy names in ``required_candles``. Raises ``ConfigError``."""
    names: object = strategy.required_candles()
    where = f"strategy {type(strategy).__name__}: required_candles()"
    if isinstance(names, str):
        raise ConfigError(f"{where} gives {names!r}; give a tuple of intervals, such as ({names!r},)")
    try:
        return tuple(map(parse_timeframe, cast("tuple[str, ...]", names)))
    except (ConfigError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}: {error}") from None
