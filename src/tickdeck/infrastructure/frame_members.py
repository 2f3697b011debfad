"""The members of a segment of recorded frames.

A segment is a gzip file. Its text is divided into members, each of which can be unpacked alone; ``gunzip`` and the like
read them as one. The extra field in the head of a member says what precedes it: the number of the run's frames, and
their digest. So a process that continues the record, or reads it from a frame on, unpacks one member and not the whole
record. Segments of older versions are one member without the field. Each write ends with a checksum (``frame_checks``);
older versions wrote none.

The digest is a BLAKE2b of a member's lines after the digest of everything before. A member without lines does not
count.
"""

from __future__ import annotations

import hashlib
import mmap
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tickdeck.infrastructure.frame_checks import FLUSHED, WriteChecks, check_block

__all__ = [
    "HEAD_SIZE",
    "FrameChain",
    "FramesMark",
    "MemberHead",
    "MemberPacker",
    "MemberPart",
    "Unpacker",
    "first_head",
    "heads_in",
    "last_head",
]

_LEVEL = 1  # the fastest level reduces market data to a sixth; the best to a ninth, at ten times the cost
_EXTRA = struct.Struct(">Q32s")
_BEGIN = (
    b"\x1f\x8b\x08\x04\0\0\0\0\0\xff"  # gzip, deflate, with an extra field, no time
    + struct.pack("<H2sH", _EXTRA.size + 8, b"TD", _EXTRA.size + 4)
)
HEAD_SIZE = len(_BEGIN) + _EXTRA.size + 4
_NOTHING = bytes(32)


class FramesMark(NamedTuple):
    """The first ``frames`` frames of a run, and their digest in hex."""

    frames: int
    digest: str


class MemberHead(NamedTuple):
    """What precedes a member: the number of frames and their digest."""

    frames: int
    digest: bytes

    def to_bytes(self) -> bytes:
        extra = _EXTRA.pack(*self)
        return _BEGIN + extra + struct.pack(">I", zlib.crc32(extra))


def _head_at(data: bytes | mmap.mmap, at: int) -> MemberHead | None:
    """The head at an index of ``data``; ``None`` if there is none, or not all of it."""
    found = data[at : at + HEAD_SIZE]
    extra, check = found[len(_BEGIN) : -4], found[-4:]
    if len(found) < HEAD_SIZE or not found.startswith(_BEGIN) or struct.pack(">I", zlib.crc32(extra)) != check:
        return None
    return MemberHead(*_EXTRA.unpack(extra))


def first_head(segment: Path) -> MemberHead | None:
    """The head with which a segment begins; ``None`` if an older version wrote it or its writer was killed at once.
    Raises ``OSError``."""
    with segment.open("rb") as file:
        return _head_at(file.read(HEAD_SIZE), 0)


def heads_in(segment: Path) -> Iterator[tuple[int, MemberHead]]:
    """The heads in a segment with their offsets. Raises ``OSError``."""
    if not segment.stat().st_size:
        return
    with segment.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.find(_BEGIN)
        while at >= 0:
            if (head := _head_at(data, at)) is not None:
                yield at, head
            at = data.find(_BEGIN, at + 1)


def last_head(segment: Path) -> tuple[int, MemberHead] | None:
    """The last head in a segment with its offset. Raises ``OSError``."""
    if not segment.stat().st_size:
        return None
    with segment.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = data.rfind(_BEGIN)
        while at >= 0:
            if (head := _head_at(data, at)) is not None:
                return at, head
            at = data.rfind(_BEGIN, 0, at)
    return None


_UNWRITTEN = bytes(16)
"""What a disk has where nothing was written; packed messages never look like this."""
_FEW_UNWRITTEN = re.compile(rb"\x00{8,}|\x00{5,}\Z")
"""The same where little of a write is in a sector; packed messages seldom look like this."""
_SOON = 16  # bytes after zeros, in which unpacking fails at the latest


class FrameChain:
    """The digest of frames, from what precedes the next member on."""

    def __init__(self, head: MemberHead | None = None) -> None:
        """``None``: nothing precedes."""
        self.frames, self._digest = head or MemberHead(0, _NOTHING)  # of everything but the lines in ``_hash``
        self._lines = 0
        self._hash = hashlib.blake2b(self._digest, digest_size=32)

    def begin_member(self) -> MemberHead:
        """The head of the member that begins here."""
        if self._lines:
            self._digest, self._lines = self._hash.digest(), 0
            self._hash = hashlib.blake2b(self._digest, digest_size=32)
        return MemberHead(self.frames, self._digest)

    def add(self, text: bytes, count: int) -> None:
        """Add ``count`` complete lines."""
        self._hash.update(text)
        self._lines += count
        self.frames += count

    def mark(self) -> FramesMark:
        return FramesMark(self.frames, (self._hash.digest() if self._lines else self._digest).hex())


