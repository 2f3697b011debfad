"""The live view of ``tickdeck run`` on a terminal: a panel that is redrawn a few times a second."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, TextIO, cast

from rich.console import Console
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.text import Text

from tickdeck.interfaces.cli.live.panel import live_lines
from tickdeck.interfaces.cli.live.state import LiveWatch

if TYPE_CHECKING:
    from tickdeck.bootstrap import Session

__all__ = ["LiveView", "can_show"]

_INTERVAL_S = 0.25
_COLUMNS, _LINES = 30, 6  # a smaller terminal has no room for it


def can_show(stream: TextIO) -> bool:
    """True if ``stream`` is a terminal with a movable cursor and enough room."""
    if not stream.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    size = Console(file=stream).size
    return size.width >= _COLUMNS and size.height >= _LINES


class LiveView:
    """Call it regularly with the run's time; it redraws when it is time. ``close`` removes the panel and restores the
    terminal. Text that is written to ``stream`` or printed meanwhile goes above the panel."""

    def __init__(self, run: Session, stream: TextIO) -> None:
        self._watch, self._terminal = LiveWatch(run), stream
        self._console = Console(file=stream, highlight=False, emoji=False, markup=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # drawn from the run's own thread, because no other may look at the run
            transient=True,
            redirect_stdout=False,  # the run redirects prints itself: what a strategy prints goes to ``stream``
            vertical_overflow="crop",
        )
        self._next = 0.0
        self.stream = cast(TextIO, FileProxy(self._console, stream))

    def __call__(self, ts: int) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL_S
        width, height = self._console.size
        lines = live_lines(self._watch.state(ts), width - 1, height - 1)  # the cursor needs a place too
        with contextlib.suppress(OSError):  # the terminal may have disappeared, which must not end the run
            if not self._live.is_started:
                self._live.start()
            self._live.update(Text("\n").join(lines), refresh=True)

    def leave(self) -> None:
        """Give the terminal its cursor back, below the panel, without drawing: the process ends at once, and this may
        be another thread than the run's."""
        if self._live.is_started:
            with contextlib.suppress(OSError):
                self._terminal.write("\n\x1b[?25h")
                self._terminal.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._live.stop()
