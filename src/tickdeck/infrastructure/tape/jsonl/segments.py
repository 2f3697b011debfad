"""The segments of a tape in JSON Lines: their files, and their groups, each verified when it is read.

What follows the last whole group of the last segment is either *torn* (a writer was killed, or lost power, before it
had acknowledged it; sectors of 512 bytes may be missing) or *damaged* (nothing is missing: it had been committed, and
was changed since). Anything wrong before that is damage: a writer begins a group only when the one before is synced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from tickdeck.errors import TapeError, TapeVersionError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl.lines import (
    COMMIT_LINE,
    COMMIT_MARK,
    FORMAT,
    HEAD_LINE,
    SECTOR,
    Commit,
    SegmentHead,
    is_sound,
    parse_commit,
    parse_head,
)

__all__ = [
    "Damage",
    "Group",
    "SegmentFile",
    "TapeDamaged",
    "file_name",
    "find_damage",
    "highest_number",
    "is_jsonl_tape",
    "list_segments",
    "read_groups",
    "read_head",
    "remove_merged",
    "tail_size",
]

_NAME = re.compile(r"\d{6,}\.jsonl")
_PART = re.compile(r"\d{6,}\.(jsonl|index)\.part")
_CHUNK = 512 << 10


class Damage(NamedTuple):
    """Bytes that are not as they were written: the whole of a line, from byte ``first`` up to and with ``last`` of the
    file, from 0 on; ``line`` counts from 1."""

    path: Path
    line: int
    first: int
    last: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}, bytes {self.first} to {self.last}: {self.what}"


class TapeDamaged(TapeError):
    """Committed bytes of a tape are not as they were written."""

    def __init__(self, damage: Damage) -> None:
        self.damage = damage
        super().__init__(f"{damage}; restore the file from a copy")


class SegmentFile(NamedTuple):
    """A segment that has a sound head. ``body``: where its first group begins, ``crc``: of the head's line."""

    path: Path
    head: SegmentHead
    body: int
    crc: int


class Group(NamedTuple):
    """Whole cascades with one commit: their ``lines`` and where these begin in the file, ``end`` and ``crc`` of the
    segment up to and with the commit's line."""

    offset: int
    lines: bytes
    commit: Commit
    end: int
    crc: int


# -- files --------------------------------------------------------------------------------------------------------


def file_name(number: int) -> str:
    return f"{number:06d}.jsonl"


def is_jsonl_tape(path: Path) -> bool:
    """A folder with segments. Raises ``TapeError`` where it may not be looked into."""
    try:
        return path.is_dir() and any(_NAME.fullmatch(found.name) for found in path.iterdir())
    except OSError as error:
        raise tape_error(path, "read the tape", error) from error


def highest_number(folder: Path) -> int:
    """Of the segments' files in the folder, 0 where there is none. Raises ``OSError``."""
    return max((int(found.stem) for found in folder.iterdir() if _NAME.fullmatch(found.name)), default=0)


def read_head(path: Path, *, is_last: bool) -> SegmentFile | None:
    """The segment's head; ``None`` where it is the last one and its making was cut off by a crash.

    Raises ``TapeDamaged``, ``TapeVersionError``, and ``OSError``.
    """
    with path.open("rb") as file:
        line = file.readline()
        head = parse_head(line[:-1]) if line.endswith(b"\n") else None
        if head is None:
            rest = file.read()
            damage = find_damage(path, line + rest, 0)
            # The head is synced before a group follows it: a power cut can have taken it only where it is alone.
            if damage is None and not (is_last and len(line) + len(rest) <= HEAD_LINE):
                damage = Damage(path, 1, 0, max(len(line) - 1, 0), "the segment's head is not as it was written")
            if damage is not None:
                raise TapeDamaged(damage)
            return None
    if head.format > FORMAT:
        raise TapeVersionError(
            f"{path}: the tape has format {head.format}, this Tickdeck knows up to {FORMAT}; install a newer Tickdeck"
        )
    return SegmentFile(path, head, len(line), crc32(line))


def list_segments(folder: Path) -> list[SegmentFile]:
    """The segments in their order. Left out: files that were merged into an earlier one, a last one without a head.

    Raises ``TapeError`` where one is missing or damaged, ``TapeVersionError`` where one has a newer format.
    """
    try:
        while True:
            names = _names(folder)
            try:
                return _read_heads(folder, names)
            except FileNotFoundError:  # merged into another meanwhile
                if _names(folder) == names:
                    raise
    except OSError as error:
        raise tape_error(folder, "read the tape", error) from error


def _names(folder: Path) -> list[str]:
    names = [found.name for found in folder.iterdir() if _NAME.fullmatch(found.name)]
    return sorted(names, key=lambda name: int(name.partition(".")[0]))


def _read_heads(folder: Path, names: list[str]) -> list[SegmentFile]:
    found: list[SegmentFile] = []
    expected = 1
    for name in names:
        number = int(name.partition(".")[0])
        if number < expected:
            continue
        if number > expected:
            raise TapeError(
                f"{folder}: segment {file_name(expected)} is missing, though {name} is there; bring it back from a copy"
            )
        segment = read_head(folder / name, is_last=name == names[-1])
        if segment is None:
            break
        if segment.head.number != number:
            raise TapeError(f"{folder / name}: by its head this is segment {segment.head.number}; rename it back")
        found.append(segment)
        expected = segment.head.through + 1
    return found


