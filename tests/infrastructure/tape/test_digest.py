"""The digest of a tape in both formats: equal for equal events, and different after any change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from zlib import crc32

import pytest
from forging import forge_lines, with_fitting_commits
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape, SqliteTapeReader
from tickdeck.infrastructure.tape.digest import BLOCK, Mark, RecordLines
from tickdeck.infrastructure.tape.jsonl import JsonlTapeReader, commit_line, segment_line
from tickdeck.infrastructure.tape.jsonl.lines import COMMIT_LINE, HEAD_AT, Commit, SegmentHead, event_line, parse_commit
from tickdeck.infrastructure.tape.opening import open_reader
from tickdeck.infrastructure.tape.tools import check_tape, compact_tape, convert_tape, integrity, read_integrity

FORMS = {"sqlite": SqliteTape, "jsonl": JsonlTape}


def event(seq: int) -> DomainEvent:
    if seq % 5 == 0:
        return OrderAcceptedEvent(
            order_id=f"td{seq % 3}", symbol="BTCUSDT", seq=seq, event_id=str(seq), ts_ingress=seq, source="é"
        )
    return TradeEvent(
        symbol="BTCUSDT",
        price=Decimal(seq),
        quantity=Decimal(1),
        side=Side.BUY,
        trade_id=str(seq),
        seq=seq,
        event_id=str(seq),
        ts_ingress=seq,
        source="test",
        metadata={"note": "x"},
    )


def write(path: Path, form: str, count: int, groups: Iterable[int] = ()) -> None:
    """``groups``: where to force a commit."""
    with FORMS[form](path, linger_ms=1e9) as tape:
        for seq in range(1, count + 1):
            tape.append([event(seq)])
            if seq in groups:
                tape.wait_durable(seq)


def digest_of(path: Path) -> str:
    found = read_integrity(path)
    assert found.problems == ()
    assert found.digest is not None
    return found.digest


@settings(max_examples=25, deadline=None)
@given(groups=st.sets(st.integers(1, 40)), reopened=st.integers(0, 40))
def test_equal_events_have_equal_digests_however_they_were_committed(
    tmp_path_factory: pytest.TempPathFactory, groups: set[int], reopened: int
) -> None:
    folder = tmp_path_factory.mktemp("digest")
    found = set()
    for form in FORMS:
        write(folder / f"whole-{form}", form, 40)
        found.add(digest_of(folder / f"whole-{form}"))
        write(folder / f"parts-{form}", form, reopened, groups)
        with FORMS[form](folder / f"parts-{form}") as tape:
            tape.append([event(seq) for seq in range(reopened + 1, 41)])
        found.add(digest_of(folder / f"parts-{form}"))
    assert len(found) == 1


def test_conversion_compaction_and_full_blocks_do_not_change_the_digest(tmp_path: Path) -> None:
    count = 2 * BLOCK + 17
    write(tmp_path / "a.db", "sqlite", count, range(100, count, 977))
    write(tmp_path / "b", "jsonl", count, range(1, count, 1_003))
    convert_tape(tmp_path / "a.db", tmp_path / "c", "jsonl")
    convert_tape(tmp_path / "b", tmp_path / "d.db", "sqlite")
    before = digest_of(tmp_path / "a.db")
    compact_tape(tmp_path / "a.db")
    compact_tape(tmp_path / "b")

    assert {digest_of(tmp_path / name) for name in ("a.db", "b", "c", "d.db")} == {before}
    with SqliteTape(tmp_path / "d.db") as tape, JsonlTape(tmp_path / "b") as lines:
        for each in (tape, lines):
            each.append([event(count + 1)])
    assert digest_of(tmp_path / "d.db") == digest_of(tmp_path / "b") != before


@pytest.fixture(scope="module", params=FORMS)
def long(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five full blocks, of which some end within one commit, and a part of a sixth, without some numbers."""
    path = tmp_path_factory.mktemp("long") / "tape"
    with FORMS[request.param](path, linger_ms=1e9) as tape:
        for seq in range(1, LONG + 1):
            if seq % 1_000 != 7:
                tape.append([event(seq)])
            if seq % 777 == 0 and not 9_000 < seq < 19_000:
                tape.wait_durable(seq)
    return path


LONG = 5 * BLOCK + 500


