"""An edge with a name receives every event that it has not handled, at least once, across processes."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from application_kit import Ping, Pong

from tickdeck.application.kernel import Kernel
from tickdeck.application.proof import RecordCheck
from tickdeck.bootstrap import close_bus, open_bus
from tickdeck.domain.events import DomainEvent, HandlerFailed, TradingHalted
from tickdeck.errors import TapeError
from tickdeck.infrastructure.tape.cursors import CursorFile, cursor_path
from tickdeck.infrastructure.tape.opening import AnyTape, open_tape

FORMATS = pytest.mark.parametrize("form", ["sqlite", "jsonl"])

PROCESS = """
import asyncio, sys
from typing import ClassVar
from tickdeck import DomainEvent
from tickdeck.bootstrap import open_bus

class Ping(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "test.ping"
    n: int = 0

async def main(path, form, count):
    bus = open_bus(path, tape_format=form)

    async def mail(event):
        if event.n == 3:
            print("stuck", flush=True)
            await asyncio.Event().wait()
        print("handled", event.n, flush=True)

    bus.subscribe("test.ping", mail, name="mail")
    receipt = bus.publish_all([Ping(n=n) for n in range(count)])
    await receipt.durable()
    print("durable", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


def killed_process(path: Path, form: str, count: int) -> list[int]:
    """Publish ``count`` events and kill the process when its edge is at the fourth. Returns what it handled."""
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(path), form, str(count)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines: list[str] = []
        while not {"stuck", "durable"} <= set(lines):
            lines.append(process.stdout.readline().strip())
            assert lines[-1], lines
        time.sleep(0.2)  # time for the cursor file
        os.kill(process.pid, signal.SIGKILL)
    return [int(line.split()[1]) for line in lines if line.startswith("handled")]


def ns(events: list[DomainEvent]) -> list[int]:
    return [event.n for event in events if isinstance(event, Ping)]


async def open_and_hear(path: Path, form: str, *, name: str = "mail", **options: int) -> list[int]:
    heard: list[DomainEvent] = []

    async def mail(event: DomainEvent) -> None:
        heard.append(event)

    bus = open_bus(path, tape_format=form)
    bus.subscribe(Ping, mail, name=name, **options)  # type: ignore[arg-type]
    await asyncio.wait_for(bus.drain(), 60)
    await close_bus(bus)
    return ns(heard)


@FORMATS
def test_after_a_kill_an_edge_receives_every_unhandled_event_and_then_nothing(tmp_path: Path, form: str) -> None:
    path = tmp_path / "tape"
    before = killed_process(path, form, 40)

    assert before == [0, 1, 2]
    assert asyncio.run(open_and_hear(path, form)) == list(range(3, 40))
    assert asyncio.run(open_and_hear(path, form)) == []


@FORMATS
def test_an_edge_with_more_unhandled_events_than_its_mailbox_holds_receives_all_in_order(
    tmp_path: Path, form: str
) -> None:
    path = tmp_path / "tape"
    killed_process(path, form, 2_000)
    assert asyncio.run(open_and_hear(path, form, mailbox=7)) == list(range(3, 2_000))


def test_a_new_name_starts_with_new_events(tmp_path: Path) -> None:
    killed_process(tmp_path / "tape", "sqlite", 10)
    assert asyncio.run(open_and_hear(tmp_path / "tape", "sqlite", name="other")) == []


def test_events_published_while_an_edge_catches_up_come_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "tape"
    killed_process(path, "sqlite", 1_200)

    async def run() -> list[int]:
        heard = list[int]()
        bus = open_bus(path)

        async def mail(event: Ping) -> None:
            heard.append(event.n)
            if event.n in (3, 700, 1_199):
                bus.publish(Ping(n=event.n + 10_000))

        bus.subscribe(Ping, mail, name="mail")
        bus.publish(Ping(n=5_000))
        await bus.drain()
        bus.publish(Ping(n=5_001))
        await close_bus(bus)
        return heard

    heard = asyncio.run(run())
    assert heard[:1_197] == list(range(3, 1_200))
    assert heard[1_197:] == [5_000, 10_003, 10_700, 11_199, 5_001]


def test_an_overflowed_mailbox_is_filled_from_the_tape(tmp_path: Path) -> None:
    async def run() -> None:
        bus, heard = open_bus(tmp_path / "tape.db"), list[int]()

        async def mail(event: Ping) -> None:
            heard.append(event.n)

        with bus.collect(HandlerFailed) as failures, bus.collect(TradingHalted) as halts:
            bus.subscribe(Ping, mail, name="mail", mailbox=3)
            for n in range(50):
                bus.publish(Ping(n=n))
            await bus.drain()
            for n in range(50, 60):
                bus.publish(Ping(n=n))
            await bus.drain()
        assert heard == list(range(60))
        assert [f.payload["error"] for f in failures] == ["BufferHalted", "BufferHalted"]
        assert len(halts) == 1
        assert bus.dead_letters() == ()
        await close_bus(bus)

    asyncio.run(run())


def test_an_edge_that_subscribes_again_receives_what_it_missed(tmp_path: Path) -> None:
    async def run() -> None:
        bus, heard = open_bus(tmp_path / "tape.db"), list[int]()

        async def mail(event: Ping) -> None:
            heard.append(event.n)

        subscription = bus.subscribe(Ping, mail, name="mail")
        bus.publish(Ping(n=1))
        subscription.cancel()
        bus.publish_all([Ping(n=2), Ping(n=3)])
        again = bus.subscribe(Ping, mail, name="mail")  # the first mailbox was not processed yet
        bus.publish(Ping(n=4))
        await bus.drain()
        assert heard == [1, 2, 3, 4]
        again.cancel()
        bus.publish(Ping(n=5))
        await close_bus(bus)
        assert heard == [1, 2, 3, 4]

    asyncio.run(run())
    assert asyncio.run(open_and_hear(tmp_path / "tape.db", "sqlite")) == [5]


def test_the_cursor_passes_an_event_only_when_its_effects_are_durable(tmp_path: Path) -> None:
    file = CursorFile(tmp_path / "tape.db", 10, wake=lambda: None)
    assert file.start("mail", 7) == 10  # the end of the tape, if it is later
    file.advance("mail", 11, after=13)
    file.advance("mail", 12, after=15)
    file.advance("mail", 14, after=16)
    assert file.due_in(12) is None
    for durable, stored in ((12, 10), (13, 11), (15, 11), (16, 14)):
        file.write(durable)
        assert json.loads(cursor_path(tmp_path / "tape.db").read_bytes())["cursors"] == {"mail": stored}
    file.advance("mail", 13, after=20)  # never back
    file.write(20)
    assert CursorFile(tmp_path / "tape.db", 12, wake=lambda: None).start("mail", 0) == 12  # nor past the tape's end
    assert CursorFile(tmp_path / "tape.db", 20, wake=lambda: None).start("mail", 0) == 14


def test_an_unwritable_cursor_file_is_reported_once_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_room(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "tape.db"
    file = CursorFile(path, 0, wake=lambda: None)
    file.start("mail", 0)
    with monkeypatch.context() as patch:
        patch.setattr("tickdeck.infrastructure.tape.cursors.replace_file", no_room)
        for seq in (1, 2):
            file.advance("mail", seq, after=seq)
            file.write(seq)
        with pytest.raises(TapeError, match="'other' cannot start"):
            file.start("other", 2)
    assert len(caplog.records) == 1
    file.write(2)
    assert CursorFile(path, 2, wake=lambda: None).start("mail", 0) == 2


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"format":"tickdeck-cursors","version":2,"cursors":{}}'])
def test_a_damaged_cursor_file_gives_one_clear_line_and_leaves_no_lock(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tape.db"
    open_tape(path).close()
    cursor_path(path).write_bytes(content)
    for _ in range(2):
        with pytest.raises(TapeError, match="not a file of cursors"):
            open_bus(path)
    cursor_path(path).unlink()
    open_bus(path).close_tape()


@FORMATS
def test_a_run_that_is_resumed_gives_an_edge_only_what_it_has_not_handled(tmp_path: Path, form: str) -> None:
    path = tmp_path / "tape"
    heard: list[int] = []

    async def execute(tape: AnyTape, kernel: Kernel, names: tuple[str, ...], count: int, until: int) -> None:
        async def edge(event: Pong) -> None:
            if event.n >= until:
                await asyncio.Event().wait()
            heard.append(event.n)

        kernel.subscribe(Ping, lambda e: kernel.publish(Pong(n=e.n)))
        for name in names:
            kernel.subscribe(Pong, edge, name=name)
        for n in range(count):
            kernel.feed(Ping(n=n))
        for _ in range(50):
            await asyncio.sleep(0.01)
            if len(heard) == until:
                break
        tape.close()

    tape = open_tape(path, form)
    asyncio.run(execute(tape, Kernel(tape=tape, cursors=tape.cursors), ("mail",), count=10, until=4))
    assert heard == [0, 1, 2, 3]

    tape = open_tape(path, form)
    check = RecordCheck(tape.read(), then=tape)
    kernel = Kernel(tape=check, cursors=tape.cursors)  # from the start, as a resumed run
    asyncio.run(execute(tape, kernel, ("mail",), count=12, until=12))
    assert heard == list(range(12))


def test_an_event_that_could_not_be_handled_remains_to_be_handled(tmp_path: Path) -> None:
    """The handler was held weakly and is gone, so its events wait for the next handler with its name."""

    class Notifier:
        async def hear(self, event: Ping) -> None:
            raise AssertionError

    async def run() -> None:
        bus, notifier = open_bus(tmp_path / "tape.db"), Notifier()
        bus.subscribe(Ping, notifier.hear, weak=True, name="mail")
        bus.publish_all([Ping(n=1), Ping(n=2)])
        del notifier
        await close_bus(bus)

    asyncio.run(run())
    assert asyncio.run(open_and_hear(tmp_path / "tape.db", "sqlite")) == [1, 2]


def test_a_dead_letter_is_not_delivered_as_an_event_too(tmp_path: Path) -> None:
    async def run() -> None:
        bus = open_bus(tmp_path / "tape.db")

        async def mail(event: Ping) -> None:
            raise OSError

        bus.subscribe(Ping, mail, name="mail")
        bus.publish(Ping(n=1))
        await close_bus(bus)

    asyncio.run(run())
    assert asyncio.run(open_and_hear(tmp_path / "tape.db", "sqlite")) == []
    bus = open_bus(tmp_path / "tape.db")
    assert len(bus.dead_letters()) == 1
    bus.close_tape()
