"""The deck of ``tickdeck replay`` on a terminal: events scroll above it, and keys control it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from tickdeck.interfaces.cli.deck.keys import Cbreak, KeyParser
from tickdeck.interfaces.cli.deck.view import DeckState, deck_lines, jumps

if TYPE_CHECKING:
    from tickdeck.application.replay import Replayer
    from tickdeck.domain.events import DomainEvent

__all__ = ["SPEEDS", "Deck", "deck_possible"]

SPEEDS = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 50.0, 100.0, 1_000.0, 10_000.0, float("inf"))
_FRAME_S = 0.04
_RATE_S = 1.0  # the period over which events per second are counted
_HIDE_CURSOR, _SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_STYLE = re.compile(r"\x1b\[\d+m")
_TO_LINE_END, _TO_SCREEN_END = "\x1b[K", "\x1b[J"


def deck_possible() -> bool:
    """True if input and output are terminals, the cursor can move, and this process receives the keys."""
    return (
        os.environ.get("TERM", "dumb") != "dumb"
        and sys.stdout.isatty()
        and sys.stdin.isatty()
        and Cbreak.possible(sys.stdin.fileno())
    )


class Deck:
    """Shows a replay and lets keys control it.

    ``start`` and ``end`` are the ends of the bar, in ns. ``lines(event, width)`` returns the event's lines, which may
    be cut to ``width`` columns. The quit key calls ``end_replay()``.
    """

    def __init__(
        self,
        replayer: Replayer,
        start: int,
        end: int,
        lines: Callable[[DomainEvent, int], list[str]],
        end_replay: Callable[[], object],
    ) -> None:
        self._replayer = replayer
        self._start, self._end = start, end
        self._small, self._large = jumps(end - start)
        self._lines = lines
        self._end_replay = end_replay
        self._help = False
        self._keys = KeyParser()
        self._terminal = Cbreak(sys.stdin.fileno())
        self._waiting: list[str] = []  # lines for the next frame
        self._drawn: list[int] = []  # columns of each line of the deck on the screen
        self._shown = ""
        self._counts: deque[tuple[float, int]] = deque()  # when so many had been played
        self._ascii = not _can_show("━─←→↑↓…")

    async def play(self, events: AsyncIterator[DomainEvent]) -> None:
        """Show all ``events``. Afterwards the terminal is as before, whatever happens."""
        loop = asyncio.get_running_loop()
        stdin = sys.stdin.fileno()
        refresh = loop.create_task(self._refresh())
        try:
            self._enter()
            loop.add_reader(stdin, self._read, stdin)
            loop.add_signal_handler(signal.SIGTSTP, self._suspend)
            async for event in events:
                self._waiting += self._lines(event, _size()[0])
        finally:
            refresh.cancel()
            loop.remove_reader(stdin)
            loop.remove_signal_handler(signal.SIGTSTP)
            self._leave()

    # -- keys ---------------------------------------------------------------------------------------------------------

    def _read(self, stdin: int) -> None:
        try:
            data = os.read(stdin, 1_024)
        except OSError:
            data = b""
        if not data:  # the terminal is gone
            asyncio.get_running_loop().remove_reader(stdin)
            return
        for key in self._keys.feed(data):
            self.press(key)
        self._draw()

    def press(self, key: str) -> None:
        """Do what ``key`` means; ignore unknown keys."""
        replayer = self._replayer
        match key:
            case "space":
                (replayer.resume if replayer.paused else replayer.pause)()
            case "up" | "+" | "=":
                replayer.set_speed(next((speed for speed in SPEEDS if speed > replayer.speed), SPEEDS[-1]))
            case "down" | "-" | "_":
                replayer.set_speed(next((speed for speed in reversed(SPEEDS) if speed < replayer.speed), SPEEDS[0]))
            case "left":
                self._seek(-self._small)
            case "right":
                self._seek(self._small)
            case "[" | "shift-left":
                self._seek(-self._large)
            case "]" | "shift-right":
                self._seek(self._large)
            case "home":
                replayer.seek(self._start)
            case "?":
                self._help = not self._help
            case "q":
                self._end_replay()

    def _seek(self, by: int) -> None:
        self._replayer.seek(min(max(self._position() + by, self._start), self._end))

    def _position(self) -> int:
        position = self._replayer.position
        return self._start if position is None else position

    # -- the terminal -------------------------------------------------------------------------------------------------

    def _enter(self) -> None:
        self._terminal.enter()
        _write(_HIDE_CURSOR)

    def _leave(self) -> None:
        """Show what is left, remove the deck, and restore the terminal."""
        try:
            self._draw(deck=False)
            _write(_SHOW_CURSOR)
        finally:
            self._terminal.leave()

    def _suspend(self) -> None:
        """Ctrl-Z: restore the terminal, stop, and continue here when the shell resumes the process."""
        paused = self._replayer.paused
        self._replayer.pause()
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()
        if not paused:
            self._replayer.resume()
        self._draw()

    # -- drawing ------------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(_FRAME_S)

    def _draw(self, *, deck: bool = True) -> None:
        """Draw a frame in one write: the new events in place of the deck, and the deck below them."""
        width, height = _size()
        lines = deck_lines(self._state(), width, ascii_only=self._ascii)[: height - 1] if deck else []
        shown = "\n".join(line + _TO_LINE_END for line in lines)
        if shown == self._shown and not self._waiting and deck:
            return
        # If the window has become narrower in the meantime, the terminal has wrapped the lines that no longer fit.
        rows = sum(max(1, -(-columns // width)) for columns in self._drawn)
        above = f"\x1b[{rows - 1}A" if rows > 1 else ""
        scrolled = "".join(f"{line}{_TO_LINE_END}\n" for line in self._waiting)
        self._waiting.clear()
        self._shown = shown
        self._drawn = [len(_STYLE.sub("", line)) for line in lines]
        _write(f"\r{above}{scrolled}{shown}{_TO_SCREEN_END}")

    def _state(self) -> DeckState:
        replayer = self._replayer
        statistics = replayer.statistics()
        now = time.monotonic()
        counts = self._counts
        counts.append((now, statistics.played))
        while counts[0][0] < now - _RATE_S and len(counts) > 2:
            counts.popleft()
        then, before = counts[0]
        return DeckState(
            start=self._start,
            end=self._end,
            position=self._position(),
            speed=replayer.speed,
            paused=replayer.paused,
            at_end=replayer.at_end,
            played=statistics.played,
            per_s=(statistics.played - before) / (now - then) if now > then else 0.0,
            late_ns=statistics.lag_ns,
            small=self._small,
            large=self._large,
            help=self._help,
        )


def _size() -> tuple[int, int]:
    """Columns and rows; 80 and 24 if the terminal does not know."""
    columns, rows = os.get_terminal_size(sys.stdout.fileno())
    return columns or 80, rows or 24


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _can_show(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:
        return False
    return True
