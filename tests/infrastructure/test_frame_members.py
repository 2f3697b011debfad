"""The members of segments: a writer continues the digest, and a reader begins anywhere, without reading everything."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.application.ports import Frame
from tickdeck.errors import TapeError
from tickdeck.infrastructure import frame_chain, frames
from tickdeck.infrastructure.frame_archive import archive_frames
from tickdeck.infrastructure.frame_chain import frame_faults, undivided_digest
from tickdeck.infrastructure.frame_members import FramesMark, Unpacker, heads_in, last_head
from tickdeck.infrastructure.frame_segments import segments
from tickdeck.infrastructure.frames import FrameReader, FrameWriter

COUNT = 6_000
NOT_AT_END = "the frames are not those with which the run ended"


def frame(number: int) -> Frame:
    return Frame(1_700_000_000_000_000_000 + number, b'{"stream":"btcusdt@trade","data":{"t":%d}}' % number)


@pytest.fixture(autouse=True)
def _short_members(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(frames, "_MEMBER", 20_000)
    monkeypatch.setattr(frames, "_BUFFER", 5_000)
    return


def write(folder: Path, first: int, upto: int, *, segment: int = 9_000) -> FramesMark:
    writer = FrameWriter(folder, segment=segment)
    for number in range(first, upto):
        writer.write(frame(number))
    writer.close()
    return writer.mark


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FramesMark]:
    """Several segments of several members, of three processes."""
    folder = tmp_path_factory.mktemp("long")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "_MEMBER", 20_000)
        patch.setattr(frames, "_BUFFER", 5_000)
        write(folder, 0, 2_500)
        write(folder, 2_500, 2_501)
        write(folder, 2_501, 2_501)
        mark = write(folder, 2_501, COUNT)
    assert len(segments(folder)) > 4
    assert sum(1 for path in segments(folder) for _ in heads_in(path)) > 2 * len(segments(folder))
    return folder, mark


@pytest.fixture
def copied(long: tuple[Path, FramesMark], tmp_path: Path) -> Path:
    for path in segments(long[0]):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


@pytest.fixture
def unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lines of each part that is unpacked."""
    lines: list[int] = []
    feed = Unpacker.feed

    def counting(self: Unpacker, data: bytes) -> object:
        parts = feed(self, data)
        lines.extend(len(part.lines) for part in parts)
        return parts

    monkeypatch.setattr(Unpacker, "feed", counting)
    return lines


def test_members_are_one_file_for_gzip(long: tuple[Path, FramesMark]) -> None:
    folder, mark = long
    text = b"".join(gzip.decompress(path.read_bytes()) for path in segments(folder))

    assert text == b"".join(b"%d %b\n" % frame(number) for number in range(COUNT))
    assert list(FrameReader(folder)) == [frame(number) for number in range(COUNT)]
    assert mark.frames == COUNT
    assert frame_faults(folder, mark, exact=True) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(0, COUNT + 5))
def test_a_reader_begins_after_any_frame(long: tuple[Path, FramesMark], after: int) -> None:
    assert list(FrameReader(long[0], after=after)) == [frame(number) for number in range(after, COUNT)]


def test_a_reader_that_begins_late_unpacks_one_member_before(
    long: tuple[Path, FramesMark], unpacked: list[int]
) -> None:
    assert next(iter(FrameReader(long[0], after=COUNT - 1))) == frame(COUNT - 1)
    assert sum(unpacked) < 500


