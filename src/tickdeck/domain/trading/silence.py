"""What it proves that an exchange does not know an order."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Silence", "judge_silence"]


class Silence(StrEnum):
    """``weak``: the request may still arrive, or the answer may be outdated, so ask again. ``outdated``: the exchange
    may have forgotten the order, so its silence never counts. ``counts``: the order was never received, if no other
    source of the exchange shows it in the same reading."""

    WEAK = "weak"
    OUTDATED = "outdated"
    COUNTS = "counts"


def judge_silence(*, since: int, now: int, sent: int, wait: int, window: int) -> Silence:
    """What "no such order" proves at ``now``. ``since`` is the first reading in a row that found nothing, ``sent``
    when the order left, at the earliest (ns, on the exchange's clock). ``wait`` and ``window`` (ns) are those of its
    profile: how long a request may be under way and an answer outdated, and how long it remembers orders."""
    if now - sent > window:
        return Silence.OUTDATED
    return Silence.COUNTS if now - since >= wait else Silence.WEAK
