"""One thread owns a bus: the first that publishes, or the one that calls ``bind``."""

from __future__ import annotations

import threading
from threading import get_ident

from tickdeck.errors import ConfigError

__all__ = ["OwnedByThread"]


class OwnedByThread:
    """The part of a bus that knows its thread."""

    _owner: int
    """The ident of the owning thread; 0 until one claims the bus."""
    _claims: dict[int, int]
    """Previous owner -> the thread that claimed the bus after it."""

    def _is_owner(self) -> bool:
        return get_ident() == self._owner

    def _claim(self, call: str) -> None:
        """Make the calling thread the owner if no living thread is the owner; otherwise refuse the call.

        ``setdefault`` is one step, so one of two simultaneous threads wins. A lock could stay locked if Ctrl-C came at
        its end.
        """
        caller = get_ident()
        living = {thread.ident: thread.name for thread in threading.enumerate() if thread.ident != caller}
        for owner in (self._owner, self._claims.setdefault(self._owner, caller)):
            if owner in living:
                raise ConfigError(
                    f"{call}: thread {threading.current_thread().name!r} does not own the bus, {living[owner]!r} does; "
                    "call publish_threadsafe(event) here, or bind() in the thread that should own it"
                )
        self._claims[self._owner] = caller
        self._owner = caller
