"""The keys and the deck of ``tickdeck replay``, without a terminal."""

from __future__ import annotations

import re
from typing import Any

import pytest
from replay_cli_kit import SECOND, START

from tickdeck.interfaces.cli.deck.keys import Cbreak, KeyParser
from tickdeck.interfaces.cli.deck.view import DeckState, deck_lines, jumps, length


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


def test_a_key_received_in_parts_is_one_key():
    parser = KeyParser()

    assert [parser.feed(bytes([byte])) for byte in b"\x1b[1;2C\x1bOA"] == [[]] * 5 + [["shift-right"], [], [], ["up"]]


def test_a_lone_escape_key_is_ignored():
    parser = KeyParser()

    assert parser.feed(b"\x1b") == []
    assert parser.feed(b"q") == ["q"]


def test_without_a_terminal_there_are_no_keys(tmp_path):
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


def test_the_deck_of_an_ascii_terminal():
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
def test_the_seek_distance_depends_on_the_record(span_s, small_s, large_s):
    assert jumps(span_s * SECOND) == (small_s * SECOND, large_s * SECOND)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-1, "0:00"), (79, "1:19"), (3_600, "1:00:00"), (86_399, "23:59:59"), (2 * 86_400 + 3_723, "2d 01:02:03")],
)
def test_durations_are_shown_as_on_a_clock(seconds, told):
    assert length(seconds * SECOND, tenths=False) == told
    assert length(seconds * SECOND, tenths=True) == f"{told}.0"