@pytest.mark.long
def test_the_digest_can_be_checked_from_any_position(long: Path) -> None:
    whole = read_integrity(long)
    assert (whole.problems, whole.last_seq) == ((), LONG)
    with open_reader(long) as reader:
        for first_seq in (1, 2, BLOCK, BLOCK + 4, BLOCK + 5, BLOCK + 6, 2 * BLOCK, 12_000, 18_000, LONG, LONG + 10):
            start = reader.mark_before(min(first_seq, LONG))
            assert start is None or start.block_seq < first_seq
            found = read_integrity(reader, then=LONG - 3, first_seq=first_seq)
            assert (found.problems, found.events, found.digest) == ((), whole.events, whole.digest)
            assert found.digest_then == read_integrity(reader, then=LONG - 3).digest_then


def test_a_check_from_a_position_reads_only_what_is_near_it_and_behind(
    long: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = []
    monkeypatch.setattr(integrity, "RecordLines", lambda records: hashed.append(len(records)) or RecordLines(records))

    read_integrity(long, first_seq=LONG - 10)

    assert sum(number for number in hashed if number > 1) < 3 * BLOCK


@pytest.mark.parametrize("form", FORMS)
def test_a_change_behind_the_position_is_found_from_there(tmp_path: Path, form: str) -> None:
    path = tmp_path / "tape"
    write(path, form, 2 * BLOCK + 100, range(100, 2 * BLOCK, 500))
    seq = 2 * BLOCK + 58  # like 50, that of an order
    if form == "sqlite":
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE events SET payload = replace(payload, 'é', 'e') WHERE seq IN (50, ?)", (seq,))
    else:
        numbers = (b'"event_id":"50"', b'"event_id":"%d"' % seq)

        def change(line: bytes) -> bytes:
            return line.replace("é".encode(), b"e") if any(number in line for number in numbers) else line

        assert forge_lines(path, change) == 2

    (problem,) = read_integrity(path, first_seq=seq).problems
    assert problem[0] == f"seq {2 * BLOCK + 1} to {2 * BLOCK + 100}"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "tape.db"
    write(path, "sqlite", 30)
    return path


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_change_of_any_column_of_a_row_is_reported(
    tmp_path_factory: pytest.TempPathFactory, written: Path, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("changed") / "tape.db"
    path.write_bytes(written.read_bytes())
    seq = data.draw(st.integers(1, 30))
    column = data.draw(
        st.sampled_from(["payload", "ts", "symbol", "stream", "stream_version", "correlation_id", "type_id"])
    )
    with closing(sqlite3.connect(path)) as connection, connection:
        (old,) = connection.execute(f"SELECT {column} FROM events WHERE seq = ?", (seq,)).fetchone()
        if column == "payload":
            at = data.draw(st.integers(0, len(old) - 1))
            new: object = old[:at] + data.draw(st.characters(codec="utf-8", exclude_characters=old[at])) + old[at + 1 :]
        elif column == "type_id":
            new = 3 - old
        elif isinstance(old, str):
            new = data.draw(st.sampled_from([None, "", old + "x", old.lower()]))
        else:
            new = data.draw(st.sampled_from([99, 0, "x"]) if old is None else st.sampled_from([old + 100, None]))
            new = 99 if column == "ts" and new is None else new
        connection.execute(f"UPDATE events SET {column} = ? WHERE seq = ?", (new, seq))
    if new == old:
        return
    with suppress(TapeError):  # which tells it too
        assert read_integrity(path).problems
    assert not check_tape(path).ok


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM events WHERE seq = 7",
        "DELETE FROM events WHERE seq > 20",
        "DELETE FROM blocks",
        "UPDATE blocks SET digest = replace(digest, substr(digest, 1, 1), 'x')",
        "UPDATE types SET version = 7 WHERE id = 1",
        "INSERT INTO events SELECT 31, type_id, ts, symbol, NULL, NULL, correlation_id, payload FROM events LIMIT 1",
    ],
)
def test_missing_or_added_events_and_digests_are_reported(tmp_path: Path, written: Path, statement: str) -> None:
    path = tmp_path / "tape.db"
    path.write_bytes(written.read_bytes())
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)

    assert read_integrity(path).problems
    assert not check_tape(path).ok
    with pytest.raises(TapeError, match="changed since they were written"):
        SqliteTape(path)