class MemberPacker:
    """Packs the text of one member."""

    def __init__(self, head: MemberHead) -> None:
        self._head = head.to_bytes()
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -15)
        self._crc = 0
        self.size = 0
        """Bytes of text."""

    def pack(self, text: bytes) -> bytes:
        """What to write so that everything up to here can be unpacked."""
        self._crc = zlib.crc32(text, self._crc)
        self.size += len(text)
        written = self._with_head(self._packer.compress(text) + self._packer.flush(zlib.Z_SYNC_FLUSH))
        return written + check_block(written)

    def end(self) -> bytes:
        return self._with_head(self._packer.flush() + struct.pack("<II", self._crc, self.size & 0xFFFFFFFF))

    def _with_head(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + data


class MemberPart(NamedTuple):
    """Complete lines of a member, without their ends. ``begins``: they are its first. ``head`` is then the member's, or
    ``None`` if it has none."""

    begins: bool
    head: MemberHead | None
    lines: list[bytes]


class Unpacker:
    """Unpacks a segment, or its rest from the beginning of a member on. ``feed`` raises ``zlib.error`` for damaged
    data.

    A power cut may leave zeros in place of what was written last and not synced, in any of its sectors. The data ends
    before the first of them, after the last text that was written completely, even if the rest could be unpacked: that
    gives other text. If there was more, the next member says that it does not follow.
    """

    def __init__(self) -> None:
        self._is_cut_off = False
        self._waiting = b""  # the beginning of a head
        self._unpacker: zlib._Decompress | None = None  # None: a member begins
        self._rest = b""
        self._checks = WriteChecks()
        self._frames: int | None = None  # that precede what is fed next; None if the member does not say it

    def feed(self, data: bytes) -> list[MemberPart]:
        """The lines that end in the next ``data`` of the segment."""
        parts: list[MemberPart] = []
        if self._is_cut_off:
            return parts
        data, self._waiting = self._waiting + data, b""
        begins = self._unpacker is None and data.startswith(_BEGIN)
        zeros = data.find(_UNWRITTEN, HEAD_SIZE if begins else 0)  # the head of the first frames has zeros
        if zeros >= 0:
            data = self._cut_off(data, zeros)
        while data:
            begins, head = self._unpacker is None, None
            if self._unpacker is None:
                if len(data) < HEAD_SIZE and (data.startswith(_BEGIN) or _BEGIN.startswith(data)):
                    self._waiting = data
                    break
                head = _head_at(data, 0)
                self._unpacker = zlib.decompressobj(31)
                self._rest, self._checks = b"", WriteChecks()
                self._frames = head.frames if head is not None else None
            *lines, self._rest = (self._rest + self._unpacked(self._unpacker, data)).split(b"\n")
            parts.append(MemberPart(begins, head, lines))
            if self._frames is not None:
                self._frames += len(lines)
            if not self._unpacker.eof:
                break
            data, self._unpacker = self._unpacker.unused_data, None
        return parts

    def _unpacked(self, unpacker: zlib._Decompress, data: bytes) -> bytes:
        before = unpacker.copy()
        begun = HEAD_SIZE if data.startswith(_BEGIN) else 0  # the head of the first frames has zeros
        try:
            text = unpacker.decompress(data)
        except zlib.error as error:
            damage = _damage(before.copy(), data)
            zeros = _zeros_at(data, begun, damage)
            if zeros is None:
                wrong = self._checks.first_wrong(data[:damage])  # the damage may have begun long before
                intact = wrong[0] if wrong is not None else max(0, data.rfind(FLUSHED, 0, damage))
                raise self._error(str(error), before, data[:intact]) from None
        else:
            wrong = self._checks.first_wrong(data[: len(data) - len(unpacker.unused_data)])
            if wrong is None:
                return text
            few = _FEW_UNWRITTEN.search(data, max(begun, wrong[0]), wrong[1])
            if few is None:
                raise self._error("a checksum is wrong", before, data[: wrong[0]])
            zeros = few.start()
        return before.decompress(self._cut_off(data, zeros))

    def _error(self, why: str, unpacker: zlib._Decompress, intact: bytes) -> zlib.error:
        """Says behind which frame the damage is. ``intact``: what precedes the damaged write."""
        if self._frames is None:
            return zlib.error(why)
        frames = self._frames + (self._rest + unpacker.decompress(intact)).count(b"\n")
        return zlib.error(f"{why}, behind frame {frames:,} of the run")

    def _cut_off(self, data: bytes, zeros: int) -> bytes:
        """What was written completely before the write with ``zeros``. Nothing is fed after it."""
        self._is_cut_off = True
        whole = data.rfind(FLUSHED, 0, zeros)
        return data[: whole + len(FLUSHED)] if whole >= 0 else b""


def _damage(unpacker: zlib._Decompress, data: bytes) -> int:
    """The index of the byte at which ``data`` cannot be unpacked any more."""
    for at in range(len(data)):
        try:
            unpacker.decompress(data[at : at + 1])
        except zlib.error:
            return at
    return len(data)


def _zeros_at(data: bytes, start: int, damage: int) -> int | None:
    """The index, from ``start`` on, of the zeros that a power cut left in place of what was written, and which are the
    damage; ``None`` if it is another one."""
    for zeros in _FEW_UNWRITTEN.finditer(data, start):
        if zeros.start() <= damage <= zeros.end() + _SOON:
            return zeros.start()
    return None
