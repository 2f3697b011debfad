"""A venue's frames on disk: the messages as they arrived, in compressed segments of limited size.

Each line is the receive time in ns, a space, and one message. This is the layout of a raw capture, so you can pass a
segment to ``--tape``. Messages keep the order in which the run received them.
"""

from __future__ import annotations

import os
import shutil
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from tickdeck.application.ports import Frame
from tickdeck.errors import TapeError
from tickdeck.infrastructure.frame_chain import chain_at_end, damaged, files_of, parts_of, read_part
from tickdeck.infrastructure.frame_members import FramesMark, MemberPacker, Unpacker, first_head, heads_in
from tickdeck.infrastructure.frame_segments import (
    FOLDER,
    GONE,
    SUFFIX,
    GoneSegment,
    described,
    number_of,
    read_gone,
    segments,
)
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.sync import sync, sync_content, write_at

__all__ = [
    "FOLDER",
    "FrameReader",
    "FrameWriter",
    "copy_frames",
    "frames_of",
    "one_line",
    "refuse_gone",
]

_SEGMENT = 64 << 20  # bytes on disk after which the next segment begins
_BUFFER = 64 << 10  # at most this many bytes of text wait for compression
_MEMBER = 4 << 20  # bytes of text after which the next member begins: what a resumed run unpacks again
_LINE = b"%d %b\n"


def one_line(data: bytes) -> bytes:
    """The message without line breaks. JSON allows them between values only, where a space means the same."""
    if b"\n" in data or b"\r" in data:
        return data.replace(b"\r", b" ").replace(b"\n", b" ")
    return data


