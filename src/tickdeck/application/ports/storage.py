"""Ports for storage: the tape, and how to read it.

``EventStore`` and ``TapeReader`` have three implementations: SQLite (``infrastructure.tape.sqlite``), JSON Lines
(``infrastructure.tape.jsonl``), and memory. ``Tape``, to which a kernel writes, also has a null tape, which stores
nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol, Self, cast

import msgspec
from msgspec.structs import force_setattr

from tickdeck.application.arguments import type_names
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConcurrencyError, ConfigError

__all__ = [
    "EVERYTHING",
    "EdgeCursors",
    "EventStore",
    "FoundEvents",
    "Snapshot",
    "Tape",
    "TapeQuery",
    "TapeReader",
    "TapeStatistics",
    "check_versions",
    "is_saved",
]


class TapeQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Selects events. All bounds are inclusive. A field that you leave out does not restrict.

    - ``first_seq``, ``last_seq``: positions.
    - ``from_id``: only events after the event with this id. Reading raises ``TapeError`` if there is none.
    - ``first_ts``, ``last_ts``: ``ts_ingress`` in ns UTC.
    - ``types``: dotted types, wildcards (``order.*``, ``*``) or event classes. An event must match one of them. A class
      stands for its own type and those of all subclasses defined so far.
    - ``symbol``: only events that have a symbol can match.
    - ``correlation_id``: the chain of events that one input started. ``stream``: one aggregate.
    - ``limit``: at most this many events.

    A tape compares the fields as they were stored, even if an upcast would rename them.

    Raises ``ConfigError`` for a single type instead of a tuple, for a bound that is not a whole number, and for an id,
    a symbol or a stream that is not a text.
    """

    first_seq: int = 0
    last_seq: int | None = None
    from_id: str | None = None
    first_ts: int | None = None
    last_ts: int | None = None
    types: tuple[str | type[DomainEvent], ...] = ()
    symbol: str | None = None
    correlation_id: str | None = None
    stream: str | None = None
    limit: int | None = None

    def __post_init__(self) -> None:
        types: object = self.types
        if isinstance(types, str | type):
            shown = types.__name__ if isinstance(types, type) else repr(types)
            raise ConfigError(f"TapeQuery: types is {shown}, a single type; give a tuple: ({shown},)")
        if not isinstance(types, tuple | list | set | frozenset):
            raise ConfigError(f"TapeQuery: types is {types!r}; give a tuple of types or event classes")
        force_setattr(self, "types", tuple(name for given in self.types for name in type_names("TapeQuery", given)))
        for field in ("first_seq", "last_seq", "limit"):
            self._check_whole(field, "a whole number")
        for field in ("first_ts", "last_ts"):
            self._check_whole(field, "nanoseconds since 1970, UTC, as an int")
        for field in ("from_id", "symbol", "correlation_id", "stream"):
            value: object = getattr(self, field)
            if value is not None and not isinstance(value, str):
                raise ConfigError(f"TapeQuery: {field} is {value!r}; give text")
        if self.limit is not None and self.limit < 0:
            raise ConfigError(f"TapeQuery: limit is {self.limit}; give 0 or more, or leave it out")

    def _check_whole(self, field: str, wanted: str) -> None:
        value: object = getattr(self, field)
        if type(value) is not int and not (value is None and field != "first_seq"):
            raise ConfigError(f"TapeQuery: {field} is {value!r}; give {wanted}")

    @property
    def patterns(self) -> tuple[str, ...]:
        """``types`` as dotted types and wildcards alone."""
        return cast("tuple[str, ...]", self.types)


EVERYTHING = TapeQuery()


class TapeStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``appended`` and ``durable``: events since opening. ``commits``: groups. ``waiting``: events that are not durable
    yet. ``waiting_seconds``: how long the oldest of them has waited; 0 if none waits. ``repaired``: bytes cut off at
    opening, because a killed writer had not finished them. ``failure``: the write that failed, after which no event is
    accepted; empty if none did."""

    appended: int
    durable: int
    commits: int
    waiting: int
    waiting_seconds: float = 0.0
    repaired: int = 0
    failure: str = ""


class Snapshot(NamedTuple):
    """The state after the first ``version`` events of a stream, as encoded by its owner."""

    version: int
    state: bytes


class Tape(Protocol):
    """An ordered, durable record of events. One writer; any number of readers in other processes.

    ``append`` takes one cascade: events with increasing ``seq``, all stamped. A cascade is never stored in part, even
    after a crash: either all of its events are read back or none. ``append`` returns before the cascade is durable.
    After ``wait_durable(seq)`` returned, every event up to ``seq`` survives a power cut.
    """

    @property
    def last_seq(self) -> int:
        """``seq`` of the last appended event (or the last found at opening), 0 if the tape is empty."""

    @property
    def durable_seq(self) -> int:
        """Every event up to this ``seq`` is on disk, synced."""

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> object:
        """Append a cascade. Raises ``TapeError`` if an earlier write failed or ``seq`` does not increase.

        ``expected_version``: how many events the stream of these events must already have, 0 for a new one; all must
        belong to one stream. ``expected``: the versions of several streams by name. Raises ``ConcurrencyError`` if one
        has more or fewer, and then appends nothing.
        """

    def wait_durable(self, seq: int) -> None:
        """Block until ``durable_seq >= seq``. Raises ``TapeError`` if the write failed."""

    async def wait_durable_async(self, seq: int) -> None:
        """The same, without blocking the event loop."""

    def read(self, query: TapeQuery = ...) -> Iterator[DomainEvent]:
        """Durable events in order of ``seq``. Types unknown to this process are returned as ``RawEvent``."""

    def stream_version(self, stream: str) -> int:
        """The number of events in the stream, including those that are not durable yet; 0 if there are none."""

    def save_snapshot(self, stream: str, version: int, state: bytes) -> None:
        """Store the state after the stream's first ``version`` events, beside the snapshots of other versions: a proof
        may begin with any of them. Saving the same again does nothing.

        Returns when it and all events appended before are on disk. Raises ``ConcurrencyError`` if the stream has fewer
        events, or if the snapshot of this version has another state; ``TapeError`` if the write fails.
        """

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """The stream's snapshot of the highest version, or of the highest up to ``upto``; ``None`` if there is none.
        Raises ``TapeError`` if it is damaged."""

    def statistics(self) -> TapeStatistics:
        """Counts since opening."""

    def close(self) -> None:
        """Make everything durable and close the files. You may call this twice."""


class FoundEvents(Iterator[DomainEvent], AsyncIterable[DomainEvent], Protocol):
    """The result of a query, for ``for`` and ``async for``. Events are read lazily."""


def check_expected(expected: object) -> None:
    """Raise ``ConfigError`` if ``expected`` is neither ``None`` nor versions by stream."""
    if expected is None:
        return
    if not isinstance(expected, Mapping):
        raise ConfigError(f"expected is {expected!r}; give the versions by stream: {{stream: version}}")
    for stream, version in expected.items():
        if not isinstance(stream, str) or type(version) is not int or version < 0:
            raise ConfigError(
                f"expected has {stream!r}: {version!r}; give the number of events of a stream: {{stream: 3}}"
            )


def check_versions(version_of: Callable[[str], int], expected: Mapping[str, int]) -> None:
    """Raise ``ConcurrencyError`` if a stream does not have the expected number of events."""
    check_expected(expected)
    for stream, version in expected.items():
        found = version_of(stream)
        if found != version:
            raise ConcurrencyError(
                f"tape: stream {stream!r} has version {found}, not the expected {version}; nothing was written: "
                "read the stream again and repeat the decision"
            )


def check_snapshot(stream: object, version: object, state: object) -> None:
    """Raise ``ConfigError`` if the arguments of ``save_snapshot`` have wrong types."""
    if not isinstance(stream, str):
        raise ConfigError(f"save_snapshot: the stream is {stream!r}; give text")
    if type(version) is not int:
        raise ConfigError(f"save_snapshot: the version is {version!r}; give a whole number")
    if not isinstance(state, bytes):
        raise ConfigError(f"save_snapshot: the state is {type(state).__name__}; encode it to bytes")


def is_saved(stream: str, snapshot: Snapshot, found: Snapshot | None) -> bool:
    """Whether ``found`` is ``snapshot``. Raises ``ConcurrencyError`` if it has the same version and another state."""
    if found is None or found.version != snapshot.version:
        return False
    if found.state != snapshot.state:
        raise ConcurrencyError(
            f"tape: stream {stream!r} has another snapshot of version {snapshot.version}, and a snapshot is never "
            "overwritten, since a proof may begin with it; save one after the stream's next event"
        )
    return True


class EventStore(Tape, Protocol):
    """A tape that can also be read, used by programs with a bus (``bus.store``) or alone, without a kernel.

    Both tapes on disk and ``InMemoryEventStore`` implement it. ``tickdeck.testing.EventStoreContract`` contains the
    tests that every store must pass. One process writes, and any number of processes may read at the same time
    (``open_store(url, read_only=True)``).

    Every store promises, also across a network: the events of one ``append`` are stored together or not at all. After
    ``wait_durable`` returns, they survive a crash. Events are read in order of ``seq``. A version conflict writes
    nothing. Only in one process: the next ``read`` returns what was appended; a remote reader may see it later.
    """

    def append(
        self,
        events: Sequence[DomainEvent],
        expected_version: int | None = None,
        *,
        expected: Mapping[str, int] | None = None,
    ) -> Sequence[DomainEvent]:
        """Like ``Tape.append``. Events without ``seq``, which were created by hand, are stamped first: each is an
        input, and gets ``seq`` and, if missing, an id, times and a correlation id. Returns the events as stored.

        ``expected`` maps streams to their expected versions; it may name streams that get no event here. Raises
        ``ConcurrencyError`` if one has more or fewer events, and then appends nothing.
        """

    def read(self, query: TapeQuery = ...) -> FoundEvents:
        """The events that match ``query`` (by default all), in order of ``seq``, for ``for`` or ``async for``. They
        include everything that this process has appended before. Events of unknown types are ``RawEvent`` objects.

        Raises ``TapeError`` if an event cannot be decoded, or if there is no event ``from_id``.
        """

    def last(self, count: int, query: TapeQuery = ...) -> list[DomainEvent]:
        """The newest ``count`` events that match ``query``, oldest first."""

    def follow(self, query: TapeQuery = ...) -> AsyncIterator[DomainEvent]:
        """The events that match ``query``, then each new one as soon as it is durable: ``async for event in
        store.follow(TapeQuery(first_seq=seen + 1))``. Ends at ``limit`` or ``last_seq``, or when the store is closed.

        Every event comes exactly once and in order. After a restart, continue after the last event that you handled.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class TapeReader(Protocol):
    """A tape that is opened for reading, even while another process writes to it. Use it in one thread at a time."""

    @property
    def last_seq(self) -> int:
        """``seq`` of the last event that is currently on the tape; 0 if it is empty."""

    def read(self, query: TapeQuery = ...) -> FoundEvents:
        """Like ``EventStore.read``. Events that are appended meanwhile are included, until the end of the tape is
        reached."""

    def last(self, count: int, query: TapeQuery = ...) -> list[DomainEvent]:
        """Like ``EventStore.last``."""

    def follow(self, query: TapeQuery = ...) -> AsyncIterator[DomainEvent]:
        """Like ``EventStore.follow``, also for events that another process writes."""

    def stream_version(self, stream: str) -> int:
        """The number of events in the stream, 0 if there are none."""

    def load_snapshot(self, stream: str, upto: int | None = None) -> Snapshot | None:
        """Like ``Tape.load_snapshot``."""

    def close(self) -> None:
        """Close the files. You may call this twice."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class EdgeCursors(Protocol):
    """The positions of a bus's edges, stored next to its tape: for each name, every event below this ``seq`` has been
    handled. A position may lag behind what an edge has handled, but never run ahead."""

    def start(self, name: str, now: int) -> int:
        """The position of ``name``. A new name starts at ``now``, or at the end of the tape when it was opened,
        whichever is later. This is durable when the method returns."""

    def advance(self, name: str, seq: int, after: int) -> None:
        """``name`` has handled everything up to ``seq``. That counts once the tape is durable up to ``after``."""
