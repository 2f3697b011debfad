"""A venue's frames on disk: the messages as they came, in compressed segments that roll by size.

Each line is our time of receipt in ns, a space, and one message: the layout of a raw capture, so a segment can be
given to ``--tape`` as any capture can. Messages keep the order in which the run heard them.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.sync import sync, sync_content, write_at

__all__ = ["FOLDER", "Frame", "FrameWriter", "one_line", "read_frames"]

FOLDER = "frames"
"""The folder of segments in a run's folder."""

_SUFFIX = ".raw.gz"
_SEGMENT = 64 << 20  # bytes on disk, after which the next segment begins
_BUFFER = 64 << 10  # bytes of text that wait for compression at most
_LEVEL = 1  # of compression: the fastest makes market data a sixth, the best a ninth at ten times the work
_GZIP = 31  # zlib's window, with gzip's head and checksum


class Frame(NamedTuple):
    """A message of a venue: when we received it (ns UTC), and its bytes, without a line break."""

    received: int
    data: bytes


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
        self._failure = ""
        self._synced = True
        self.frames = 0
        """How many frames were written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._number = max((_number(path) for path in _segments(folder)), default=0)
            self._begin_segment()
        except OSError as error:
            raise tape_error(folder, "write market data", error) from None

    def write(self, frame: Frame) -> None:
        """Take a frame. It is on disk when ``sync`` returned, and sooner if enough frames wait."""
        line = b"%d %b\n" % frame
        self._waiting.append(line)
        self._size += len(line)
        self.frames += 1
        if self._size >= _BUFFER:
            self._size = 0
            self.flush()

    def flush(self) -> None:
        """Hand what waits to the operating system: it survives a kill of this process."""
        with self._lock:
            self._flush()

    def sync(self) -> None:
        """Put all frames written so far on the disk: they survive a power cut."""
        with self._lock:
            self._flush()
            if self._synced:
                return
            try:
                sync_content(self._fd)
            except OSError as error:
                self._fail(error)
            self._synced = True

    def close(self) -> None:
        """Sync, and end the last segment. Closing twice is harmless."""
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

    def _flush(self) -> None:
        """Compress and write what waits. ``_lock`` is held."""
        if self._failure:
            raise TapeError(self._failure)
        if not self._waiting:
            return
        text = b"".join([self._waiting.popleft() for _ in range(len(self._waiting))])
        self._put(self._packer.compress(text) + self._packer.flush(zlib.Z_SYNC_FLUSH))
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
        path = self._folder / f"{self._number:06d}{_SUFFIX}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        sync(self._folder)
        self._packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        self._written = 0

    def _end_segment(self) -> None:
        self._put(self._packer.flush())
        try:
            sync_content(self._fd)
        except OSError as error:
            self._fail(error)
        self._synced = True
        os.close(self._fd)
        self._fd = -1

    def _fail(self, error: OSError) -> None:
        self._failure = str(tape_error(self._folder, "write market data", error))
        raise TapeError(self._failure) from None


def read_frames(folder: Path) -> Iterator[Frame]:
    """The frames of all segments in ``folder``, in the order in which they were written.

    The last line of a segment whose writer was killed may be cut short: it is left out. Raises ``TapeError`` if a
    segment cannot be read, or is damaged before its end.
    """
    for path in _segments(folder):
        unpacker, rest = zlib.decompressobj(_GZIP), b""
        try:
            with path.open("rb") as file:
                while data := file.read(1 << 18):
                    *lines, rest = (rest + unpacker.decompress(data)).split(b"\n")
                    for line in lines:
                        stamp, _, message = line.partition(b" ")
                        yield Frame(int(stamp), message)
        except OSError as error:
            raise tape_error(path, "read market data", error) from None
        except (zlib.error, ValueError) as error:
            raise TapeError(f"{path}: the segment is damaged ({error}); restore it from a copy") from None


def _segments(folder: Path) -> list[Path]:
    return sorted((path for path in folder.glob(f"*{_SUFFIX}") if path.name[: -len(_SUFFIX)].isdigit()), key=_number)


def _number(path: Path) -> int:
    return int(path.name[: -len(_SUFFIX)])
