"""The segments of a JSON Lines tape: their files and groups. Each group is verified when it is read.

Data after the last complete group of the last segment is either *torn* or *damaged*. Torn: a writer was killed, or lost
power, before it had acknowledged the group; sectors of 512 bytes may be missing. Damaged: nothing is missing, so the
group had been committed and was changed since. Any error before that is damage, because a writer begins a group only
after the previous one is synced.
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
    """Bytes that were changed since they were written: a whole line, from byte ``first`` to byte ``last`` of the file,
    inclusive, counted from 0; ``line`` is counted from 1."""

    path: Path
    line: int
    first: int
    last: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}, bytes {self.first} to {self.last}: {self.what}"


class TapeDamaged(TapeError):
    """Committed bytes of a tape were changed."""

    def __init__(self, damage: Damage) -> None:
        self.damage = damage
        super().__init__(f"{damage}; restore the file from a copy")


class SegmentFile(NamedTuple):
    """A segment with a valid head. ``body``: where its first group begins, ``crc``: that of the head's line."""

    path: Path
    head: SegmentHead
    body: int
    crc: int


class Group(NamedTuple):
    """Complete cascades with one commit: their ``lines`` and the offset of these in the file, and ``end`` and ``crc``
    of the segment up to and including the commit's line."""

    offset: int
    lines: bytes
    commit: Commit
    end: int
    crc: int


# -- files --------------------------------------------------------------------------------------------------------


def file_name(number: int) -> str:
    return f"{number:06d}.jsonl"


def is_jsonl_tape(path: Path) -> bool:
    """A folder with segments. Raises ``TapeError`` if it cannot be read."""
    try:
        return path.is_dir() and any(_NAME.fullmatch(found.name) for found in path.iterdir())
    except FileNotFoundError:  # it was deleted between the two looks
        return False
    except OSError as error:
        raise tape_error(path, "read the tape", error) from error


def highest_number(folder: Path) -> int:
    """The total size of the segment files in the folder, 0 if there are none. Raises ``OSError``."""
    return max((int(found.stem) for found in folder.iterdir() if _NAME.fullmatch(found.name)), default=0)


def read_head(path: Path, *, is_last: bool) -> SegmentFile | None:
    """The segment's head; ``None`` if it is the last segment and a crash interrupted its creation.

    Raises ``TapeDamaged``, ``TapeVersionError``, and ``OSError``.
    """
    with path.open("rb") as file:
        line = file.readline()
        head = parse_head(line[:-1]) if line.endswith(b"\n") else None
        if head is None:
            rest = file.read()
            damage = find_damage(path, line + rest, 0)
            # The head is synced before any group is written: a power cut can only have lost it if nothing follows.
            if damage is None and not (is_last and len(line) + len(rest) <= HEAD_LINE):
                damage = Damage(
                    path, 1, 0, max(len(line) - 1, 0), "the segment's head was changed since it was written"
                )
            if damage is not None:
                raise TapeDamaged(damage)
            return None
    if head.format > FORMAT:
        raise TapeVersionError(
            f"{path}: the tape has format {head.format}; this Tickdeck supports up to {FORMAT}; install a newer one"
        )
    return SegmentFile(path, head, len(line), crc32(line))


def list_segments(folder: Path) -> list[SegmentFile]:
    """The segments in order, without files that were merged into an earlier one and without a last one that has no
    head.

    Raises ``TapeError`` if one is missing or damaged, ``TapeVersionError`` if one has a newer format.
    """
    try:
        while True:
            names = _names(folder)
            try:
                return _read_heads(folder, names)
            except FileNotFoundError:  # merged into another one meanwhile
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
                f"{folder}: segment {file_name(expected)} is missing, but {name} exists; restore it from a copy"
            )
        segment = read_head(folder / name, is_last=name == names[-1])
        if segment is None:
            break
        if segment.head.number != number:
            raise TapeError(f"{folder / name}: its head says segment {segment.head.number}; rename the file back")
        found.append(segment)
        expected = segment.head.through + 1
    return found


# -- groups -------------------------------------------------------------------------------------------------------


def read_groups(file: FileIO, path: Path, offset: int, crc: int, *, is_last: bool) -> Iterator[Group]:
    """Yields the complete groups from ``offset`` on, each verified. ``crc`` is the CRC-32 of everything before.

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
            # A writer may have cut a torn tail that was partly read before, and written a group in its place.
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
        damage = _place(path, tail, offset, 0, "the segment ends within a group, but another segment follows")
    if damage is not None:
        raise TapeDamaged(damage)


def find_damage(path: Path, tail: bytes, offset: int) -> Damage | None:
    """What is wrong with the bytes after the last complete group before ``offset``; ``None`` if they are torn."""
    bad: int | None = None  # where the first invalid line begins
    committed: int | None = None  # where the first valid commit ends
    was_committed_before = False
    at = 0
    *lines, rest = tail.split(b"\n")
    for line in lines:
        if not is_sound(line):
            bad = at if bad is None else bad
        elif committed is None and (commit := parse_commit(line)) is not None:
            committed = at + len(line) + 1
            # A group begins after the previous one is synced, so one that follows or precedes proves a commit.
            was_committed_before = committed < len(tail) or commit.offset > offset
        at += len(line) + 1
    if rest and (commit := parse_commit(rest[:-1])) is not None:  # everything is there except the end of the last line
        bad, committed = at if bad is None else bad, len(tail)
        was_committed_before |= commit.offset > offset
    if not was_committed_before and (_sector_is_missing(tail, offset) or (rest and committed is None)):
        return None
    if bad is not None:
        return _place(
            path, tail, offset, bad, "the line was changed since it was written (its checksum does not match)"
        )
    if committed is not None:
        last = tail.rfind(b"\n", 0, committed - 1) + 1
        return _place(path, tail, offset, last, "the group before this commit was changed since it was written")
    return None  # valid lines without a commit yet


def _place(path: Path, tail: bytes, offset: int, at: int, what: str) -> Damage:
    with path.open("rb") as file:
        before = file.read(offset)
    end = tail.find(b"\n", at)
    last = offset + (len(tail) - 1 if end < 0 else end)
    return Damage(path, before.count(b"\n") + tail.count(b"\n", 0, at) + 1, offset + at, last, what)


def _sector_is_missing(tail: bytes, offset: int) -> bool:
    """True if a disk sector of ``tail`` contains only zeros, which no line does."""
    at = 0
    while at < len(tail):
        upto = min(len(tail), at + SECTOR - (offset + at) % SECTOR)
        if not tail[at:upto].strip(b"\0"):
            return True
        at = upto
    return False


def tail_size(path: Path, end: int) -> int:
    """The number of bytes after a segment's last complete group."""
    return max(path.stat().st_size - end, 0)


def remove_merged(folder: Path, segments: list[SegmentFile]) -> list[Path]:
    """Remove the files of segments that were merged into earlier ones, and unfinished files left by a crash. Returns
    their names. Raises ``OSError``."""
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
