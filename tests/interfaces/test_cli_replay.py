"""``tickdeck replay``: what it prints, how it ends, and its deck on a real terminal, key by key."""

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
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tickdeck.interfaces.cli.deck.keys import Cbreak, KeyParser
from tickdeck.interfaces.cli.deck.view import DeckState, deck_lines, jumps, length

COMMAND = [sys.executable, "-m", "tickdeck", "replay", "last"]
SECOND = 1_000_000_000
START = 1_704_067_200 * SECOND
STATISTICS = re.compile(r"tickdeck: played [\d,]+ events? in [\d,.]+ s; ms late: p50 [\d.]+, p99 [\d.]+, max [\d.]+\n")


def times(listed: list[dict[str, Any]]) -> list[float]:
    return [(event["ts_ingress"] - START) / SECOND for event in listed]


# -- what is printed ------------------------------------------------------------------------------------------------


def test_it_prints_what_events_prints_as_json(tickdeck, simulated):
    played = tickdeck("replay", "last", "--speed", "max", "--data", simulated, "--json")

    assert played.exit_code == 0
    assert played.stdout == tickdeck("events", "last", "--data", simulated, "--json").stdout
    assert re.fullmatch(r"tickdeck: played [\d,]+ events in [\d.]+ s\n", played.stderr)


def test_people_get_a_line_an_event_below_the_day(tickdeck, simulated):
    played = tickdeck("replay", "last", "--speed", 0, "--type", "run.*", "--data", simulated)

    day, started, stopped = played.stdout.splitlines()
    assert day == "-- 2024-01-01 UTC"
    assert re.fullmatch(r"00:00:0\d\.\d{3} 1        run\.started       strategies=ema-cross .*", started)
    assert "run.stopped" in stopped


def test_paced_events_come_in_their_own_time_and_their_lateness_is_told(tickdeck, simulated):
    began = time.monotonic()
    played = tickdeck("replay", "last", "--speed", 200, "--data", simulated, "--json")

    assert time.monotonic() - began >= 0.09  # 20 seconds, two hundred times as fast
    assert played.stdout == tickdeck("events", "last", "--data", simulated, "--json").stdout
    assert STATISTICS.fullmatch(played.stderr)


def test_types_symbols_and_exchanges_choose_among_events(tickdeck, simulated, lines):
    def played(*words: str) -> list[dict[str, Any]]:
        return lines(tickdeck("replay", "last", "--speed", "max", "--data", simulated, "--json", *words))

    assert {event["event_type"].partition(".")[0] for event in played("--type", "order.*", "--type", "run.*")} == {
        "order",
        "run",
    }
    assert {event["symbol"] for event in played("--symbol", "ETHUSDT")} == {"ETHUSDT"}
    assert {event["symbol"] for event in played("--symbol", "ETHUSDT", "--symbol", "BTCUSDT")} == {"BTCUSDT", "ETHUSDT"}
    assert {event["source"] for event in played("--exchange", "paper")} == {"paper"}


def test_from_and_to_bound_it_inclusively(tickdeck, simulated, lines):
    options = ("--speed", "max", "--data", simulated, "--json")
    first, last = START + 5 * SECOND, "2024-01-01T00:00:06Z"

    played = times(lines(tickdeck("replay", "last", "--from", first, "--to", last, *options)))

    assert len(played) > 10
    assert 5 <= min(played) <= max(played) <= 6


def test_events_of_input_files_are_played_in_their_places(tickdeck, trades, lines):
    tickdeck("run", "--tape", trades, "--speed", "max")

    options = ("--speed", "max", "--json", "--from", "2024-08-09T00:00:10Z")
    played = lines(tickdeck("replay", "last", *options, "--symbol", "BTCUSDT"))
    orders = tickdeck("replay", "last", *options, "--type", "order.*")

    assert {"market.trade", "market.candle"} <= {event["event_type"] for event in played}
    assert [event["seq"] for event in played] == sorted(event["seq"] for event in played)
    assert orders.stdout == tickdeck("events", "last", *options[2:], "--type", "order.*").stdout


