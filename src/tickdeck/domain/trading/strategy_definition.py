"""What a strategy of a run is: its name, class, role and parameters, who created it, and whether it is active."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.arguments import check_name, check_texts
from tickdeck.domain.events import (
    DomainEvent,
    StrategyActivated,
    StrategyCreated,
    StrategyDeleted,
    StrategyEvent,
    StrategyPaused,
    StrategyUpdated,
)
from tickdeck.domain.trading.strategy_life_cycle import STRATEGY_TRANSITIONS, StrategyStatus
from tickdeck.domain.values import StrategyRole
from tickdeck.errors import InvalidTransition

__all__ = ["StrategyDefinition"]

E = TypeVar("E", bound=StrategyEvent)
_S = StrategyStatus


class StrategyDefinition(AggregateRoot):
    """One strategy of a run. Its decisions return their event, and raise ``InvalidTransition`` where
    ``STRATEGY_TRANSITIONS`` has no such step.

    ``strategy_id`` is unique in the run. ``strategy_type`` is its class, ``created_by`` is who asked for it, and
    ``parameters`` are all its parameters as text, without secrets.
    """

    def __init__(
        self, strategy_id: str, name: str = "", role: StrategyRole | None = None, *, in_run: bool = False
    ) -> None:
        super().__init__(in_run=in_run)
        check_name("StrategyDefinition: strategy_id", strategy_id)
        self.strategy_id = strategy_id
        self.name = name
        self.role = role
        self.status = _S.NEW
        self.strategy_type = ""
        self.created_by = ""
        self.parameters: dict[str, str] = {}
        self.reason = ""

    @property
    def identity(self) -> str:
        return self.strategy_id

    @property
    def stream(self) -> str:
        return f"strategy/{self.strategy_id}"

    @property
    def labels(self) -> dict[str, Any]:
        """The fields by which an event says which strategy it is about."""
        return {"strategy_id": self.strategy_id, "name": self.name, "role": self.role}

    # -- decisions ---------------------------------------------------------------------------------------------------

    def create(self, strategy_type: str, created_by: str, parameters: Mapping[str, str]) -> StrategyCreated:
        """Define it. ``strategy_type`` is its class, ``created_by`` who asked for it."""
        self._check(_S.CREATED)
        check_texts(f"strategy {self.strategy_id}: parameters", parameters)
        return self._decided(
            StrategyCreated(
                **self.labels, strategy_type=strategy_type, created_by=created_by, parameters=dict(parameters)
            )
        )

    def update(self, parameters: Mapping[str, str], reason: str) -> StrategyUpdated:
        """Change ``parameters``; the others stay."""
        if self.status not in STRATEGY_TRANSITIONS[self.status]:
            raise InvalidTransition(f"strategy {self.strategy_id} is {self.status}; it cannot be updated")
        check_texts(f"strategy {self.strategy_id}: parameters", parameters)
        return self._decided(StrategyUpdated(**self.labels, parameters=dict(parameters), reason=reason))

    def activate(self, reason: str) -> StrategyActivated:
        """It decides from now on."""
        self._check(_S.ACTIVE)
        return self._decided(StrategyActivated(**self.labels, reason=reason))

    def pause(self, reason: str) -> StrategyPaused:
        """It decides nothing until it is activated again."""
        self._check(_S.PAUSED)
        return self._decided(StrategyPaused(**self.labels, reason=reason))

    def delete(self, reason: str) -> StrategyDeleted:
        """It ends for good."""
        self._check(_S.DELETED)
        return self._decided(StrategyDeleted(**self.labels, reason=reason))

    # -- state -------------------------------------------------------------------------------------------------------

    def apply(self, event: DomainEvent) -> None:
        if not isinstance(event, StrategyEvent):
            return
        self.name, self.role = event.name or self.name, event.role if event.role is not None else self.role
        if isinstance(event, StrategyCreated):
            self.status = _S.CREATED
            self.strategy_type, self.created_by = event.strategy_type, event.created_by
            self.parameters = dict(event.parameters)
        elif isinstance(event, StrategyUpdated):
            self.parameters |= event.parameters
        elif isinstance(event, StrategyActivated):
            self.status, self.reason = _S.ACTIVE, event.reason
        elif isinstance(event, StrategyPaused):
            self.status, self.reason = _S.PAUSED, event.reason
        elif isinstance(event, StrategyDeleted):
            self.status, self.reason = _S.DELETED, event.reason

    def _decided(self, event: E) -> E:
        self.apply(event)
        if not self._in_run:
            self._raised.append(event)
        return event

    def _check(self, status: StrategyStatus) -> None:
        if status not in STRATEGY_TRANSITIONS[self.status]:
            raise InvalidTransition(f"strategy {self.strategy_id} is {self.status}; it cannot become {status}")
