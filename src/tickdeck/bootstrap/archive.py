"""Archives the recorded market data of a live run."""

from __future__ import annotations

from pathlib import Path

from tickdeck.application.ports import Frame, TapeQuery
from tickdeck.bootstrap.feeds import live_feed
from tickdeck.errors import RunError
from tickdeck.infrastructure.config import config_from_dict
from tickdeck.infrastructure.frame_archive import archive_frames
from tickdeck.infrastructure.frame_segments import GoneSegment
from tickdeck.infrastructure.frames import FOLDER
from tickdeck.infrastructure.runs import overview, read_manifest
from tickdeck.infrastructure.tape.opening import open_reader, tape_path

__all__ = ["archive_market"]


def archive_market(folder: Path, *, older_than: int | None, now: int, to: Path | None) -> list[GoneSegment]:
    """Move the segments of market data of the run in ``folder`` to ``to``, into a folder with the run's id, or drop
    them (``None``). Events on the tape, such as orders, are never touched. Returns the removed segments.

    This applies only to segments whose frames are all older than ``older_than`` (ns before ``now``, ns UTC), and whose
    events are all on the tape. The newest segment of an incomplete run stays.

    A run whose market data was dropped can be resumed: its state is restored from the record. It can no longer be
    executed again.

    Raises ``RunError`` for a run whose market data is not in segments, and the errors of ``archive_frames``.
    """
    manifest = read_manifest(folder)
    if not manifest.is_live:
        where = "in its input files" if manifest.inputs else "on its tape, with its orders"
        raise RunError(f"run {manifest.run_id} has no segments of market data: it is {where}")
    is_complete = overview(folder).status == "completed"
    with open_reader(tape_path(folder)) as tape:
        last_seq = tape.last_seq
        last = next(tape.read(TapeQuery(first_seq=tape.last_seq)), None)
    feed = live_feed(config_from_dict(manifest.config), manifest.symbols)

    def events_in(frame: Frame) -> int:
        return len(list(feed.decode(frame)))

    return archive_frames(
        folder / FOLDER,
        events_in=events_in,
        before=min(last.ts_ingress if last is not None else 0, now - (older_than or 0)),
        seq=last_seq,
        to=to / manifest.run_id if to is not None else None,
        keep_newest=not is_complete,
    )
