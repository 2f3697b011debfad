"""Readers of a tape in JSON Lines while a writer appends to it."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from jsonl_tapes import seqs, write
from tape_events import NEVER, order, trade

from tickdeck.application.ports import EVERYTHING, TapeQuery
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader
from tickdeck.infrastructure.tape.jsonl import (
    segment_index,
    segments,
)
from tickdeck.infrastructure.tape.jsonl import (
    tape as jsonl,
)
from tickdeck.infrastructure.tape.jsonl import (
    walk as jsonl_walk,
)
from tickdeck.infrastructure.tape.tools import compacting


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tape"


def test_a_reader_sees_committed_events_while_the_writer_continues(path: Path) -> None:
    with JsonlTape(path, linger_ms=NEVER, segment_bytes=700) as tape, JsonlTapeReader(path) as opened:
        tape.append([trade(1), trade(2)])
        assert list(opened.read()) == []
        assert opened.last_seq == 0

        tape.wait_durable(1)
        assert [event.seq for event in opened.read()] == [1, 2]

        for seq in range(5, 12):
            tape.append([trade(seq)])
            tape.wait_durable(seq)
            assert [event.seq for event in opened.read(TapeQuery(first_seq=seq - 1))][-1] == seq
            assert opened.last_seq == seq


def test_a_reader_sees_events_appended_meanwhile_in_new_segments_too(path: Path) -> None:
    with JsonlTape(path, linger_ms=NEVER, segment_bytes=700) as tape:
        tape.append([trade(1)])
        tape.wait_durable(1)
        events = tape.read()
        assert next(events).seq == 1

        for seq in range(2, 12):
            tape.append([trade(seq)])
            tape.wait_durable(seq)

        assert [event.seq for event in events] == list(range(2, 12))


def test_unsynced_events_are_not_read_by_their_own_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with JsonlTape(path, linger_ms=NEVER) as tape:
        tape.append([trade(1)])
        tape.wait_durable(1)
        seen: list[int] = []
        sync_content = jsonl.sync_content

        def look_then_sync(fd: int) -> None:
            # ``read`` would first wait for this very commit.
            seen.extend(event.seq for event in tape._events(EVERYTHING))
            sync_content(fd)

        monkeypatch.setattr(jsonl, "sync_content", look_then_sync)
        tape.append([trade(2)])
        tape.wait_durable(2)

        assert seen == [1]


def test_a_paused_reader_continues_with_events_written_over_a_torn_tail(path: Path) -> None:
    write(path, 2)
    file = path / "000001.jsonl"
    whole = file.read_bytes()
    write(path, 1)
    file.write_bytes(whole + file.read_bytes()[len(whole) : -30])
    with JsonlTapeReader(path) as opened:
        events = opened.read()
        assert next(events).seq == 1

        write(path, 3, order)

        assert [event.seq for event in events] == [2, 3, 4, 5]


def test_a_paused_reader_continues_after_rotation_and_compaction(path: Path) -> None:
    write(path, 3)
    with JsonlTapeReader(path) as opened:
        events = opened.read()
        assert next(events).seq == 1

        write(path, 8, segment_bytes=500)
        compacting.compact_tape(path)

        assert [event.seq for event in events] == list(range(2, 12))


def test_a_position_is_searched_again_if_its_segment_was_rewritten(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_index, "_SPAN", 500)
    write(path, 20)
    read_head = segments.read_head

    def rewritten_before(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(jsonl_walk, "read_head", read_head)
        compacting.compact_tape(path)  # merges groups, the segment's head stays as it was
        return read_head(*arguments, **options)

    monkeypatch.setattr(jsonl_walk, "read_head", rewritten_before)

    assert seqs(path, first_seq=15) == [15, 16, 17, 18, 19, 20]


def test_a_reader_that_lists_segments_during_a_merge_retries(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, 20, order, segment_bytes=1_500)
    read_head, current_index = segments.read_head, segment_index.current_index

    def merged_before_read_head(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(segments, "read_head", read_head)
        found = read_head(*arguments, **options)
        compacting.compact_tape(path)
        return found

    def merged_before_index(*arguments: Any, **options: Any) -> Any:
        monkeypatch.setattr(jsonl_walk, "current_index", current_index)
        compacting.compact_tape(path)
        return current_index(*arguments, **options)

    copy = path.with_name("copy")
    shutil.copytree(path, copy)
    for ask in (
        lambda opened: opened.last_seq,
        lambda opened: opened.stream_version("order/main/a"),
        lambda opened: [event.seq for event in opened.read(TapeQuery(first_ts=20))][-1],
        lambda opened: [event.seq for event in opened.read(TapeQuery(first_seq=20))][-1],
    ):
        for module, name, merged in (
            (segments, "read_head", merged_before_read_head),
            (jsonl_walk, "current_index", merged_before_index),
        ):
            shutil.rmtree(path)
            shutil.copytree(copy, path)
            with JsonlTapeReader(path) as opened:
                monkeypatch.setattr(module, name, merged)
                assert ask(opened) == 20
            assert len(list(path.glob("*.jsonl"))) == 1


def test_a_reader_of_a_busy_tape_sees_complete_groups_in_order(path: Path) -> None:
    done = threading.Event()
    failures: list[BaseException] = []
    seen: list[int] = []

    def follow() -> None:
        try:
            with JsonlTapeReader(path) as opened:
                last = 0
                while True:
                    ended = done.is_set()
                    for event in opened.read(TapeQuery(first_seq=last + 1)):
                        seen.append(event.seq)
                        last = event.seq
                    if ended:
                        return
        except BaseException as error:  # noqa: BLE001 told by the test
            failures.append(error)

    with JsonlTape(path, linger_ms=0.1, segment_bytes=50_000) as tape:
        follower = threading.Thread(target=follow)
        follower.start()
        for seq in range(1, 5_001):
            tape.append([trade(seq)])
            if seq % 100 == 0:
                tape.wait_durable(seq)
    done.set()
    follower.join(60)

    assert failures == []
    assert seen == list(range(1, 5_001))
