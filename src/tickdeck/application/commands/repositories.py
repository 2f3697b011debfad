"""Loads aggregates from the streams of a store, for one unit of work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from tickdeck.application.arguments import check_function, check_methods
from tickdeck.application.ports import FoundEvents, Snapshot, TapeQuery
from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.events import order_stream
from tickdeck.domain.trading import Order, Position, Reconciliation, Trade
from tickdeck.errors import AggregateNotFound, ConfigError

__all__ = [
    "AggregateStore",
    "BalanceRepository",
    "OrderRepository",
    "PositionRepository",
    "ReconciliationRepository",
    "Repository",
    "TradeRepository",
]

A = TypeVar("A", bound=AggregateRoot)

_EVERY = 100  # events between two snapshots of an aggregate


class _Kept(msgspec.Struct):
    """A snapshot in the store: the state, and up to which event of the store."""

    seq: int
    state: msgspec.Raw


class AggregateStore(Protocol):
    """What repositories need from a store: ``bus.store``, or any ``EventStore``."""

    def read(self, query: TapeQuery = ...) -> FoundEvents: ...

    def stream_version(self, stream: str) -> int: ...

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None: ...

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None: ...


class Repository(Generic[A]):
    """The aggregates of one class. The same key gives the same object, for as long as the repository lives.

    ``make(*key)`` creates the aggregate before its first event. An aggregate that keeps snapshots is loaded from the
    newest one and the events after it, so that takes the same time however long its stream is. Keys are texts that are
    not empty; another one raises ``ConfigError``.
    """

    def __init__(self, store: AggregateStore, make: Callable[..., A]) -> None:
        check_methods(type(self).__name__, "store", store, "read", "stream_version")
        check_function(type(self).__name__, "make", make, optional=False)
        self._store = store
        self._make = make
        self._loaded: dict[str, A] = {}  # by stream
        self._snapshots: dict[str, int] = {}  # the version of the newest snapshot, by stream

    def find(self, *key: str) -> A | None:
        """The aggregate; ``None`` if the store has no events of it and none was added."""
        stream = self._stream(*key)
        known = self._loaded.get(stream)
        if known is not None:
            return known
        if not self._store.stream_version(stream):
            return None
        return self._track(self._load(*key))

    def get(self, *key: str) -> A:
        """The aggregate. Raises ``AggregateNotFound``."""
        found = self.find(*key)
        if found is None:
            raise AggregateNotFound(f"there is no {self._stream(*key)}")
        return found

    def get_or_new(self, *key: str) -> A:
        """The aggregate, or a new one."""
        return self.find(*key) or self._track(self._make(*key))

    def add(self, aggregate: A) -> A:
        """Track a new aggregate, so that its events are saved. Raises ``ConfigError`` if another object of the same
        identity is tracked, or if it is no aggregate."""
        given: object = aggregate
        if not isinstance(given, AggregateRoot):
            raise ConfigError(f"add: {given!r} is no aggregate")
        if self._loaded.get(aggregate.stream, aggregate) is not aggregate:
            raise ConfigError(f"add: {aggregate.stream} is loaded already; change that object")
        return self._track(aggregate)

    @property
    def store(self) -> AggregateStore:
        """Where the aggregates are loaded from."""
        return self._store

    def forget(self) -> None:
        """Forget what was loaded and added, saved or not."""
        self._loaded.clear()

    def changed(self) -> list[AggregateRoot]:
        """The tracked aggregates with events to save, in the order in which they were loaded or added."""
        return [aggregate for aggregate in self._loaded.values() if aggregate.get_domain_events()]

    def _track(self, aggregate: A) -> A:
        self._loaded[aggregate.stream] = aggregate
        return aggregate

    def _stream(self, *key: str) -> str:
        return self._made(*key).stream

    def _made(self, *key: str) -> A:
        self._check(*key)
        try:
            return self._make(*key)
        except TypeError:
            signature = inspect.signature(self._make)
            try:
                signature.bind(*key)
            except TypeError:
                wanted = [name for name, part in signature.parameters.items() if part.default is part.empty]
                given = ", ".join(map(repr, key)) or "nothing"
                raise ConfigError(f"{type(self).__name__}: {given} is given; give {', '.join(wanted)}") from None
            raise

    def _check(self, *key: object) -> None:
        for part in key:
            if not isinstance(part, str) or not part:
                raise ConfigError(f"{type(self).__name__}: the key {part!r} is given; give texts that are not empty")

    def _load(self, *key: str) -> A:
        aggregate = self._make(*key)
        first_seq = 0
        is_long = self._store.stream_version(aggregate.stream) >= _EVERY  # a shorter one has no snapshot
        if is_long and type(aggregate).snapshot is not AggregateRoot.snapshot:
            snapshot = self._store.load_snapshot(aggregate.stream)
            if snapshot is not None:
                kept = msgspec.json.decode(snapshot.state, type=_Kept)
                aggregate.restore(snapshot.version, bytes(kept.state))
                self._snapshots[aggregate.stream] = snapshot.version
                first_seq = kept.seq + 1
        return aggregate.load(self._store.read(TapeQuery(stream=aggregate.stream, first_seq=first_seq)))

    def save_snapshots(self, last_seq: int) -> None:
        """Save a snapshot of each tracked aggregate that has 100 events more than at its last one. ``last_seq`` is that
        of the store, right after the raised events were appended. This waits for the disk."""
        for aggregate in self._loaded.values():
            stream, version = aggregate.stream, aggregate.version
            if version < self._snapshots.get(stream, 0) + _EVERY or self._store.stream_version(stream) != version:
                continue
            state = aggregate.snapshot()
            if state is not None:
                kept = _Kept(seq=last_seq, state=msgspec.Raw(state))
                self._store.save_snapshot(stream, version, msgspec.json.encode(kept))
                self._snapshots[stream] = version


class TradeRepository(Repository[Trade]):
    """Trades by account and trade id."""

    def __init__(self, store: AggregateStore) -> None:
        super().__init__(store, Trade)


class BalanceRepository(Repository[BalanceAggregate]):
    """Balances by account and currency."""

    def __init__(self, store: AggregateStore) -> None:
        super().__init__(store, BalanceAggregate)


class PositionRepository(Repository[Position]):
    """Positions by account and symbol."""

    def __init__(self, store: AggregateStore) -> None:
        super().__init__(store, lambda account_id, symbol: Position(symbol, account_id))


class ReconciliationRepository(Repository[Reconciliation]):
    """Reconciliations by account and trade id."""

    def __init__(self, store: AggregateStore) -> None:
        super().__init__(store, Reconciliation)


class OrderRepository(Repository[Order]):
    """Orders by account and client order id. An order begins with its submission: ``add(Order.submit(...))``."""

    def __init__(self, store: AggregateStore) -> None:
        super().__init__(store, self._make_nothing)

    def _stream(self, *key: str) -> str:
        self._check(*key)
        if len(key) != 2:
            raise ConfigError(f"OrderRepository: {len(key)} keys are given; give account_id, order_id")
        account_id, order_id = key
        return order_stream(account_id, order_id)

    def _load(self, *key: str) -> Order:
        return Order.fold(self._store.read(TapeQuery(stream=self._stream(*key))))

    @staticmethod
    def _make_nothing(*key: str) -> Any:
        raise ConfigError(f"get_or_new: there is no order {'/'.join(key)}; add a new one with add(Order.submit(...))")
