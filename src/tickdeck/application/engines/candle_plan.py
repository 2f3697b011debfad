"""Which candles a run builds, and who receives which."""

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

    - ``base``: the run's own timeframe (``--candles``). ``None`` takes the candles of files as they are, and builds
      candles of 250 ms from trades.
    - ``others``: the additional timeframes that strategies and signals use.
    - ``base_wanted``: whether anyone needs the run's own candles. If not, they are not built.
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
        timeframes: Iterable[Timeframe] = (),
    ) -> CandlePlan:
        """The plan for the strategies and ``signals`` of a run. ``own_signals``: whether the user has signals, which
        may use the run's own candles. ``timeframes``: those of conditions. Raises ``ConfigError`` for a name that is
        not a timeframe."""
        others: dict[Timeframe, None] = dict.fromkeys(timeframes)
        base_wanted = own_signals
        for strategy in strategies:
            received = timeframes_of(strategy)
            others |= dict.fromkeys(received)
            if not received and type(strategy).on_candle is not Strategy.on_candle:
                base_wanted = True
        for name in signals:
            timeframe = split_timeframe(name)[1]
            if timeframe is None:
                base_wanted = True
            else:
                others[timeframe] = None
        return cls(base, tuple(others), base_wanted)

    def from_trades(self) -> tuple[Timeframe, ...]:
        """The timeframes that are built from trades, the shortest first: candles that end at once come in this
        order."""
        own = (self.base or _FROM_TRADES,) if self.base_wanted else ()
        return _sorted((*own, *self.others))

    def from_candles(self) -> tuple[Timeframe, ...]:
        """The timeframes that are built from finer candles, the shortest first."""
        own = (self.base,) if self.base is not None and self.base_wanted else ()
        return _sorted((*own, *self.others))

    def check(self, timeframes: Iterable[Timeframe]) -> None:
        """Raise ``ConfigError`` for a timeframe of which no candles are built: they are only built from the start
        on."""
        for timeframe in timeframes:
            if timeframe not in (*self.others, self.base):
                raise ConfigError(
                    f"this run builds no candles of {timeframe}; name them in the configuration before it starts"
                )

    def filter(self, timeframes: tuple[Timeframe, ...] = ()) -> Callable[[CandleEvent], bool] | None:
        """A condition for candles that a subscriber with ``timeframes`` receives; without any, it receives the run's
        own candles. ``None`` means every candle of the run."""
        wanted = timeframes or (() if self.base is None else (self.base,))
        if not wanted:
            if not self.others:
                return None
            default = _FROM_TRADES.ns
            return lambda candle: candle.is_input or candle.interval == default
        if len(wanted) == 1:
            return lambda candle: wanted[0].lasts(candle.interval)
        return lambda candle: any(timeframe.lasts(candle.interval) for timeframe in wanted)


def _sorted(timeframes: Iterable[Timeframe]) -> tuple[Timeframe, ...]:
    """Each once, whoever names them first."""
    return tuple(sorted(dict.fromkeys(timeframes), key=lambda one: (one.months, one.ns)))


DEFAULT_CANDLES = CandlePlan()
"""The candles of files as they are, and no candles from trades."""


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
