"""What may go wrong around a live run: the clock, the process, the disk, the memory, the exchange.

Each check says in words what is wrong now, or returns an empty text. It decides nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from tickdeck.application.units import duration_ns, size_of
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SteadyClock
from tickdeck.infrastructure.resilience import BreakerState, BreakerTransition

__all__ = [
    "BanCheck",
    "Check",
    "CircuitCheck",
    "ClockCheck",
    "MemoryCheck",
    "PauseCheck",
    "SpaceCheck",
    "TapeCheck",
    "WatchConfig",
    "resident_memory",
]

_S = 1_000_000_000  # ns in a second
_SHORT_BAN = 5.0  # seconds; orders wait so long anyway
_PROBE_AFTER = 30 * _S  # after which an open breaker lets a call through
_LONGEST_WAIT = 600 * _S
_SIZES = ("disk_free", "memory")
_STATM = Path("/proc/self/statm")


class WatchConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a live run tolerates around it. ``None`` means that it is not watched.

    - ``handler``: how long a handler may run. After that, no order leaves until it has returned and the halt is
      recorded. ``handler_exit``: after this, the process ends with exit code 3.
    - ``pause``: how long the process may stand still. ``clock``: by how much the wall clock may be set.
    - ``disk``: how long the tape may wait for the disk. These are durations such as ``10s``.
    - ``disk_free``: how much free space there must be where the run is stored, such as ``1GB``.
    - ``memory``: how much resident memory the process may have, such as ``2GB``.

    Raises ``ConfigError`` for a value that cannot be read.
    """

    handler: str | None = "10s"
    handler_exit: str | None = "1m"
    pause: str | None = "5s"
    clock: str | None = "1s"
    disk: str | None = "5s"
    disk_free: str | None = "100MB"
    memory: str | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            try:
                self.bytes_of(name) if name in _SIZES else self.ns(name)
            except ConfigError as error:
                raise ConfigError(f"{name} is {getattr(self, name)!r}: {error}, or 'none'") from None
        handler, end = self.ns("handler"), self.ns("handler_exit")
        if handler is not None and end is not None and end <= handler:
            raise ConfigError(
                f"handler_exit is {self.handler_exit!r}, not after handler ({self.handler!r}); give a longer time"
            )

    def bytes_of(self, name: str) -> int | None:
        """A size in bytes; ``None`` if it is not watched."""
        text: str | None = getattr(self, name)
        return None if text is None else size_of(text)

    def ns(self, name: str) -> int | None:
        """A duration in ns; ``None`` if it is not watched."""
        text: str | None = getattr(self, name)
        return None if text is None else duration_ns(text)


class Check(Protocol):
    """One thing that is watched. ``name`` identifies it."""

    name: str

    def problem(self, now: int) -> str:
        """What is wrong now, in words; empty if nothing is. ``now`` is monotonic (ns). Called about once a second."""


class ClockCheck:
    """The wall clock was set by at least ``limit`` ns. The run's own clock goes on at its pace."""

    name = "clock"

    def __init__(self, clock: SteadyClock, limit: int) -> None:
        self._clock, self._limit = clock, limit
        self._known: int | None = None

    def problem(self, now: int) -> str:
        difference = self._clock.difference()
        jump = 0 if self._known is None else difference - self._known
        self._known = difference
        if abs(jump) < self._limit:
            return ""
        way = "forward" if jump > 0 else "back"
        return f"the wall clock was set {way} by {abs(jump) / _S:.1f} s; the run keeps its own time"


class PauseCheck:
    """The process, or its event loop, stood still for at least ``limit`` ns. ``expected`` is the time between two looks
    (ns). ``held_up()`` is the longest time (ns) since its last call in which another thread did not run."""

    name = "pause"

    def __init__(self, limit: int, expected: int, held_up: Callable[[], int]) -> None:
        self._limit, self._expected, self._held_up = limit, expected, held_up
        self._last: int | None = None

    def problem(self, now: int) -> str:
        last, self._last = self._last, now
        held_up = self._held_up()
        if last is None or (late := now - last - self._expected) < self._limit:
            return ""
        what = "the process" if held_up >= late // 2 else "the event loop"
        return f"{what} stood still for {late / _S:.1f} s"


