"""How urgent an event is while it waits to be taken."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Priority"]


class Priority(IntEnum):
    """The lanes of the ingress; a lower number goes first. A class says its own: ``priority: ClassVar[Priority]``."""

    P0 = 0
    """Fills, risk breaches, halts."""
    P1 = 1
    """Orders, positions, balances, timers, commands, the run's own events."""
    P2 = 2
    """Market data."""
    P3 = 3
    """All else: signals, metrics, warnings, your own events unless they say otherwise."""
