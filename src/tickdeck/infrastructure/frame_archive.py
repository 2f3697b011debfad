"""Archives or drops segments of a run's recorded market data, the oldest first, even while the run works.

Before a segment is removed, its entry in the list of removed segments is durable. If this is interrupted, the next call
finishes it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tickdeck.application.ports import Frame
from tickdeck.errors import RunError, TapeError
from tickdeck.infrastructure.frame_chain import chain_after
from tickdeck.infrastructure.frame_members import FramesMark
from tickdeck.infrastructure.frame_segments import GoneSegment, read_gone, segments, write_gone
from tickdeck.infrastructure.frames import frames_of
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.sync import replacing, sync, sync_content, write_at

__all__ = ["archive_frames"]

_CHUNK = 1 << 20


def archive_frames(
    folder: Path, *, events_in: Callable[[Frame], int], before: int, to: Path | None, seq: int, keep_newest: bool = True
) -> list[GoneSegment]:
    """Move the segments in ``folder`` whose frames were all received before ``before`` (ns UTC) to the folder ``to``,
    or delete them (``None``). Returns the removed segments.

    ``events_in(frame)`` is the number of events of a frame; it is called for each frame of these segments, in order.
    ``seq`` is the last event on the run's tape. ``keep_newest`` leaves the newest segment, to which a process may
    write.

    Raises ``RunError`` if another process is doing the same or a file in ``to`` is in the way, ``TapeError`` if
    something cannot be read or written.
    """
    went: list[GoneSegment] = []
    try:
        with _locked(folder):
            gone = list(read_gone(folder))
            known = {segment.name for segment in gone}
            here = segments(folder)
            for place, path in enumerate(here):
                if path.name not in known:
                    later = here[place + 1 :]
                    if not later and keep_newest:
                        break
                    segment = _if_older(path, later, before, events_in)
                    if segment is None:
                        break
                    end = chain_after(path, gone[-1].end if gone else None)
                    mark = end.mark() if end is not None else FramesMark(0, "")
                    segment = msgspec.structs.replace(segment, seq=seq, through=mark.frames, digest=mark.digest)
                    if to is not None:
                        to.mkdir(parents=True, exist_ok=True)
                        segment = _copied(path, segment, to.absolute() / path.name)
                    gone.append(segment)
                    write_gone(folder, gone)
                    went.append(segment)
                path.unlink()
                sync(folder)
    except OSError as error:
        raise tape_error(folder, "archive market data", error) from None
    return went


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{folder}: another process is archiving it; wait for it") from None
        yield
    finally:
        os.close(lock)


def _if_older(path: Path, later: list[Path], before: int, events_in: Callable[[Frame], int]) -> GoneSegment | None:
    """The segment, if all of its frames are older than ``before``. If a later segment begins before that, they are;
    then the segment need not be read.
    """
    first = next((frame.received for other in later for frame in frames_of(other)), None)
    if later and (first is None or first >= before):
        return None
    frames = events = first_ts = last_ts = 0
    for frame in frames_of(path):
        first_ts = first_ts or frame.received
        last_ts = frame.received
        frames += 1
        events += events_in(frame)
    if last_ts >= before:
        return None
    return GoneSegment(
        name=path.name,
        bytes=path.stat().st_size,
        frames=frames,
        events=events,
        first_ts=first_ts,
        last_ts=last_ts,
        sha256=_sha256(path),
        place=None,
    )


def _copied(path: Path, segment: GoneSegment, to: Path) -> GoneSegment:
    """Copy the segment durably, and read the copy again."""
    if to.exists() and _sha256(to) != segment.sha256:
        raise RunError(f"{to} is in the way, because it is a different file; name another folder with --to")
    if not to.exists():
        with path.open("rb") as file, replacing(to) as fd:
            at = 0
            while data := file.read(_CHUNK):
                write_at(fd, data, at)
                at += len(data)
            sync_content(fd)
        sync(to.parent)
    if _sha256(to) != segment.sha256:
        raise TapeError(f"{to}: the copy differs from {path}, which was kept; check the disk")
    return msgspec.structs.replace(segment, place=str(to))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