def test_a_writer_continues_the_digest_from_the_last_member(
    long: tuple[Path, FramesMark], copied: Path, unpacked: list[int]
) -> None:
    writer = FrameWriter(copied)

    assert writer.mark == long[1]
    assert writer.frames == COUNT
    assert 0 < sum(unpacked) < 500
    writer.write(frame(COUNT))
    assert writer.frames == COUNT + 1
    writer.close()
    assert frame_faults(copied, writer.mark, exact=True) == []
    assert frame_faults(copied, long[1]) == []
    assert frame_faults(copied, long[1], exact=True) == [NOT_AT_END]


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_run_continues_wherever_its_writer_was_killed(
    tmp_path_factory: pytest.TempPathFactory, long: tuple[Path, FramesMark], data: st.DataObject
) -> None:
    """The last segment ends after any byte."""
    folder = tmp_path_factory.mktemp("killed")
    *whole, last = segments(long[0])
    for path in whole:
        (folder / path.name).write_bytes(path.read_bytes())
    content = last.read_bytes()
    (folder / last.name).write_bytes(content[: data.draw(st.integers(0, len(content)))])

    left = list(FrameReader(folder))
    mark = write(folder, len(left), len(left) + 3)

    assert list(FrameReader(folder)) == [frame(number) for number in range(len(left) + 3)]
    assert list(FrameReader(folder, after=len(left))) == [frame(number) for number in range(len(left), len(left) + 3)]
    assert mark.frames == len(left) + 3
    assert frame_faults(folder, mark, exact=True) == []


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_change_of_a_frame_is_found_even_with_valid_checksums(
    tmp_path_factory: pytest.TempPathFactory, long: tuple[Path, FramesMark], data: st.DataObject
) -> None:
    folder, mark = tmp_path_factory.mktemp("forged"), long[1]
    changed = data.draw(st.sampled_from([path for path in segments(long[0]) if gzip.decompress(path.read_bytes())]))
    for path in segments(long[0]):
        (folder / path.name).write_bytes(path.read_bytes())
    begins = [at for at, _ in heads_in(changed)]
    ends = [*begins[1:], changed.stat().st_size]
    whole = changed.read_bytes()
    members = [whole[at:end] for at, end in zip(begins, ends, strict=True)]
    place = data.draw(st.sampled_from([n for n, member in enumerate(members) if gzip.decompress(member)]))
    text = bytearray(gzip.decompress(members[place]))
    at = data.draw(st.integers(0, len(text) - 1))
    if text[at] == ord("\n"):
        return
    text[at] ^= 1
    head, packer = members[place][:60], zlib.compressobj(wbits=-15)
    packed = packer.compress(bytes(text)) + packer.flush()
    tail = zlib.crc32(text).to_bytes(4, "little") + len(text).to_bytes(4, "little")
    members[place] = head + packed + tail
    (folder / changed.name).write_bytes(b"".join(members))

    assert frame_faults(folder, mark, exact=True)
    last = segments(folder)[-1]
    if changed != last and place < len(members) - 1:  # the next head tells it, also of a run that was killed
        assert frame_faults(folder, None) == [f"the frames before {changed.name} are not those that were recorded"]


def test_a_missing_segment_is_found(copied: Path, long: tuple[Path, FramesMark]) -> None:
    segments(copied)[1].unlink()
    third = segments(copied)[1].name

    assert frame_faults(copied, None) == [f"the frames before {third} are not those that were recorded"]


def test_missing_frames_at_the_end_are_found(copied: Path, long: tuple[Path, FramesMark]) -> None:
    segments(copied)[-1].unlink()

    assert frame_faults(copied, None) == []  # as if its writer had been killed earlier
    assert frame_faults(copied, long[1]) == [NOT_AT_END]


@pytest.mark.parametrize("to", ["archive", None])
def test_the_digest_goes_on_over_segments_that_are_archived_or_dropped(
    copied: Path, long: tuple[Path, FramesMark], tmp_path_factory: pytest.TempPathFactory, to: str | None
) -> None:
    place = tmp_path_factory.mktemp("place") if to else None
    for keep_newest in (True, False):
        archive_frames(copied, events_in=lambda _: 1, before=1 << 62, to=place, seq=9, keep_newest=keep_newest)
        assert len(segments(copied)) == keep_newest
        writer = FrameWriter(copied)
        assert (writer.mark.frames, writer.mark.digest) == long[1]
        writer.close()
        assert frame_faults(copied, long[1]) == []
        segments(copied)[-1].unlink()
    assert len(frame_chain.files_of(copied)) > 4


def older(folder: Path, name: str, first: int, upto: int) -> None:
    """A segment of an older version: one member without a head."""
    (folder / name).write_bytes(gzip.compress(b"".join(b"%d %b\n" % frame(number) for number in range(first, upto))))


def test_a_run_of_an_older_version_continues(tmp_path: Path) -> None:
    older(tmp_path, "000001.raw.gz", 0, 10)
    older(tmp_path, "000002.raw.gz", 10, 30)
    before = undivided_digest(tmp_path, None)

    mark = write(tmp_path, 30, 40)

    assert list(FrameReader(tmp_path, after=7)) == [frame(number) for number in range(7, 40)]
    assert list(FrameReader(tmp_path, after=33)) == [frame(number) for number in range(33, 40)]
    assert frame_faults(tmp_path, mark, exact=True) == []
    assert undivided_digest(tmp_path, 30) == before
    older(tmp_path, "000001.raw.gz", 1, 11)
    assert frame_faults(tmp_path, None) == ["the frames before 000003.raw.gz are not those that were recorded"]


def test_a_damaged_last_member_is_an_error_that_names_its_segment(copied: Path) -> None:
    last = segments(copied)[-1]
    found = last_head(last)
    assert found is not None
    content = bytearray(last.read_bytes())
    content[found[0] + 70] ^= 0xFF
    last.write_bytes(content)

    with pytest.raises(TapeError, match=f"{last.name}: the segment is damaged"):
        FrameWriter(copied)
