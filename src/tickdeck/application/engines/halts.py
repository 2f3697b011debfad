"""Halts and resumes trading at limits and by commands, and says what becomes of open orders."""

from __future__ import annotations

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.application.engines.approvals import Approvals
from tickdeck.application.engines.flatten import Flatten
from tickdeck.application.engines.loss_watch import LossWatch
from tickdeck.application.engines.order_review import RunReview
from tickdeck.application.engines.trading_gate import SURROUNDINGS, HaltedBy, TradingGate
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    SystemWarning,
    TradingHalted,
    TradingResumed,
)

__all__ = ["Halts"]


class Halts:
    """Closes and opens ``gate``. A limit's halt cancels the open orders that could enlarge a position. The command
    ``halt`` does with them what its argument ``orders`` says. After a resume, ``losses`` are counted from zero again.
    """

    def __init__(
        self,
        bus: CoreBus,
        gate: TradingGate,
        *,
        approvals: Approvals,
        flatten: Flatten,
        losses: LossWatch,
    ) -> None:
        self._bus = bus
        self._gate = gate
        self._approvals = approvals
        self._flatten = flatten
        self._losses = losses
        self.run: RunReview | None = None
        """The limits of the whole run, if it has any: an account alone is not resumed while they halt all."""
        self._resumed_outside = False  # by the last command of a past that is restored

    def at_limit(self, reason: str) -> None:
        """Halt at a limit, unless trading is halted by it or by a higher one."""
        if self._gate.halt(reason, HaltedBy.LIMIT):
            self._approvals.withdraw_opening()

    def halt(self, command: CommandReceived) -> None:
        """Carry out the command ``halt``."""
        outside = _is_outside(command)
        by = HaltedBy.SURROUNDINGS if outside else HaltedBy.OPERATOR
        is_new = self._gate.halt(command.reason or "asked for by a command", by, command.metadata.get("who", ""))
        self._flatten.at_halt(command.arguments.get("orders", ""))
        if not is_new and not outside:
            self._say_halted()

    def resume(self, command: CommandReceived) -> None:
        """Carry out the command ``resume``."""
        run, outside = self.run, _is_outside(command)
        if run is not None and run.halted_because and command.arguments.get("account"):
            why = f"it is halted with all accounts: {run.halted_because}; resume without an account"
            self._bus.publish(SystemWarning(component="risk", message=f"trading is not resumed, {why}"))
            return
        if not self._gate.resume(outside=outside):
            return
        if not outside:
            self._losses.restart_day()
            self._losses.restart_peak()
        reason = command.reason or "asked for by a command"
        self._bus.publish(TradingResumed(reason=reason))
        if outside:  # nobody asked for it, so it is told
            self._bus.publish(NotificationAlert(text=f"trading resumes: {reason}"))
        self._losses.look(command)

    def on_halted(self, halted: TradingHalted) -> None:
        """Trading was halted, here or elsewhere: tell a person, with what becomes of the open orders."""
        self._gate.on_halted(halted)
        if halted.scope == "run":
            self._approvals.withdraw_opening()
        text, left = f"trading is halted: {halted.reason}", self._flatten.left_at_halt()
        if left:
            text += f" ({left})"
        if left or halted.scope != "run":  # one of the run is told once, by who halted all accounts
            self._bus.publish(NotificationAlert(text=text, severity="critical"))

    def _say_halted(self) -> None:
        """Answer a halt that changes nothing, because trading is halted."""
        text, left = f"trading was halted already, {self._gate.described}", self._flatten.left_at_halt()
        self._bus.publish(NotificationAlert(text=f"{text} ({left})" if left else text))

    def recall(self, event: DomainEvent) -> None:
        """Restore from an event of the record from where the drawdown counts. Publishes nothing."""
        if isinstance(event, CommandReceived):
            self._resumed_outside = _is_outside(event)
        elif isinstance(event, TradingResumed) and not self._resumed_outside:
            self._losses.restart_peak()


def _is_outside(command: CommandReceived) -> bool:
    """Whether the surroundings of the run gave the command."""
    return command.arguments.get("by") == SURROUNDINGS