def test_where_nothing_matches_it_says_so(tickdeck, simulated):
    played = tickdeck("replay", "last", "--type", "order.filed", "--data", simulated)

    assert played.exit_code == 0
    assert played.stdout == ""
    assert re.fullmatch(
        r"tickdeck: run \S+ has no such event; `tickdeck events \S+` lists what it has\n", played.stderr
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--speed", "-1"], "'-1' is not a valid speed; give a multiple of real time"),
        (["--from", "2", "--to", "1"], "the end 1 is before the start 2"),
        (["--from", "noon"], "'noon' is not a time"),
    ],
)
def test_a_wrong_call_is_told_in_one_line(tickdeck, simulated, words, told):
    played = tickdeck("replay", "last", "--data", simulated, *words)

    assert played.exit_code == 2
    assert told in played.stderr
    assert played.stderr.count("\n") == 1


def test_a_run_that_is_not_there_is_told(tickdeck):
    played = tickdeck("replay", "last")

    assert played.exit_code == 2
    assert "there are no runs under" in played.stderr


# -- processes ------------------------------------------------------------------------------------------------------


def test_who_has_seen_enough_of_a_pipe_ends_it_quietly(simulated, tmp_path):
    words = [*COMMAND, "--speed", "max", "--data", str(simulated), "--json"]

    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        first = process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()

    assert json.loads(first)["event_type"] == "run.started"
    assert told == ""
    assert process.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("speed", ["0.01", "max"])
def test_a_signal_ends_it_with_its_own_code_after_the_statistics(simulated, tmp_path, number, code, speed):
    words = [*COMMAND, "--speed", speed, "--data", str(simulated)]

    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.send_signal(number)
        _, told = process.communicate(timeout=60)

    assert process.returncode in ({code} if speed == "0.01" else {code, 0})  # at full speed it may have ended before
    assert re.match("tickdeck: played [1-9]", told)
    assert "Traceback" not in told


# -- the deck -------------------------------------------------------------------------------------------------------

# The process makes the terminal its own, as a shell would for it: then Ctrl-C there is a signal.
LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
)
KEYS = {"up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H"}
KEYS |= {"shift right": "\x1b[1;2C", "shift left": "\x1b[1;2D", "up in application mode": "\x1bOA"}
PATIENCE_S = 30


class Terminal:
    """A replay on a pseudo terminal: keys in, and what it shows out."""

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
        """Take what was written. False where there is nothing (and, with ``wait``, nothing comes)."""
        if not select.select([self.master], [], [], PATIENCE_S if wait else 0)[0]:
            return False
        self.seen += self.decode(os.read(self.master, 65_536))
        return True

    def expect(self, pattern: str) -> str:
        """Read on until ``pattern`` is shown, and forget all up to its end."""
        while (match := re.search(pattern, self.seen)) is None:
            assert self.read(), f"never shown: {pattern!r}; instead {self.seen[-2_000:]!r}"
        self.seen = self.seen[match.end() :]
        return match[0]

    def end(self) -> int:
        """The exit code; ``seen`` is then all that was not expected before."""
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


def test_events_scroll_above_the_deck_cut_to_the_terminal(terminal):
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
def test_stopped_by_a_signal_it_gives_the_terminal_back(terminal, key, code):
    deck = terminal("--speed", "0.1")
    deck.expect("playing")

    if key == "TERM":
        deck.process.send_signal(signal.SIGTERM)
    else:
        deck.press(key)

    assert deck.end() == code
    assert "\x1b[?25h" in deck.seen
    assert deck.restored()


def test_an_error_gives_the_terminal_back(terminal, simulated, tmp_path):
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


def test_ctrl_z_gives_the_terminal_back_and_time_stands_still_meanwhile(terminal):
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
def test_where_there_is_no_full_terminal_lines_are_plain(simulated, tmp_path, case):
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


# -- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "keys"),
    [
        (b" q?", ["space", "q", "?"]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", ["up", "down", "right", "left"]),
        (b"\x1bOA\x1bOD", ["up", "left"]),
        (b"\x1b[1;2C\x1b[1;2D", ["shift-right", "shift-left"]),
        (b"\x1b[H\x1b[1~\x1bOH", ["home", "home", "home"]),
        (b"\x1b[5~\x1b[15;3~q", ["q"]),
        (b"\x1bq", ["q"]),
        (b"\x00\x04\x7f\xc3\xa9+", ["+"]),
        (b"[]", ["[", "]"]),
    ],
)
def test_keys_are_named(data, keys):
    assert KeyParser().feed(data) == keys


