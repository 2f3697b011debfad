"""REST requests that wait for a response, and those that are repeated later."""

from __future__ import annotations

from tickdeck.infrastructure.exchanges.binance.market_data.output import NEVER, Fetch, Output

__all__ = ["Fetches"]

_TIMEOUT = 10 * 1_000_000_000  # ns


class Fetches:
    """Numbers the requests, and gives each ten seconds for its response."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._number = 0
        self._open: dict[int, tuple[Fetch, int]] = {}  # with its deadline
        self._later: list[tuple[int, Fetch]] = []  # to be sent again when it is due

    def start(self, what: str, symbol: str, now: int, first: int = 0, last: int = 0) -> int:
        """Send a request. Returns its number."""
        self._number += 1
        self._send(Fetch(self._number, what, symbol, first, last), now)
        return self._number

    def start_later(self, what: str, symbol: str, due: int) -> int:
        """Send a request at ``due``. Returns its number."""
        self._number += 1
        self.repeat(Fetch(self._number, what, symbol), due)
        return self._number

    def repeat(self, fetch: Fetch, due: int) -> None:
        """Send a request again at ``due``."""
        self._later.append((due, fetch))

    def hurry(self, what: str, now: int) -> None:
        """Send the requests of this kind now that would be sent again later."""
        self._later = [(min(at, now) if fetch.what == what else at, fetch) for at, fetch in self._later]

    def answered(self, number: int) -> Fetch | None:
        """The request that was just answered; ``None`` if the response came too late."""
        found = self._open.pop(number, None)
        return None if found is None else found[0]

    def expire(self, now: int) -> list[Fetch]:
        """The requests that waited too long. They count as failed."""
        late = [fetch for fetch, deadline in self._open.values() if now >= deadline]
        for fetch in late:
            del self._open[fetch.number]
        return late

    def send_due(self, now: int) -> None:
        """Send the requests that are due again."""
        due = [fetch for at, fetch in self._later if at <= now]
        self._later = [(at, fetch) for at, fetch in self._later if at > now]
        for fetch in due:
            self._send(fetch, now)

    @property
    def next_due(self) -> int:
        return min((*(at for at, _ in self._later), *(at for _, at in self._open.values())), default=NEVER)

    def _send(self, fetch: Fetch, now: int) -> None:
        self._open[fetch.number] = fetch, now + _TIMEOUT
        self._output.do(fetch)
