"""A writer reads its own events, and a read of one stream leaves the group of the others together."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.application.ports import TapeQuery
from tickdeck.domain.events import BalanceEvent
from tickdeck.infrastructure.tape import JsonlTape, SqliteTape

LONG = 3_600_000.0  # ms: nothing is committed by itself


def balance(account: str) -> BalanceEvent:
    return BalanceEvent(account_id=account, currency="USDT", total=Decimal(1), free=Decimal(1))


@pytest.mark.parametrize("make", [SqliteTape, JsonlTape])
def test_reading_a_stream_commits_what_it_needs_alone(tmp_path: Path, make: Callable[..., SqliteTape]) -> None:
    with make(tmp_path / "tape", linger_ms=LONG) as tape:
        tape.append([balance("a")])
        tape.wait_durable(1)
        tape.append([balance("b")])

        assert len(list(tape.read(TapeQuery(stream="balance/a/USDT")))) == 1
        assert tape.durable_seq == 1
        assert len(list(tape.read(TapeQuery(stream="balance/b/USDT")))) == 1
        assert tape.durable_seq == 2
        tape.append([balance("a")])
        assert [event.seq for event in tape.read(TapeQuery(stream="balance/a/USDT"))] == [1, 3]
        tape.append([balance("c")])
        assert len(list(tape.read())) == 4


def test_a_long_stream_is_read_from_any_place_in_chunks(tmp_path: Path) -> None:
    with SqliteTape(tmp_path / "tape") as tape:
        for number in range(1, 1_501):
            tape.append([balance("a" if number % 3 else "b")])
        wanted = [seq for seq in range(1, 1_501) if seq % 3]

        for first in (1, 2, 3, 700, 1_499, 1_500, 1_501):
            found = tape.read(TapeQuery(stream="balance/a/USDT", first_seq=first))
            assert [event.seq for event in found] == [seq for seq in wanted if seq >= first]
        for limit in (0, 1, 127, 128, 129, 300):
            found = tape.read(TapeQuery(stream="balance/a/USDT", limit=limit))
            assert [event.seq for event in found] == wanted[:limit]
        some = tape.read(TapeQuery(stream="balance/a/USDT", first_seq=100, last_seq=1_200, limit=600))
        assert [event.seq for event in some] == [seq for seq in wanted if 100 <= seq <= 1_200][:600]


def test_a_stream_is_readable_while_the_tape_is_closed_and_after_it(tmp_path: Path) -> None:
    tape = SqliteTape(tmp_path / "tape")
    for _ in range(300):
        tape.append([balance("a")])
    tape.save_snapshot("balance/a/USDT", 300, b"state")
    found = iter(tape.read(TapeQuery(stream="balance/a/USDT")))
    first = [next(found) for _ in range(10)]

    tape.close()

    assert not (tmp_path / "tape-wal").exists()
    assert [event.seq for event in (*first, *found)] == list(range(1, 301))
    assert len(list(tape.read(TapeQuery(stream="balance/a/USDT")))) == 300
    snapshot = tape.load_snapshot("balance/a/USDT")
    assert snapshot is not None
    assert snapshot.version == 300
