"""Whether orders may pass: who halted trading, and who may resume it."""

from __future__ import annotations

from enum import IntEnum

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.units import iso_time
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    RunStopped,
    SystemWarning,
    TradingHalted,
    TradingResumed,
)

__all__ = ["AT_THE_END", "SURROUNDINGS", "HaltedBy", "TradingGate"]

AT_THE_END = "the run has come to its end"
SURROUNDINGS = "surroundings"
"""The argument ``by`` of the commands ``halt`` and ``resume`` if the run itself sends them, because of a fault in its
environment. Such a ``resume`` ends no other halt.
"""


class HaltedBy(IntEnum):
    """Who halted trading. A higher one replaces a lower one."""

    NOBODY = 0
    SURROUNDINGS = 1
    LIMIT = 2
    OPERATOR = 3
    FAULT = 4  # it cannot be resumed
    END = 5  # the run is over: nothing was at fault, and it cannot be resumed either


class TradingGate:
    """The state of trading: open, or halted by one of ``HaltedBy``. Publishes each halt."""

    def __init__(self, bus: CoreBus) -> None:
        self._bus = bus
        self.halted_by = HaltedBy.NOBODY
        self.closed_because = ""
        """Why trading is halted; empty if it is not."""
        self._since = 0  # ns UTC, on the run's clock
        self._who = ""  # the user whose command halted it
        self._command: CommandReceived | None = None  # the last one of a past that is restored

    def halt(self, reason: str, by: HaltedBy, who: str = "") -> bool:
        """Halt trading, unless it is already halted by the same or a higher one. ``who``: the user who asked for it.
        Returns whether this call halted it.
        """
        if by <= self.halted_by:
            return False
        self.closed_because, self.halted_by = reason, by
        self._since, self._who = self._bus.clock.now(), who
        self._bus.publish(TradingHalted(reason=reason, resumable=True))
        return True

    @property
    def described(self) -> str:
        """Since when trading is halted, by whom and why, in words."""
        who = "an error" if self.halted_by is HaltedBy.FAULT else self._who
        by = f" by {who}" if who else ""
        return f"since {iso_time(self._since)}{by}: {self.closed_because}"

    def resume(self, *, outside: bool) -> bool:
        """Open again. Returns whether this call opened it; if not, an operator gets the reason. ``outside``: only after
        a halt by the environment of the run.
        """
        if outside and self.halted_by is not HaltedBy.SURROUNDINGS:
            return False  # somebody else halted meanwhile
        if self.halted_by is HaltedBy.NOBODY or self.is_closed:
            why = f"it stays halted: {self.closed_because}" if self.closed_because else "it is not halted"
            self._bus.publish(SystemWarning(component="risk", message=f"trading is not resumed, {why}"))
            return False
        self.closed_because, self.halted_by = "", HaltedBy.NOBODY
        return True

    def on_halted(self, halted: TradingHalted) -> None:
        """Take over a halt that another component published, such as the kernel after an error, or at a limit of the
        whole run."""
        if halted.scope == "run":
            if self.halted_by < HaltedBy.LIMIT:
                self._take_over(halted, HaltedBy.LIMIT)
        elif not halted.resumable or not self.closed_because:
            self._take_over(halted, HaltedBy.OPERATOR if halted.resumable else HaltedBy.FAULT)

    def _take_over(self, halted: TradingHalted, by: HaltedBy, who: str = "") -> None:
        self.closed_because, self.halted_by = halted.reason, by
        self._since, self._who = halted.ts_ingress, who

    @property
    def is_halted(self) -> bool:
        """Whether trading is halted, and not because the run is over."""
        return HaltedBy.NOBODY < self.halted_by < HaltedBy.END

    @property
    def is_closed(self) -> bool:
        """Whether it is halted for good."""
        return self.halted_by >= HaltedBy.FAULT

    def close(self) -> None:
        """The run is over: close for good."""
        if not self.closed_because:
            self._since = self._bus.clock.now()
        self.closed_because = self.closed_because or AT_THE_END
        if self.halted_by is not HaltedBy.FAULT:
            self.halted_by = HaltedBy.END

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if isinstance(event, CommandReceived):
            self._command = event
        elif isinstance(event, TradingHalted):
            if event.scope == "run":
                self.on_halted(event)
            else:
                self._take_over(event, *self._who_halted(event))
        elif isinstance(event, TradingResumed):
            self.closed_because, self.halted_by = "", HaltedBy.NOBODY
        elif isinstance(event, RunStopped):
            self.close()

    def _who_halted(self, halted: TradingHalted) -> tuple[HaltedBy, str]:
        """Who halted trading, and the user whose command it was."""
        if not halted.resumable:
            return HaltedBy.FAULT, ""
        command = self._command
        if command is None or command.event_id != halted.causation_id or command.command != "halt":
            return HaltedBy.LIMIT, ""
        outside = command.arguments.get("by") == SURROUNDINGS
        return (HaltedBy.SURROUNDINGS if outside else HaltedBy.OPERATOR), command.metadata.get("who", "")
