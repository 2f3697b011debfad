"""``tickdeck replay`` on a terminal, driven by its keys."""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from replay_cli_kit import COMMAND, PATIENCE_S, SECOND, START, STATISTICS

# The process makes the terminal its controlling terminal, as a shell would; then Ctrl-C is a signal there.
LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
KEYS = {"up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H"}


KEYS |= {"shift right": "\x1b[1;2C", "shift left": "\x1b[1;2D", "up in application mode": "\x1bOA"}


class Terminal:
    """A replay on a pseudo terminal: sends keys, and reads the output."""

    def __init__(self, data: Path, *words: str, columns: int = 100, rows: int = 24, **env: str) -> None:
        self.master, self.slave = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        self.decode = codecs.getincrementaldecoder("utf-8")().decode
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *COMMAND[1:], "--data", str(data), *words],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm", "PYTHONWARNINGS": "error", "PYTHONIOENCODING": "utf-8"} | env,
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, *keys: str) -> None:
        for key in keys:
            os.write(self.master, KEYS.get(key, key).encode())

    def read(self, *, wait: bool = True) -> bool:
        """Read what was written. Returns False if there is nothing (and, with ``wait``, nothing comes)."""
        if not select.select([self.master], [], [], PATIENCE_S if wait else 0)[0]:
            return False
        self.seen += self.decode(os.read(self.master, 65_536))
        return True

    def expect(self, pattern: str) -> str:
        """Read until ``pattern`` appears, and forget everything up to its end."""
        while (match := re.search(pattern, self.seen)) is None:
            assert self.read(), f"never shown: {pattern!r}; instead {self.seen[-2_000:]!r}"
        self.seen = self.seen[match.end() :]
        return match[0]

    def end(self) -> int:
        """The exit code. ``seen`` then contains everything that was not expected before."""
        while self.process.poll() is None:
            if select.select([self.master], [], [], 0.05)[0]:
                self.read()
        while self.read(wait=False):
            pass
        return self.process.returncode

    def restored(self) -> bool:
        return termios.tcgetattr(self.slave) == self.before

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal(simulated) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def start(*words: str, data: Path = simulated, **options: Any) -> Terminal:
            started = Terminal(data, *words, **options)
            stack.callback(started.close)
            return started

        yield start


def test_every_key_does_what_the_help_says(terminal):
    deck = terminal("--speed", "0.1", "--from", str(START), "--to", str(START + 10 * SECOND))
    deck.expect("playing, 0.1x")

    deck.press("?")
    deck.expect("faster, slower: 0.1x to 10,000x, then full speed")
    deck.press("?", "up")
    deck.expect("playing, 0.25x")
    deck.press("+")
    deck.expect("playing, 0.5x")
    deck.press("up in application mode")
    deck.expect("playing, 1x")
    deck.press("-", "-", "-", "down", "-")
    deck.expect("playing, 0.1x")
    deck.press(" ")
    deck.expect("paused, 0.1x")
    for key, position in [
        ("]", r"0:0\d\.\d"),
        ("home", "0:00.0"),
        ("right", "0:00.2"),
        ("]", "0:02.2"),
        ("left", "0:02.0"),
        ("[", "0:00.0"),
        ("shift right", "0:02.0"),
        ("shift left", "0:00.0"),
    ]:
        deck.press(key)
        deck.expect(f"{position} of 0:10.0")
    deck.press("x", "left", "]", " ")
    deck.expect("playing, 0.1x")
    deck.expect("00:00:02")
    deck.press("q")

    assert deck.end() == 0
    assert STATISTICS.search(deck.seen.replace("\r", ""))
    assert deck.seen.count("\x1b[?25h") == 1
    assert deck.restored()


def test_events_scroll_above_the_deck_and_are_cut_to_the_terminal(terminal):
    deck = terminal("--speed", "max", columns=60)

    assert deck.end() == 0

    shown = re.sub(r"\x1b\[[\d?]*[a-zA-Z]", "", deck.seen).replace("\r", "").split("\n")
    events = [line for line in shown if re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line)]
    assert "-- 2024-01-01 UTC" in shown
    assert "run.started" in events[0]
    assert "run.stopped" in events[-1]
    assert all(len(line) <= 60 for line in events)
    assert any(line.endswith("…") for line in events)
    assert deck.seen.count("run.stopped") == 1
    assert deck.restored()


