"""One account's part of a run's events: its engines work on it as if there were no other account."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar, Unpack

from msgspec.structs import replace

from tickdeck.application.bus import Receipt, SubscribeOptions, Subscription
from tickdeck.application.clock import RunClock
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    NotificationAlert,
    SystemWarning,
    TradingHalted,
    TradingResumed,
)

__all__ = ["AccountBus", "CoreBus"]

E = TypeVar("E", bound=DomainEvent)


class CoreBus(Protocol):
    """What the engines of an account need of a kernel: a ``Kernel``, or an ``AccountBus`` on it."""

    @property
    def clock(self) -> RunClock: ...

    def publish(self, event: DomainEvent) -> Receipt: ...

    def publish_all(self, events: Iterable[DomainEvent]) -> Receipt: ...

    def feed(self, event: DomainEvent) -> None: ...

    def next_id(self) -> str: ...

    def subscribe(
        self, topic: type[E], handler: Callable[[E], object], **options: Unpack[SubscribeOptions]
    ) -> Subscription: ...

    def set_timer(self, due: int, name: str, owner: str = "") -> int: ...

    def cancel_timer(self, timer_id: int) -> None: ...


class AccountBus:
    """``bus`` as the engines of ``account_id`` see it, in a run with several accounts.

    Handlers receive the events of their account, those of no account, and the halts of the whole run. A command is
    delivered if ``concerns(command)``. What the engines publish about trading, and their messages, name the account.
    """

    def __init__(self, bus: CoreBus, account_id: str, concerns: Callable[[CommandReceived], bool]) -> None:
        self._bus = bus
        self._account_id = account_id
        self._concerns = concerns

    @property
    def clock(self) -> RunClock:
        return self._bus.clock

    def publish(self, event: DomainEvent) -> Receipt:
        return self._bus.publish(self._named(event))

    def publish_all(self, events: Iterable[DomainEvent]) -> Receipt:
        return self._bus.publish_all(map(self._named, events))

    def feed(self, event: DomainEvent) -> None:
        self._bus.feed(self._named(event))

    def next_id(self) -> str:
        return self._bus.next_id()

    def subscribe(
        self, topic: type[E], handler: Callable[[E], object], **options: Unpack[SubscribeOptions]
    ) -> Subscription:
        """As on the bus, with the events of other accounts left out."""
        if topic is CommandReceived or "account_id" in topic.__struct_fields__:
            options["where"] = self._also(options.get("where"))
        return self._bus.subscribe(topic, handler, **options)

    def set_timer(self, due: int, name: str, owner: str = "") -> int:
        return self._bus.set_timer(due, name, owner)

    def cancel_timer(self, timer_id: int) -> None:
        self._bus.cancel_timer(timer_id)

    def is_ours(self, event: Any) -> bool:
        """Whether the engines of this account receive ``event``."""
        if isinstance(event, CommandReceived):
            return self._concerns(event)
        account_id = getattr(event, "account_id", None)
        if account_id is None or account_id == self._account_id:
            return True
        return not account_id and isinstance(event, TradingHalted | TradingResumed)

    def _also(self, where: Callable[[Any], bool] | None) -> Callable[[Any], bool]:
        if where is None:
            return self.is_ours
        return lambda event: self.is_ours(event) and where(event)

    def _named(self, event: DomainEvent) -> DomainEvent:
        if isinstance(event, TradingHalted | TradingResumed):
            return replace(event, account_id=self._account_id)
        if isinstance(event, SystemWarning):
            return replace(event, message=f"account {self._account_id}: {event.message}")
        if isinstance(event, NotificationAlert):
            return replace(event, text=f"account {self._account_id}: {event.text}")
        return event
