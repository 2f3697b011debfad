"""The life cycle of a strategy of a run."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["STRATEGY_TRANSITIONS", "StrategyStatus"]


class StrategyStatus(StrEnum):
    """``active``: it receives events. ``paused``: it receives none, and keeps its state and its orders."""

    NEW = "new"
    CREATED = "created"
    ACTIVE = "active"
    PAUSED = "paused"
    DELETED = "deleted"


_S = StrategyStatus
STRATEGY_TRANSITIONS: dict[StrategyStatus, tuple[StrategyStatus, ...]] = {
    _S.NEW: (_S.CREATED,),
    _S.CREATED: (_S.ACTIVE, _S.PAUSED, _S.DELETED),
    _S.ACTIVE: (_S.ACTIVE, _S.PAUSED, _S.DELETED),
    _S.PAUSED: (_S.PAUSED, _S.ACTIVE, _S.DELETED),
    _S.DELETED: (),
}
"""The life cycle: which status may follow which. An update of parameters leaves it as it is."""
