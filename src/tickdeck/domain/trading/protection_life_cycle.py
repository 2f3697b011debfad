"""The life cycle of a protection."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["PROTECTION_TRANSITIONS", "ProtectionStatus"]


class ProtectionStatus(StrEnum):
    """``waiting``: nothing of the entry is filled. ``resting``: an order at the venue protects the position.
    ``changing``: that order is being cancelled, to make room for another. ``guarded``: no order protects it, the prices
    are watched. ``closing``: a price was reached, and the position is closed at market."""

    WAITING = "waiting"
    RESTING = "resting"
    CHANGING = "changing"
    GUARDED = "guarded"
    CLOSING = "closing"
    ENDED = "ended"


_S = ProtectionStatus
_HELD = (_S.RESTING, _S.CHANGING, _S.GUARDED, _S.CLOSING)
PROTECTION_TRANSITIONS: dict[ProtectionStatus, tuple[ProtectionStatus, ...]] = {
    _S.WAITING: (*_HELD, _S.ENDED),
    _S.RESTING: (*_HELD, _S.WAITING, _S.ENDED),
    _S.CHANGING: (*_HELD, _S.WAITING, _S.ENDED),
    _S.GUARDED: (*_HELD, _S.WAITING, _S.ENDED),
    _S.CLOSING: (*_HELD, _S.WAITING, _S.ENDED),
    _S.ENDED: _HELD,  # a fill of the entry that arrives late is protected, too
}
"""The life cycle: which status may follow which. It is ``waiting`` again if everything that was filled is closed while
the entry is still open."""
