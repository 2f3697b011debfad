"""The life cycle of a bracket order."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["BRACKET_TRANSITIONS", "BracketStatus"]


class BracketStatus(StrEnum):
    """``entering``: its entry is on its way or open, and nothing is held. ``cancelling``: the entry is being cancelled.
    ``in_doubt``: nobody knows whether the venue has the entry, or the order that closes the position. ``protecting``:
    something is held, and the order at its stop and target is on its way or being replaced. ``protected``: the venue
    has that order. ``guarded``: no order protects what is held; the run watches the prices. ``closing``: it is closed
    at market. ``done``: the entry was filled at least in part, and nothing is left. ``failed``: nothing was filled."""

    NEW = "new"
    ENTERING = "entering"
    CANCELLING = "cancelling"
    IN_DOUBT = "in_doubt"
    PROTECTING = "protecting"
    PROTECTED = "protected"
    GUARDED = "guarded"
    CLOSING = "closing"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_over(self) -> bool:
        """Whether nothing is open and nothing is held. Only a fill that arrives late leads back."""
        return self in (BracketStatus.DONE, BracketStatus.FAILED)


_S = BracketStatus
_HELD = (_S.PROTECTING, _S.PROTECTED, _S.GUARDED, _S.CLOSING)
_LIVE = (_S.ENTERING, _S.CANCELLING, _S.IN_DOUBT, *_HELD)


def _other_than(status: BracketStatus) -> tuple[BracketStatus, ...]:
    return tuple(other for other in _LIVE if other is not status)


BRACKET_TRANSITIONS: dict[BracketStatus, tuple[BracketStatus, ...]] = {
    _S.NEW: (_S.ENTERING,),
    _S.ENTERING: (*_other_than(_S.ENTERING), _S.DONE, _S.FAILED),
    _S.CANCELLING: (_S.IN_DOUBT, *_HELD, _S.DONE, _S.FAILED),
    _S.IN_DOUBT: (*_other_than(_S.IN_DOUBT), _S.DONE, _S.FAILED),
    _S.PROTECTING: (*_other_than(_S.PROTECTING), _S.DONE),
    _S.PROTECTED: (*_other_than(_S.PROTECTED), _S.DONE),
    _S.GUARDED: (*_LIVE, _S.DONE),
    _S.CLOSING: (*_other_than(_S.CLOSING), _S.DONE),
    _S.DONE: (_S.IN_DOUBT, *_HELD),  # a fill that arrives late is protected, too
    _S.FAILED: (_S.IN_DOUBT, *_HELD),
}
"""The life cycle: which status may follow which. It is ``entering`` again if everything that was filled is closed while
the entry is still open. ``guarded`` follows itself at each refusal by the venue."""
