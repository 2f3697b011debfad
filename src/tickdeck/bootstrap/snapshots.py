"""Takes snapshots of a run's strategies while it runs."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from tickdeck.application.bus import describe_error
from tickdeck.application.engines import StrategyEngine, take_snapshot
from tickdeck.application.kernel import Kernel
from tickdeck.errors import RunError
from tickdeck.infrastructure.runs import StrategyStates

__all__ = ["SnapshotTaker"]

log = logging.getLogger("tickdeck.run")

_EVERY = 10_000
"""Inputs between two snapshots."""


class SnapshotTaker:
    """Call ``look()`` between two inputs. It takes a snapshot of every strategy with ``snapshot()`` after each 10,000
    inputs. A strategy whose ``snapshot()`` raises is logged once, and gets no more snapshots."""

    def __init__(self, folder: Path, kernel: Kernel, engine: StrategyEngine) -> None:
        self._kernel, self._engine = kernel, engine
        self._states = StrategyStates(folder)
        self._failed: set[str] = set()
        self._next = _EVERY

    def look(self) -> None:
        """Take a snapshot if it is time."""
        if self._kernel.inputs >= self._next:
            self.take()

    def take(self) -> None:
        """Take a snapshot now, unless no strategy can have one, or an input was interrupted."""
        self._next = self._kernel.inputs + _EVERY
        if self._kernel.is_broken or not self._kernel.inputs:
            return
        states = {}
        for strategy_id, strategy in self._engine.strategies.items():
            if strategy.has_snapshots and strategy_id not in self._failed | set(self._engine.paused):
                try:
                    snapshot = take_snapshot(strategy, self._kernel.seq)
                except Exception as error:
                    self._failed.add(strategy_id)
                    why = f"{type(error).__name__}: {describe_error(error)}"
                    log.exception("strategy %s has no snapshots from here on: %s", strategy_id, why)
                else:
                    states[strategy_id] = msgspec.json.encode(snapshot).decode()
        if states:
            try:
                self._states.write(self._kernel.seq, states)
            except RunError as error:  # the run does not need them
                log.warning("%s", error)
