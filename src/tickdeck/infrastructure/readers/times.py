"""Times in files: the size of a number determines its unit, and every time must be plausible."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal

__all__ = ["DAY_NS", "EARLIEST_NS", "Times", "a_day_from_now", "date_to_ns", "ns_to_date"]

DAY_NS = 86_400_000_000_000
EARLIEST_NS = 1_230_768_000_000_000_000
"""2009-01-01T00:00:00Z. No crypto exchange has data from before Bitcoin; files of shares may."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_UNITS = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1))
_COMPACT = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""ISO 8601 dates without separators, by their number of digits. 17 digits are 14 and milliseconds."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?")
_EXPONENT = re.compile(r"([+-]?)(\d)\.?(\d*)[eE]\+?(\d+)")
_ISO = re.compile(r"\d{4}(-?\d\d-?\d\d|-?W\d\d)")
_FRACTION = re.compile(r"(?<=\d)[.,](\d+)(?=\D|$)")
_TWELVE_HOURS = re.compile(r"(\d{4}-\d\d-\d\d) (0[1-9]|1[0-2])-(AM|PM)")
"""``2019-10-17 09-AM``, as CryptoDataDownload writes hours."""

_ZONE = re.compile(r"\s*(UTC|GMT)$", re.IGNORECASE)


class Times:
    """Converts the times of one file to ns since the epoch (UTC), and rejects those outside a range.

    ``earliest`` and ``latest`` are the range (ns, inclusive). Every method raises ``ValueError`` with a readable
    message, to which the caller adds file and line.
    """

    def __init__(self, earliest: int = EARLIEST_NS, latest: int | None = None) -> None:
        self.earliest = earliest
        self.latest = a_day_from_now() if latest is None else latest
        self.first_ms, self.last_ms = -(-earliest // 1_000_000), self.latest // 1_000_000
        """The range in ms, the most frequent unit. A reader compares with it before it calls ``from_int``."""

    def from_int(self, number: int, what: str = "the time") -> int:
        """Converts a number of s, ms, us or ns since the epoch. The unit is the one that gives a plausible time."""
        for _, factor in _UNITS:
            ns = number * factor
            if self.earliest <= ns <= self.latest:
                return ns
        raise ValueError(
            f"{what} is {number}: in no unit (s, ms, us, ns since 1970) is it within {self.range_in_words()}"
        )

    def from_text(self, text: str, what: str = "the time") -> int:
        """Converts ISO 8601 (also compact forms such as ``20241111``; UTC without a zone), or a number of s, ms, us or
        ns since the epoch, with or without a fraction.

        Ambiguous times (``11/12/2024``, ``2024.11.11``) and times that lost digits (``1.72316E+12``) are rejected.
        """
        if len(text) == 19 and text[4] == text[7] == "-":  # 2024-11-12 13:30:00, the most frequent form by far
            try:
                ns = _ns(datetime.fromisoformat(text).replace(tzinfo=UTC))
            except ValueError:
                ns = self.earliest - 1
            if self.earliest <= ns <= self.latest:
                return ns
        text = text.strip()
        if text.isascii() and text.isdigit():
            compact = self._compact(text)
            return self.from_int(int(text), what) if compact is None else compact
        if _NUMBER.fullmatch(text):
            return self._from_decimal(Decimal(text), text, what)
        exponent = _EXPONENT.fullmatch(text)
        if exponent is not None:
            if len(exponent[3]) < int(exponent[4]):
                raise ValueError(
                    f"{what} is {text!r}: it lost digits, as if a spreadsheet saved the file; use the original"
                )
            return self._from_decimal(Decimal(text), text, what)
        return self._from_iso(text, what)

    @staticmethod
    def factor_of(text: str, ns: int) -> int:
        """Ns per unit of ``text``, which stands for the time ``ns``; 0 if ``text`` is not a plain number in one
        unit.
        """
        if text.isdigit():
            for _, factor in _UNITS:
                if int(text) * factor == ns:
                    return factor
        return 0

    def range_in_words(self) -> str:
        """``2009-01-01 to 2024-11-12 (earliest= and latest= of [[tapes]] change that)``."""
        return (
            f"{_day(self.earliest)} to {_day(self.latest)} (--earliest and --latest, or earliest= and latest= of"
            " [[tapes]], change that)"
        )

    def _compact(self, text: str) -> int | None:
        """The date that the digits stand for, if it is plausible."""
        head, milliseconds = (text[:14], int(text[14:])) if len(text) == 17 else (text, 0)
        form = _COMPACT.get(len(head))
        if form is None:
            return None
        try:
            ns = _ns(datetime.strptime(head, form).replace(tzinfo=UTC)) + milliseconds * 1_000_000
        except ValueError:
            return None
        return ns if self.earliest <= ns <= self.latest else None

    def _from_decimal(self, number: Decimal, text: str, what: str) -> int:
        for _, factor in _UNITS:
            ns = int(number * factor)
            if self.earliest <= ns <= self.latest:
                return ns
        raise ValueError(
            f"{what} is {text}: in no unit (s, ms, us, ns since 1970) is it within {self.range_in_words()}"
        )

    def _from_iso(self, text: str, what: str) -> int:
        plain = _ZONE.sub("+00:00", text) if text[-1:].isalpha() and not text.endswith(("Z", "z")) else text
        if plain[10:11] == "D":  # BitMEX: 2024-08-08D00:00:04.123456000
            plain = f"{plain[:10]}T{plain[11:]}"
        hour = _TWELVE_HOURS.fullmatch(plain)
        if hour is not None:
            plain = f"{hour[1]} {int(hour[2]) % 12 + 12 * (hour[3] == 'PM'):02}:00"
        fraction = _FRACTION.search(plain) if ":" in plain else None
        if fraction is not None:
            plain = plain[: fraction.start()] + plain[fraction.end() :]
        try:
            if not _ISO.match(plain):
                raise ValueError(plain)
            moment = datetime.fromisoformat(plain)
        except ValueError:
            raise ValueError(
                f"{what} is {text!r}, which is not an unambiguous time; write ISO 8601, such as"
                " 2024-11-12T13:30:00Z, or a number of s, ms, us or ns since 1970"
            ) from None
        ns = _ns(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))
        if fraction is not None:
            ns += int(fraction[1][:9].ljust(9, "0"))
        if not self.earliest <= ns <= self.latest:
            raise ValueError(f"{what} is {text!r}, which is not within {self.range_in_words()}")
        return ns


def a_day_from_now() -> int:
    """The latest plausible time of data that is read today (ns). Clocks differ, and the end of a candle may be in the
    future.
    """
    return time.time_ns() + DAY_NS


def date_to_ns(text: str) -> int:
    """A bound given by a user: ISO 8601, UTC if it has no zone. Raises ``ValueError``."""
    return Times(-(1 << 62), 1 << 63)._from_iso(text, "the time")


def ns_to_date(ns: int) -> str:
    """A time in a message: ISO 8601, UTC, to the second unless it has a fraction."""
    moment = _EPOCH + timedelta(microseconds=ns // 1_000)
    return moment.isoformat().replace("+00:00", "Z")


def _ns(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND * 1_000


def _day(ns: int) -> str:
    try:
        return f"{_EPOCH + timedelta(seconds=ns // 1_000_000_000):%Y-%m-%d}"
    except OverflowError:
        return f"{ns} ns"
