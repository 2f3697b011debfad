"""The life cycle of a position: on which side of the market it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

__all__ = ["POSITION_TRANSITIONS", "PositionStatus"]


class PositionStatus(StrEnum):
    """Whether a position gains from a rising price (``long``), from a falling one (``short``), or is ``flat``."""

    FLAT = "flat"
    LONG = "long"
    SHORT = "short"


_S = PositionStatus
POSITION_TRANSITIONS: Mapping[PositionStatus, tuple[PositionStatus, ...]] = {
    _S.FLAT: (_S.LONG, _S.SHORT),
    _S.LONG: (_S.LONG, _S.FLAT, _S.SHORT),
    _S.SHORT: (_S.SHORT, _S.FLAT, _S.LONG),
}
"""The life cycle: what a fill can make of a position. One that changes sides is closed and opened by the same fill."""