class FrameWriter:
    """Writes frames to segments in ``folder``: ``000001.raw.gz``, ``000002.raw.gz`` and so on.

    A writer always begins a segment of its own, so the frames of an earlier process are never touched. ``write``
    belongs to one thread; ``sync`` may be called from another at the same time. A segment ends when its size on disk
    reaches ``segment`` bytes.

    Raises ``TapeError`` if the folder or a file cannot be written; nothing more is written after that.
    """

    def __init__(self, folder: Path, *, segment: int = _SEGMENT) -> None:
        self._folder = folder
        self._segment = segment
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque()  # one thread appends, either takes out: both are atomic
        self._size = 0  # bytes written since the buffer was last found full
        self._fd = -1
        self._written = 0  # bytes of the segment
        self._packer: MemberPacker  # of the last member
        self._failure = ""
        self._synced = True
        try:
            folder.mkdir(parents=True, exist_ok=True)
            here = segments(folder)
            names = (*here, *(Path(gone.name) for gone in read_gone(folder)))
            self._number = max(map(number_of, names), default=0)
            if here:
                sync(here[-1])  # a killed writer may have left frames that are only in the page cache
            self._chain = chain_at_end(folder)
            self._begin_segment()
        except OSError as error:
            raise tape_error(folder, "write market data", error) from None

    def write(self, frame: Frame) -> None:
        """Add a frame. It is on disk when the next ``sync`` returns, or earlier if enough frames are waiting."""
        line = _LINE % frame
        self._waiting.append(line)
        self._size += len(line)
        if self._size >= _BUFFER:
            self._size = 0
            self.flush()

    @property
    def frames(self) -> int:
        """The number of the run's frames so far, with those of earlier processes and those that wait."""
        with self._lock:
            return self._chain.frames + len(self._waiting)

    @property
    def mark(self) -> FramesMark:
        """All frames of earlier processes and of this one on disk."""
        return self._chain.mark()

    def flush(self) -> None:
        """Pass the waiting frames to the operating system. They survive a kill of this process."""
        with self._lock:
            self._flush()

    def sync(self) -> None:
        """Sync all written frames to the disk. They survive a power cut."""
        with self._lock:
            self._flush()
            if self._synced:
                return  # also when it is closed
            reached = self._number, self._written
            # A descriptor of its own, and no lock: the disk may take long, and ``write`` must not wait for it. If the
            # segment ends meanwhile, that closes only the writer's descriptor.
            try:
                fd = os.dup(self._fd)
            except OSError as error:
                self._fail(error)
        try:
            sync_content(fd)
        except OSError as error:
            self._fail(error)
        finally:
            os.close(fd)
        with self._lock:
            if reached == (self._number, self._written):
                self._synced = True

    def close(self) -> None:
        """Sync, and end the last segment. You may close a writer twice."""
        if self._fd < 0:
            return
        try:
            if not self._failure:
                self.sync()
                with self._lock:
                    self._end_segment()
        finally:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def discard(self) -> None:
        """Close the writer, and remove its segment if it has no frames."""
        if self._fd < 0 or self._waiting or self._written:
            self.close()
            return
        os.close(self._fd)
        self._fd = -1
        try:
            (self._folder / f"{self._number:06d}{SUFFIX}").unlink(missing_ok=True)
            sync(self._folder)
        except OSError as error:
            raise tape_error(self._folder, "write market data", error) from None

    def _flush(self) -> None:
        """Compress and write the waiting frames. ``_lock`` is held."""
        if self._failure:
            raise TapeError(self._failure)
        if not self._waiting:
            return
        count = len(self._waiting)
        text = b"".join([self._waiting.popleft() for _ in range(count)])
        ended = b""
        if self._packer.size >= _MEMBER:
            ended, self._packer = self._packer.end(), MemberPacker(self._chain.begin_member())
        self._chain.add(text, count)
        self._put(ended + self._packer.pack(text))
        if self._written >= self._segment:
            self._end_segment()
            self._begin_segment()

    def _put(self, data: bytes) -> None:
        try:
            write_at(self._fd, data, self._written)
        except OSError as error:
            self._fail(error)
        self._written += len(data)
        self._synced = False

    def _begin_segment(self) -> None:
        self._number += 1
        path = self._folder / f"{self._number:06d}{SUFFIX}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        sync(self._folder)
        self._packer = MemberPacker(self._chain.begin_member())
        self._written = 0

    def _end_segment(self) -> None:
        self._put(self._packer.end())
        try:
            sync_content(self._fd)
        except OSError as error:
            self._fail(error)
        self._synced = True
        os.close(self._fd)
        self._fd = -1

    def _fail(self, error: OSError) -> NoReturn:
        self._failure = str(tape_error(self._folder, "write market data", error))
        raise TapeError(self._failure) from None


