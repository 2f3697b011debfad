"""Priorities of events in the ingress queue."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Priority"]


class Priority(IntEnum):
    """The lanes of the ingress queue. Lower numbers go first. Set one in a class: ``priority: ClassVar[Priority]``."""

    P0 = 0
    """Fills, risk breaches, halts."""
    P1 = 1
    """Orders, positions, balances, timers, commands, and events about the run."""
    P2 = 2
    """Market data."""
    P3 = 3
    """Everything else: signals, metrics, warnings, and your own events by default."""
