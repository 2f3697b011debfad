"""How an account follows a leader."""

from __future__ import annotations

import msgspec

from tickdeck.domain.events import ProtectionTerms
from tickdeck.domain.trading import CopyRule

__all__ = ["CopySettings"]


class CopySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How one account follows a leader. ``name`` is unique in the run, and the ``strategy_id`` of its orders.

    - ``copies_exits``: when the leader closes a part of what it opened since the run began, the same part of what was
      copied is closed. Otherwise only what enlarges the leader's position is copied.
    - ``protection``: the stop and the target of each copy that opens a position.
    - ``timeout``: ns after which an order that has not ended is cancelled. ``attempts``: how many orders a copy may
      have.
    """

    name: str
    rule: CopyRule
    copies_exits: bool = True
    protection: ProtectionTerms | None = None
    timeout: int = 10_000_000_000
    attempts: int = 3
