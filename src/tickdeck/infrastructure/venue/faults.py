"""Faults on demand: which go wrong, how often, repeatable by a seed, and each counted.

A fault is decided here and carried out by the dialect. Each has a random generator of its own, so that one fault more
or less in the list does not move the others.
"""

from __future__ import annotations

import random
import re
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
    """What a fault takes: a chance, a duration, both, or a symbol; and what it does, for the docs."""

    takes: str  # "chance", "chance:duration", "duration", "symbol"
    what: str
    duration_ns: int = 0


FAULTS: dict[str, _Kind] = {
    "drop_ack": _Kind("chance", "an order or a cancel takes effect, and its answer never leaves"),
    "drop_request": _Kind("chance", "a request is lost before the exchange sees it"),
    "http_500": _Kind("chance", "a request is answered with 500; by chance it took effect or not"),
    "unknown_status": _Kind("chance", "an order takes effect, and its answer is 'status unknown' (-1007)"),
    "duplicate_fill": _Kind("chance", "the report of a fill is sent twice"),
    "late_fill": _Kind("chance:duration", "the report of a fill comes late", 2 * _SECOND),
    "lost_fill": _Kind("chance", "the report of a fill never comes"),
    "fill_before_ack": _Kind("chance:duration", "reports come before the order's answer", _SECOND // 5),
    "stale_query": _Kind("chance:duration", "queries answer 'unknown order' for so long after placing", 3 * _SECOND),
    "disconnect_every": _Kind("duration", "each WebSocket connection is cut at this age"),
    "stall": _Kind("chance:duration", "a market connection lives, and its data does not", 5 * _SECOND),
    "gap": _Kind("chance", "a message of market data is left out"),
    "reorder": _Kind("chance", "two neighbouring messages of market data change places"),
    "rate_limit_storm": _Kind("chance:duration", "every request is answered with 429", 5 * _SECOND),
    "expire_session": _Kind("duration", "a session's logon and its private stream end at this age"),
    "clock_skew": _Kind("duration", "the venue's clock is ahead by this; negative is behind"),
    "private_stream_silent": _Kind("chance:duration", "a private stream lives and says nothing", 10 * _SECOND),
    "halt_symbol": _Kind("symbol", "a symbol is halted: SYMBOL, or SYMBOL:EVERY:DURATION"),
}
"""Every fault by its name. ``seed`` is set beside them."""

_DEFAULT_CHANCE = 0.01


class Fault(msgspec.Struct, frozen=True):
    """One fault as it was asked for. ``every_ns`` is how often a symbol is halted; 0 is from the start, for good."""

    name: str
    chance: float = 1.0
    duration_ns: int = 0
    symbol: str = ""
    every_ns: int = 0


def parse_duration(text: str) -> int:
    """``250ms``, ``30s``, ``2m`` in ns. Raises ``ValueError``."""
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


class Faults:
    """The faults that are switched on. ``counts`` says how often each has happened."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.counts: dict[str, int] = {}
        self._active: dict[str, Fault] = {}
        self._random: dict[str, random.Random] = {}

    @classmethod
    def parse(cls, spec: str) -> Faults:
        """Read ``"seed=7 drop_ack=0.02 disconnect_every=30s"``. Raises ``ConfigError``, with the nearest name."""
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
        """Switch a fault on with ``value``, or off with ``off``. Raises ``ConfigError``."""
        if name not in FAULTS:
            near = get_close_matches(name, [*FAULTS, "seed"], 1)
            raise ConfigError(
                f"faults: there is no fault {name!r}; "
                + (f"did you mean {near[0]!r}?" if near else f"the faults are {', '.join(FAULTS)}")
            )
        if value in ("off", "0"):
            self._active.pop(name, None)
            return
        try:
            self._active[name] = _parse(name, value)
        except ValueError as error:
            raise ConfigError(f"faults: {name}={value}: {error}") from None

    def get(self, name: str) -> Fault | None:
        """The fault if it is switched on."""
        return self._active.get(name)

    @property
    def active(self) -> dict[str, Fault]:
        """The faults that are switched on, by name."""
        return dict(self._active)

    def happens(self, name: str) -> Fault | None:
        """Decide once whether the fault happens now; counts it if so."""
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
        """One half or the other, by the fault's own generator."""
        generator = self._random.setdefault(name, random.Random(f"venue fault {self.seed} {name}"))
        return generator.random() < 0.5

    def count(self, name: str) -> None:
        """Count a fault that happened by time."""
        self.counts[name] = self.counts.get(name, 0) + 1
