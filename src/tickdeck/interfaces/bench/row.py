"""A row of the table of measurements: what is measured, its goals, and what its figures include."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["Goal", "Part", "Row", "own_part"]


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker process runs: ``module:function`` (for another library only the function), with parameters.

    ``quick``: parameters that differ for small sizes. ``needs_folder``: pass a ``folder``. ``timeout``: seconds for a
    repetition. ``module``: the package that another library needs. ``in_it``: what that library does for its figure.
    """

    target: str
    parameters: dict[str, Any] = {}
    quick: dict[str, Any] = {}
    needs_folder: bool = False
    timeout: float = 120.0
    module: str = ""
    in_it: str = ""

    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


def own_part(function: str, count: int, quick: int, *, needs_folder: bool = False, **parameters: Any) -> Part:
    """What measures Tickdeck itself: ``module:function`` of the benchmarks, with a ``count`` of what is processed, and
    a ``quick`` one for small sizes."""
    return Part(
        target=f"tickdeck.interfaces.bench.{function}",
        parameters={"count": count} | parameters,
        quick={"count": quick},
        needs_folder=needs_folder,
    )


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """A bound for ``value``, ``ratio``, another figure of the row, or (with a peer's name) the factor over that
    peer."""

    text: str
    of: str = "value"
    at_least: float | None = None
    below: float | None = None

    def is_met(self, known: Mapping[str, float | None]) -> bool | None:
        """``None`` if the figure is unknown."""
        figure = known.get(self.of)
        if figure is None:
            return None
        return (self.at_least is None or figure >= self.at_least) and (self.below is None or figure < self.below)


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the table. The first ``warm_up`` repetitions do not count."""

    name: str
    what: str
    unit: str
    part: Part
    in_it: str
    ceiling_is: str = ""
    peers: dict[str, Part] = {}
    goals: tuple[Goal, ...] = ()
    more_is_better: bool = True
    runs: int = 5
    quick_runs: int = 1
    warm_up: int = 0
