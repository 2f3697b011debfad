"""Backing up a tape: while it is written, and while the backup is killed."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from killing import killed_at_sync
from tapes_in_both_forms import FORMS, ORDER, cascade, open_form, place, stored, write

from tickdeck.application.ports import Snapshot
from tickdeck.errors import ConfigError, TapeError
from tickdeck.infrastructure.tape.cursors import cursor_path
from tickdeck.infrastructure.tape.opening import open_reader
from tickdeck.infrastructure.tape.tools import backing_up, backup_tape, check_tape


def copy_of(folder: Path, form: str, name: str = "copy") -> Path:
    return folder / (name if form == "jsonl" else f"{name}.db")


@FORMS
def test_a_backup_has_everything_that_the_tape_has(tmp_path: Path, form: str) -> None:
    path, out = place(tmp_path, form), copy_of(tmp_path, form)
    events = write(path, form)
    cursor_path(path).write_text('{"format":"tickdeck-cursors","version":1,"cursors":{"edge":30}}')

    done = backup_tape(path, out)

    assert (done.events, done.last_seq, done.form) == (len(events), events[-1].seq, form)
    assert stored(out) == stored(path)
    assert done.digest == check_tape(path).digest
    assert check_tape(out).ok
    assert cursor_path(out).read_bytes() == cursor_path(path).read_bytes()
    with open_form(out, form) as tape:  # it is a tape like any other
        tape.append(cascade(900))
        assert tape.load_snapshot(ORDER) == Snapshot(2, b"state")


@FORMS
def test_backups_of_a_tape_that_is_being_written_are_sound_beginnings_of_it(tmp_path: Path, form: str) -> None:
    path = place(tmp_path, form)
    begun, enough = threading.Event(), threading.Event()

    def work() -> None:
        number = 0
        with open_form(path, form) as tape:
            while not enough.is_set():
                number += 1
                tape.append(cascade(number))
                if number % 5 == 0:
                    tape.wait_durable(tape.last_seq)
                    tape.save_snapshot(ORDER, number, b"state %d" % number)
                    begun.set()

    writer = threading.Thread(target=work)
    writer.start()
    try:
        assert begun.wait(120)
        copies = [copy_of(tmp_path, form, f"copy{n}") for n in range(5)]
        for out in copies:
            backup_tape(path, out)
    finally:
        enough.set()
        writer.join()

    with open_reader(path) as reader:
        whole = [record[:-1] for record in reader.records()]
    sizes = []
    for out in copies:
        with open_reader(out) as reader:
            part = [record[:-1] for record in reader.records()]
        assert part == whole[: len(part)]
        assert check_tape(out).ok
        sizes.append(len(part))
    assert sizes == sorted(sizes)


def test_what_a_killed_writer_left_unfinished_is_not_copied(tmp_path: Path) -> None:
    path = place(tmp_path, "jsonl")
    events = write(path, "jsonl")
    last = max(path.glob("*.jsonl"))
    last.write_bytes(last.read_bytes() + b'{"crc":"0')

    done = backup_tape(path, tmp_path / "copy")

    assert done.events == len(events)
    assert check_tape(tmp_path / "copy").ok


@FORMS
def test_a_damaged_tape_is_not_backed_up(tmp_path: Path, form: str) -> None:
    path, out = place(tmp_path, form), copy_of(tmp_path, form)
    write(path, form)
    file = path if form == "sqlite" else min(path.glob("*.jsonl"))
    data = bytearray(file.read_bytes())
    at = data.index(b"BTCUSDT")
    data[at : at + 7] = b"ETHUSDT"
    file.write_bytes(data)

    with pytest.raises(TapeError, match=r"is not sound|were changed|was changed"):
        backup_tape(path, out)

    assert not out.exists()


@FORMS
def test_a_backup_overwrites_nothing_and_says_what_is_wrong(tmp_path: Path, form: str) -> None:
    path, out = place(tmp_path, form), copy_of(tmp_path, form)
    with pytest.raises(TapeError, match="there is no tape here"):
        backup_tape(path, out)
    write(path, form)
    out.write_text("precious")
    with pytest.raises(ConfigError, match="already exists and is not overwritten; name another place"):
        backup_tape(path, out)
    with pytest.raises(ConfigError, match=r"there is no folder .*no folder; create it"):
        backup_tape(path, tmp_path / "no folder" / out.name)

    assert out.read_text() == "precious"


def test_a_copy_on_sqlite_needs_its_ending(tmp_path: Path) -> None:
    write(place(tmp_path, "sqlite"), "sqlite")

    with pytest.raises(ConfigError, match=r"ends in \.db"):
        backup_tape(place(tmp_path, "sqlite"), tmp_path / "copy")


@FORMS
def test_a_backup_that_is_killed_leaves_nothing_that_looks_whole(tmp_path: Path, form: str) -> None:
    """Killed at each of its syncs in turn: only the last leaves the copy, which is complete."""
    path = place(tmp_path, form)
    write(path, form)
    for steps in range(100):
        out = copy_of(tmp_path, form, f"copy{steps}")
        if killed_at_sync(backing_up, "sync", lambda: backup_tape(path, out), steps):  # noqa: B023
            assert not out.exists() or check_tape(out).ok
        else:
            break

    assert steps > 2
    assert stored(out) == stored(path)
    backup_tape(path, copy_of(tmp_path, form, "last"))
    assert not list(tmp_path.glob(".tickdeck-*"))
