"""What happens to events that arrive faster than they are handled: the policies, and the buffer and the throttle that
apply them.

Market data may be dropped if a subscriber chose so, and each loss is counted. Everything else is never dropped: a lossy
policy is refused when it is chosen (``check_lossy``), and again for each event that reaches a buffer or a throttle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import msgspec

from tickdeck.application.bus.handlers import check_plain
from tickdeck.application.bus.selection import type_name
from tickdeck.domain.events import DomainEvent, iter_event_classes
from tickdeck.errors import ConfigError, TickdeckError

__all__ = [
    "Block",
    "BufferFull",
    "BufferHalted",
    "BufferStatistics",
    "Conflate",
    "DropOldest",
    "Halt",
    "OverflowBuffer",
    "OverflowPolicy",
    "Throttle",
    "ThrottleStatistics",
    "Throttler",
    "check_lossy",
]

T = TypeVar("T")
Key: TypeAlias = str | Callable[[Any], Hashable]
"""The name of an event's field, or a pure function of the event."""


# -- policies ---------------------------------------------------------------------------------------------------------


class Block(msgspec.Struct, frozen=True):
    """Drops nothing: the producer waits for room. Only for queues behind a socket, because ``publish`` is a plain call
    and cannot wait."""

    name: ClassVar[str] = "block"
    lossy: ClassVar[bool] = False


class DropOldest(msgspec.Struct, frozen=True):
    """If there is no room, the oldest waiting event is dropped."""

    name: ClassVar[str] = "drop_oldest"
    lossy: ClassVar[bool] = True


class Conflate(msgspec.Struct, frozen=True):
    """At most one event of a type and ``key`` waits: the newest, in the position of the one that it replaces.

    So a slow consumer sees the current state instead of an old one, and a frequent key does not delay others. Events of
    one key stay in order of time; events of different keys may not. If more keys wait than there is room for, the
    oldest waiting event is dropped. ``key``: a field's name, or a pure function of the event.
    """

    name: ClassVar[str] = "conflate"
    lossy: ClassVar[bool] = True
    key: Key = "symbol"

    def __post_init__(self) -> None:
        _check_key(self.name, self.key)


class Halt(msgspec.Struct, frozen=True):
    """Never drops silently: if there is no room, the event and all later ones are refused, so
    the events that are accepted have no gaps.

    Events refused for an edge, except market data, become dead letters. When you resend one, the edge accepts events
    again.
    """

    name: ClassVar[str] = "halt"
    lossy: ClassVar[bool] = False


class Throttle(msgspec.Struct, frozen=True):
    """At most one event of a type and ``key`` passes in ``interval`` ns of the run's clock: the first.

    The interval begins with the event that passes; further events are suppressed until it is over. Nothing is held back
    for later, so the last event of a burst may be suppressed. ``key`` is as in ``Conflate``.
    """

    name: ClassVar[str] = "throttle"
    lossy: ClassVar[bool] = True
    interval: int
    key: Key = "symbol"

    def __post_init__(self) -> None:
        if type(self.interval) is not int or self.interval <= 0:
            raise ConfigError(f"throttle: interval is {self.interval!r}; give whole nanoseconds above 0, as an int")
        _check_key(self.name, self.key)


OverflowPolicy: TypeAlias = Block | DropOldest | Conflate | Halt
"""The policies of a buffer."""


def check_lossy(policy: OverflowPolicy | Throttle, *topics: type[DomainEvent] | str) -> None:
    """Refuse a lossy policy on anything but market data: orders are never dropped.

    A topic is what ``subscribe`` accepts: a class (including its subclasses) or a dotted type with wildcards. Raises
    ``ConfigError`` if a topic includes a type that is not market data, matches no known type, or includes a type
    without the policy's key field.
    """
    if not policy.lossy:
        return
    for topic in topics:
        shown = repr(topic) if isinstance(topic, str) else topic.__name__
        taken = [cls for cls in iter_event_classes() if _takes(topic, cls)]
        protected = [cls.event_type for cls in taken if not cls.is_market_data]
        if protected:
            more = f" and {len(protected) - 1} more types" if len(protected) > 1 else ""
            raise ConfigError(
                f"overflow: {policy.name} may lose events, but {shown} includes {protected[0]}{more}, which are not "
                f"market data; subscribe only to market data, such as 'market.trade'"
            )
        if not taken:
            raise ConfigError(
                f"overflow: {policy.name} may lose events, but {shown} includes no known type of market data; "
                f"correct it, or import the module that defines the type first"
            )
        key = getattr(policy, "key", None)
        without = [cls.event_type for cls in taken if isinstance(key, str) and not hasattr(cls, key)]
        if without:
            raise ConfigError(f"overflow: {policy.name} by {key!r}, but {without[0]} has no such field; name another")


