"""Tapes with any kind of damage: what check, repair and readers report."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest
from tapes_in_both_forms import (
    ORDER,
    cascade,
    event,
    open_form,
    said,
    sql,
    write,
)

from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.jsonl import list_segments, load_index, store_index
from tickdeck.infrastructure.tape.opening import open_reader
from tickdeck.infrastructure.tape.tools import check_tape, convert_tape, repair_tape


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_to_an_sqlite_tape_gives_one_clear_line(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "tape.db"
    with SqliteTape(path) as tape:
        for number in range(1, 400):
            tape.append(cascade(number))
    data = bytearray(path.read_bytes())
    rng = random.Random(seed)
    at = rng.randrange(4_096, len(data) - 64)
    data[at : at + 64] = (rng.randbytes(64), bytes(64), b"\xff" * 64)[seed % 3]
    path.write_bytes(data)

    for use in (
        lambda: list(open_reader(path).read()),
        lambda: check_tape(path),
        lambda: repair_tape(path),
        lambda: convert_tape(path, tmp_path / "copy", "jsonl"),
    ):
        with contextlib.suppress(TapeError):
            use()


def test_a_damaged_head_is_reported_and_not_repaired(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with open_form(path, "jsonl") as tape:
        for number in range(1, 60):
            tape.append(cascade(number))
            tape.wait_durable(tape.last_seq)
        tape.save_snapshot(ORDER, 3, b"state")
    segment = path / "000002.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"after_seq":', b'"after_seQ":', 1))

    report, repaired = check_tape(path), repair_tape(path)

    assert [problem.where.startswith(str(segment)) for problem in report.problems] == [True]
    assert (report.ok, repaired.ok, len(repaired.problems)) == (False, False, 1)


def test_missing_indexes_do_not_hide_damage(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with open_form(path, "jsonl", segment_bytes=1) as tape:
        for number in range(1, 140):
            tape.append(cascade(number))
            tape.wait_durable(tape.last_seq)
    for index in path.glob("*.index"):
        index.unlink()
    last = path / "000138.jsonl"
    last.write_bytes(last.read_bytes().replace(b'"order_id":"a"', b'"order_id":"c"', 1))

    tried = repair_tape(path, dry_run=True)

    assert not tried.ok
    assert [problem.where.startswith(str(last)) for problem in tried.problems] == [True]


def test_an_index_with_a_wrong_stream_version_is_reported_and_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    write(path, "jsonl")
    segment = list_segments(path)[0]
    index = load_index(segment)
    assert index is not None
    index.streams[ORDER] += 1
    store_index(segment.path, index)

    assert "the index does not fit" in said(check_tape(path))
    assert repair_tape(path).ok
    assert check_tape(path).ok


@pytest.mark.parametrize("column", ["symbol", "correlation_id"])
def test_a_row_that_queries_would_not_find_is_reported(tmp_path: Path, column: str) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite")
    sql(path, f"UPDATE events SET {column} = NULL WHERE seq = 12")

    assert said(check_tape(path)) == "seq 12: the columns of its row do not match the event"


def test_a_new_type_gets_no_number_that_another_has(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    SqliteTape(path).close()
    sql(path, "INSERT INTO types VALUES (2, 'x.y', 1), (3, 'x.z', 1)")

    with SqliteTape(path) as tape:
        tape.append([event("1", 1, None)])

    with SqliteTapeReader(path) as reader:
        assert [record.type for record in reader.records()] == ["market.trade"]
