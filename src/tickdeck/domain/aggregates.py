"""The building blocks of aggregates: things with an identity, values without one, and roots that record what happened.

An aggregate is the owner of one stream of events. Its state is the fold of that stream: every change is an event, and
only ``apply`` changes the state. So an aggregate that was loaded from a store equals the one that was saved.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable
from typing import Self

import msgspec

from tickdeck.domain.events import DomainEvent

__all__ = ["AggregateRoot", "Entity", "ValueObject"]


class Entity(ABC):
    """Something with an identity, which stays the same while everything else changes. Two entities of one class are
    equal if their identities are."""

    __slots__ = ()

    @property
    @abstractmethod
    def identity(self) -> Hashable:
        """What distinguishes it from others of its class. It never changes."""

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.identity == other.identity

    def __hash__(self) -> int:
        return hash((type(self), self.identity))


class ValueObject(msgspec.Struct, frozen=True, kw_only=True):
    """A value without an identity: immutable, and equal to any other with the same fields."""


class AggregateRoot(Entity):
    """The only way to change an aggregate, and the owner of its stream.

    A new object is the state before the first event. Methods that decide something check the rules, then call
    ``raise_event``. A unit of work saves the raised events and clears them.

    ``in_run``: the aggregate lives in a run, where its methods return their events to the engine that publishes them.
    It keeps none itself, so that it does not grow.
    """

    __slots__ = ("_in_run", "_raised", "version")

    def __init__(self, *, in_run: bool = False) -> None:
        self.version = 0
        """How many events of the stream the state contains, without those that are raised and not saved. In a run,
        the tape has the version."""
        self._in_run = in_run
        self._raised: list[DomainEvent] = []

    @property
    @abstractmethod
    def stream(self) -> str:
        """The key of the stream, as the events give it."""

    @abstractmethod
    def apply(self, event: DomainEvent) -> None:
        """Change the state as ``event`` says. It happened, so this never refuses it; other events change nothing."""

    def load(self, events: Iterable[DomainEvent]) -> Self:
        """Apply the next recorded events of the stream. Returns the aggregate."""
        for event in events:
            self.apply(event)
            self.version += 1
        return self

    def raise_event(self, event: DomainEvent) -> None:
        """Something was decided: apply the event, and keep it until it is saved."""
        self.apply(event)
        self._raised.append(event)

    def get_domain_events(self) -> tuple[DomainEvent, ...]:
        """The events that were raised and not saved, oldest first."""
        return tuple(self._raised)

    def clear_domain_events(self) -> None:
        """The raised events were saved: they belong to ``version`` now."""
        self.version += len(self._raised)
        self._raised.clear()

    def snapshot(self) -> bytes | None:
        """The state for ``restore``, as JSON; ``None`` if this class keeps no snapshots."""
        return None

    def restore(self, version: int, state: bytes) -> None:
        """Take over the state after the first ``version`` events of the stream."""
        raise NotImplementedError(f"{type(self).__name__} keeps no snapshots")
