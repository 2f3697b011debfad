"""What the sagas share: a status that only takes the steps of its table, and a timer."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar, Generic, TypeVar

from tickdeck.errors import InvalidTransition

__all__ = ["Saga"]

S = TypeVar("S", bound=StrEnum)


class Saga(Generic[S]):
    """A process of several steps that waits for others in between, such as a venue.

    Its engine publishes an event for each step, so ``status`` is folded from the record. ``timer_id`` is the timer that
    it waits for, which is on the tape too; 0 is none. What the world did meanwhile is learned from events, never
    from time: a time-out leads to a request, and only evidence to the next step.
    """

    what: ClassVar[str]
    """How messages call it."""
    transitions: ClassVar[Mapping[Any, tuple[Any, ...]]]

    def __init__(self, saga_id: str, status: S) -> None:
        self.saga_id = saga_id
        self.status: S = status
        self.timer_id = 0

    def become(self, status: S) -> None:
        """Take a step. Raises ``InvalidTransition`` if the table has no such step."""
        if status not in self.transitions[self.status]:
            raise InvalidTransition(f"{self.what} {self.saga_id} is {self.status}; it cannot become {status}")
        self.status = status
