"""Saves what a use case changed: all of it or nothing, and only if nobody else changed the same meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, Self

from tickdeck.application.bus import Receipt
from tickdeck.application.commands.repositories import (
    AggregateStore,
    BalanceRepository,
    OrderRepository,
    PositionRepository,
    ReconciliationRepository,
    Repository,
    TradeRepository,
)
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError

__all__ = ["UnitOfWork"]


class _Store(AggregateStore, Protocol):
    @property
    def last_seq(self) -> int: ...


class _BusWithStore(Protocol):
    """The bus of ``open_bus``, on any store."""

    @property
    def store(self) -> _Store: ...

    def commit(self, events: Iterable[DomainEvent], *, expected: Mapping[str, int]) -> Receipt: ...


class UnitOfWork:
    """One use case: load aggregates, let them decide, commit::

        async with UnitOfWork(bus) as work:
            trade = work.trades.get("main", "t-1")
            trade.roll_back("the market is closed")
            await work.commit()

    ``commit`` saves the raised events of all aggregates as one unit. Once they are durable, it publishes them: handlers
    of the bus get them in their order, plain ones before ``commit`` returns. If the disk fails, no handler gets them.
    If the process dies in between, an async handler with a ``name`` gets them in the next process; a plain handler
    never does. A handler that raises affects neither the commit nor other handlers; the event becomes a dead letter.

    What is published directly on the bus meanwhile is handled within its ``publish``, so perhaps before them.

    Without a commit, nothing is saved. After one, the unit of work can go on and commit again. At the end of the
    ``async with`` block, its repositories forget what they loaded, and so what was changed and not committed. It
    belongs to the thread of its bus.
    """

    def __init__(self, bus: _BusWithStore, *repositories: Repository[Any]) -> None:
        """``repositories`` of your own, made with ``bus.store``, are saved too. Raises ``ConfigError`` for one of
        another store, and for what is no repository."""
        for repository in repositories:
            given: object = repository
            if not isinstance(given, Repository):
                raise ConfigError(f"UnitOfWork: {given!r} is no repository; give Repository(bus.store, YourAggregate)")
        store = getattr(bus, "store", None)
        if store is None:
            raise ConfigError("UnitOfWork: this bus has no store; use the bus of open_bus(url)")
        self._bus = bus
        self._store = bus.store
        self.trades = TradeRepository(self._store)
        self.balances = BalanceRepository(self._store)
        self.orders = OrderRepository(self._store)
        self.positions = PositionRepository(self._store)
        self.reconciliations = ReconciliationRepository(self._store)
        self._repositories: tuple[Repository[Any], ...] = (
            self.trades,
            self.orders,
            self.positions,
            self.balances,
            self.reconciliations,
            *repositories,
        )
        if any(repository.store is not self._store for repository in self._repositories):
            raise ConfigError("UnitOfWork: a repository is of another store; make it with bus.store")
        self._ended = False

    async def __aenter__(self) -> Self:
        self._ended = False
        return self

    async def __aexit__(self, *_: object) -> None:
        """What was not committed is not saved, also if the unit of work is used again."""
        self._ended = True
        for repository in self._repositories:
            repository.forget()

    async def commit(self) -> None:
        """Save all raised events, or none.

        Raises ``ConcurrencyError`` if another use case changed one of the aggregates since it was loaded: nothing was
        saved then; start over with a new unit of work. Raises ``TapeError`` if the store fails. Raises ``ConfigError``
        if two objects of one stream were changed, or after the end of the ``async with`` block.
        """
        if self._ended:
            raise ConfigError("UnitOfWork.commit: its block has ended; commit within it, or begin a new one")
        changed = [aggregate for repository in self._repositories for aggregate in repository.changed()]
        if not changed:
            return
        streams = [aggregate.stream for aggregate in changed]
        if len(set(streams)) < len(streams):
            twice = next(stream for stream in streams if streams.count(stream) > 1)
            raise ConfigError(f"UnitOfWork.commit: {twice} was loaded by two repositories and changed in both; use one")
        events = [event for aggregate in changed for event in aggregate.get_domain_events()]
        receipt = self._bus.commit(events, expected={root.stream: root.version for root in changed})
        reached = self._store.last_seq
        for aggregate in changed:
            aggregate.clear_domain_events()
        await asyncio.sleep(0)  # use cases that are ready now join the same commit on disk
        await receipt.durable()
        for repository in self._repositories:
            repository.save_snapshots(reached)
