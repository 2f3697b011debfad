"""Frames that arrive faster than a run processes them: what is replaced, dropped and kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual_time import VirtualWall, run

from tickdeck.application.drivers import FrameIntake
from tickdeck.application.ports import Frame
from tickdeck.domain.events import DomainEvent


class PatientFeed:
    """A feed that has to wait."""

    name = "toy"

    async def run(self, put: Callable[[Frame], Awaitable[object]]) -> None:
        raise NotImplementedError

    def decode(self, frame: Frame) -> Iterable[DomainEvent]:
        return ()


class Feed(PatientFeed):
    """Frames ``tA1`` and ``tA2`` are best prices of A, frames ``d1`` are trades. All others must be kept."""

    def overload_key(self, frame: Frame) -> str | None:
        data = frame.data.decode()
        return data[:2] if data[0] == "t" else "" if data[0] == "d" else None

    def overload_frame(self, received: int, dropped: int, conflated: int) -> Frame:
        return Frame(received, b"lost %d %d" % (dropped, conflated))

    def resync(self, symbol: str) -> None:
        raise NotImplementedError


def taken(intake: FrameIntake) -> list[str]:
    found = []
    while (frame := intake.queue.get_nowait()) is not None:
        found.append(frame.data.decode())
    return found


async def put_all(intake: FrameIntake, *data: str) -> None:
    for text in data:
        await intake.put(Frame(0, text.encode()))


def test_frames_pass_in_order_while_there_is_room() -> None:
    async def work() -> None:
        intake = FrameIntake(Feed(), 4, clock=VirtualWall())
        await put_all(intake, "tA1", "d1", "tA2", "x")
        assert taken(intake) == ["tA1", "d1", "tA2", "x"]
        assert (intake.dropped, intake.conflated) == (0, 0)

    run(work())


def test_a_full_queue_conflates_best_prices_drops_trades_keeps_the_rest_and_reports_it() -> None:
    async def work() -> None:
        intake = FrameIntake(Feed(), 2, clock=VirtualWall())
        await put_all(intake, "d1", "d2", "tA1", "d3", "x", "tB1", "tA2", "d4", "y", "tA3")
        found = []
        for _ in range(20):
            found += taken(intake)
            await asyncio.sleep(0)
        assert found == ["d1", "d2", "tA3", "x", "tB1", "y", "lost 2 2"]
        await put_all(intake, "d5")
        assert taken(intake) == ["d5"]

    run(work())


def test_a_frame_that_waited_has_the_time_when_it_entered_the_queue() -> None:
    async def work() -> None:
        clock = VirtualWall()
        intake = FrameIntake(Feed(), 1, clock=clock)
        await put_all(intake, "x", "y", "z")
        await clock.sleep(0.5)
        frames = [await intake.queue.get() for _ in range(3)]
        assert [(frame.data, frame.received) for frame in frames] == [(b"x", 0), (b"y", 0), (b"z", 500_000_000)]

    run(work())


def test_a_lasting_overload_is_reported_every_second() -> None:
    async def work() -> list[str]:
        clock = VirtualWall()
        intake = FrameIntake(Feed(), 2, clock=clock)
        found = []
        for n in range(100):  # 10 s; three frames arrive for each that is processed
            await put_all(intake, f"tA{n}", f"d{n}", f"tB{n}")
            found.append((await intake.queue.get()).data.decode())
            await clock.sleep(0.1)
        await intake.stop()
        return [text for text in found if text.startswith("lost")]

    assert 5 <= len(run(work())) <= 11


def test_a_feed_without_overload_rules_waits_and_loses_nothing() -> None:
    async def work() -> None:
        intake = FrameIntake(PatientFeed(), 1, clock=VirtualWall())
        putting = asyncio.ensure_future(put_all(intake, "a", "b", "c"))
        assert [(await intake.queue.get()).data for _ in range(3)] == [b"a", b"b", b"c"]
        await putting

    run(work())


def test_a_queue_that_is_closed_meanwhile_ends_the_intake() -> None:
    async def work() -> None:
        intake = FrameIntake(Feed(), 1, clock=VirtualWall())
        await put_all(intake, "x", "y", "z")
        await asyncio.sleep(0)
        intake.queue.close(RuntimeError("gone"))
        await asyncio.sleep(0)
        assert taken(intake) == ["x"]
        with pytest.raises(RuntimeError, match="gone"):
            await intake.queue.get()

    run(work())


@given(st.lists(st.sampled_from(["tA", "tB", "d", "x", "take", "turn"]), max_size=60), st.integers(1, 4))
def test_under_any_load_frames_stay_in_order_and_each_is_taken_replaced_or_dropped(
    steps: list[str], capacity: int
) -> None:
    async def work() -> None:
        intake = FrameIntake(Feed(), capacity, clock=VirtualWall())
        put, found = 0, []
        for number, step in enumerate(steps):
            if step == "take":
                frame = intake.queue.get_nowait()
                found += [] if frame is None else [frame.data.decode()]
            elif step == "turn":
                await asyncio.sleep(0)
            else:
                put += 1
                await put_all(intake, f"{step}{number}")
        for _ in range(200):
            found += taken(intake)
            await asyncio.sleep(0)
        passed = [text for text in found if not text.startswith("lost")]
        assert len(passed) + intake.dropped + intake.conflated == put
        for kind in ("tA", "tB", "d", "x"):
            numbers = [int(text.removeprefix(kind)) for text in passed if text.startswith(kind)]
            assert numbers == sorted(numbers)
        told = [list(map(int, text.split()[1:])) for text in found if text.startswith("lost")]
        assert [sum(column) for column in zip(*told, strict=True)] in ([], [intake.dropped, intake.conflated])
        assert sum(text.startswith("x") for text in passed) == sum(step == "x" for step in steps)

    run(work())
