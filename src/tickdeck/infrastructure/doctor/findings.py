"""What a check has found."""

from __future__ import annotations

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True):
    """``check``: what was looked at. ``ok``: whether it is as it should be; ``None`` where this version cannot say.
    ``detail``: what was seen, and where it is not ok how to mend it.
    """

    check: str
    ok: bool | None
    detail: str
