"""A checksum behind each write of recorded frames.

A member that its writer did not end has no checksum of gzip, so each write ends with its own. It is in bits that
deflate ignores (RFC 1951, 3.2.4): those between the header and the length of a stored block. Such a block without
content holds five of them and takes five bytes, and every program that reads gzip passes over it.
"""

from __future__ import annotations

import re
import zlib

__all__ = ["FLUSHED", "WriteChecks", "check_block"]

FLUSHED = b"\x00\x00\xff\xff"
"""The end of an empty stored block: of what zlib flushes, and of each block of a check."""
_BLOCKS = 5  # 25 bits: a one, and the last 24 of the CRC-32. What zlib flushes has a zero where the one is
_CRC = (1 << 24) - 1
_SIZE = _BLOCKS * 5
_BITS = b"[" + b"".join(re.escape(bytes([bits << 3])) for bits in range(32)) + b"]"
_FIRST = b"[" + b"".join(re.escape(bytes([bits << 3])) for bits in range(16, 32)) + b"]"
_CHECK = re.compile(FLUSHED + b"(" + _FIRST + FLUSHED + b"(?:" + _BITS + FLUSHED + b"){%d})" % (_BLOCKS - 1), re.DOTALL)


def check_block(written: bytes) -> bytes:
    """What to append to ``written``, which ends with a flush of zlib."""
    bits = 1 << 24 | zlib.crc32(written) & _CRC
    return b"".join(bytes([(bits >> shift & 31) << 3]) + FLUSHED for shift in range(20, -1, -5))


class WriteChecks:
    """Compares the checks of one member with what precedes each. A member of an older version has none."""

    def __init__(self) -> None:
        self._crc = 0  # of the write so far, without what is held
        self._held = b""  # a check may have begun in it

    def first_wrong(self, data: bytes) -> tuple[int, int] | None:
        """Where in the next ``data`` of a member the first write is that does not match its check; it begins at 0 if it
        began before. ``None`` if all match."""
        held = len(self._held)
        data, start = self._held + data, 0
        for found in _CHECK.finditer(data):
            if zlib.crc32(data[start : found.start(1)], self._crc) & _CRC != _crc_in(found[1]):
                return max(0, start - held), max(0, found.start(1) - held)
            self._crc, start = 0, found.end()
        keep = max(start, len(data) - _SIZE - len(FLUSHED))
        self._crc, self._held = zlib.crc32(data[start:keep], self._crc), data[keep:]
        return None


def _crc_in(check: bytes) -> int:
    bits = 0
    for at in range(0, _SIZE, 5):
        bits = bits << 5 | check[at] >> 3
    return bits & _CRC
