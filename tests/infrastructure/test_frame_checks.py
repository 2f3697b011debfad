"""The checksum behind each write: any flipped bit is found, also in a member that its writer did not end."""

from __future__ import annotations

import gzip
import os
import random
import re
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.ports import Frame
from tickdeck.errors import TapeError
from tickdeck.infrastructure import frames
from tickdeck.infrastructure.frame_checks import WriteChecks, check_block
from tickdeck.infrastructure.frame_members import HEAD_SIZE, MemberHead, MemberPacker
from tickdeck.infrastructure.frames import FrameReader, FrameWriter
from tickdeck.infrastructure.runs import check_market_data
from tickdeck.infrastructure.tape.tools.checking import CheckReport

COUNT, TOGETHER = 600, 20


def recorded(folder: Path, seed: int = 1) -> list[Frame]:
    """What a writer wrote that was killed: several members, of which it ended all but the last."""
    rng = random.Random(seed)
    written = [
        Frame(ts, b'{"e":"trade","p":"%d.%02d","q":"0.%05d"}' % tuple(rng.randrange(99) for _ in range(3)))
        for ts in range(1, COUNT + 1)
    ]
    writer = FrameWriter(folder)
    for number, frame in enumerate(written, 1):
        writer.write(frame)
        if number % TOGETHER == 0:
            writer.flush()
    os.close(writer._fd)
    return written


@pytest.mark.parametrize("seed", range(60))
def test_a_flipped_bit_is_found_and_what_precedes_it_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(frames, "_MEMBER", 4 << 20 if seed % 2 else 9_000)
    recorded(tmp_path, seed)
    (segment,) = tmp_path.glob("*.gz")
    whole = segment.read_bytes()
    data = bytearray(whole)
    at = random.Random(seed).randrange(HEAD_SIZE, len(data) - 25)  # the last checksum itself is no content
    data[at] ^= 1 << seed % 8
    segment.write_bytes(data)

    with pytest.raises(TapeError, match=r"000001.raw.gz: the segment is damaged") as caught:
        list(FrameReader(tmp_path))
    if seed % 2:
        with pytest.raises(TapeError, match="is damaged"):
            FrameWriter(tmp_path)  # it reads the last member
        told = re.search(r"behind frame ([\d,]+) of the run", str(caught.value))
        assert told is not None
        before = zlib.decompressobj(31).decompress(whole[:at]).count(b"\n")
        # Of the write with the damage, nothing counts; of those before it, everything.
        assert before - TOGETHER <= int(told[1].replace(",", "")) <= before


def test_undamaged_frames_are_read_and_every_program_that_reads_gzip_reads_them(tmp_path: Path) -> None:
    written = recorded(tmp_path)
    assert list(FrameReader(tmp_path)) == written
    with FrameWriterClosing(tmp_path / "closed") as writer:
        for frame in written:
            writer.write(frame)
            writer.flush()
    text = gzip.decompress(next((tmp_path / "closed").glob("*.gz")).read_bytes())
    assert text == b"".join(b"%d %b\n" % frame for frame in written)


class FrameWriterClosing(FrameWriter):
    def __enter__(self) -> FrameWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=6), st.integers(1, 60), st.data())
def test_checks_are_found_however_a_member_is_divided(texts: list[bytes], size: int, data: st.DataObject) -> None:
    packer = MemberPacker(MemberHead(0, bytes(32)))
    member = b"".join(packer.pack(text) for text in texts)

    def wrong(member: bytes) -> bool:
        checks = WriteChecks()
        parts = [member[at : at + size] for at in range(0, len(member), size)]
        return any(checks.first_wrong(part) is not None for part in parts)

    assert not wrong(member)
    at = data.draw(st.integers(0, len(member) - 30))  # behind that, only unpacking can tell
    assert wrong(member[:at] + bytes([member[at] ^ 1 << data.draw(st.integers(0, 7))]) + member[at + 1 :])


@given(st.binary(max_size=300))
def test_a_check_is_no_content(text: bytes) -> None:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    written = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH)
    whole = written + check_block(written) + packer.flush()
    assert zlib.decompressobj(-15).decompress(whole) == text


def test_the_check_of_a_tape_reads_the_market_data(tmp_path: Path) -> None:
    recorded(tmp_path / "frames")
    report = CheckReport(tape="tape.db", form="sqlite")
    check_market_data(tmp_path, report)
    assert report.ok
    assert report.checked

    (segment,) = (tmp_path / "frames").glob("*.gz")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 4
    segment.write_bytes(data)
    check_market_data(tmp_path, report)
    assert not report.ok
    assert "behind frame" in report.problems[0].what
