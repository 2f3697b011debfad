"""Segments of a venue's frames: written frames are read back, even after a kill."""

from __future__ import annotations

import contextlib
import gzip
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tickdeck.application.ports import Frame
from tickdeck.errors import TapeError
from tickdeck.infrastructure.frame_chain import frame_faults
from tickdeck.infrastructure.frames import FrameReader, FrameWriter, one_line


def frames(count: int) -> list[Frame]:
    return [
        Frame(1_700_000_000_000_000_000 + n, b'{"stream":"btcusdt@trade","data":{"t":%d}}' % n) for n in range(count)
    ]


def test_frames_are_read_back_in_order_across_segments(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path, segment=10_000)
    for frame in frames(20_000):
        writer.write(frame)
    writer.close()

    assert len(list(tmp_path.iterdir())) > 2
    assert list(FrameReader(tmp_path)) == frames(20_000)


def test_a_closed_segment_is_a_capture_that_gzip_reads(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    writer.write(Frame(5, b"{}"))
    writer.close()
    writer.close()

    assert gzip.decompress((tmp_path / "000001.raw.gz").read_bytes()) == b"5 {}\n"


def test_synced_frames_are_read_while_the_writer_continues(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    for frame in frames(10):
        writer.write(frame)
    writer.sync()
    writer.write(frames(11)[10])

    assert list(FrameReader(tmp_path)) == frames(10)
    writer.close()


def test_a_reader_at_the_end_continues_when_the_writer_has_written_more(tmp_path: Path) -> None:
    writer, reader = FrameWriter(tmp_path, segment=1_000), FrameReader(tmp_path)
    got: list[Frame] = []
    for first in range(0, 5_000, 500):
        for frame in frames(5_000)[first : first + 500]:
            writer.write(frame)
        writer.flush()
        got += reader
        assert got == frames(5_000)[: first + 500]
    writer.close()


def test_a_truncated_segment_gives_its_complete_lines(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    for frame in frames(1_000):
        writer.write(frame)
    writer.close()
    path = tmp_path / "000001.raw.gz"
    whole = path.read_bytes()

    for cut in range(0, len(whole), 61):
        path.write_bytes(whole[:cut])
        got = list(FrameReader(tmp_path))
        assert got == frames(1_000)[: len(got)]


def test_a_second_writer_begins_its_own_segment(tmp_path: Path) -> None:
    for frame in frames(2):
        writer = FrameWriter(tmp_path)
        writer.write(frame)
        writer.close()

    assert [path.name for path in sorted(tmp_path.iterdir())] == ["000001.raw.gz", "000002.raw.gz"]
    assert list(FrameReader(tmp_path)) == frames(2)


def test_a_damaged_segment_is_an_error_that_names_it(tmp_path: Path) -> None:
    writer = FrameWriter(tmp_path)
    for frame in frames(1_000):
        writer.write(frame)
    writer.close()
    path = tmp_path / "000001.raw.gz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(TapeError, match=r"000001\.raw\.gz: the segment is damaged"):
        list(FrameReader(tmp_path))


def test_no_frame_is_lost_when_another_thread_syncs_all_the_time(tmp_path: Path) -> None:
    writer, done = FrameWriter(tmp_path, segment=50_000), threading.Event()

    def sync_until_done() -> None:
        while not done.is_set():
            writer.sync()

    thread = threading.Thread(target=sync_until_done)
    thread.start()
    for frame in frames(30_000):
        writer.write(frame)
    done.set()
    thread.join()
    writer.close()

    assert list(FrameReader(tmp_path)) == frames(30_000)


def test_a_killed_writer_leaves_everything_that_it_synced(tmp_path: Path) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from tickdeck.application.ports import Frame\n"
        "from tickdeck.infrastructure.frames import FrameWriter\n"
        "writer = FrameWriter(Path(sys.argv[1]))\n"
        "[writer.write(Frame(n, b'x' * 50)) for n in range(5000)]; writer.sync()\n"
        "[writer.write(Frame(n, b'y' * 50)) for n in range(50)]; os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)

    assert [frame.received for frame in FrameReader(tmp_path)][:5000] == list(range(5000))


def test_a_folder_that_cannot_be_written_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text("a file in its place")

    with pytest.raises(TapeError, match="frames: cannot write market data"):
        FrameWriter(tmp_path / "frames")


@pytest.mark.parametrize("given", [b'{"a":\n1}', b'{"a":\r1}'])
def test_a_message_becomes_one_line(given: bytes) -> None:
    assert one_line(given) == b'{"a": 1}'


def test_frames_that_are_written_during_a_sync_wait_for_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = frames(2)
    writer = FrameWriter(tmp_path)
    syncs = 0

    def sync_content(fd: int) -> None:
        nonlocal syncs
        syncs += 1
        if syncs == 1:  # the disk is at work, and more is passed to the operating system
            writer.write(second)
            writer.flush()

    monkeypatch.setattr("tickdeck.infrastructure.frames.sync_content", sync_content)
    writer.write(first)
    writer.sync()
    assert syncs == 1

    writer.sync()
    assert syncs == 2
    writer.sync()
    assert syncs == 2  # nothing is new
    writer.close()


def test_a_new_writer_syncs_what_a_killed_one_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FrameWriter(tmp_path).write(frames(1)[0])
    (left,) = tmp_path.iterdir()
    synced: list[Path] = []
    monkeypatch.setattr("tickdeck.infrastructure.frames.sync", synced.append)

    FrameWriter(tmp_path).close()

    assert left in synced


def test_a_slow_disk_does_not_block_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing, disk_is_done = threading.Event(), threading.Event()

    def slow_sync(fd: int) -> None:
        syncing.set()
        assert disk_is_done.wait(120)

    monkeypatch.setattr("tickdeck.infrastructure.frames.sync_content", slow_sync)
    writer = FrameWriter(tmp_path)
    writer.write(Frame(1, b'{"n":1}'))
    thread = threading.Thread(target=writer.sync)
    thread.start()
    assert syncing.wait(120)

    for n in range(2, 4_000):  # several times the buffer
        writer.write(Frame(n, b'{"n":%d,"text":"%b"}' % (n, b"x" * 100)))

    assert thread.is_alive()
    disk_is_done.set()
    thread.join()
    writer.close()
    assert [frame.received for frame in FrameReader(tmp_path)] == list(range(1, 4_000))


@pytest.mark.parametrize("then", [b"", b"\x5a\xa5" * 256])
def test_what_a_power_cut_left_unwritten_ends_a_segment_and_the_next_writer_goes_on(
    tmp_path: Path, then: bytes
) -> None:
    """The file has its new size, but what was not synced is zeros. ``then``: a later sector was written."""
    rng = random.Random(1)
    frames = [Frame(ts, rng.randbytes(60).hex().encode()) for ts in range(1, 301)]
    writer = FrameWriter(tmp_path)
    for frame in frames[:200]:
        writer.write(frame)
    writer.sync()
    (segment,) = tmp_path.glob("*.gz")
    synced = segment.stat().st_size
    for frame in frames[200:]:
        writer.write(frame)
    writer.flush()
    whole = segment.read_bytes()
    segment.write_bytes(whole[:synced] + bytes(len(whole) - synced) + then)

    left = list(FrameReader(tmp_path))
    assert left == frames[:200]
    with contextlib.closing(FrameWriter(tmp_path)) as again:
        assert again.frames == 200
        again.write(Frame(999, b"next"))
    assert list(FrameReader(tmp_path)) == [*left, Frame(999, b"next")]
    assert frame_faults(tmp_path, None) == []


@pytest.mark.parametrize("seed", range(40))
def test_sectors_that_a_power_cut_left_unwritten_never_give_other_frames(tmp_path: Path, seed: int) -> None:
    """What can be unpacked behind them is no text that was recorded, so the segment ends before their write."""
    rng = random.Random(seed)
    frames = [
        Frame(ts, b'{"e":"trade","p":"%d.%02d","q":"0.%05d"}' % tuple(rng.randrange(99) for _ in range(3)))
        for ts in range(1, 3_001)
    ]
    writer = FrameWriter(tmp_path)
    ends = []  # of writes: bytes, frames
    (segment,) = tmp_path.glob("*.gz")
    for number, frame in enumerate(frames, 1):
        writer.write(frame)
        if number in (500, 520, 1_500, 3_000):
            writer.flush()
            ends.append((segment.stat().st_size, number))
    data = bytearray(segment.read_bytes())
    (synced, _), *_ = ends
    lost = [at for at in range(-(-synced // 512) * 512, len(data), 512) if rng.random() < 0.3]
    for at in lost:
        data[at : at + 512] = bytes(len(data[at : at + 512]))
    segment.write_bytes(data)

    whole = max(number for end, number in ends if end <= (lost[0] if lost else len(data)))
    assert list(FrameReader(tmp_path)) == frames[:whole]
    with contextlib.closing(FrameWriter(tmp_path)) as again:
        assert again.frames == whole
    assert frame_faults(tmp_path, None) == []
