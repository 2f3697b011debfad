"""Faults on demand: what goes wrong, and how often. The same seed gives the same faults, and each one is counted.

This module decides whether a fault happens; the dialect carries it out. Each fault has its own random generator, so
adding or removing one does not change when the others happen.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from difflib import get_close_matches

import msgspec

from tickdeck.errors import ConfigError

__all__ = ["FAULTS", "Fault", "Faults", "parse_duration"]

_UNITS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_DURATION = re.compile(r"(-?\d{1,12}(?:\.\d{1,12})?)(ns|us|ms|s|m|h)")
_PROBABILITY = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?")
_SECOND = 1_000_000_000
_SYMBOL = re.compile(r"[^\s:=]+")


class _Kind(msgspec.Struct, frozen=True):
    """What the value of a fault is (a chance, a duration, both, or a symbol), and what the fault does."""

    takes: str  # "chance", "chance:duration", "duration", "symbol"
    what: str
    duration_ns: int = 0


FAULTS: dict[str, _Kind] = {
    "drop_ack": _Kind("chance", "an order or a cancel takes effect, but its answer is never sent"),
    "drop_request": _Kind("chance", "a request is lost before the exchange sees it"),
    "http_500": _Kind("chance", "a request is answered with 500; half of them take effect"),
    "unknown_status": _Kind("chance", "an order takes effect, but its answer is 'status unknown' (-1007)"),
    "late_accept": _Kind(
        "chance:duration",
        "an order gets no answer and waits this long in the exchange; until then nothing there knows it",
        90 * _SECOND,
    ),
    "duplicate_fill": _Kind("chance", "the report of a fill is sent twice"),
    "late_fill": _Kind("chance:duration", "the report of a fill is delayed", 2 * _SECOND),
    "lost_fill": _Kind("chance", "the report of a fill is never sent"),
    "fill_before_ack": _Kind("chance:duration", "reports arrive before the answer to the order", _SECOND // 5),
    "stale_query": _Kind(
        "chance:duration", "queries answer 'unknown order' for this long after an order was placed", 3 * _SECOND
    ),
    "disconnect_every": _Kind("duration", "each WebSocket connection is cut at this age"),
    "stall": _Kind("chance:duration", "a market connection stays open, but sends no data", 5 * _SECOND),
    "gap": _Kind("chance", "a message of market data is skipped"),
    "reorder": _Kind("chance", "two consecutive messages of market data are swapped"),
    "rate_limit_storm": _Kind("chance:duration", "every request is answered with 429", 5 * _SECOND),
    "expire_session": _Kind("duration", "a session's logon and its private stream end at this age"),
    "clock_skew": _Kind("duration", "the venue's clock is ahead by this; a negative duration is behind"),
    "private_stream_silent": _Kind("chance:duration", "a private stream stays open, but sends nothing", 10 * _SECOND),
    "halt_symbol": _Kind("symbol", "a symbol is halted: SYMBOL for good, SYMBOL:EVERY:DURATION repeatedly"),
}
"""Every fault by its name. A specification can also set ``seed``."""

_DEFAULT_CHANCE = 0.01


class Fault(msgspec.Struct, frozen=True):
    """One fault with its settings. ``every_ns`` is how often a symbol is halted; 0 means for good, from the start."""

    name: str
    chance: float = 1.0
    duration_ns: int = 0
    symbol: str = ""
    every_ns: int = 0


def parse_duration(text: str) -> int:
    """Convert ``250ms``, ``30s`` or ``2m`` to ns. Raises ``ValueError``."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration such as 250ms, 30s or 2m")
    return int(float(match[1]) * _UNITS[match[2]])