# -- groups -------------------------------------------------------------------------------------------------------


def read_groups(file: FileIO, path: Path, offset: int, crc: int, *, is_last: bool) -> Iterator[Group]:
    """The whole groups from ``offset`` on, where the CRC-32 of what is before is ``crc``; each verified.

    Ends before a torn tail of the last segment. Raises ``TapeDamaged`` and ``OSError``.
    """
    file.seek(offset)
    buffer, filled, looked = bytearray(_CHUNK), 0, 0
    read_again = -1  # from where
    while True:
        got = file.readinto(memoryview(buffer)[filled:])
        if not got:
            if not filled:
                return
            if not is_last or read_again == offset:
                break
            # A writer may have cut a torn tail, of which a part was read before, and have put a group in its place.
            read_again, filled, looked = offset, 0, 0
            file.seek(offset)
            continue
        filled += got
        at = 0
        while (start := buffer.find(COMMIT_MARK, max(at, looked), filled)) >= 0:
            end = buffer.find(b"\n", start, filled) + 1
            if not end:
                break
            lines, line = bytes(memoryview(buffer)[at:start]), bytes(buffer[start:end])
            commit = parse_commit(line[:-1])
            if commit is None or crc32(lines, crc) != commit.so_far:
                if is_last and read_again != offset + at:  # as above
                    read_again, filled = offset + at, at
                    file.seek(read_again)
                    break
                _refuse_if_damaged(path, bytes(buffer[at:filled]) + file.read(), offset + at, is_last)
                return
            crc = crc32(line, commit.so_far)
            yield Group(offset + at, lines, commit, offset + end, crc)
            at = end
        filled -= at
        offset += at
        looked = max(0, filled - COMMIT_LINE)
        buffer[:filled] = buffer[at : at + filled]
        if filled == len(buffer):
            buffer.extend(bytes(filled))  # the group is longer
    _refuse_if_damaged(path, bytes(buffer[:filled]), offset, is_last)


def _refuse_if_damaged(path: Path, tail: bytes, offset: int, is_last: bool) -> None:
    damage = find_damage(path, tail, offset)
    if damage is None and not is_last:
        damage = _place(path, tail, offset, 0, "the segment ends within a group, though another follows")
    if damage is not None:
        raise TapeDamaged(damage)


def find_damage(path: Path, tail: bytes, offset: int) -> Damage | None:
    """What is wrong with the bytes that follow the last whole group before ``offset``; ``None`` where they are torn."""
    bad: int | None = None  # where the first line begins that is not sound
    committed: int | None = None  # where the first commit ends that is sound
    was_committed_before = False
    at = 0
    *lines, rest = tail.split(b"\n")
    for line in lines:
        if not is_sound(line):
            bad = at if bad is None else bad
        elif committed is None and (commit := parse_commit(line)) is not None:
            committed = at + len(line) + 1
            # A group is begun when the one before is synced: one follows this one, or was before it.
            was_committed_before = committed < len(tail) or commit.offset > offset
        at += len(line) + 1
    if rest and (commit := parse_commit(rest[:-1])) is not None:  # all is there, but for what ends the last line
        bad, committed = at if bad is None else bad, len(tail)
        was_committed_before |= commit.offset > offset
    if not was_committed_before and (_sector_is_missing(tail, offset) or (rest and committed is None)):
        return None
    if bad is not None:
        return _place(path, tail, offset, bad, "the line is not as it was written (its checksum says so)")
    if committed is not None:
        last = tail.rfind(b"\n", 0, committed - 1) + 1
        return _place(path, tail, offset, last, "the group before this commit is not as it was written")
    return None  # sound lines, and their commit is still missing


def _place(path: Path, tail: bytes, offset: int, at: int, what: str) -> Damage:
    with path.open("rb") as file:
        before = file.read(offset)
    end = tail.find(b"\n", at)
    last = offset + (len(tail) - 1 if end < 0 else end)
    return Damage(path, before.count(b"\n") + tail.count(b"\n", 0, at) + 1, offset + at, last, what)


def _sector_is_missing(tail: bytes, offset: int) -> bool:
    """A part of ``tail`` that is a sector of the disk has nothing but zeros, which no line has."""
    at = 0
    while at < len(tail):
        upto = min(len(tail), at + SECTOR - (offset + at) % SECTOR)
        if not tail[at:upto].strip(b"\0"):
            return True
        at = upto
    return False


def tail_size(path: Path, end: int) -> int:
    """How many bytes a segment has after its last whole group."""
    return max(path.stat().st_size - end, 0)


def remove_merged(folder: Path, segments: list[SegmentFile]) -> list[Path]:
    """Take away the files of segments that were merged into earlier ones, and what a crash left half made of others.
    Returns which. Raises ``OSError``."""
    merged = {
        file_name(number) for segment in segments for number in range(segment.head.number + 1, segment.head.through + 1)
    }
    indexes = {name.replace(".jsonl", ".index") for name in merged}
    gone = [
        found for found in sorted(folder.iterdir()) if found.name in merged | indexes or _PART.fullmatch(found.name)
    ]
    for path in gone:
        path.unlink()
    return gone