def test_changed_lines_with_valid_checksums_are_found_by_the_digest(tmp_path: Path) -> None:
    write(tmp_path / "good", "jsonl", 30)
    write(tmp_path / "bad", "jsonl", 29)
    with JsonlTape(tmp_path / "bad", linger_ms=1e9) as tape:
        tape.append([event(30).__class__(**{**fields(event(30)), "source": "forged"})])
    (good,) = (group.commit.mark for _, group in JsonlTapeReader(tmp_path / "good").groups())
    file = tmp_path / "bad" / "000001.jsonl"
    content = file.read_bytes()
    *_, (_, group) = JsonlTapeReader(tmp_path / "bad").groups()
    assert good is not None
    at = group.offset + len(group.lines)
    file.write_bytes(content[:at] + commit_line(group.commit._replace(mark=good), at))
    (tmp_path / "bad" / "000001.index").unlink()

    assert not check_tape(tmp_path / "bad").ok
    assert "changed since it was written" in read_integrity(tmp_path / "bad").problems[0][1]
    with pytest.raises(TapeError, match="changed since they were written"):
        JsonlTape(tmp_path / "bad")


def fields(found: DomainEvent) -> dict[str, object]:
    return {name: getattr(found, name) for name in found.__struct_fields__}


def test_a_tape_of_an_older_format_has_no_digest_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.mkdir()
    (path / "000001.jsonl").write_bytes(segment_line(SegmentHead(1, 1, 0, format=1)))
    with JsonlTape(path) as tape:
        tape.append([event(1), event(2)])
    with JsonlTape(path) as tape:
        tape.append([event(3)])

    report = check_tape(path)
    assert report.ok
    assert report.digest is None
    assert any("no digest" in line for line in report.checked)
    convert_tape(path, tmp_path / "new.db", "sqlite")
    write(tmp_path / "same", "jsonl", 3)
    assert digest_of(tmp_path / "new.db") == digest_of(tmp_path / "same")


def test_an_older_tape_on_sqlite_has_no_digest_after_its_migration(tmp_path: Path) -> None:
    path = tmp_path / "tape.db"
    write(path, "sqlite", 5)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE blocks")
        connection.execute("PRAGMA user_version = 2")
    assert read_integrity(path).digest is None
    with SqliteTape(path) as tape:
        tape.append([event(6)])

    with SqliteTapeReader(path) as reader:
        assert not reader.has_digest
    assert check_tape(path).ok


def test_a_commit_line_stays_within_its_bounds() -> None:
    most = (1 << 63) - 1
    commit = Commit(most, most, most, -most, -most, most, (1 << 32) - 1, Mark(most, most, "f" * 64, "f" * 64))
    line = commit_line(commit, 0)
    assert len(line) <= COMMIT_LINE
    assert parse_commit(line[:-1]) == commit


@pytest.fixture(scope="module")
def written_lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("written") / "tape"
    write(path, "jsonl", 30, {10, 20})
    return path


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_changed_byte_of_a_line_is_found_even_with_valid_checksums(
    tmp_path_factory: pytest.TempPathFactory, written_lines: Path, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("changed") / "tape"
    path.mkdir()
    head, *lines = (written_lines / "000001.jsonl").read_bytes().splitlines(keepends=True)
    number = data.draw(st.sampled_from([at for at, line in enumerate(lines) if not line.startswith(b"\t")]))
    body = bytearray(lines[number][HEAD_AT:-1])
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] = data.draw(st.sampled_from([byte for byte in range(256) if byte not in (body[place], ord("\n"))]))
    lines[number] = b'{"crc":"%08x",%b\n' % (crc32(body), body)
    (path / "000001.jsonl").write_bytes(with_fitting_commits(head, lines))

    with suppress(TapeError):  # which tells it too
        assert read_integrity(path).problems
    assert not check_tape(path).ok


def test_forged_checksums_are_valid(tmp_path: Path, written_lines: Path) -> None:
    content = (written_lines / "000001.jsonl").read_bytes()
    head, *lines = content.splitlines(keepends=True)
    assert with_fitting_commits(head, lines) == content

    lines[3] = event_line(b"", b"{" + lines[3][HEAD_AT:-1].replace(b'"note":"x"', b'"note":"y"'))
    (tmp_path / "000001.jsonl").write_bytes(with_fitting_commits(head, lines))
    with pytest.raises(TapeError, match="the digest shows it"):
        JsonlTape(tmp_path)
    assert [what for _, what in read_integrity(tmp_path).problems] == [
        "an event was changed since it was written: the tape's digest does not match"
    ]
