"""The trade journal in a SQLite file: on the bus of any program, across kills, damage and locks."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tickdeck.application.results import JOURNAL_EVENTS, TradeJournal
from tickdeck.bootstrap import RecordedBus, close_bus, open_bus, open_record, trade_file
from tickdeck.domain.events import OrderFilledEvent
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import Side
from tickdeck.infrastructure.exporting import trade_row

D = Decimal


def fill(n: int) -> OrderFilledEvent:
    """The n-th fill: long, out, short, out, and so on, for two strategies."""
    return OrderFilledEvent(
        order_id=f"o{n}", symbol="BTCUSDT", strategy_id=f"s{n // 3 % 2}", venue_trade_id=f"t{n}",
        side=Side.BUY if n % 4 in (0, 3) else Side.SELL, price=D(100 + n * 7919 % 97), quantity=D(1), filled=D(1),
        remaining=D(0), average_price=D(100), ts=n + 1,
    )  # fmt: skip


def rows(path: Path) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        found = [dict(row) for row in database.execute("SELECT * FROM trades ORDER BY id")]
    assert [row.pop("id") for row in found] == list(range(1, len(found) + 1))
    return found


def of_tape(tape: Path) -> list[dict[str, Any]]:
    """The rows of ``tickdeck trades``."""
    journal = TradeJournal(instrument_for)
    for event in open_record(tape):
        if isinstance(event, JOURNAL_EVENTS):
            journal.apply(event)
    return [*map(trade_row, (*journal.closed, *journal.open()))]


@pytest.fixture(params=["sqlite", "jsonl"])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordedBus]:
    bus = open_bus(tmp_path / "bus", tape_format=request.param)
    yield bus
    asyncio.run(close_bus(bus))


def publish(bus: RecordedBus, *numbers: int) -> None:
    receipt = bus.publish_all([fill(n) for n in numbers])
    asyncio.run(_durable(receipt))


async def _durable(receipt: Any) -> None:
    await receipt.durable()


def test_the_file_has_the_trades_of_the_tape_after_each_look(bus: RecordedBus, tmp_path: Path) -> None:
    file = trade_file(tmp_path / "bus", tmp_path / "trades.db")
    for n in range(0, 30, 3):
        publish(bus, n, n + 1, n + 2)
        assert file.catch_up()
        assert rows(file.path) == of_tape(tmp_path / "bus")
    assert {row["closed_at"] is None for row in rows(file.path)} == {True, False}
    assert trade_file(tmp_path / "bus", tmp_path / "again.db").catch_up()
    assert rows(tmp_path / "again.db") == rows(file.path)


def test_it_is_kept_while_a_bus_works_and_adds_nothing_to_the_tape(tmp_path: Path) -> None:
    looks = 0

    class Clock:
        def monotonic_ns(self) -> int:
            return 0

        async def sleep(self, seconds: float) -> None:
            nonlocal looks
            looks += 1
            if looks < 4:
                await bus.publish(fill(looks)).durable()
            elif looks == 6:
                raise asyncio.CancelledError

    async def work() -> None:
        file.follow(bus)
        with pytest.raises(asyncio.CancelledError):
            await file.keep(Clock())
        await close_bus(bus)

    bus, file = open_bus(tmp_path / "bus"), trade_file(tmp_path / "bus", tmp_path / "trades.db")
    asyncio.run(work())

    assert rows(file.path) == of_tape(tmp_path / "bus") != []
    assert [event.event_type for event in open_record(tmp_path / "bus")] == ["order.filled"] * 3


PROGRAM = """
import asyncio, sys
from pathlib import Path
from test_trade_file import fill
from tickdeck.bootstrap import open_bus, trade_file