def _parse(name: str, text: str) -> Fault:
    kind = FAULTS[name]
    parts = text.split(":")
    if kind.takes == "symbol":
        if not _SYMBOL.fullmatch(parts[0]) or len(parts) not in (1, 3):
            raise ValueError("give SYMBOL, or SYMBOL:EVERY:DURATION such as BTCUSDT:60s:10s")
        times = [parse_duration(part) for part in parts[1:]]
        if any(time <= 0 for time in times):
            raise ValueError("durations must be above 0")
        return Fault(name, symbol=parts[0].upper(), every_ns=times[0] if times else 0, duration_ns=sum(times[1:]))
    if kind.takes == "duration":
        duration = parse_duration(text)
        if duration == 0 or (duration < 0 and name != "clock_skew"):
            raise ValueError("the duration must be above 0")
        return Fault(name, duration_ns=duration)
    chance, duration = _DEFAULT_CHANCE, kind.duration_ns
    if kind.takes == "chance:duration" and len(parts) == 1 and _DURATION.fullmatch(text):
        duration = parse_duration(text)
    else:
        if not _PROBABILITY.fullmatch(parts[0]) or not 0 <= (chance := float(parts[0])) <= 1:
            raise ValueError(f"{parts[0]!r} is not a probability from 0 to 1")
        if len(parts) > (2 if kind.takes == "chance:duration" else 1):
            raise ValueError(f"{text!r} has too many parts; give {kind.takes.upper()}")
        if len(parts) == 2:
            duration = parse_duration(parts[1])
    if duration < 0 or (kind.duration_ns and not duration):
        raise ValueError("the duration must be above 0")
    return Fault(name, chance=chance, duration_ns=duration)


def _read(name: str, value: str) -> Fault | None:
    """``None`` if ``value`` switches it off. Raises ``ConfigError``."""
    if name == "seed":
        raise ConfigError("faults: the seed can be given at the venue's start only, as in --faults 'seed=7 gap=0.3'")
    if name not in FAULTS:
        near = get_close_matches(name, [*FAULTS, "seed"], 1)
        raise ConfigError(
            f"faults: there is no fault {name!r}; "
            + (f"did you mean {near[0]!r}?" if near else f"the faults are {', '.join(FAULTS)}")
        )
    if value in ("off", "0"):
        return None
    try:
        return _parse(name, value)
    except ValueError as error:
        raise ConfigError(f"faults: {name}={value}: {error}") from None


class Faults:
    """The faults that are switched on. ``counts`` is how often each of them has happened."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.counts: dict[str, int] = {}
        self._active: dict[str, Fault] = {}
        self._random: dict[str, random.Random] = {}

    @classmethod
    def parse(cls, spec: str) -> Faults:
        """Parse ``"seed=7 drop_ack=0.02 disconnect_every=30s"``. Raises ``ConfigError``, which suggests the nearest
        name for a misspelt one."""
        faults = cls()
        for word in spec.replace(",", " ").split():
            name, equals, value = word.partition("=")
            if not equals:
                raise ConfigError(f"faults: {word!r} is not NAME=VALUE, such as drop_ack=0.02")
            if name == "seed":
                try:
                    faults.seed = int(value)
                except ValueError:
                    raise ConfigError(f"faults: seed is {value!r}; give an integer") from None
            else:
                faults.set(name, value)
        return faults

    def set(self, name: str, value: str) -> None:
        """Switch a fault on with ``value``, or off with the value ``off`` or ``0``. Raises ``ConfigError``."""
        self.change({name: value})

    def change(self, values: Mapping[str, str], *, clear: bool = False) -> None:
        """Switch several faults on or off, each as ``set`` does; with ``clear``, all others off. Raises
        ``ConfigError``; then nothing has changed."""
        active = {} if clear else dict(self._active)
        for name, value in values.items():
            fault = _read(name, value)
            if fault is None:
                active.pop(name, None)
            else:
                active[name] = fault
        self._active = active

    def get(self, name: str) -> Fault | None:
        """The fault, or ``None`` if it is off."""
        return self._active.get(name)

    @property
    def active(self) -> dict[str, Fault]:
        """The faults that are switched on, by name."""
        return dict(self._active)

    def happens(self, name: str) -> Fault | None:
        """Decide whether the fault happens now, and count it if it does."""
        fault = self._active.get(name)
        if fault is None:
            return None
        generator = self._random.get(name)
        if generator is None:
            generator = self._random[name] = random.Random(f"venue fault {self.seed} {name}")
        if fault.chance < 1.0 and generator.random() >= fault.chance:
            return None
        self.count(name)
        return fault

    def coin(self, name: str) -> bool:
        """Toss a coin with the fault's own generator."""
        generator = self._random.setdefault(name, random.Random(f"venue fault {self.seed} {name}"))
        return generator.random() < 0.5

    def count(self, name: str) -> None:
        """Count a fault that happened at a certain time, not by chance."""
        self.counts[name] = self.counts.get(name, 0) + 1
