"""Decisions of the risk engine, and halts of trading."""

from __future__ import annotations

from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.strategy import ActionIntent
from tickdeck.domain.events.upcast import upcast
from tickdeck.domain.values import Money

__all__ = ["RiskApprovedEvent", "RiskDayStarted", "RiskLimitBreachedEvent", "TradingHalted", "TradingResumed"]


class RiskApprovedEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Risk approved one intent of a decision. Its numbers are rounded to the steps of the instrument. Emitted by the
    risk engine."""

    event_type: ClassVar[str] = "risk.approved"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 3
    strategy_id: str
    account_id: str = "main"
    user_id: str = ""
    intent: ActionIntent

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id


class RiskLimitBreachedEvent(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Risk refused one intent of a decision. Emitted by the risk engine.

    ``limit`` is the name of the limit. ``detail`` says what was requested and what is allowed. ``scope``: whose limit
    it is, that of the ``account`` or of the whole ``run``. The decision is the cause.
    """

    event_type: ClassVar[str] = "risk.limit_breached"
    priority: ClassVar[Priority] = Priority.P0
    version: ClassVar[int] = 4
    strategy_id: str
    account_id: str = "main"
    user_id: str = ""
    limit: str
    detail: str
    intent: ActionIntent
    scope: str = "account"

    @property
    def aggregate_id(self) -> str:
        return self.strategy_id


class RiskDayStarted(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The daily loss is counted from here. Emitted by the risk engine when the run begins, at midnight (UTC), and when
    trading resumes after a halt.

    ``equity`` (in ``currency``) is the result of trading since the start of the account's books: realized and
    unrealized profit, after fees. ``user_id`` is the owner of the account; empty if there is none. ``account_id`` is
    ``*`` for the daily loss of all accounts of the run together.
    """

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
    """No new orders are sent from now on. Emitted by the kernel after an error in risk, execution or portfolio or after
    an endless cascade, and by the risk engine at the daily loss limit or on a command.

    ``resumable``: whether a command may resume trading. It is false after an error. ``account_id``: the account, in a
    run with several; empty: the whole run. ``scope``: ``run`` if a limit of the whole run was reached, otherwise empty.
    """

    event_type: ClassVar[str] = "trading.halted"
    version: ClassVar[int] = 3
    priority: ClassVar[Priority] = Priority.P0
    reason: str
    resumable: bool = False
    account_id: str = ""
    scope: str = ""


class TradingResumed(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Orders may be sent again. Emitted by the risk engine on a command, after a halt that was not caused by an error.
    ``account_id`` is as in ``trading.halted``."""

    event_type: ClassVar[str] = "trading.resumed"
    version: ClassVar[int] = 2
    priority: ClassVar[Priority] = Priority.P1
    reason: str = ""
    account_id: str = ""


for _cls in (RiskApprovedEvent, RiskLimitBreachedEvent):
    for _version in (1, 2):
        upcast(_cls.event_type, _version, lambda fields: fields, keeps_stream=True)  # new fields have defaults
for _event in (TradingHalted, TradingResumed):
    upcast(_event.event_type, 1, lambda fields: fields, keeps_stream=True)
upcast(RiskLimitBreachedEvent.event_type, 3, lambda fields: fields, keeps_stream=True)
upcast(TradingHalted.event_type, 2, lambda fields: fields, keeps_stream=True)