async def main(folder):
    bus, file = open_bus(folder / "bus"), trade_file(folder / "bus", folder / "trades.db")
    n = bus.store.last_seq
    while True:
        await bus.publish_all([fill(n), fill(n + 1), fill(n + 2)]).durable()
        n += 3
        assert file.catch_up()
        print(n, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_no_trade_is_missing_or_twice_after_kills(tmp_path: Path) -> None:
    for lines in (1, 7, 2, 30, 12, 5):
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=Path(__file__).parent, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            for _ in range(lines):
                assert process.stdout.readline().strip().isdigit()
            process.kill()  # somewhere in the next round
        found, all_ = rows(tmp_path / "trades.db"), of_tape(tmp_path / "bus")
        ended = [row for row in found if row["closed_at"]]
        assert ended == all_[: len(ended)]

    assert trade_file(tmp_path / "bus", tmp_path / "trades.db").catch_up()
    assert rows(tmp_path / "trades.db") == of_tape(tmp_path / "bus")
    assert len(rows(tmp_path / "trades.db")) > 50


@pytest.mark.parametrize("again", [True, False], ids=["the same process", "another process"])
@pytest.mark.parametrize("harm", ["missing", "no database", "cut", "emptied", "of before"])
def test_a_harmed_file_is_made_again_with_one_line(
    tmp_path: Path, harm: str, again: bool, caplog: pytest.LogCaptureFixture
) -> None:
    bus = open_bus(tmp_path / "bus")
    path = tmp_path / "trades.db"
    file = trade_file(tmp_path / "bus", path)
    publish(bus, *range(100))
    assert file.catch_up()
    before = path.read_bytes()
    publish(bus, *range(100, 110))
    assert file.catch_up()
    if harm == "missing":
        path.unlink()
    elif harm == "no database":
        path.write_bytes(b"x" * 10_000)
    elif harm == "cut":
        path.write_bytes(path.read_bytes()[:9_000])
    elif harm == "emptied":
        path.write_bytes(b"")
    else:
        path.write_bytes(before)
    publish(bus, *range(110, 120))
    with caplog.at_level(logging.INFO):
        assert (file if again else trade_file(tmp_path / "bus", path)).catch_up()
    asyncio.run(close_bus(bus))

    assert rows(path) == of_tape(tmp_path / "bus")
    lines = [record.getMessage() for record in caplog.records if record.name == "tickdeck.trades"]
    assert len(lines) == (1 if again or harm in ("no database", "cut") else 0), lines
    assert all("rebuilt from the tape" in line for line in lines)


def test_a_lock_is_told_once_and_caught_up_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus, path = open_bus(tmp_path / "bus"), tmp_path / "trades.db"
    file = trade_file(tmp_path / "bus", path)
    publish(bus, 0, 1)
    assert file.catch_up()
    with caplog.at_level(logging.INFO), closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        publish(bus, 2, 3)
        assert not file.catch_up()
        publish(bus, 4, 5)
        assert not file.catch_up()
        other.execute("ROLLBACK")
        assert file.catch_up()
    asyncio.run(close_bus(bus))

    assert rows(path) == of_tape(tmp_path / "bus")
    told, done = [record.getMessage() for record in caplog.records if record.name == "tickdeck.trades"]
    assert told.endswith("the trades cannot be written (database is locked); they are written later")
    assert done.endswith("the trades are complete again")


def test_a_file_that_cannot_be_created_is_told_and_created_later(tmp_path: Path) -> None:
    bus, path = open_bus(tmp_path / "bus"), tmp_path / "later" / "trades.db"
    file = trade_file(tmp_path / "bus", path)
    publish(bus, 0, 1)

    assert not file.catch_up()
    path.parent.mkdir()
    assert file.catch_up()
    asyncio.run(close_bus(bus))
    assert rows(path) == of_tape(tmp_path / "bus")


def test_a_tape_that_cannot_be_read_is_read_from_its_start_later(tmp_path: Path) -> None:
    file = trade_file(tmp_path / "bus", tmp_path / "trades.db")

    assert not file.catch_up()
    bus = open_bus(tmp_path / "bus")
    publish(bus, 0, 1)
    assert file.catch_up()
    asyncio.run(close_bus(bus))
    assert rows(file.path) == of_tape(tmp_path / "bus")


def test_the_database_of_another_program_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus, path = open_bus(tmp_path / "bus"), tmp_path / "mine.db"
    with closing(sqlite3.connect(path)) as mine, mine:
        mine.execute("CREATE TABLE trades (mine)")
    before = path.read_bytes()

    assert not trade_file(tmp_path / "bus", path).catch_up()
    asyncio.run(close_bus(bus))
    assert path.read_bytes() == before
    assert "a database of another program; name another file" in caplog.text