def _takes(topic: type[DomainEvent] | str, cls: type[DomainEvent]) -> bool:
    return fnmatchcase(cls.event_type, topic) if isinstance(topic, str) else issubclass(cls, topic)


def _check_key(name: str, key: object) -> None:
    if callable(key):
        check_plain(f"{name}: key", key)
    if not (callable(key) or (isinstance(key, str) and key)):
        raise ConfigError(f"{name}: key is {key!r}; give a field's name, such as 'symbol', or a function of the event")


def _key_of(policy: Conflate | Throttle) -> Callable[[Any], Hashable]:
    """Returns an event's type and key, because events of different types never replace each other."""
    key = policy.key
    if not isinstance(key, str):
        function = key
        return lambda event: (type(event), function(event))

    def by_field(event: object) -> Hashable:
        try:
            return type(event), getattr(event, key)
        except AttributeError:
            raise ConfigError(f"{policy.name} by {key!r}: {_name(event)} has no such field; name another") from None

    return by_field


def _check_market_data(policy: OverflowPolicy | Throttle, event: object) -> None:
    if not getattr(event, "is_market_data", False):
        raise ConfigError(
            f"{policy.name} may lose events, but {_name(event)} is not market data; "
            f"use block or halt, which lose nothing"
        )


def _name(item: object) -> str:
    return type_name(item) if isinstance(item, DomainEvent) else type(item).__name__


# -- the buffer -------------------------------------------------------------------------------------------------------


class BufferFull(TickdeckError):
    """There is no room, and the policy drops nothing: the caller keeps the item."""


class BufferHalted(BufferFull):
    """A buffer with ``Halt`` overflowed and accepts nothing more."""


class BufferStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``put``: accepted. ``got``: delivered. ``waiting``: neither dropped nor delivered yet. ``high_water``: the most
    that ever waited. By type: ``dropped`` to make room; ``conflated``, replaced by a newer one of the same key;
    ``refused``, because there was no room. ``put = got + waiting + dropped + conflated``."""

    policy: str
    capacity: int
    put: int
    got: int
    waiting: int
    high_water: int
    dropped: dict[str, int]
    conflated: dict[str, int]
    refused: dict[str, int]
    halted: bool

    @property
    def lost(self) -> int:
        """All items that were accepted but never delivered."""
        return sum(self.dropped.values()) + sum(self.conflated.values())


class OverflowBuffer(Generic[T]):
    """At most ``capacity`` items in order; ``policy`` decides about more. It never waits, and is for one thread.

    Items are events, or anything from which ``event_of`` returns the event, such as ``(event, position)``. With
    ``Block`` and ``Halt`` they may be anything (frames of a socket).

    Raises ``ConfigError`` if ``capacity`` is not above 0 or ``policy`` is not a buffer policy.
    """

    __slots__ = (
        "_capacity",
        "_conflated",
        "_displaced",
        "_dropped",
        "_event_of",
        "_halted",
        "_high_water",
        "_key_of",
        "_latest",
        "_policy",
        "_put",
        "_refused",
        "_waiting",
    )

    def __init__(self, capacity: int, policy: OverflowPolicy, *, event_of: Callable[[T], object] | None = None) -> None:
        if type(capacity) is not int or capacity < 1:
            raise ConfigError(f"overflow: capacity is {capacity!r}; give a whole number above 0")
        if not isinstance(policy, Block | DropOldest | Conflate | Halt):
            raise ConfigError(f"overflow: {policy!r} is not a buffer policy; use Block, DropOldest, Conflate or Halt")
        self._capacity = capacity
        self._policy = policy
        self._event_of = event_of
        self._key_of = _key_of(policy) if isinstance(policy, Conflate) else None
        self._waiting: deque[Any] = deque()  # the items; with Conflate their keys
        self._latest: dict[Hashable, T] = {}  # under Conflate: key -> item
        self._halted = False
        self._put = 0
        self._high_water = 0
        self._displaced = 0
        self._dropped: dict[str, int] = {}
        self._conflated: dict[str, int] = {}
        self._refused: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def capacity(self) -> int:
        """How many items may wait."""
        return self._capacity

    @property
    def full(self) -> bool:
        """Whether the next item meets the policy."""
        return len(self._waiting) >= self._capacity

    @property
    def displaced(self) -> int:
        """Items dropped to make room. Items replaced by a newer one of their key do not count."""
        return self._displaced

    def reopen(self) -> None:
        """Accept items again, after ``Halt`` refused one."""
        self._halted = False

    def put(self, item: T) -> T | None:
        """Add an item. Returns the item that was dropped for it, or ``None``.

        Raises ``BufferFull`` (``Block``) or ``BufferHalted`` (``Halt``) if there is no room, and ``ConfigError`` if a
        lossy policy gets anything but market data. Then nothing has changed.
        """
        if self._policy.lossy:
            _check_market_data(self._policy, self._event(item))
        waiting = self._waiting
        lost = None
        place: Any = item
        if self._key_of is not None:
            place = self._key_of(self._event(item))
            if place in self._latest:
                lost = self._latest[place]
                self._latest[place] = item
                self._put += 1
                self._count(self._conflated, lost)
                return lost
        if self._halted or len(waiting) >= self._capacity:
            if not self._policy.lossy:
                raise self.refuse(item)
            lost = self.get()
            self._displaced += 1
            self._count(self._dropped, lost)
        if self._key_of is not None:
            self._latest[place] = item
        waiting.append(place)
        self._put += 1
        if len(waiting) > self._high_water:
            self._high_water = len(waiting)
        return lost

    def get(self) -> T:
        """Remove and return the oldest item. Raises ``IndexError`` if the buffer is empty."""
        place = self._waiting.popleft()
        if self._key_of is None:
            item: T = place
            return item
        return self._latest.pop(place)

    def refuse(self, item: T) -> BufferFull:
        """Count an item without room. Returns the error to raise."""
        self._count(self._refused, item)
        name, capacity = _name(self._event(item)), self._capacity
        if isinstance(self._policy, Halt):
            self._halted = True
            return BufferHalted(f"{name}: {capacity} wait already and none may be lost; nothing more is taken")
        return BufferFull(f"{name}: {capacity} wait already and none may be lost; wait until there is room")

    def _event(self, item: T) -> object:
        return item if self._event_of is None else self._event_of(item)

    def _count(self, counts: dict[str, int], item: T) -> None:
        name = _name(self._event(item))
        counts[name] = counts.get(name, 0) + 1

    def statistics(self) -> BufferStatistics:
        lost = sum(self._dropped.values()) + sum(self._conflated.values())
        return BufferStatistics(
            policy=self._policy.name,
            capacity=self._capacity,
            put=self._put,
            got=self._put - lost - len(self._waiting),
            waiting=len(self._waiting),
            high_water=self._high_water,
            dropped=dict(self._dropped),
            conflated=dict(self._conflated),
            refused=dict(self._refused),
            halted=self._halted,
        )


# -- the throttle -----------------------------------------------------------------------------------------------------


class ThrottleStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """``passed``: events that passed. ``suppressed``: those that did not, by type."""

    passed: int
    suppressed: dict[str, int]


class Throttler:
    """Decides for each event whether a ``Throttle`` lets it pass. Remembers only the keys of one interval."""

    __slots__ = ("_interval", "_key_of", "_order", "_passed", "_policy", "_recent", "_suppressed")

    def __init__(self, policy: Throttle) -> None:
        self._policy = policy
        self._interval = policy.interval
        self._key_of = _key_of(policy)
        self._recent: set[Hashable] = set()  # keys whose interval is not over
        self._order: deque[tuple[int, Hashable]] = deque()  # the same, with the time of passing, oldest first
        self._passed = 0
        self._suppressed: dict[str, int] = {}

    def admit(self, event: DomainEvent, now: int) -> bool:
        """Whether ``event`` passes at ``now``: ns of the run's clock, which never goes backwards.

        Raises ``ConfigError`` if the event is not market data or lacks the key field.
        """
        _check_market_data(self._policy, event)
        key = self._key_of(event)
        recent, order = self._recent, self._order
        while order and now - order[0][0] >= self._interval:
            recent.discard(order.popleft()[1])
        if key in recent:
            name = type_name(event)
            self._suppressed[name] = self._suppressed.get(name, 0) + 1
            return False
        recent.add(key)
        order.append((now, key))
        self._passed += 1
        return True

    def statistics(self) -> ThrottleStatistics:
        return ThrottleStatistics(passed=self._passed, suppressed=dict(self._suppressed))