def test_a_key_that_comes_in_pieces_is_one_key():
    parser = KeyParser()

    assert [parser.feed(bytes([byte])) for byte in b"\x1b[1;2C\x1bOA"] == [[]] * 5 + [["shift-right"], [], [], ["up"]]


def test_an_escape_key_by_itself_is_no_key():
    parser = KeyParser()

    assert parser.feed(b"\x1b") == []
    assert parser.feed(b"q") == ["q"]


def test_what_is_no_terminal_has_no_keys(tmp_path):
    with (tmp_path / "file").open("wb") as file:
        assert not Cbreak.possible(file.fileno())


# -- how it looks ---------------------------------------------------------------------------------------------------


def state(**changes: Any) -> DeckState:
    values: dict[str, Any] = {
        "start": START,
        "end": START + 346 * SECOND,
        "position": START + 79 * SECOND,
        "speed": 1.0,
        "paused": False,
        "at_end": False,
        "played": 12_345,
        "per_s": 170.4,
        "late_ns": 0,
        "small": 10 * SECOND,
        "large": 60 * SECOND,
        "help": False,
    }
    return DeckState(**(values | changes))


def plain(lines: list[str]) -> list[str]:
    return [re.sub(r"\x1b\[\d+m", "", line) for line in lines]


def test_the_deck_at_80_columns():
    bar, status = plain(deck_lines(state(), 80))

    assert bar == " 2024-01-01 00:01:19.0  ━━━━━━━━━────────────────────────────────  1:19 of 5:46"
    assert status == " playing, 1x   170/s   12,345 played    space pauses  ↑↓ speed  ←→ 10 s  ? keys"


def test_the_deck_of_a_terminal_that_knows_only_ascii():
    lines = plain(deck_lines(state(paused=True, help=True), 100, ascii_only=True))

    assert all(line.isascii() for line in lines)
    assert "=========---" in lines[0]
    assert lines[1].endswith("space plays  up/down speed  left/right 10 s  ? keys  q quits")


@pytest.mark.parametrize("changes", [{}, {"help": True}, {"late_ns": 3 * SECOND}, {"end": START, "position": START}])
def test_the_deck_fits_any_width(changes):
    widest = {width: max(map(len, plain(deck_lines(state(**changes), width)))) for width in range(2, 140)}

    assert [width for width, columns in widest.items() if columns >= width] == []


def test_the_status_says_how_late_a_replay_is():
    assert "3.2 s late" in plain(deck_lines(state(late_ns=3_210_000_000), 100))[1]
    assert "late" not in plain(deck_lines(state(late_ns=900_000_000), 100))[1]
    assert "late" not in plain(deck_lines(state(late_ns=3 * SECOND, paused=True), 100))[1]


def test_at_its_end_the_bar_is_full():
    bar = plain(deck_lines(state(position=START + 346 * SECOND), 80))[0]

    assert "─" not in bar
    assert bar.endswith("━  5:46 of 5:46")


@pytest.mark.parametrize(
    ("span_s", "small_s", "large_s"),
    [
        (0, 0.1, 1),
        (20, 0.5, 5),
        (99, 2, 30),
        (100, 10, 60),
        (346, 10, 60),
        (3_600, 10, 60),
        (3_601, 60, 900),
        (86_400, 1_800, 21_600),
        (35 * 86_400, 21_600, 7 * 86_400),
        (3_650 * 86_400, 30 * 86_400, 180 * 86_400),
    ],
)
def test_keys_seek_as_far_as_fits_the_record(span_s, small_s, large_s):
    assert jumps(span_s * SECOND) == (small_s * SECOND, large_s * SECOND)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-1, "0:00"), (79, "1:19"), (3_600, "1:00:00"), (86_399, "23:59:59"), (2 * 86_400 + 3_723, "2d 01:02:03")],
)
def test_lengths_are_told_as_on_a_clock(seconds, told):
    assert length(seconds * SECOND, tenths=False) == told
    assert length(seconds * SECOND, tenths=True) == f"{told}.0"
