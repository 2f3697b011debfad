"""Every byte of a tape in JSON Lines is protected: changes are found with their place, and torn tails are cut off."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape import JsonlTape, JsonlTapeReader
from tickdeck.infrastructure.tape.jsonl import TapeDamaged, list_segments, read_groups
from tickdeck.infrastructure.tape.tools import check_tape

SECTOR = 512


def make(seq: int) -> DomainEvent:
    if seq % 3 == 0:
        return OrderAcceptedEvent(order_id=f"o{seq % 2}", symbol="BTCUSDT", seq=seq, event_id=str(seq), ts_ingress=seq)
    return TradeEvent(
        symbol="BTCUSDT",
        price=Decimal(seq),
        quantity=Decimal(1),
        side=Side.BUY,
        seq=seq,
        event_id=str(seq),
        ts_ingress=seq,
    )


COUNT = 40
EVENTS = [make(seq) for seq in range(1, COUNT + 1)]


class Written:
    """A tape of four segments with groups of one to three events, and the places of its parts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with JsonlTape(path, linger_ms=1e9, segment_bytes=4_000) as tape:
            for event in EVENTS:
                tape.append([event])
                if event.seq % 5 in (0, 2, 3):
                    tape.wait_durable(event.seq)
        self.files = [segment.path.name for segment in list_segments(path)]
        self.content = {name: (path / name).read_bytes() for name in self.files}
        self.last = self.files[-1]
        (*_, segment) = list_segments(path)
        with segment.path.open("rb") as file:
            groups = list(read_groups(file, segment.path, segment.body, segment.crc, is_last=True))
        assert len(groups) > 1
        self.last_group = groups[-1].offset
        self.before_last_group = groups[-2].commit.last_seq
        self.places = [(name, at) for name in self.files for at in range(len(self.content[name]))]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("damage") / "tape")


@pytest.fixture(scope="module")
def scratch(written: Written) -> Iterator[Path]:
    """A copy of the tape without its indexes, in which one file at a time is changed."""
    folder = Path(tempfile.mkdtemp())
    path = folder / "tape"
    shutil.copytree(written.path, path, ignore=shutil.ignore_patterns("*.index"))
    yield path
    shutil.rmtree(folder)


def read(path: Path) -> tuple[list[DomainEvent], TapeError | None]:
    """The events before the damage, and the reported error."""
    found: list[DomainEvent] = []
    try:
        with JsonlTapeReader(path) as reader:
            for event in reader.read():
                found.append(event)  # noqa: PERF402 what comes before the error is kept
    except TapeError as error:
        return found, error
    return found, None


PLACE = re.compile(r"(?P<file>\d{6}\.jsonl), line (?P<line>\d+), bytes (?P<first>\d+) to (?P<last>\d+): ")


def assert_told(error: TapeError, content: bytes, name: str, at: int) -> None:
    """The error names the file, the line and the bytes that contain the place."""
    told = PLACE.search(str(error))
    assert told is not None, str(error)
    assert told["file"] == name
    assert int(told["first"]) <= at <= int(told["last"])
    assert int(told["line"]) == content[: int(told["first"])].count(b"\n") + 1
    assert "\n" not in str(error)


@given(data=st.data(), flip=st.integers(1, 255))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flipped_byte_is_found_with_its_place(
    written: Written, scratch: Path, data: st.DataObject, flip: int
) -> None:
    name, at = data.draw(st.sampled_from(written.places))
    content = bytearray(written.content[name])
    content[at] ^= flip
    try:
        (scratch / name).write_bytes(content)
        found, error = read(scratch)
        told_by_check = [f"{problem.where}: {problem.what}" for problem in check_tape(scratch).problems]
    finally:
        (scratch / name).write_bytes(written.content[name])

    assert error is not None, f"byte {at} of {name}: {written.content[name][at]} -> {content[at]} was not noticed"
    assert_told(error, bytes(content), name, at)
    assert found == EVENTS[: len(found)]
    assert any(told.startswith(str(error).rpartition("; ")[0]) for told in told_by_check)


@given(data=st.data(), flip=st.integers(1, 255))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_writer_does_not_continue_after_a_flipped_byte_in_the_last_segment(
    written: Written, scratch: Path, data: st.DataObject, flip: int
) -> None:
    at = data.draw(st.integers(0, len(written.content[written.last]) - 1))
    content = bytearray(written.content[written.last])
    content[at] ^= flip
    try:
        (scratch / written.last).write_bytes(content)
        with pytest.raises(TapeError) as caught:
            JsonlTape(scratch)
        assert (scratch / written.last).read_bytes() == content
    finally:
        (scratch / written.last).write_bytes(written.content[written.last])

    assert_told(caught.value, bytes(content), written.last, at)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_missing_or_repeated_line_is_found(written: Written, scratch: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(written.files))
    lines = written.content[name].splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 2))  # except for the last, which may be torn
    changed = list(lines)
    if data.draw(st.booleans()):
        changed.insert(number, lines[number])
    else:
        del changed[number]
    try:
        (scratch / name).write_bytes(b"".join(changed))
        found, error = read(scratch)
    finally:
        (scratch / name).write_bytes(written.content[name])

    assert isinstance(error, TapeDamaged)
    assert name in str(error)
    assert found == EVENTS[: len(found)]


