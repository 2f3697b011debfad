"""Snapshots of a JSON Lines tape: one folder per stream, with one file per version.

The folder's name is a hash, because a stream's name may contain any character. The one line of a file names the stream.
Earlier versions of Tickdeck kept only the last snapshot, in a file with the hash as its name::

    {"snapshot":{"stream":"order/main/a","version":3,"state":"eyJ...base64..."},"crc":"1f00d2c4"}
"""

from __future__ import annotations

import hashlib
import re
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


_NAME = re.compile(r"\d+\.json")
_decode = msgspec.json.Decoder(dict[str, _Saved]).decode


def _place(folder: Path, stream: str) -> Path:
    """The folder of the stream's snapshots."""
    return folder / SNAPSHOTS / hashlib.sha256(stream.encode()).hexdigest()[:32]


def save_snapshot(folder: Path, stream: str, snapshot: Snapshot) -> None:
    """Write it to disk, next to those of other versions. A crash leaves the whole file or none. Raises ``OSError``."""
    place = _place(folder, stream)
    place.mkdir(parents=True, exist_ok=True)
    for parent in (folder, place.parent):
        sync(parent)  # always: whoever created the folder may have been stopped before syncing it
    line = add_checksum(msgspec.json.encode({"snapshot": _Saved(stream, *snapshot)})[:-1])
    replace_file(place / f"{snapshot.version}.json", line, durable=True)


def load_snapshot(folder: Path, stream: str, upto: int | None = None) -> Snapshot | None:
    """The stream's snapshot with the highest version, or the highest up to ``upto``; ``None`` if there is none. Raises
    ``TapeError`` if it is damaged."""
    place = _place(folder, stream)
    try:
        for version in sorted(_versions(place), reverse=True):
            if upto is None or version <= upto:
                found = _read(place / f"{version}.json", stream)
                return Snapshot(found.version, found.state)
        older = _read(place.with_suffix(".json"), stream)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise tape_error(place, "read the snapshot", error) from error
    return Snapshot(older.version, older.state) if upto is None or older.version <= upto else None


def _versions(place: Path) -> list[int]:
    try:
        return [int(found.stem) for found in place.iterdir() if _NAME.fullmatch(found.name)]
    except FileNotFoundError:
        return []


def read_snapshots(folder: Path) -> Iterator[tuple[str, Snapshot]]:
    """All snapshots, by stream and version. Raises ``TapeError`` if one is damaged."""
    try:
        found = [_read(path) for path in (folder / SNAPSHOTS).rglob("*.json")]
    except OSError as error:
        raise tape_error(folder / SNAPSHOTS, "read the snapshots", error) from error
    # A snapshot in the file of an older version of Tickdeck may also exist in a newer file: keep one of them.
    by_version = {(saved.stream, saved.version): saved.state for saved in found}
    for (stream, version), state in sorted(by_version.items()):
        yield stream, Snapshot(version, state)


def _read(path: Path, wanted: str | None = None) -> _Saved:
    body = read_checked(path.read_bytes()[:-1])
    try:
        saved = _decode((body or b"") + b"}")["snapshot"]
    except (msgspec.MsgspecError, KeyError):
        what = "the snapshot was changed since it was written; delete the file, the events are complete"
        raise TapeError(f"{path}: {what}") from None
    own = _place(path.parent, saved.stream).name
    is_in_place = (path.parent.name, path.stem) == (own, str(saved.version)) or path.stem == own
    if not is_in_place or wanted not in (None, saved.stream):
        what = f"its content is the snapshot of {saved.stream!r}; delete the file, the events are complete"
        raise TapeError(f"{path}: {what}")
    return saved
