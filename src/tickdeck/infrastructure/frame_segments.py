"""The segments of a run's recorded market data: those in its folder, and those that were archived or dropped."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tickdeck.application.wording import counted
from tickdeck.errors import TapeError
from tickdeck.infrastructure.frame_members import MemberHead
from tickdeck.infrastructure.tape.faults import tape_error
from tickdeck.infrastructure.tape.sync import replace_file

__all__ = [
    "FOLDER",
    "GONE",
    "SUFFIX",
    "GoneSegment",
    "described",
    "missing_market",
    "number_of",
    "out_of_reach",
    "read_gone",
    "segments",
    "write_gone",
]

FOLDER = "frames"
"""The folder of segments in a run's folder."""
SUFFIX = ".raw.gz"
GONE = "gone.json"
"""In the folder of the segments: the list of what was archived or dropped, in order."""
_FORMAT = 1


class GoneSegment(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that is no longer in the run's folder.

    ``frames``: its messages. ``events``: the events that they become, each of which has a ``seq`` of the run.
    ``first_ts``, ``last_ts``: when its first and last frame were received (ns UTC); 0 if it is empty. ``sha256``: of
    the file. ``place``: the absolute path of the archived file; ``None`` if it was dropped. ``seq``: the last event on
    the tape when it went. ``through``, ``digest``: the number of the run's frames up to its end, and their digest in
    hex; empty from older versions.
    """

    name: str
    bytes: int
    frames: int
    events: int
    first_ts: int
    last_ts: int
    sha256: str
    place: str | None
    seq: int = 0
    through: int = 0
    digest: str = ""

    @property
    def end(self) -> MemberHead | None:
        """What precedes the next segment, if it is known."""
        return MemberHead(self.through, bytes.fromhex(self.digest)) if self.digest else None

    @property
    def is_within_reach(self) -> bool:
        """Whether its archived file exists."""
        return self.place is not None and Path(self.place).is_file()


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    segments: tuple[GoneSegment, ...]
    format: int = _FORMAT


def segments(folder: Path) -> list[Path]:
    """The segments in ``folder``, in order."""
    return sorted((path for path in folder.glob(f"*{SUFFIX}") if path.name[: -len(SUFFIX)].isdigit()), key=number_of)


def number_of(path: Path) -> int:
    """The number of a segment."""
    return int(path.name[: -len(SUFFIX)])


def read_gone(folder: Path) -> tuple[GoneSegment, ...]:
    """The segments of ``folder`` that were archived or dropped, in order. Raises ``TapeError`` if the list was
    changed."""
    path = folder / GONE
    try:
        content = msgspec.json.decode(path.read_bytes(), type=_Content)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise tape_error(path, "read the list of archived market data", error) from None
    except msgspec.MsgspecError as error:
        raise TapeError(f"{path}: {error}; the file was changed, restore it from a copy") from None
    if content.format > _FORMAT:
        raise TapeError(f"{path}: format {content.format} is newer than this Tickdeck; update it to read this run")
    return content.segments


def write_gone(folder: Path, gone: Sequence[GoneSegment]) -> None:
    """Replace the list, durably. Raises ``OSError``."""
    content = msgspec.json.format(msgspec.json.encode(_Content(tuple(gone))), indent=2)
    replace_file(folder / GONE, content + b"\n", durable=True)


def out_of_reach(folder: Path) -> list[GoneSegment]:
    """The segments that are neither in ``folder`` nor in a reachable archive."""
    return [gone for gone in read_gone(folder) if not (folder / gone.name).exists() and not gone.is_within_reach]


def missing_market(run: Path, *, only_dropped: bool = False) -> str:
    """A description of the recorded market data that is missing for the run in the folder ``run``; empty if nothing is.
    ``only_dropped`` leaves out what is in an archive that is out of reach.
    """
    gone = [segment for segment in out_of_reach(run / FOLDER) if segment.place is None or not only_dropped]
    return described(gone) if gone else ""


def described(gone: Sequence[GoneSegment]) -> str:
    """Describes missing segments: ``the market data from ... to ... (3 segments, 12 messages) was dropped``."""
    filled = [segment for segment in gone if segment.frames] or list(gone)
    times = f"from {_time(filled[0].first_ts)} to {_time(filled[-1].last_ts)}"
    what = f"{counted(len(gone), 'segment')}, {counted(sum(one.frames for one in gone), 'message')}"
    places = dict.fromkeys(str(Path(one.place).parent) for one in gone if one.place is not None)
    fate = f"was archived in {', '.join(places)}" if places else "was dropped"
    if places and any(one.place is None for one in gone):
        fate += ", or dropped"
    return f"the market data {times} ({what}) {fate}"


def _time(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts / 1e9, UTC):%Y-%m-%dT%H:%M:%SZ}"
