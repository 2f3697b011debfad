"""What is around the methods of a strategy when the run calls them: its decimal settings, a limit for its timers."""

from __future__ import annotations

from decimal import getcontext, setcontext
from typing import Any

from tickdeck.application.bus import handler_context
from tickdeck.application.kernel import Kernel, user_context
from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import TimerFired
from tickdeck.errors import ConfigError

__all__ = ["StrategySurroundings"]

_STANDSTILL = 1_000_000  # ns: more timers of one strategy within this time than a cascade may have events are an error


class StrategySurroundings:
    """Decimal settings such as ``getcontext().prec`` persist for one strategy, from when it is subscribed until it is
    paused, and never affect the core's money."""

    def __init__(self, strategy: Strategy, kernel: Kernel) -> None:
        self._strategy = strategy
        self._kernel = kernel
        self.renew()

    def renew(self) -> None:
        """Begin anew: the strategy is subscribed after a pause."""
        self._began = self._count = 0
        self.context = handler_context(self._kernel)
        """In which its methods run."""
        self.context.run(setcontext, user_context())
        self._first = dict(self.context.items())

    def decimals(self) -> list[Any]:
        """The strategy's decimal settings, as JSON values."""
        now = self.context.run(getcontext)
        signals = [[signal.__name__ for signal, is_set in which.items() if is_set] for which in (now.traps, now.flags)]
        return [now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, *signals]

    def set_decimals(self, settings: list[Any]) -> None:
        """Take over what ``decimals`` returned."""
        now = self.context.run(getcontext)
        now.prec, now.rounding, now.Emin, now.Emax, now.capitals, now.clamp, traps, flags = settings
        for which, names in ((now.traps, traps), (now.flags, flags)):
            for signal in which:
                which[signal] = signal.__name__ in names

    def other_variables(self) -> list[str]:
        """The context variables that the strategy has set, besides its decimal settings."""
        return [
            variable.name
            for variable, value in self.context.items()
            if variable.name != "decimal_context" and self._first.get(variable) is not value
        ]

    def on_timer(self, timer: TimerFired) -> None:
        """Calls the strategy's ``on_timer``. Fails if timers fire so close together that the clock stands still.
        Otherwise a timer without a delay that sets itself again would block the market forever."""
        if timer.ts_ingress - self._began >= _STANDSTILL:
            self._began, self._count = timer.ts_ingress, 0
        self._count += 1
        if self._count > (most := self._kernel.max_cascade):
            raise ConfigError(
                f"more than {most:,} timers fired within a millisecond of the run's clock; "
                f"give timer {timer.name!r} a longer delay"
            )
        self._strategy.on_timer(timer)
