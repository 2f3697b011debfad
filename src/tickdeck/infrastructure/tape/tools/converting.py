"""Copies a tape to the other format: every event as it is stored, even if this process does not know its type."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

import msgspec

from tickdeck.errors import ConfigError, TapeError
from tickdeck.infrastructure.fresh_file import fresh_file
from tickdeck.infrastructure.tape.opening import AnyReader, form_of, open_reader, open_tape
from tickdeck.infrastructure.tape.records import Record, decode_head

__all__ = ["Converted", "convert_tape"]


class Converted(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a conversion. Both tapes were read again and are equal."""

    tape: str
    form: str
    out: str
    out_form: str
    events: int
    last_seq: int
    snapshots: int


def convert_tape(path: Path, out: Path, form: str) -> Converted:
    """Write the tape ``path`` to a new one ``out`` in ``form`` (``sqlite``, ``jsonl``), then compare the two.

    The copy appears complete or not at all. Raises ``ConfigError`` if ``out`` exists or cannot be created,
    ``TapeError`` if the tape is damaged.
    """
    if form == "sqlite" and out.suffix != ".db":
        raise ConfigError(f"{out}: the name of a tape on SQLite ends in .db; name it {out.name}.db")
    with open_reader(path) as source, fresh_file(out) as place:
        with open_tape(place, form) as tape:
            for cascade in _cascades(source.records()):
                tape.append_records(cascade)
            for stream, snapshot in source.snapshots():
                tape.save_snapshot(stream, *snapshot)
            events, last_seq = tape.statistics().appended, tape.last_seq
        with open_reader(place) as copy:
            snapshots = _compare(source, copy, last_seq)
    return Converted(
        tape=str(path),
        form=form_of(path),
        out=str(out),
        out_form=form,
        events=events,
        last_seq=last_seq,
        snapshots=snapshots,
    )


def _cascades(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Groups events whose ids show that they have the same input, because no commit may divide them; others one by
    one."""
    cascade: list[Record] = []
    of = ""
    for record in records:
        try:
            number = decode_head(record.payload).event_id.partition("-")[0]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            what = f"{record.where} is damaged: {error}; `tickdeck tape check` lists all damage"
            raise TapeError(what) from None
        if cascade and (number != of or not number.isdecimal()):
            yield cascade
            cascade = []
        cascade.append(record)
        of = number
    if cascade:
        yield cascade


def _compare(source: AnyReader, copy: AnyReader, last_seq: int) -> int:
    """Raises ``TapeError`` at the first difference. Returns the number of snapshots."""
    for one, other in zip_longest(source.records(), copy.records()):
        if one is not None and other is None and decode_head(one.payload).seq > last_seq:
            break  # appended meanwhile
        if one is None or other is None or one[:-1] != other[:-1]:  # everything except the place
            where = (one or other).where if one or other else ""
            raise TapeError(f"the copy differs from the tape at {where}; this is a bug in Tickdeck, please report it")
    snapshots = list(source.snapshots())
    if snapshots != list(copy.snapshots()):
        raise TapeError("the copy's snapshots differ from the tape's; copy it again when no process writes to it")
    return len(snapshots)
