"""``open_bus`` in a user's program: however that program ends, forks, patches or interrupts."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from application_kit import Ping

from tickdeck.bootstrap import close_bus, open_bus
from tickdeck.domain.events import DomainEvent
from tickdeck.errors import ConfigError, TapeError, TickdeckError
from tickdeck.infrastructure.tape.opening import open_reader

PROGRAM = """
import os, signal, sys, threading, time
from typing import ClassVar
from tickdeck import DomainEvent
from tickdeck.bootstrap import open_bus
class Ping(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "my.ping"
bus = open_bus(sys.argv[1], tape_format=sys.argv[2])
"""


def program(text: str, tape: Path, form: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *flags, "-c", PROGRAM + text, str(tape), form]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def length(tape: Path) -> int:
    with open_reader(tape) as reader:
        return reader.last_seq


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
@pytest.mark.parametrize(("end", "code"), [("", 0), ("raise ValueError", 1), ("sys.exit(3)", 3)])
def test_a_program_that_ends_without_closing_keeps_what_it_published(
    tmp_path: Path, form: str, end: str, code: int
) -> None:
    done = program(f"for _ in range(1000): bus.publish(Ping())\n{end}", tmp_path / "t", form, "-X", "dev", "-bb")
    assert (done.returncode, length(tmp_path / "t")) == (code, 1000), done.stderr
    assert "Warning" not in done.stderr


def test_a_program_without_stderr_keeps_what_it_published(tmp_path: Path) -> None:
    done = program("sys.stderr.close(); sys.stderr = None\nos.close(2)\nbus.publish(Ping())", tmp_path / "t", "sqlite")
    assert (done.returncode, length(tmp_path / "t")) == (0, 1)


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_forked_child_writes_nothing_and_does_not_keep_the_lock(tmp_path: Path, form: str) -> None:
    text = """
bus.publish(Ping())
ran = []
bus.subscribe("my.*", lambda e: ran.append(e))
ready, go = os.pipe()
left, leaves = os.pipe()
child = os.fork()
if child == 0:
    os.close(go)
    os.write(leaves, b"x")
    try:
        bus.publish(Ping())
    except Exception as error:
        print("forked" in str(error), ran, flush=True)
    os.read(ready, 1)
    sys.exit(0)
os.read(left, 1)
bus.publish(Ping())
bus.close_tape()
again = open_bus(sys.argv[1])
again.publish(Ping())
again.close_tape()
os.write(go, b"x")
print(os.waitpid(child, 0)[1])
"""
    done = program(text, tmp_path / "t", form)
    assert done.stdout.split("\n")[:2] == ["True []", "0"], done.stderr
    assert length(tmp_path / "t") == 3


@pytest.mark.parametrize("form", ["sqlite", "jsonl"])
def test_a_fork_after_a_bus_was_closed_closes_no_other_file(tmp_path: Path, form: str) -> None:
    text = """
bus.publish(Ping())
bus.close_tape()  # but the bus is still there, and the numbers of its files are free again
pipes = [os.pipe() for _ in range(20)]
child = os.fork()
if child == 0:
    for read, write in pipes:
        os.write(write, b"x")
        assert os.read(read, 1) == b"x"
    print("all open", flush=True)
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    done = program(text, tmp_path / "t", form)
    assert done.stdout.split("\n")[:2] == ["all open", "0"], done.stderr


def test_ctrl_c_waits_for_the_end_of_the_cascade_and_a_second_one_does_not(tmp_path: Path) -> None:
    text = """
@bus.on(Ping)
def slow(event):
    if event.event_id == "1":
        signal.raise_signal(signal.SIGINT)
        bus.publish(Ping())
    if event.event_id == "2":
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        print("not here")
for n in (1, 2, 3):
    try:
        bus.publish(Ping())
        print("published", n)
    except KeyboardInterrupt:
        print("interrupted", n)
    except Exception as error:
        print(error)
bus.close_tape()
"""
    done = program(text, tmp_path / "t", "sqlite")
    lines = done.stdout.split("\n")
    assert lines[:2] == ["interrupted 1", "interrupted 2"], done.stdout + done.stderr
    assert "ended in KeyboardInterrupt" in lines[2]
    assert length(tmp_path / "t") == 2  # the complete first cascade


def test_opening_that_fails_leaves_no_thread_and_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.db"
    bus = open_bus(path)
    bus.publish(Ping())
    bus.close_tape()
    threads = threading.active_count()
    monkeypatch.setattr("tickdeck.application.kernel.Kernel.continue_from", lambda *_: 1 / 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            open_bus(path)
    monkeypatch.undo()
    assert threading.active_count() == threads
    open_bus(path).close_tape()


def test_a_second_writer_is_refused_without_harm_to_the_first(tmp_path: Path) -> None:
    bus = open_bus(tmp_path / "t.db")
    with pytest.raises(TapeError, match="is writing this tape"):
        open_bus(tmp_path / "t.db")
    bus.publish(Ping())
    bus.close_tape()
    assert length(tmp_path / "t.db") == 1


def test_patched_threads_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gevent = types.ModuleType("gevent.monkey")
    gevent.is_module_patched = lambda name: name == "threading"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gevent.monkey", gevent)
    with pytest.raises(ConfigError, match="gevent has patched threading"):
        open_bus(tmp_path / "t.db")
    assert not (tmp_path / "t.db").exists()


def test_closing_inside_an_edge_waits_for_the_others_and_closes_the_file(tmp_path: Path) -> None:
    import asyncio

    async def run() -> None:
        bus = open_bus(tmp_path / "t.db")
        closed = asyncio.Event()

        async def edge(_: Ping) -> None:
            await close_bus(bus)
            closed.set()

        bus.subscribe(Ping, edge)
        bus.publish(Ping())
        await asyncio.wait_for(closed.wait(), 60)
        with pytest.raises(TickdeckError, match="closed"):
            bus.publish(Ping())

    asyncio.run(run())
    open_bus(tmp_path / "t.db").close_tape()


@pytest.mark.parametrize("publishes_first", [False, True])
def test_events_of_another_thread_wake_the_loop_in_which_the_bus_was_opened(
    tmp_path: Path, publishes_first: bool
) -> None:
    async def run() -> None:
        bus = open_bus(tmp_path / "t")
        seen: list[DomainEvent] = []
        bus.subscribe(Ping, seen.append)
        if publishes_first:
            bus.publish(Ping())
        await asyncio.to_thread(lambda: bus.publish_threadsafe(Ping()).wait(120))
        assert len(seen) == 1 + publishes_first
        await close_bus(bus)

    asyncio.run(run())


def test_a_thread_that_became_the_owner_takes_the_events_itself(tmp_path: Path) -> None:
    async def run() -> None:
        bus = open_bus(tmp_path / "t")
        with ThreadPoolExecutor(1) as owner:
            owner.submit(bus.publish, Ping()).result()
            receipt = bus.publish_threadsafe(Ping())
            await asyncio.sleep(0)  # the loop is not the owner's, so nothing runs in it
            with pytest.raises(TimeoutError, match=r"within 0\.01 s; nothing wakes the thread that owns the bus"):
                receipt.wait(0.01)
            assert owner.submit(bus.run_pending).result() == 1
            receipt.wait(0)
            owner.submit(bus.close_tape).result()

    asyncio.run(run())


def test_a_receipt_that_waits_for_a_blocked_loop_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        bus = open_bus(tmp_path / "t")
        bus.publish(Ping())
        with ThreadPoolExecutor(1) as other:
            late = other.submit(lambda: bus.publish_threadsafe(Ping()).wait(0.01))
            with pytest.raises(TimeoutError, match="the thread that owns the bus is busy, or its event loop"):
                late.result()  # blocks the loop
        await close_bus(bus)

    asyncio.run(run())
