"""Parses the times that people write."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["parse_time"]

_SECOND = 1_000_000_000
_DIGITS = 19  # of nanoseconds since 1970, until the year 2286
_FRACTION = re.compile(r"(?<=:\d\d)[.,](\d{1,9})(?!\d)")


def parse_time(text: str) -> int:
    """Convert ``text`` to ns since the epoch, UTC. It may be an integer of ns, ISO 8601 (down to ns; UTC unless it
    names a zone), or a year.

    An integer of 4 digits is a year, one of 8 digits a date (``20240808``); 1 to 3, 18 or 19 digits are ns. Other
    integers are refused, because they are seconds, milliseconds or microseconds. Raises ``ValueError`` with a message
    for the user.
    """
    if re.fullmatch(r"[0-9]+", text) and len(text) not in (4, 8):
        if len(text) > _DIGITS:
            raise ValueError(f"{text!r} is not a time: nanoseconds since 1970 have at most {_DIGITS} digits")
        if 3 < len(text) < _DIGITS - 1:
            raise ValueError(
                f"{text!r} is not a time: nanoseconds since 1970 have {_DIGITS} digits; give those, a year or ISO 8601 "
                "such as 2024-08-08T12:00:05.25Z"
            )
        return int(text)
    if re.fullmatch(r"[0-9]{4}", text):
        text += "-01-01"
    fraction = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(_FRACTION.sub("", text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time; give ISO 8601, such as 2024-08-08T12:00:05.25Z, or nanoseconds since 1970"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    ns = int(fraction[1].ljust(9, "0")) if fraction else since.microseconds * 1_000
    return (since.days * 86_400 + since.seconds) * _SECOND + ns
