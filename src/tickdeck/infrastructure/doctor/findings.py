"""The result of a check."""

from __future__ import annotations

import msgspec

__all__ = ["Finding"]


class Finding(msgspec.Struct, frozen=True):
    """``check``: what was checked. ``ok``: the result, ``None`` if this version cannot determine it. ``detail``: what
    was found and, if not ok, how to correct it.
    """

    check: str
    ok: bool | None
    detail: str
