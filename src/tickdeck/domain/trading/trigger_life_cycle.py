"""The life cycle of a trigger."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["TRIGGER_TRANSITIONS", "TriggerStatus"]


class TriggerStatus(StrEnum):
    """``active``: it watches its condition. ``fired``: it was to fire once, and has. An update makes both ``fired`` and
    ``expired`` active again."""

    NEW = "new"
    ACTIVE = "active"
    FIRED = "fired"
    EXPIRED = "expired"
    DELETED = "deleted"


_S = TriggerStatus
TRIGGER_TRANSITIONS: dict[TriggerStatus, tuple[TriggerStatus, ...]] = {
    _S.NEW: (_S.ACTIVE,),
    _S.ACTIVE: (_S.ACTIVE, _S.FIRED, _S.EXPIRED, _S.DELETED),
    _S.FIRED: (_S.ACTIVE, _S.DELETED),
    _S.EXPIRED: (_S.ACTIVE, _S.DELETED),
    _S.DELETED: (),
}
"""The life cycle: which status may follow which. An active trigger stays active when it is updated or evaluated, and
when it fires and is to fire again."""
