"""What risk says to a decision, and when trading as a whole stops."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.strategy import ActionIntent
from tickdeck.domain.events.upcast import upcast
from tickdeck.domain.values import Money

__all__ = ["RiskApprovedEvent", "RiskDayStarted", "RiskLimitBreachedEvent", "TradingHalted", "TradingResumed"]


class RiskApprovedEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Risk lets one intent of a decision pass, its numbers put on the instrument's grid. Emitted by the risk engine."""

    event_type: ClassVar[str] = "risk.approved"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 2
    strategy_id: str
    account_id: str = "main"
    user_id: str = ""
    intent: ActionIntent

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id


class RiskLimitBreachedEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Risk refuses one intent of a decision. Emitted by the risk engine.

    ``limit`` names the limit, ``detail`` says in words what was asked for and what is allowed."""

    event_type: ClassVar[str] = "risk.limit_breached"
    priority: ClassVar[Priority] = Priority.P0
    version: ClassVar[int] = 2
    strategy_id: str
    account_id: str = "main"
    user_id: str = ""
    limit: str
    detail: str
    intent: ActionIntent

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id


class RiskDayStarted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The daily loss counts from here on. Emitted by the risk engine when the run begins, at midnight (UTC), and when
    trading is resumed after a halt.

    ``equity`` (in ``currency``) is what trading has made since the account's books began: realised and unrealised,
    after fees. ``user_id`` owns the account, empty where nobody is named."""

    event_type: ClassVar[str] = "risk.day_started"
    priority: ClassVar[Priority] = Priority.P1
    account_id: str = "main"
    user_id: str = ""
    equity: Money
    currency: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.account_id

    @property
    def stream(self) -> str:
        return f"risk/{self.account_id}"


class TradingHalted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """No new order leaves from here on. Emitted by the kernel after a fault in risk, execution or portfolio, or a
    cascade that did not end, and by the risk engine at the daily loss limit and on a command.

    ``resumable``: a command may let trading go on, since nothing is at fault."""

    event_type: ClassVar[str] = "trading.halted"
    priority: ClassVar[Priority] = Priority.P0
    reason: str
    resumable: bool = False


class TradingResumed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Orders may leave again. Emitted by the risk engine on a command, after a halt that was no fault's."""

    event_type: ClassVar[str] = "trading.resumed"
    priority: ClassVar[Priority] = Priority.P1
    reason: str = ""


for _cls in (RiskApprovedEvent, RiskLimitBreachedEvent):
    upcast(_cls.event_type, 1, lambda fields: fields)  # new fields have defaults
