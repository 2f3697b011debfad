"""Snapshots of a JSON Lines tape: one file per stream, replaced as a whole.

The file name is a hash, because a stream's name may contain any character. Its one line names the stream::

    {"snapshot":{"stream":"order/main/a","version":3,"state":"eyJ...base64..."},"crc":"1f00d2c4"}
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tickdeck.application.ports import Snapshot
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.jsonl.lines import add_checksum, read_checked
from tickdeck.infrastructure.tape.sync import replace_file, sync

__all__ = ["SNAPSHOTS", "load_snapshot", "read_snapshots", "save_snapshot"]

SNAPSHOTS = "snapshots"
"""The folder's name."""


class _Saved(msgspec.Struct):
    stream: str
    version: int
    state: bytes  # JSON has it in base64


_decode = msgspec.json.Decoder(dict[str, _Saved]).decode


def _place(folder: Path, stream: str) -> Path:
    return folder / SNAPSHOTS / f"{hashlib.sha256(stream.encode()).hexdigest()[:32]}.json"


def save_snapshot(folder: Path, stream: str, snapshot: Snapshot) -> None:
    """Write it to disk, replacing the previous one. A crash leaves one or the other. Raises ``OSError``."""
    path = _place(folder, stream)
    path.parent.mkdir(exist_ok=True)
    sync(folder)  # always: whoever created the folder may have been stopped before syncing it
    line = add_checksum(msgspec.json.encode({"snapshot": _Saved(stream, *snapshot)})[:-1])
    replace_file(path, line, durable=True)


def load_snapshot(folder: Path, stream: str) -> Snapshot | None:
    """The stream's snapshot, ``None`` if there is none. Raises ``TapeError`` if it is damaged."""
    path = _place(folder, stream)
    try:
        saved = _read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise tape_error(path, "read the snapshot", error) from error
    return Snapshot(saved.version, saved.state)


def read_snapshots(folder: Path) -> Iterator[tuple[str, Snapshot]]:
    """All snapshots, by stream. Raises ``TapeError`` if one is damaged."""
    try:
        found = [_read(path) for path in (folder / SNAPSHOTS).glob("*.json")]
    except OSError as error:
        raise tape_error(folder / SNAPSHOTS, "read the snapshots", error) from error
    for saved in sorted(found, key=lambda saved: saved.stream):
        yield saved.stream, Snapshot(saved.version, saved.state)


def _read(path: Path) -> _Saved:
    body = read_checked(path.read_bytes()[:-1])
    try:
        saved = _decode((body or b"") + b"}")["snapshot"]
    except (msgspec.MsgspecError, KeyError):
        what = "the snapshot was changed since it was written; delete the file, the events are complete"
        raise TapeError(f"{path}: {what}") from None
    if path.name != _place(path.parent, saved.stream).name:
        what = f"its content is the snapshot of {saved.stream!r}; delete the file, the events are complete"
        raise TapeError(f"{path}: {what}")
    return saved
