"""The life cycle of the copy of one trade of a leader."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["COPY_FOUND_AFTER_ALL", "COPY_TRANSITIONS", "CopyStatus"]


class CopyStatus(StrEnum):
    """``ordered``: its money is reserved, and an order is on its way or open. ``cancelling``: its time is over, and the
    order is being cancelled. ``in_doubt``: nobody knows whether the venue has the order. ``copied``: it was executed,
    in full or as far as it could be. ``failed``: nothing was executed, and never will be."""

    NEW = "new"
    ORDERED = "ordered"
    CANCELLING = "cancelling"
    IN_DOUBT = "in_doubt"
    COPIED = "copied"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether nothing follows."""
        return not COPY_TRANSITIONS[self]


_S = CopyStatus
COPY_TRANSITIONS: dict[CopyStatus, tuple[CopyStatus, ...]] = {
    _S.NEW: (_S.ORDERED, _S.FAILED),
    _S.ORDERED: (_S.ORDERED, _S.CANCELLING, _S.IN_DOUBT, _S.COPIED, _S.FAILED),  # again, for the remainder
    _S.CANCELLING: (_S.IN_DOUBT, _S.COPIED, _S.FAILED),
    _S.IN_DOUBT: (_S.ORDERED, _S.CANCELLING, _S.COPIED, _S.FAILED),
    _S.COPIED: (),
    _S.FAILED: (),
}
"""The life cycle: which status may follow which. Only evidence of how an order ended leads to another one for the
remainder, never a time-out."""

COPY_FOUND_AFTER_ALL: dict[CopyStatus, tuple[CopyStatus, ...]] = {
    _S.COPIED: (_S.IN_DOUBT,),
    _S.FAILED: (_S.IN_DOUBT,),
}
"""If the venue has the last order of a copy after all, which had been taken for dead."""
