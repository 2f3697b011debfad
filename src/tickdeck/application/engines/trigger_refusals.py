"""Alerts a person when the run does not do what follows a trigger: nobody waits for the answer.

A trigger may ask for the same again and again. Of refusals of a kind (a trigger, and the limit or the component that
refused), the first, the 10th, the 100th and so on are alerts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickdeck.application.engines.order_arguments import OPERATOR
from tickdeck.application.engines.wiring import PRIORITY
from tickdeck.application.kernel import Kernel
from tickdeck.application.repeats import Repeats
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    RiskLimitBreachedEvent,
    SystemWarning,
    TriggerDeleted,
    TriggerFired,
    TriggerUpdated,
)

__all__ = ["TriggerRefusals"]


class TriggerRefusals:
    """Knows the commands of the last cascade in which a trigger fired. What they cause has an id that begins with
    theirs, and each is caused by its ``trigger.fired``. ``source``: that of the commands and the alerts.
    ``component``: whose part this is."""

    def __init__(self, kernel: Kernel, source: str, component: str) -> None:
        self._kernel, self._source = kernel, source
        self._fired: dict[str, str] = {}  # ids of triggers, by that of the event that says so
        self._commands: dict[str, tuple[str, str]] = {}  # their triggers and reasons, by event id
        self._repeats = Repeats()
        handlers: tuple[tuple[type[DomainEvent], Callable[[Any], None], Callable[[Any], bool]], ...] = (
            (CommandReceived, self.on_command, _is_from(source)),
            (SystemWarning, self.on_warning, self._follows),
            (RiskLimitBreachedEvent, self.on_refused, self._follows),
        )
        for topic, handler, where in handlers:
            kernel.subscribe(topic, handler, where=where, priority=PRIORITY[component], component=component)

    def on_fired(self, fired: TriggerFired) -> None:
        """A trigger has fired; its command follows."""
        first = next(iter(self._fired), "")
        if _input_of(first) != _input_of(fired.event_id):
            self._fired.clear()
            self._commands.clear()
        self._fired[fired.event_id] = fired.trigger_id

    def on_command(self, command: CommandReceived) -> None:
        """What a trigger asks for."""
        trigger_id = self._fired.get(command.causation_id)
        if trigger_id is not None:
            self._commands[command.event_id] = trigger_id, f"{command.reason}: {command.command}"

    def on_warning(self, warning: SystemWarning) -> None:
        self._alert(warning, warning.component, warning.message)

    def on_refused(self, refused: RiskLimitBreachedEvent) -> None:
        if refused.strategy_id == OPERATOR:
            self._alert(refused, refused.limit, f"risk refused it: {refused.limit}: {refused.detail}")

    def on_changed(self, trigger_id: str) -> None:
        """The trigger is another one now: the next refusal is its first."""
        self._repeats.forget(trigger_id)

    def recall(self, event: DomainEvent) -> None:
        """Restore the state from an event of the record. Publishes nothing."""
        if isinstance(event, TriggerFired):
            self.on_fired(event)
        elif isinstance(event, CommandReceived):
            if event.source == self._source:
                self.on_command(event)
        elif isinstance(event, TriggerUpdated | TriggerDeleted):
            self.on_changed(event.trigger_id)
        elif isinstance(event, SystemWarning):
            if self._follows(event):
                self._count(event, event.component)
        elif isinstance(event, RiskLimitBreachedEvent) and event.strategy_id == OPERATOR and self._follows(event):
            self._count(event, event.limit)

    def _alert(self, event: DomainEvent, kind: str, why: str) -> None:
        number, what = self._count(event, kind)
        if number:
            times = f" (refused {number:,} times by now; the next alert is after {10 * number:,})" if number > 1 else ""
            text = f"{what} was not carried out as asked: {why}{times}"
            self._kernel.publish(NotificationAlert(text=text, severity="critical", source=self._source))

    def _count(self, event: DomainEvent, kind: str) -> tuple[int, str]:
        """How often it was, or 0 if nobody is told of this time; and what was asked for."""
        trigger, what = next(asked for command, asked in self._commands.items() if _caused(command, event))
        return self._repeats.count((trigger, kind), event.ts_ingress), what

    def _follows(self, event: DomainEvent) -> bool:
        return any(_caused(command, event) for command in self._commands)


def _caused(command_id: str, event: DomainEvent) -> bool:
    return event.event_id.startswith(f"{command_id}-")


def _is_from(source: str) -> Callable[[CommandReceived], bool]:
    return lambda command: command.source == source


def _input_of(event_id: str) -> str:
    return event_id.partition("-")[0]