class FrameReader:
    """The frames of all segments in ``folder``, in the order in which they were written. Archived segments are read in
    their archive.

    Iteration stops at the end of the frames; it continues later if the writer has written more. If the writer of a
    segment was killed, its last line may be incomplete; it is skipped. In place of a segment that was dropped, or whose
    archive is out of reach, ``on_gone(segment)`` is called; by default, it raises ``TapeError``.

    ``after``: begin after so many frames of the run. Earlier segments are not read, so ``on_gone`` is not called for
    them either.

    Raises ``TapeError`` if a segment cannot be read, or is damaged before its end."""

    def __init__(self, folder: Path, *, on_gone: Callable[[GoneSegment], object] | None = None, after: int = 0) -> None:
        self._folder = folder
        self._on_gone = on_gone or refuse_gone
        self._number = 0  # of the segment that is being read
        self._path: Path | None = None
        self._offset = 0  # of the next read; the file does not stay open
        self._lines: deque[bytes] = deque()
        self._unpacker = Unpacker()
        self._skip = after  # lines that are still before the first frame
        if after:
            try:
                self._begin_after(after)
            except OSError as error:
                raise tape_error(folder, "read market data", error) from None

    def __iter__(self) -> FrameReader:
        return self

    def __next__(self) -> Frame:
        while not self._lines:
            if not self._read_on() and not self._next_segment():
                raise StopIteration
        line = self._lines.popleft()
        stamp, _, message = line.partition(b" ")
        try:
            return Frame(int(stamp), message)
        except ValueError:
            raise _bad_line(self._path, line) from None

    def _read_on(self) -> bool:
        """Read some more of the current segment. Returns False at its end."""
        if self._path is None:
            return False
        try:
            data = self._read()
        except OSError as error:
            raise tape_error(self._path, "read market data", error) from None
        self._offset += len(data)
        try:
            parts = self._unpacker.feed(data)
        except zlib.error as error:
            raise damaged(self._path, str(error)) from None
        for _, _, lines in parts:
            skipped = min(self._skip, len(lines))
            self._skip -= skipped
            self._lines.extend(lines[skipped:])
        return bool(data)

    def _read(self) -> bytes:
        assert self._path is not None
        try:
            return read_part(self._path, self._offset)
        except FileNotFoundError:  # it was archived meanwhile
            moved = {gone.name: gone for gone in read_gone(self._folder)}.get(self._path.name)
            if moved is None or moved.place is None:
                raise
            self._path = Path(moved.place)
            return read_part(self._path, self._offset)

    def _next_segment(self) -> bool:
        """Open the next segment. Returns False if there is none."""
        here = {path.name: path for path in segments(self._folder)}
        gone = {segment.name: segment for segment in read_gone(self._folder)}
        later = [Path(name) for name in {**gone, **here} if number_of(Path(name)) > self._number]
        if not later:
            return False
        name = min(later, key=number_of).name
        self._number = number_of(Path(name))
        self._path, self._offset, self._unpacker = here.get(name), 0, Unpacker()
        if self._path is None:
            segment = gone[name]
            if segment.place is not None and segment.is_within_reach:
                self._path = Path(segment.place)
            elif self._skip >= segment.frames > 0:
                self._skip -= segment.frames
            else:
                self._on_gone(segment)
        return True

    def _begin_after(self, frames: int) -> None:
        """Go to the member that has the frame after so many, if the segments say which it is."""
        for path, _ in reversed(files_of(self._folder)):
            head = first_head(path) if path is not None else None
            if path is not None and head is not None and head.frames <= frames:
                offset, head = [each for each in heads_in(path) if each[1].frames <= frames][-1]
                self._number, self._path, self._offset = number_of(path), path, offset
                self._skip = frames - head.frames
                return


def refuse_gone(gone: GoneSegment) -> None:
    """Raise ``TapeError``: the frames of this segment are needed."""
    raise TapeError(f"{described([gone])}; move it back there to read it")


def frames_of(path: Path) -> Iterator[Frame]:
    """The frames of one segment. Raises the errors of ``FrameReader``."""
    for part in parts_of(path):
        for line in part.lines:
            stamp, _, message = line.partition(b" ")
            try:
                yield Frame(int(stamp), message)
            except ValueError:
                raise _bad_line(path, line) from None


def _bad_line(path: Path | None, line: bytes) -> TapeError:
    return damaged(path, f"a line begins with {line.partition(b' ')[0][:40].decode(errors='replace')!r}")


def copy_frames(folder: Path, out: Path) -> int:
    """Copy the segments of ``folder`` to the new folder ``out`` while a run may be writing them, read the copy from
    beginning to end, and return its number of frames. It has all frames that were in ``folder`` when this was called.
    Archived segments stay in their archive.

    Raises ``OSError`` and the errors of ``FrameReader``.
    """
    out.mkdir()
    frames = 0
    for path in segments(folder):
        try:
            shutil.copyfile(path, out / path.name)
        except FileNotFoundError:
            if path.name not in {gone.name for gone in read_gone(folder)}:
                raise
            continue  # archived meanwhile
        sync(out / path.name)
        frames += sum(1 for _ in frames_of(out / path.name))
    if (folder / GONE).exists():
        shutil.copyfile(folder / GONE, out / GONE)  # last: it names whatever was archived meanwhile
        sync(out / GONE)
    sync(out)
    return frames
