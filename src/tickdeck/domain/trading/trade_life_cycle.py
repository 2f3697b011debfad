"""The life cycle of a trade in two phases."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["TRADE_FOUND_AFTER_ALL", "TRADE_TRANSITIONS", "TradeStatus"]


class TradeStatus(StrEnum):
    """``reserved``: the order may have been sent. ``needs_reconciliation``: nobody knows whether it was executed."""

    NEW = "new"
    RESERVED = "reserved"
    NEEDS_RECONCILIATION = "needs_reconciliation"
    EXECUTED = "executed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows: it is executed or failed."""
        return not TRADE_TRANSITIONS[self]


_S = TradeStatus
TRADE_TRANSITIONS: dict[TradeStatus, tuple[TradeStatus, ...]] = {
    _S.NEW: (_S.RESERVED, _S.FAILED),
    _S.RESERVED: (_S.EXECUTED, _S.FAILED, _S.NEEDS_RECONCILIATION),
    _S.NEEDS_RECONCILIATION: (_S.EXECUTED, _S.FAILED),
    _S.EXECUTED: (),
    _S.FAILED: (),
}
"""The life cycle: which status may follow which."""

TRADE_FOUND_AFTER_ALL: dict[TradeStatus, tuple[TradeStatus, ...]] = {_S.FAILED: (_S.NEEDS_RECONCILIATION,)}
"""If the venue has the order of a trade after all, which had been taken for dead."""