@given(data=st.data())
@example(data=None)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_tail_torn_anywhere_in_the_last_group_is_cut_off(
    written: Written, scratch: Path, data: st.DataObject | None
) -> None:
    content = written.content[written.last]
    size = data.draw(st.integers(written.last_group, len(content) - 1)) if data is not None else len(content) - 1
    file = scratch / written.last
    try:
        file.write_bytes(content[:size])
        found, error = read(scratch)
        with JsonlTape(scratch) as tape:
            repaired, last_seq = tape.statistics().repaired, tape.last_seq
            for event in EVENTS[last_seq:]:
                tape.append([event])
        again, later_error = read(scratch)
    finally:
        for index in scratch.glob("*.index"):
            index.unlink()
        file.write_bytes(content)

    assert error is None
    assert found == EVENTS[: written.before_last_group]
    assert (repaired, last_seq) == (size - written.last_group, written.before_last_group)
    assert later_error is None
    assert again == EVENTS


@given(seed=st.integers(0, 10_000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_last_group_with_lost_sectors_is_cut_off(written: Written, scratch: Path, seed: int) -> None:
    content = bytearray(written.content[written.last])
    starts = [written.last_group, *range((written.last_group // SECTOR + 1) * SECTOR, len(content), SECTOR)]
    rng = random.Random(seed)
    lost = rng.sample(range(len(starts)), rng.randint(1, len(starts)))
    for number in lost:
        end = starts[number + 1] if number + 1 < len(starts) else len(content)
        content[starts[number] : end] = bytes(end - starts[number])
    file = scratch / written.last
    try:
        file.write_bytes(content)
        found, error = read(scratch)
        with JsonlTape(scratch) as tape:
            last_seq = tape.last_seq
    finally:
        for index in scratch.glob("*.index"):
            index.unlink()
        file.write_bytes(written.content[written.last])

    assert error is None
    assert found == EVENTS[: written.before_last_group]
    assert last_seq == written.before_last_group


@pytest.mark.parametrize("which", [0, 1, -2])
def test_a_sector_of_zeros_before_the_last_group_is_damage(written: Written, scratch: Path, which: int) -> None:
    name = written.files[which]
    content = bytearray(written.content[name])
    content[SECTOR : 2 * SECTOR] = bytes(SECTOR)
    assert name != written.last or written.last_group > 2 * SECTOR
    try:
        (scratch / name).write_bytes(content)
        found, error = read(scratch)
    finally:
        (scratch / name).write_bytes(written.content[name])

    assert isinstance(error, TapeDamaged)
    assert name in str(error)
    assert found == EVENTS[: len(found)]


def groups_of_one(path: Path, count: int) -> bytes:
    with JsonlTape(path, linger_ms=1e9) as tape:
        for event in EVENTS[:count]:
            tape.append([event])
            tape.wait_durable(event.seq)
    (path / "000001.index").unlink()
    return (path / "000001.jsonl").read_bytes()


def assert_not_cut(path: Path, content: bytes) -> None:
    """Readers and writers report the damage, and the file is unchanged."""
    for use in (lambda: list(JsonlTapeReader(path).read()), lambda: JsonlTape(path)):
        with pytest.raises(TapeDamaged):
            use()
    assert (path / "000001.jsonl").read_bytes() == content


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_first_sector_of_zeros_is_damage_if_a_group_follows_the_head(tmp_path: Path, count: int) -> None:
    content = groups_of_one(tmp_path / "tape", count)
    zeroed = bytes(min(SECTOR, len(content))) + content[SECTOR:]
    (tmp_path / "tape" / "000001.jsonl").write_bytes(zeroed)

    assert_not_cut(tmp_path / "tape", zeroed)


def test_a_sector_of_zeros_over_the_commit_before_the_last_is_damage(tmp_path: Path) -> None:
    content = groups_of_one(tmp_path / "tape", 40)
    (segment,) = list_segments(tmp_path / "tape")
    with segment.path.open("rb", buffering=0) as file:
        groups = list(read_groups(file, segment.path, segment.body, segment.crc, is_last=True))
    sectors = [(group.offset + len(group.lines), group.end) for group in groups[:-1]]
    sector = next(start // SECTOR for start, end in sectors if start // SECTOR == end // SECTOR)
    zeroed = content[: sector * SECTOR] + bytes(SECTOR) + content[(sector + 1) * SECTOR :]
    segment.path.write_bytes(zeroed)

    assert_not_cut(tmp_path / "tape", zeroed)


def test_a_writer_does_not_continue_a_damaged_tape_with_a_valid_index(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    with JsonlTape(path, linger_ms=1e9) as tape:
        for event in EVENTS[:5]:
            tape.append([event])
            tape.wait_durable(event.seq)
    content = bytearray((path / "000001.jsonl").read_bytes())
    content[len(content) // 2] ^= 1
    (path / "000001.jsonl").write_bytes(content)
    assert (path / "000001.index").exists()

    assert_not_cut(path, bytes(content))


def test_a_truncated_segment_is_damage_if_another_follows(written: Written, scratch: Path) -> None:
    name = written.files[1]
    try:
        (scratch / name).write_bytes(written.content[name][:-10])
        _, error = read(scratch)
    finally:
        (scratch / name).write_bytes(written.content[name])

    assert isinstance(error, TapeDamaged)
    assert f"{name}, line " in str(error)


def test_events_committed_before_a_damaged_line_are_read(written: Written, scratch: Path) -> None:
    name = written.files[2]
    content = bytearray(written.content[name])
    content[len(content) // 2] ^= 1
    try:
        (scratch / name).write_bytes(content)
        found, error = read(scratch)
        problems = check_tape(scratch).problems
    finally:
        (scratch / name).write_bytes(written.content[name])

    assert error is not None
    assert len(found) > COUNT // 4
    assert any(problem.where.startswith(str(scratch / name)) for problem in problems)
