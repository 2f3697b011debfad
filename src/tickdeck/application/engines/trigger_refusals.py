"""Alerts a person when the run does not do what follows a trigger: nobody waits for the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickdeck.application.engines.order_arguments import OPERATOR
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    RiskLimitBreachedEvent,
    SystemWarning,
)

__all__ = ["TriggerRefusals"]


class TriggerRefusals:
    """Knows the commands of the last cascade in which a trigger fired. What they cause has an id that begins with
    theirs. ``source``: that of the commands and the alerts. ``component``: whose part this is."""

    def __init__(self, kernel: Kernel, source: str, component: str) -> None:
        self._kernel, self._source = kernel, source
        self._commands: dict[str, str] = {}  # their reasons, by event id
        handlers: tuple[tuple[type[DomainEvent], Callable[[Any], None], Callable[[Any], bool]], ...] = (
            (CommandReceived, self.on_command, _is_from(source)),
            (SystemWarning, self.on_warning, self._follows),
            (RiskLimitBreachedEvent, self.on_refused, self._follows),
        )
        for topic, handler, where in handlers:
            kernel.subscribe(topic, handler, where=where, priority=PRIORITY[component], component=component)

    def on_command(self, command: CommandReceived) -> None:
        """A trigger has fired."""
        first = next(iter(self._commands), "")
        if _input_of(first) != _input_of(command.event_id):
            self._commands.clear()
        self._commands[command.event_id] = f"{command.reason}: {command.command}"

    def on_warning(self, warning: SystemWarning) -> None:
        self._alert(warning, warning.message)

    def on_refused(self, refused: RiskLimitBreachedEvent) -> None:
        if refused.strategy_id == OPERATOR:
            self._alert(refused, f"risk refused it: {refused.limit}: {refused.detail}")

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if isinstance(event, CommandReceived) and event.source == self._source:
            self.on_command(event)

    def _alert(self, event: DomainEvent, why: str) -> None:
        what = next(reason for command, reason in self._commands.items() if event.event_id.startswith(f"{command}-"))
        text = f"{what} was not carried out as asked: {why}"
        self._kernel.publish(NotificationAlert(text=text, severity="critical", source=self._source))

    def _follows(self, event: DomainEvent) -> bool:
        return any(event.event_id.startswith(f"{command}-") for command in self._commands)


def _is_from(source: str) -> Callable[[CommandReceived], bool]:
    return lambda command: command.source == source


def _input_of(event_id: str) -> str:
    return event_id.partition("-")[0]
