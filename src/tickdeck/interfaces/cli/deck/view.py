"""The appearance of the deck of ``tickdeck replay``: a state in, a few lines of text out."""

from __future__ import annotations

import msgspec

from tickdeck.application.units import clock_time, day
from tickdeck.interfaces.cli.output import cut

__all__ = ["DeckState", "deck_lines", "jumps", "length", "speed_name"]

_SECOND = 1_000_000_000
_MINUTE = 60 * _SECOND
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_JUMPS = (
    *(_SECOND // 10, _SECOND // 4, _SECOND // 2, _SECOND, 2 * _SECOND, 5 * _SECOND, 10 * _SECOND, 30 * _SECOND),
    *(_MINUTE, 5 * _MINUTE, 15 * _MINUTE, 30 * _MINUTE, _HOUR, 6 * _HOUR, _DAY, 7 * _DAY, 30 * _DAY),
)
_UNITS = ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (_SECOND, "s"), (1_000_000, "ms"))
_BOLD, _DIM, _PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"
_NARROW_BAR = 8


class DeckState(msgspec.Struct, frozen=True, kw_only=True):
    """``start``, ``end`` and ``position`` are times of the record in ns. ``per_s``: events played per second recently.
    ``late_ns``: how late the last event was, in wall clock ns. ``small`` and ``large``: how far the keys seek, in
    ns."""

    start: int
    end: int
    position: int
    speed: float
    paused: bool
    at_end: bool
    played: int
    per_s: float
    late_ns: int
    small: int
    large: int
    help: bool


def jumps(span: int) -> tuple[int, int]:
    """How far the keys seek in a record of ``span`` ns: 10 s and 1 min if it lasts minutes, otherwise in proportion."""
    small = 10 * _SECOND
    if not 10 * small <= span <= _HOUR:
        small = max((jump for jump in _JUMPS if jump <= span // 40), default=_JUMPS[0])
    return small, next((jump for jump in _JUMPS if jump >= 6 * small), 6 * small)


def speed_name(speed: float) -> str:
    if speed == float("inf"):
        return "full speed"
    return f"{speed:,.0f}x" if speed >= 100 else f"{speed:g}x"


def length(ns: int, *, tenths: bool) -> str:
    """``5:46``, ``1:02:03``, ``2d 01:02:03``; with ``tenths`` ``0:19.3``."""
    seconds, rest = divmod(max(ns, 0), _SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    text = f"{minutes}:{seconds:02}"
    if days or hours:
        text = f"{hours}:{minutes:02}:{seconds:02}"
    if days:
        text = f"{days}d {hours:02}:{minutes:02}:{seconds:02}"
    return f"{text}.{rest * 10 // _SECOND}" if tenths else text


def deck_lines(state: DeckState, width: int, *, ascii_only: bool = False) -> list[str]:
    """The deck's lines, at most ``width`` columns each, with the terminal's codes for bold and dim."""
    width -= 1  # the cursor needs a place too
    lines = [_bar(state, width, ascii_only), _status(state, width, ascii_only)]
    if state.help:
        lines += [_DIM + cut(line, width) + _PLAIN for line in _help(state, ascii_only)]
    return lines


def _bar(state: DeckState, width: int, ascii_only: bool) -> str:
    """Returns, for example, `` 2024-08-08 23:55:13.9 ━━━━━━━━──────────── 1:19 of 5:46``. Narrow lines omit the
    date."""
    span = state.end - state.start
    tenths = span < _MINUTE
    whole = length(span, tenths=tenths)
    gone = length(state.position - state.start, tenths=tenths).rjust(len(whole))
    time = clock_time(state.position)[:10]
    before, after = f" {day(state.position)} {time}  ", f"  {gone} of {whole}"
    cells = width - len(before) - len(after)
    if cells < 3 * _NARROW_BAR:
        before = f" {time}  "
        cells = width - len(before) - len(after)
    if cells < _NARROW_BAR:
        return cut(f" {time}{after}", width)
    share = (state.position - state.start) / span if span > 0 else 1.0
    filled = round(min(max(share, 0.0), 1.0) * cells)
    full, empty = ("=", "-") if ascii_only else ("━", "─")
    return f"{before}{_BOLD}{full * filled}{_PLAIN}{_DIM}{empty * (cells - filled)}{_PLAIN}{after}"


def _status(state: DeckState, width: int, ascii_only: bool) -> str:
    """Speed and counts, and on the right as many of the keys as fit."""
    doing = "paused at the end" if state.at_end else "paused" if state.paused else "playing"
    head = f" {doing}, {speed_name(state.speed)}"
    rest = f"   {state.per_s:,.0f}/s   {state.played:,} played"
    if state.late_ns >= _SECOND and not state.paused:
        rest += f"   {state.late_ns / _SECOND:.1f} s late"
    up_down, left_right = ("up/down", "left/right") if ascii_only else ("↑↓", "←→")
    keys = {
        "space": f"space {'plays' if state.paused else 'pauses'}",
        "speed": f"{up_down} speed",
        "seek": f"{left_right} {_describe(state.small)}",
        "help": "? keys",
        "quit": "q quits",
    }
    room = width - len(head) - len(rest)
    for least in ("quit", "seek", "speed", "space", "help"):
        if len("  ".join(keys.values())) + 2 > room:
            del keys[least]
    hint = "  ".join(keys.values())
    if room < 0:
        return _BOLD + cut(head + rest, width) + _PLAIN
    return f"{_BOLD}{head}{_PLAIN}{rest}{_DIM}{hint.rjust(room)}{_PLAIN}"


def _help(state: DeckState, ascii_only: bool) -> list[str]:
    up_down, left_right = ("up down", "left right") if ascii_only else ("↑ ↓", "← →")
    small, large = _describe(state.small), _describe(state.large)
    rows = [
        ("space", "pause, play"),
        (f"{up_down}  + -", "faster, slower: 0.1x to 10,000x, then full speed"),
        (left_right, f"{small} back, ahead"),
        (f"[ ]  shift {left_right}", f"{large} back, ahead"),
        ("home", "to the start"),
        ("?", "these lines"),
        ("q", "quit"),
    ]
    return [f"   {keys:<24}{what}" for keys, what in rows]


def _describe(ns: int) -> str:
    """``10 s``, ``250 ms``: a duration in the largest unit that makes it a whole number."""
    size, unit = next((size, unit) for size, unit in _UNITS if ns % size == 0)
    return f"{ns // size} {unit}"
