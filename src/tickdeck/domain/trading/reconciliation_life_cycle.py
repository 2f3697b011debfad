"""The life cycle of the reconciliation of a trade."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["RECONCILIATION_TRANSITIONS", "ReconciliationStatus"]


class ReconciliationStatus(StrEnum):
    """``searching``: the exchange is asked until its answers count as evidence. ``for_a_person``: they never will, or
    did not for too long. ``settled``: the trade is confirmed or rolled back."""

    NEW = "new"
    SEARCHING = "searching"
    FOR_A_PERSON = "for_a_person"
    SETTLED = "settled"


_S = ReconciliationStatus
RECONCILIATION_TRANSITIONS: dict[ReconciliationStatus, tuple[ReconciliationStatus, ...]] = {
    _S.NEW: (_S.SEARCHING, _S.SETTLED),
    _S.SEARCHING: (_S.SEARCHING, _S.FOR_A_PERSON, _S.SETTLED),
    _S.FOR_A_PERSON: (_S.SEARCHING, _S.SETTLED),  # when it is asked for again
    _S.SETTLED: (),
}
"""The life cycle: which status may follow which. Each reading that settles nothing is a step from ``searching`` to
itself."""
