"""Tapes that were written once are read, verified and continued by every later version, and the digest of the same
events never changes.

``tests/golden_tapes/`` has a tape of each format. They are never written again.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.application.ports import Frame, Snapshot
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.infrastructure.frames import FrameWriter
from tickdeck.infrastructure.tape.opening import open_reader, open_tape
from tickdeck.infrastructure.tape.tools import check_tape, convert_tape, read_integrity

GOLDEN = Path(__file__).parents[2] / "golden_tapes"
NAMES = sorted(path.stem for path in GOLDEN.iterdir())
DIGEST = "66acbb4868bf9130eb608f8cb888d8d3558dbf6b3dc7fd75af8580317badad64"
"""Of the events below."""


def _event(seq: int) -> DomainEvent:
    if seq % 4 == 0:
        return OrderAcceptedEvent(
            order_id=f"td{seq % 3}", symbol="BTCUSDT", seq=seq, event_id=str(seq), ts=seq, ts_ingress=seq, source="é"
        )
    return TradeEvent(
        symbol="BTCUSDT",
        price=Decimal("65000.10"),
        quantity=Decimal(seq),
        side=Side.BUY,
        trade_id=seq,
        seq=seq,
        event_id=str(seq),
        ts=seq,
        ts_ingress=seq,
        source="test",
    )


EVENTS = [_event(seq) for seq in (*range(1, 13), *range(15, 21))]


@pytest.fixture(params=NAMES)
def tape(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a golden tape."""
    name = request.param
    if name.startswith("jsonl"):
        return Path(shutil.copytree(GOLDEN / name, tmp_path / name))
    path = tmp_path / f"{name}.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((GOLDEN / f"{name}.sql").read_text(encoding="utf-8"))
    return path


def has_digest(tape: Path) -> bool:
    return tape.name != "jsonl-1"


def test_a_tape_of_each_format_is_read_and_verified(tape: Path) -> None:
    with open_reader(tape) as reader:
        found = list(reader.read())
        assert found == EVENTS
        assert [event.to_json() for event in found] == [event.to_json() for event in EVENTS]
        assert reader.stream_version("order/main/td1") == 2
        assert reader.load_snapshot("order/main/td1") == Snapshot(2, b"state")
    report = check_tape(tape)
    # Indexes do not belong to the format: a tape without them is complete.
    assert [problem for problem in report.problems if not problem.what.startswith("the index")] == []
    assert report.digest == (DIGEST if has_digest(tape) else None)


def test_a_tape_of_each_format_is_continued(tape: Path, tmp_path: Path) -> None:
    with open_tape(tape) as writer:
        writer.append([_event(24)])
        assert writer.stream_version("order/main/td0") == 2
    assert check_tape(tape).ok
    form, name = ("jsonl", "other") if tape.suffix == ".db" else ("sqlite", "other.db")
    convert_tape(tape, tmp_path / name, form)
    other = read_integrity(tmp_path / name).digest
    assert other is not None
    assert read_integrity(tape).digest == (other if has_digest(tape) else None)


def test_there_is_a_golden_tape_of_the_newest_formats(tmp_path: Path) -> None:
    """If this fails after a change of a format, add a tape of the new one, and leave the others."""
    with open_tape(tmp_path / "tape.db"), closing(sqlite3.connect(tmp_path / "tape.db")) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    with open_tape(tmp_path / "tape", "jsonl"):
        head = (tmp_path / "tape" / "000001.jsonl").read_text()
    number = re.findall(r'"format":(\d+)', head)[0]
    assert {f"sqlite-{version}", f"jsonl-{number}"} <= set(NAMES)


def test_the_digest_of_frames_is_as_it_was(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    for n in range(5):
        writer.write(Frame(1_700_000_000_000_000_000 + n, b'{"n":%d}' % n))
    writer.close()
    assert writer.mark == (5, "b6dc33d57491bdaf36294a207d15047a1a405dedb19df78fcecb4f45403ee775")
