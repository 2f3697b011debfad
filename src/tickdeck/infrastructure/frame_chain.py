"""The digest of a run's recorded frames: where a writer continues it, and whether it agrees with the frames."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tickdeck.errors import TapeError
from tickdeck.infrastructure.frame_members import (
    FrameChain,
    FramesMark,
    MemberHead,
    MemberPart,
    Unpacker,
    first_head,
    last_head,
)
from tickdeck.infrastructure.frame_segments import GoneSegment, number_of, read_gone, segments
from tickdeck.infrastructure.tape.faults import tape_error

__all__ = [
    "chain_after",
    "chain_at_end",
    "damaged",
    "files_of",
    "frame_faults",
    "parts_of",
    "read_part",
    "undivided_digest",
]

_PART = 1 << 18  # bytes read at a time
_NOT_AT_END = "the frames are not those with which the run ended"


def read_part(path: Path, offset: int) -> bytes:
    """The next bytes of a segment. Raises ``OSError``."""
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(_PART)


def parts_of(path: Path, offset: int = 0) -> Iterator[MemberPart]:
    """The lines of a segment from ``offset`` on, where a member begins. Raises ``TapeError`` if it is damaged or cannot
    be read."""
    unpacker = Unpacker()
    try:
        while data := read_part(path, offset):
            offset += len(data)
            yield from unpacker.feed(data)
    except zlib.error as error:
        raise damaged(path, str(error)) from None
    except OSError as error:
        raise tape_error(path, "read market data", error) from None


def damaged(path: Path | None, why: str) -> TapeError:
    return TapeError(f"{path}: the segment is damaged ({why}); restore it from a copy")


def files_of(folder: Path) -> list[tuple[Path | None, GoneSegment | None]]:
    """The segments in order, each where it can be read (``None``: nowhere), and what is known of it if it is gone."""
    here = {path.name: path for path in segments(folder)}
    gone = {segment.name: segment for segment in read_gone(folder)}
    found: list[tuple[Path | None, GoneSegment | None]] = []
    for name in sorted({**gone, **here}, key=lambda name: number_of(Path(name))):
        segment = gone.get(name)
        archived = Path(segment.place) if segment is not None and segment.place is not None else None
        path = here.get(name) or (archived if segment is not None and segment.is_within_reach else None)
        found.append((path, segment))
    return found


def chain_at_end(folder: Path) -> FrameChain:
    """The digest of all frames in ``folder``, computed from its last member. Segments of older versions are read.

    Raises ``TapeError`` if a segment is damaged or cannot be read, and ``OSError``.
    """
    rest: list[tuple[Path, int]] = []  # what to read, the last first
    reached = FrameChain()
    for path, gone in reversed(files_of(folder)):
        if path is None:
            assert gone is not None
            reached = FrameChain(gone.end)
            break
        found = last_head(path)
        rest.append((path, found[0] if found is not None else 0))
        if found is not None:
            reached = FrameChain(found[1])
            break
    for path, offset in reversed(rest):
        _follow(reached, parts_of(path, offset))
    return reached


def chain_after(path: Path, before: MemberHead | None) -> FrameChain | None:
    """The digest at the end of a segment. ``before``: at the end of the previous one, if it is known; a segment of an
    older version does not say it. Raises the errors of ``chain_at_end``."""
    head = first_head(path) or before
    return _follow(FrameChain(head), parts_of(path)) if head is not None else None


def _follow(reached: FrameChain, parts: Iterator[MemberPart]) -> FrameChain:
    for part in parts:
        if part.begins:
            reached.begin_member()
        reached.add(_text(part.lines), len(part.lines))
    return reached


def frame_faults(folder: Path, end: FramesMark | None, *, exact: bool = False) -> list[str]:
    """What shows that the frames in ``folder`` were changed since they were recorded; empty if nothing does.

    ``end``: the digest of the first frames, as it was noted elsewhere. ``exact``: there were no others. Frames that are
    out of reach are left out: the next segment says what precedes it. Raises ``TapeError`` if a segment cannot be
    read.
    """
    reached: FrameChain | None = FrameChain()
    faults: dict[str, None] = {}
    wanted = end if end is not None and end.frames else None  # until its place is reached
    for path, gone in files_of(folder):
        if path is None:
            assert gone is not None
            reached = FrameChain(gone.end) if gone.end is not None else None
            wanted = _unless_passed(wanted, reached)
            continue
        for part in parts_of(path):
            if part.begins:
                before = reached.begin_member() if reached is not None else None
                if part.head is not None:
                    if before not in (None, part.head):
                        faults[f"the frames before {path.name} are not those that were recorded"] = None
                    reached = FrameChain(part.head)
                    wanted = _unless_passed(wanted, reached)
            if reached is None:
                continue
            lines = part.lines
            if wanted is not None and reached.frames + len(lines) >= wanted.frames:
                missing = wanted.frames - reached.frames
                reached.add(_text(lines[:missing]), missing)
                if reached.mark() != wanted:
                    faults[_NOT_AT_END] = None
                wanted, lines = None, lines[missing:]
            reached.add(_text(lines), len(lines))
    if reached is not None and (wanted is not None or (exact and end is not None and reached.frames != end.frames)):
        faults[_NOT_AT_END] = None
    return list(faults)


def _unless_passed(wanted: FramesMark | None, reached: FrameChain | None) -> FramesMark | None:
    """``None`` if the place lies within what is out of reach."""
    return None if wanted is None or (reached is not None and wanted.frames <= reached.frames) else wanted


def undivided_digest(folder: Path, count: int | None) -> str:
    """The digest of the first ``count`` frames, or of all, as older versions noted it at the end of a run: it did not
    depend on segments. Raises ``TapeError`` if one cannot be read."""
    digest = hashlib.blake2b(digest_size=32)
    paths = (path for path, _ in files_of(folder) if path is not None)
    lines = (line for path in paths for part in parts_of(path) for line in part.lines)
    for line in islice(lines, count):
        digest.update(line + b"\n")
    return digest.hexdigest()


def _text(lines: list[bytes]) -> bytes:
    return b"\n".join([*lines, b""]) if lines else b""
