"""A WebSocket connection without its socket: what is to be sent, when, and whether to close."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable

__all__ = ["Connection"]


class Connection:
    """The messages for one client, in order. The server takes them out and sends them.

    ``wake`` is called when there is something new to do. Times are ns UTC.
    """

    def __init__(self, opened: int, address: str = "127.0.0.1", wake: Callable[[], None] = lambda: None) -> None:
        self.opened = opened
        self.address = address
        self.wake = wake
        self.close_code: int | None = None
        """Set when the connection must be closed; 0 cuts it without a close frame."""
        self.sent = 0
        self._ready: deque[str] = deque()
        self._later: list[tuple[int, int, str]] = []
        self._count = 0

    def send(self, text: str, due: int = 0) -> None:
        """Queue a message; with ``due`` (ns UTC) it waits until then, and later ones may overtake it."""
        if self.close_code is not None:
            return
        if due:
            self._count += 1
            heapq.heappush(self._later, (due, self._count, text))
        else:
            self._ready.append(text)
        self.wake()

    def close(self, code: int) -> None:
        """Close with ``code`` after what is queued; 0 cuts at once."""
        if self.close_code is None:
            self.close_code = code
            if not code:
                self._ready.clear()
            self.wake()

    def take(self, now: int) -> list[str]:
        """The messages that are due, oldest first."""
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        taken = list(self._ready)
        self._ready.clear()
        self.sent += len(taken)
        return taken

    @property
    def waiting(self) -> int:
        """How many messages wait to be taken."""
        return len(self._ready)

    @property
    def next_due(self) -> int | None:
        """When the next delayed message is due."""
        return self._later[0][0] if self._later else None