class TapeCheck:
    """Events wait for the disk, and nothing was written for at least ``limit`` ns. ``appended()`` and ``durable()`` are
    positions on the tape. ``real_now()`` is monotonic (ns): a disk takes real time, whatever the run's clock is. Time
    in which nobody looked for ``limit`` does not count: then the process stood still, and the writer with it."""

    name = "disk"

    def __init__(
        self,
        appended: Callable[[], int],
        durable: Callable[[], int],
        limit: int,
        real_now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._appended, self._durable, self._limit, self._real_now = appended, durable, limit, real_now
        self._since: int | None = None
        self._looked = 0
        self._position = -1

    def problem(self, now: int) -> str:
        now, durable = self._real_now(), self._durable()
        looked, self._looked = self._looked, now
        if durable != self._position or durable >= self._appended() or now - looked >= self._limit:
            self._position, self._since = durable, now
        if self._since is None or now - self._since < self._limit:
            return ""
        return f"the disk has written nothing for {self._limit / _S:g} s, so the tape is behind; only cancels leave"


class SpaceCheck:
    """There are less than ``limit`` bytes of free space where the run is stored. The problem is over with a tenth more
    than that. A full disk would end the run."""

    name = "space"

    def __init__(self, limit: int, free: Callable[[], int]) -> None:
        self._limit, self._free = limit, free
        self._under = False

    def problem(self, now: int) -> str:
        self._under = self._free() < (self._limit * 11 // 10 if self._under else self._limit)
        return f"less than {_in_mb(self._limit)} of the disk are free" if self._under else ""


class MemoryCheck:
    """The process has more than ``limit`` bytes of resident memory. The problem is over below nine tenths of that."""

    name = "memory"

    def __init__(self, limit: int, resident: Callable[[], int]) -> None:
        self._limit, self._resident = limit, resident
        self._over = False

    def problem(self, now: int) -> str:
        resident = self._resident()
        self._over = resident > (self._limit * 9 // 10 if self._over else self._limit)
        return f"the process uses more than {_in_mb(self._limit)} of memory" if self._over else ""


class CircuitCheck:
    """The exchange failed several times in a row, so that nothing is sent to it now.

    Ask it for the account when ``is_due``: after a call succeeded, which may have been one that needs no account, and
    from time to time, because calls of some kinds, such as orders, are not made meanwhile. If it answers, that is over
    until such calls fail again. If they were not tried before, the next wait is twice as long, up to ten minutes.
    """

    name = "exchange"

    def __init__(self) -> None:
        self._open: dict[str, tuple[int | None, str]] = {}  # since when, and why, by breaker
        self._closed: dict[str, None] = {}  # those of them whose last call succeeded
        self._waits: dict[str, int] = {}  # ns until it is tried, of those that were tried and have not succeeded

    def hear(self, transition: BreakerTransition) -> None:
        """A breaker of the account changed its state. While a call tries it, nothing has changed yet."""
        if transition.after is BreakerState.OPEN:
            self._open[transition.name] = (None, transition.reason)
            self._closed.pop(transition.name, None)
        elif transition.after is BreakerState.CLOSED:
            if transition.name in self._open:
                self._open[transition.name] = (-_LONGEST_WAIT, self._open[transition.name][1])  # it is due now
                self._closed[transition.name] = None
            else:
                self._waits.pop(transition.name, None)

    def problem(self, now: int) -> str:
        for name, (since, why) in self._open.items():
            if since is None:
                self._open[name] = (now, why)
        return "; ".join(f"{name} does not work ({why})" for name, (_, why) in self._open.items())

    def is_due(self, now: int) -> bool:
        """Whether it is time to ask the exchange something."""
        return any(self._are_due(now))

    def tried(self, now: int, *, answered: bool) -> None:
        """The exchange was asked something."""
        for name in list(self._are_due(now)):
            if not answered:
                self._open[name] = (now, self._open[name][1])
                continue
            del self._open[name]  # the next call is the probe; if it fails, the breaker reports it
            if name in self._closed:
                del self._closed[name]
                self._waits.pop(name, None)
            else:
                self._waits[name] = min(2 * self._wait(name), _LONGEST_WAIT)

    def _are_due(self, now: int) -> Iterator[str]:
        for name, (since, _) in self._open.items():
            if since is not None and now - since >= self._wait(name):
                yield name

    def _wait(self, name: str) -> int:
        return self._waits.get(name, _PROBE_AFTER)


class BanCheck:
    """The exchange takes no requests for more than 5 s, because there were too many. ``stopped_for()``: for how many
    seconds."""

    name = "ban"

    def __init__(self, stopped_for: Callable[[], float]) -> None:
        self._stopped_for = stopped_for
        self._until, self._text = 0, ""

    def problem(self, now: int) -> str:
        wait = self._stopped_for()
        until = now + round(wait * _S)
        if not wait:
            self._text = ""
        elif wait >= _SHORT_BAN and (not self._text or until - self._until >= _S):
            self._until = until
            self._text = f"the exchange takes no requests for {wait:.0f} s, because there were too many"
        return self._text


def resident_memory() -> int:
    """The resident memory of this process in bytes. Raises ``ConfigError`` where the system does not report it."""
    try:
        return int(_STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        raise ConfigError(f"watch.memory: {sys.platform} does not report how much memory is used; omit it") from None


def _in_mb(size: int) -> str:
    return f"{size / 1_000_000:,.0f} MB"
