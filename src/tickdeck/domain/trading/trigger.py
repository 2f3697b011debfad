"""A trigger: a condition that is watched, and what follows when it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from tickdeck.domain.aggregates import AggregateRoot, ValueObject
from tickdeck.domain.arguments import check_name, check_texts
from tickdeck.domain.conditions import parse_condition
from tickdeck.domain.events import (
    DomainEvent,
    TriggerCreated,
    TriggerDeleted,
    TriggerEvaluated,
    TriggerEvent,
    TriggerExpired,
    TriggerFired,
    TriggerSet,
    TriggerUpdated,
    trigger_stream,
)
from tickdeck.domain.trading.trigger_action import parse_action
from tickdeck.domain.trading.trigger_life_cycle import TRIGGER_TRANSITIONS, TriggerStatus
from tickdeck.errors import ConfigError, InvalidTransition, InvalidValue, format_value

__all__ = ["Trigger", "TriggerSettings"]

E = TypeVar("E", bound=TriggerEvent)


class TriggerSettings(ValueObject, frozen=True, kw_only=True):
    """What a trigger watches: the fields of ``trigger.created``. Raises ``ConfigError`` if they make no sense."""

    when: str
    then: str
    once: bool = True
    every: int = 0
    expires: int = 0
    account: str = ""

    def __post_init__(self) -> None:
        mistakes = []
        for name, parse in (("when", parse_condition), ("then", parse_action)):
            text: object = getattr(self, name)
            if not isinstance(text, str):
                mistakes.append(f"{name} is {format_value(text)}; give a text")
                continue
            try:
                parse(text)
            except ConfigError as error:
                mistakes.append(f"{name}: {error}")
        if self.every and self.once:
            mistakes.append("every is the least time between two firings; with once there is only one; omit it")
        if mistakes:
            raise ConfigError.of(mistakes)


class Trigger(AggregateRoot):
    """One trigger of a run. Its decisions return their event, and raise ``InvalidTransition`` where
    ``TRIGGER_TRANSITIONS`` has no such step.

    - ``settings``: what it watches; ``created_by``: who asked for it.
    - ``holds``: the last known value of its condition; ``None`` before it was known.
    - ``fired``: how often it fired, and ``fired_ts`` when it did last (ns UTC).
    """

    def __init__(self, trigger_id: str, *, in_run: bool = False) -> None:
        super().__init__(in_run=in_run)
        check_name("Trigger: trigger_id", trigger_id)
        self.trigger_id = trigger_id
        self.status = TriggerStatus.NEW
        self.settings: TriggerSettings | None = None
        self.created_by = ""
        self.holds: bool | None = None
        self.fired = 0
        self.fired_ts = 0

    @property
    def identity(self) -> str:
        return self.trigger_id

    @property
    def stream(self) -> str:
        return trigger_stream(self.trigger_id)

    @property
    def is_active(self) -> bool:
        """Whether its condition is watched."""
        return self.status is TriggerStatus.ACTIVE

    # -- decisions ---------------------------------------------------------------------------------------------------

    def create(self, settings: TriggerSettings, created_by: str) -> TriggerCreated:
        """Watch ``settings`` from now on; ``created_by`` asked for it."""
        self._check(TriggerStatus.ACTIVE)
        return self._decided(TriggerCreated(**self._set(settings), created_by=created_by))

    def update(self, settings: TriggerSettings, reason: str) -> TriggerUpdated:
        """Watch ``settings`` from now on, as if it were new."""
        self._check(TriggerStatus.ACTIVE)
        return self._decided(TriggerUpdated(**self._set(settings), reason=reason))

    def observe(self, holds: bool, values: Mapping[str, str], now: int) -> TriggerEvaluated | TriggerFired | None:
        """The condition is ``holds`` at ``now`` (ns UTC), with these values of its names. Returns what follows, or
        ``None`` if nothing changed."""
        settings = self.settings
        if not self.is_active or settings is None:
            raise InvalidTransition(f"trigger {self.trigger_id} is {self.status}; only an active one is evaluated")
        if holds is self.holds:
            return None
        if not holds or (self.fired and now - self.fired_ts < settings.every):
            return self._decided(TriggerEvaluated(trigger_id=self.trigger_id, holds=holds, ts=now))
        check_texts(f"trigger {self.trigger_id}: values", values)
        return self._decided(
            TriggerFired(
                trigger_id=self.trigger_id,
                when=settings.when,
                then=settings.then,
                number=self.fired + 1,
                values=dict(values),
                account=settings.account,
                ts=now,
            )
        )

    def expire(self) -> TriggerExpired:
        """Its time is over without a firing."""
        self._check(TriggerStatus.EXPIRED)
        return self._decided(TriggerExpired(trigger_id=self.trigger_id))

    def delete(self, reason: str) -> TriggerDeleted:
        """It ends for good."""
        self._check(TriggerStatus.DELETED)
        return self._decided(TriggerDeleted(trigger_id=self.trigger_id, reason=reason))

    # -- state -------------------------------------------------------------------------------------------------------

    def apply(self, event: DomainEvent) -> None:
        if isinstance(event, TriggerSet):
            self.status, self.holds = TriggerStatus.ACTIVE, None
            self.fired = self.fired_ts = 0
            names = TriggerSettings.__struct_fields__
            self.settings = TriggerSettings(**{name: getattr(event, name) for name in names})
            if isinstance(event, TriggerCreated):
                self.created_by = event.created_by
        elif isinstance(event, TriggerEvaluated):
            self.holds = event.holds
        elif isinstance(event, TriggerFired):
            self.holds, self.fired, self.fired_ts = True, event.number, event.ts
            if self.settings is not None and self.settings.once:
                self.status = TriggerStatus.FIRED
        elif isinstance(event, TriggerExpired):
            self.status = TriggerStatus.EXPIRED
        elif isinstance(event, TriggerDeleted):
            self.status = TriggerStatus.DELETED

    def _set(self, settings: TriggerSettings) -> dict[str, Any]:
        given: object = settings
        if not isinstance(given, TriggerSettings):
            raise InvalidValue(f"trigger {self.trigger_id}: {format_value(given)} is given; give TriggerSettings(...)")
        names = TriggerSettings.__struct_fields__
        return {"trigger_id": self.trigger_id} | {name: getattr(settings, name) for name in names}

    def _decided(self, event: E) -> E:
        self.apply(event)
        if not self._in_run:
            self._raised.append(event)
        return event

    def _check(self, status: TriggerStatus) -> None:
        if status not in TRIGGER_TRANSITIONS[self.status]:
            raise InvalidTransition(f"trigger {self.trigger_id} is {self.status}; it cannot become {status}")