def test_at_full_speed_up_stays_and_down_is_the_fastest_that_is_paced(terminal):
    deck = terminal("--speed", "0.1")
    deck.expect("playing")

    deck.press(" ", *["up"] * 8)
    deck.expect("paused, 100x")
    deck.press("up", "up")
    deck.expect("paused, 10,000x")
    deck.press("up", "up")
    deck.expect("paused, full speed")
    deck.press("down")
    deck.expect("paused, 10,000x")


def test_json_lines_are_whole_on_a_terminal_too(terminal):
    deck = terminal("--speed", "max", "--json", columns=60)

    assert deck.end() == 0

    shown = re.sub(r"\x1b\[[\d?]*[a-zA-Z]", "", deck.seen).replace("\r", "").split("\n")
    events = [json.loads(line) for line in shown if line.startswith("{")]
    assert [event["event_type"] for event in (events[0], events[-1])] == ["run.started", "run.stopped"]


def test_it_pauses_at_its_end_and_can_be_played_again_from_before(terminal):
    deck = terminal("--speed", "1")
    deck.expect("playing")

    deck.press(*["]"] * 12)
    deck.expect("run.stopped")
    deck.expect("paused at the end")
    deck.press(" ")
    deck.expect("paused at the end")
    deck.press("[", " ")
    deck.expect("playing")
    deck.press("]", "]")
    deck.expect("paused at the end")
    deck.press("q")

    assert deck.end() == 0
    assert deck.restored()


def test_a_window_that_gets_narrow_keeps_the_deck_within(terminal):
    deck = terminal("--speed", "0.1", columns=100)
    deck.expect("q quits")

    deck.resize(40, 24)
    deck.press("?")
    deck.expect(r"   space                   pause, play\x1b\[0m")
    frame = deck.expect(r"   \? +these lines[^\n]*\n").splitlines()

    assert all(len(re.sub(r"\x1b\[[\d?]*[a-zA-Z]", "", line)) < 40 for line in frame)


@pytest.mark.parametrize(("key", "code"), [("\x03", 130), ("TERM", 143)])
def test_after_a_signal_the_terminal_is_restored(terminal, key, code):
    deck = terminal("--speed", "0.1")
    deck.expect("playing")

    if key == "TERM":
        deck.process.send_signal(signal.SIGTERM)
    else:
        deck.press(key)

    assert deck.end() == code
    assert "\x1b[?25h" in deck.seen
    assert deck.restored()


def test_after_an_error_the_terminal_is_restored(terminal, simulated, tmp_path):
    data = tmp_path / "damaged"
    shutil.copytree(simulated, data)
    (tape,) = data.glob("*/tape.db")
    with contextlib.closing(sqlite3.connect(tape)) as connection, connection:
        assert connection.execute("UPDATE events SET payload = x'7b' WHERE seq = 100").rowcount == 1
    deck = terminal("--speed", "0.1", data=data)
    deck.expect("playing")

    deck.press(*["up"] * 10)

    assert deck.end() == 3
    assert "tickdeck: error: " in deck.seen
    assert "seq 100 is damaged" in deck.seen
    assert "\x1b[?25h" in deck.seen
    assert deck.restored()


def test_ctrl_z_restores_the_terminal_and_stops_the_clock(terminal):
    deck = terminal("--speed", "0.1")
    deck.expect("playing")

    deck.press("\x1a")
    _, status = os.waitpid(deck.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert deck.restored()
    while deck.read(wait=False):
        pass
    assert "\x1b[?25h" in deck.seen

    deck.seen = ""
    deck.process.send_signal(signal.SIGCONT)
    deck.expect("playing")
    assert not deck.restored()
    deck.press("q")
    assert deck.end() == 0
    assert deck.restored()


@pytest.mark.parametrize("case", ["no keyboard", "dumb terminal"])
def test_without_a_full_terminal_lines_are_plain(simulated, tmp_path, case):
    master, slave = pty.openpty()
    words = [*COMMAND, "--speed", "max", "--type", "run.*", "--data", str(simulated)]
    stdin = subprocess.DEVNULL if case == "no keyboard" else slave
    env = os.environ | {"TERM": "xterm" if case == "no keyboard" else "dumb"}

    with subprocess.Popen(words, cwd=tmp_path, stdin=stdin, stdout=slave, stderr=subprocess.PIPE, env=env) as process:
        process.wait(PATIENCE_S)
    shown = os.read(master, 65_536).decode()
    os.close(slave)
    os.close(master)

    assert process.returncode == 0
    assert "run.stopped" in shown
    assert "\x1b" not in shown
