"""The state of a strategy as JSON: taken between two inputs, and given to an object of newer code."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from tickdeck.application.strategies import Strategy
from tickdeck.errors import ConfigError, format_value

__all__ = ["StrategySnapshot", "restore_snapshot", "take_snapshot"]


class StrategySnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What ``snapshot()`` returned after the event ``seq``, and the state of the strategy's random numbers."""

    seq: int
    state: Any
    random: tuple[int, tuple[int, ...], float | None]


def take_snapshot(strategy: Strategy, seq: int) -> StrategySnapshot:
    """The state of a strategy of a run after the event ``seq``. Raises ``ConfigError`` if ``snapshot()`` returns what
    JSON does not have, or uses the run, and otherwise what ``snapshot()`` raises."""
    random = strategy.rng.getstate()
    with _outside_the_run(strategy):
        state = strategy.snapshot()
    _check(state, f"{type(strategy).__name__}.snapshot()")
    return StrategySnapshot(seq=seq, state=state, random=random)


def restore_snapshot(strategy: Strategy, snapshot: StrategySnapshot) -> None:
    """Give ``snapshot`` to a strategy. Raises what ``restore()`` raises."""
    if strategy.is_running:
        strategy.rng.setstate(snapshot.random)
    with _outside_the_run(strategy):
        strategy.restore(snapshot.state)


@contextmanager
def _outside_the_run(strategy: Strategy) -> Iterator[None]:
    """A snapshot holds the strategy's own state; an order that it placed would have no cause."""
    desk, strategy._desk = strategy._desk, None
    try:
        yield
    finally:
        strategy._desk = desk


def _check(value: object, where: str) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            if type(key) is not str:
                raise ConfigError(f"{where} has the key {format_value(key)}; give texts as keys")
            _check(inner, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for place, inner in enumerate(value):
            _check(inner, f"{where}[{place}]")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where} is {value}, which JSON does not have")
    elif value is not None and type(value) not in (str, int, float, bool):
        raise ConfigError(
            f"{where} is of type {type(value).__name__}; give text, numbers, booleans, None, lists or dicts"
        )
