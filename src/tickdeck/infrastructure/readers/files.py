"""Shared by all readers: opening files (plain, gzip, zip, Parquet), peeking, and errors that name file and line."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, cast

import msgspec

from tickdeck.errors import InputError
from tickdeck.infrastructure.readers.parquet import is_parquet, parquet_lines

__all__ = [
    "DEFAULT_FEED_LATENCY_NS",
    "FAULTS",
    "PEEK_LINES",
    "check_step_back",
    "fault",
    "file_digest",
    "open_binary",
    "open_text",
    "peek_lines",
    "require_symbol",
]

DEFAULT_FEED_LATENCY_NS = 10_000_000
"""How long data takes to reach us (ns), for files without a receive time."""

PEEK_LINES = 2_000
"""How many lines of a file ``peek_symbols`` reads."""

_STEP_BACK_NS = 1_000_000_000
"""How far (ns) a time may go back from line to line. Two threads that write one file may swap lines, but not by an
hour.
"""

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_OTHER_PACKERS = {b"BZh": "bzip2", b"\xfd7zX": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"7z\xbc\xaf": "7z", b"Rar!": "rar"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BUFFER = 1 << 18
_MAX_TEXT = 240
_SAYS_WHAT_TO_DO = re.compile("; (give|sort|use|write) ")

FAULTS = (
    ValueError,
    LookupError,
    ArithmeticError,
    msgspec.MsgspecError,
    OSError,
    EOFError,
    zlib.error,
    zipfile.BadZipFile,
)
"""The errors that a wrong line or an unreadable file raises within a reader."""


@contextmanager
def open_binary(path: Path) -> Iterator[BinaryIO]:
    """The bytes of the file, decompressed if its first bytes say gzip or zip. Its name does not matter.

    If a gzip file is truncated, the last 256 KiB before the end may be lost.

    Raises ``InputError`` if the file is missing, unreadable, empty, compressed in another way, or a zip archive of
    several files.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give the path of a readable file") from None
    with file:
        head = file.peek(4)[:4]
        if not head:
            raise InputError(f"{path}: the file is empty; give a file with market data")
        if head == _ZIP:
            with _only_member(path, file) as member:
                yield _lines_in_c(member)
            return
        for magic, packer in _OTHER_PACKERS.items():
            if head.startswith(magic):
                raise InputError(f"{path}: compressed with {packer}; decompress it, or compress it with gzip or zip")
        if not head.startswith(_GZIP):
            yield file
            return
        with gzip.GzipFile(fileobj=file) as unpacked:
            yield _lines_in_c(unpacked)


def _lines_in_c(unpacked: object) -> BinaryIO:
    """``GzipFile`` and ``ZipExtFile`` split lines in Python; a ``BufferedReader`` around them does it in C."""
    return io.BufferedReader(cast(io.RawIOBase, unpacked), _BUFFER)


@contextmanager
def _only_member(path: Path, file: BinaryIO) -> Iterator[IO[bytes]]:
    """The only file in a zip archive, as exchanges publish them. Folders and what macOS adds are ignored."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX/")]
            if len(names) != 1:
                found = ", ".join(names[:5]) or "nothing"
                raise InputError(
                    f"{path}: a zip archive must hold one file, this one holds {found}; unpack it and give the files"
                )
            with archive.open(names[0]) as member:
                yield member
    except zipfile.BadZipFile as error:
        raise InputError(f"{path}: the zip archive is damaged ({error}); download it again") from None
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression method
        raise InputError(f"{path}: the zip archive cannot be read ({error}); unpack it and give the file") from None


@contextmanager
def open_text(path: Path) -> Iterator[Iterable[str]]:
    """The lines of a text file. A Parquet file gives the lines of the equivalent CSV file.

    Text is UTF-8 with or without a byte order mark, or UTF-16 with one, as spreadsheets save it. Invalid bytes become
    U+FFFD, which no number or name contains, so the reader reports them with their line. Raises ``InputError`` as
    ``open_binary`` does.
    """
    if is_parquet(path):
        yield parquet_lines(path)
        return
    with open_binary(path) as file:
        try:
            head = cast(io.BufferedReader, file).peek(2)[:2]
        except FAULTS as error:  # a compressed file that is damaged from the start
            raise fault(path, 0, error) from None
        encoding = "utf-16" if head in _UTF16 else "utf-8-sig"
        text = io.TextIOWrapper(file, encoding=encoding, errors="replace")
        try:
            yield text
        finally:
            text.detach()  # the caller that opened the file closes it


def peek_lines(path: Path, count: int) -> list[str]:
    """The first ``count`` lines without their line endings; fewer if the file is shorter or damaged further down.

    Raises ``InputError`` if no line can be read.
    """
    lines: list[str] = []
    with open_text(path) as text:
        try:
            lines.extend(line.rstrip("\r\n") for line in islice(text, count))
        except FAULTS as error:
            if not lines:
                raise fault(path, 0, error) from None
    if not lines:
        raise InputError(f"{path}: the file is empty; give a file with market data")
    return lines


def fault(path: Path, line: int, error: Exception, wanted: str = "") -> InputError:
    """The ``InputError`` for an ``error`` in line ``line`` (from 1), or after it if the file cannot be read any
    further.

    ``wanted`` says what the line should have been.
    """
    if isinstance(error, (EOFError, zlib.error, OSError, zipfile.BadZipFile)):
        what = "the file is cut short" if isinstance(error, EOFError) else f"the file is damaged ({error})"
        where = f"{path}, after line {line}" if line else f"{path}"
        return InputError(f"{where}: {what}; download or compress it again")
    text = str(error)
    if len(text) > _MAX_TEXT:  # it may quote a whole line
        text = f"{text[:_MAX_TEXT]}..."
    wanted = f" ({wanted})" if wanted else ""
    mend = "" if _SAYS_WHAT_TO_DO.search(text) else "; correct or remove the line"
    return InputError(f"{path}, line {line}: {text}{wanted}{mend}")


def check_step_back(path: Path, line: int, time: int, latest: int) -> None:
    """Raise ``InputError`` if ``time`` (ns) is so far before ``latest``, the newest time above it, that the lines are
    not in the order in which they were written. A small step back is accepted.
    """
    if latest - time > _STEP_BACK_NS:
        raise InputError(
            f"{path}, line {line}: the time goes back by {(latest - time) / 1e9:,.3f} s; sort the file by time"
        )


def require_symbol(path: Path, symbol: str | None) -> str:
    """``symbol``, for a format whose lines do not name one. Raises ``InputError`` if it is missing."""
    if symbol:
        return symbol
    raise InputError(
        f"{path}: neither its lines nor its name contain the symbol; give it (--symbol BTCUSDT, or"
        " symbol= of [[tapes]])"
    )


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes on disk (gzip is not decompressed), in hex. Raises ``InputError``."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}; give the path of a readable file") from None
