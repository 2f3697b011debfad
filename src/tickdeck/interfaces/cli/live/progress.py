"""The line that shows the progress of a run on a terminal."""

from __future__ import annotations

import contextlib
import shutil
import time
from typing import TYPE_CHECKING, TextIO

from tickdeck.application.units import clock_time, day
from tickdeck.domain.values import plain
from tickdeck.interfaces.cli.output import cut

if TYPE_CHECKING:
    from tickdeck.bootstrap import Session

__all__ = ["CLEAR", "Progress"]

_INTERVAL_S = 0.25
CLEAR = "\r\x1b[2K"
"""The codes that erase the current line of a terminal."""


class Progress:
    """Rewrites one line on ``stream`` a few times a second; does nothing if that is not a terminal. A terminal that
    disappears does not end the run. Until ``past_seq``, a resumed run only catches up with its tape, and the line shows
    how far it is."""

    def __init__(self, run: Session, stream: TextIO, *, past_seq: int = 0) -> None:
        self._run = run
        self._past_seq = past_seq
        self._stream = stream
        self._shown = stream.isatty()
        self._began = time.monotonic()
        self._next = 0.0

    def __call__(self, ts: int) -> None:
        """Show the run at ``ts`` of its clock, if it is time for an update."""
        if not self._shown:
            return
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL_S
        width = shutil.get_terminal_size().columns - 1  # the cursor needs a place too
        self._write(CLEAR + cut(self._line(ts, now - self._began, width), width))

    def _line(self, ts: int, wall_s: float, width: int) -> str:
        """Time, as many symbols as fit, PnL, events and their rate."""
        run = self._run
        portfolio = run.core.figures
        pnl = portfolio.pnl()
        events = run.kernel.seq
        if events < self._past_seq:
            return f"catching up with the tape: {events:,} of {self._past_seq:,} events"
        rate = events / wall_s if wall_s > 0 else 0.0
        head = f"{day(ts)} {clock_time(ts)[:8]}"
        unknown = sum(account.execution.unknown for account in run.core.accounts)
        doubt = f"  {unknown} IN DOUBT" if unknown else ""
        halted = "  HALTED" if any(account.risk.gate.is_halted for account in run.core.accounts) else ""
        tail = f"{halted}{doubt}  pnl {pnl:+,.2f}  {events:,} events  {rate:,.0f}/s"
        symbols = run.manifest.symbols
        for position, symbol in enumerate(symbols):
            part = f"  {symbol} {self._price(symbol)} pos {plain(portfolio.quantity(symbol))}"
            if position and len(head) + len(part) + len(tail) > width - 4:
                head += f"  +{len(symbols) - position}"
                break
            head += part
        return head + tail

    def _price(self, symbol: str) -> str:
        price = self._run.core.market_data.market(symbol).price
        return "-" if price is None else plain(price)

    def leave(self) -> None:
        """Make room for the last line of a process that ends at once, perhaps from another thread."""
        self.close()

    def close(self) -> None:
        """Erase the line."""
        if self._shown:
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()
