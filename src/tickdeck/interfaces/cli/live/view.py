"""The live view of ``tickdeck run`` on a terminal: a panel that is drawn anew a few times a second."""

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
    from tickdeck.bootstrap import Run

__all__ = ["LiveView", "can_show"]

_INTERVAL_S = 0.25
_COLUMNS, _LINES = 30, 6  # less than that has no room for it


def can_show(stream: TextIO) -> bool:
    """``stream`` is a terminal that can move its cursor, and is not too small."""
    if not stream.isatty() or os.environ.get("TERM", "") in ("", "dumb"):
        return False
    size = Console(file=stream).size
    return size.width >= _COLUMNS and size.height >= _LINES


class LiveView:
    """Called with the run's time now and then, draws if it is time for that; ``close`` takes the panel away and gives
    the terminal back as it was. What is written to ``stream`` or printed meanwhile goes above the panel.
    """

    def __init__(self, run: Run, stream: TextIO) -> None:
        self._watch = LiveWatch(run)
        self._console = Console(file=stream, highlight=False, emoji=False, markup=False)
        self._live = Live(
            console=self._console,
            auto_refresh=False,  # drawn from the run's own thread, which alone may look at the run
            transient=True,
            redirect_stdout=False,  # the run does that: what a strategy prints goes to ``stream``
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
        with contextlib.suppress(OSError):  # the terminal may be gone, which is no reason to end the run
            if not self._live.is_started:
                self._live.start()
            self._live.update(Text("\n").join(lines), refresh=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._live.stop()
