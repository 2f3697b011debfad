"""Inputs from outside a run: commands, events that edges publish, and events from other threads."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import force_setattr

from tickdeck.application.clock import RunClock
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["STEPS", "OutsideInputs", "is_reserved"]

STEPS = "driver_steps"
"""In the ``metadata`` of an input from outside: the number of the driver's steps between the input before and it."""


def is_reserved(event: DomainEvent) -> ConfigError:
    """The error for an event whose source belongs to the driver."""
    return ConfigError(
        f"{event.event_type}: the source {event.source!r} is reserved for events that the run produces itself, and "
        "produces again when it is resumed; use another source"
    )


class OutsideInputs:
    """Gives an input from outside its receive time and its place among the driver's steps.

    ``reserved``: sources of the driver's own inputs. ``wall_now()`` (ns UTC) is the receive time if the run is not on
    the virtual clock.
    """

    __slots__ = ("_clock", "_steps", "_steps_after", "_wall_now", "reserved")

    def __init__(self, clock: RunClock, reserved: frozenset[str], wall_now: Callable[[], int] | None) -> None:
        self._clock = clock
        self.reserved = reserved
        self._wall_now = wall_now
        self._steps = 0  # of the driver, since input ``_steps_after``
        self._steps_after = 0

    def step(self, inputs: int) -> None:
        """The driver did something that is not an input, such as letting an order arrive at a simulated venue.

        An input from outside that comes now records in its ``metadata`` how many steps there were since the last input,
        so that a resumed run can insert it at the same place. ``inputs``: how many inputs there were.
        """
        if self._steps_after != inputs:
            self._steps_after, self._steps = inputs, 0
        self._steps += 1

    def steps(self, inputs: int) -> int:
        """How many steps there were since input number ``inputs``."""
        return self._steps if self._steps_after == inputs else 0

    def received(self, event: DomainEvent, inputs: int) -> DomainEvent:
        """The event with its receive time and its place. ``inputs``: how many inputs there were before it."""
        if event.source in self.reserved:
            return event  # produced again when the run is resumed, with the same times
        if self._wall_now is not None:
            now = self._wall_now()
        elif self.reserved:
            now = self._clock._now
        else:
            return event
        given = event.ts_ingress
        if not given or given > now or self.steps(inputs):
            # A ``ts_ingress`` in the future would keep the clock there until that time. One in the past would be before
            # the steps that it came after.
            event = event.__copy__()
            force_setattr(event, "ts_ingress", now)
        return self._placed(event, inputs) if self._steps or event.metadata else event

    def _placed(self, event: DomainEvent, inputs: int) -> DomainEvent:
        """The event with the number of the driver's steps since the last input, if there were any."""
        steps = str(self.steps(inputs)) if self.steps(inputs) else None
        if event.metadata.get(STEPS) == steps:
            return event
        metadata = {name: value for name, value in event.metadata.items() if name != STEPS}
        if steps is not None:
            metadata[STEPS] = steps
        event = event.__copy__()
        force_setattr(event, "metadata", type(event.metadata)(sorted(metadata.items())))
        return event
