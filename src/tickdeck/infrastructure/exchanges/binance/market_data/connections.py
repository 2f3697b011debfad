"""The connections of a feed: opening, subscribing, handing over from one to the next, and recovering."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

import msgspec

from tickdeck.infrastructure.exchanges.binance.decoder import connection_frame
from tickdeck.infrastructure.exchanges.binance.market_data.output import (
    NEVER,
    CloseConnection,
    FeedStatistics,
    OpenConnection,
    Output,
    SendText,
)
from tickdeck.infrastructure.exchanges.binance.profile import Profile

__all__ = ["Connections"]

_S = 1_000_000_000  # ns in a second
_EARLY = 30 * 60 * _S  # how long before the venue ends a connection the next one is opened
_OVERLAP = 10 * _S  # how long both connections are read
_STREAMS_PER_MESSAGE = 100  # the venue ignores very long messages
_ATTEMPTS = 3  # to subscribe to the same stream


class _Connection:
    """``state`` is ``opening``, ``open`` or ``closing``. ``replaces`` is the connection from which this one will take
    over; until then, ``ahead`` keeps what it receives. ``renew_due``: when to open the connection that replaces it.
    ``attempts``: how often it subscribed. ``listing``: the id of its last request for the list of its streams."""

    __slots__ = (
        *("ahead", "attempts", "heard", "listing", "opened"),
        *("renew_due", "replaces", "send_due", "state", "to_send"),
    )

    def __init__(self, now: int, replaces: int = 0) -> None:
        self.state = "opening"
        self.opened = self.heard = self.send_due = now
        self.renew_due = NEVER
        self.replaces = replaces
        self.ahead: list[bytes] = []
        self.to_send: deque[bytes] = deque()
        self.attempts = self.listing = 0


class Connections:
    """One connection, and a second one while it takes over from the first.

    ``on_message(connection, now, data)`` receives the messages of the active connection. ``on_lost()`` is called when
    no connection is open any more. A connection that is silent for ``stale_after`` ns is closed and opened again. A
    lost one is opened again after a wait that doubles from 1 s to 30 s; half of the wait is random. A venue that ends
    each connection at once is not asked more often than the profile allows.
    """

    def __init__(
        self,
        output: Output,
        statistics: FeedStatistics,
        *,
        symbols: tuple[str, ...],
        streams: list[str],
        profile: Profile,
        stale_after: int,
        seed: int,
        on_message: Callable[[int, int, bytes], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._output, self._statistics = output, statistics
        self._symbols, self._streams = symbols, streams
        self._profile, self._stale_after = profile, stale_after
        self._send_every = _S // (profile.messages_per_second - 1)  # one a second is left for a pong
        self._open_every = profile.connects_window // profile.connects
        self._random = random.Random(seed)
        self._on_message, self._on_lost = on_message, on_lost
        self._connections: dict[int, _Connection] = {}
        self._number = self._message_id = self._failures = self._last_opening = 0
        self._reopen_due = NEVER
        self._lost = False

    def open(self, now: int, replaces: int = 0) -> None:
        """Open a connection. It takes over from the connection ``replaces``."""
        self._number += 1
        self._last_opening = now
        self._connections[self._number] = _Connection(now, replaces)
        self._output.do(OpenConnection(self._number))

    def opened(self, connection: int, now: int) -> None:
        """A connection is open: subscribe."""
        state = self._connections.get(connection)
        if state is None:
            self._output.do(CloseConnection(connection, "no longer wanted"))
            return
        state.state = "open"
        state.opened = state.heard = state.send_due = now
        state.renew_due = now + self._profile.connection_life - _EARLY
        self._subscribe(state, self._streams)
        self._statistics.connections += 1
        if self._lost or self._statistics.connections == 1:
            self._output.frames.append(connection_frame(now, self._symbols))
            self._lost = False
        self._send(connection, state, now)

    def listed(self, connection: int, number: object, streams: list[object]) -> tuple[tuple[str, ...], bool]:
        """The venue answered the request ``number`` with the streams of a connection. Returns those that are missing,
        and whether it subscribes to them again: a venue may ignore a message, or confirm it and subscribe to nothing.
        """
        state = self._connections.get(connection)
        if state is None or number != state.listing:
            return (), False
        subscribed = {stream for stream in streams if isinstance(stream, str)}
        missing = [stream for stream in self._streams if stream not in subscribed]
        again = bool(missing) and state.attempts < _ATTEMPTS
        if again:
            self._subscribe(state, missing)
        return tuple(missing), again

    def _subscribe(self, state: _Connection, streams: list[str]) -> None:
        """Subscribe, and then ask for the list of streams. Each attempt sends shorter messages."""
        most = _STREAMS_PER_MESSAGE >> state.attempts
        state.attempts += 1
        for begin in range(0, len(streams), most):
            self._request(state, "SUBSCRIBE", params=streams[begin : begin + most])
        self._request(state, "LIST_SUBSCRIPTIONS")
        state.listing = self._message_id

    def _request(self, state: _Connection, method: str, **more: list[str]) -> None:
        self._message_id += 1
        state.to_send.append(msgspec.json.encode({"method": method, **more, "id": self._message_id}))

    def received(self, connection: int, now: int, data: bytes) -> None:
        """A message arrived."""
        state = self._connections.get(connection)
        if state is None:
            return  # it was abandoned
        state.heard = now
        self._failures = 0
        self._statistics.received += 1
        if state.replaces:
            state.ahead.append(data)  # the other connection receives it, too
        else:
            self._on_message(connection, now, data)

    def closed(self, connection: int, now: int, reason: str) -> None:
        """A connection is closed, or could not be opened."""
        state = self._connections.pop(connection, None)
        if state is None:
            return
        if not any(other.state == "open" for other in self._connections.values()):
            if not self._lost and self._statistics.connections:
                self._output.frames.append(connection_frame(now, self._symbols, reason))
                self._lost = True
            self._on_lost()
        for number, other in list(self._connections.items()):
            if other.replaces == connection:
                self._put_in_charge(number, other, now)
        replaced = self._connections.get(state.replaces)
        if replaced is not None:
            replaced.renew_due = self._next_opening(now)
        if not self._connections and self._reopen_due == NEVER:
            soonest = max(now, self._last_opening + self._open_every)
            self._reopen_due = soonest if state.state == "closing" else self._next_opening(now)

    def replace(self, connection: int, now: int) -> None:
        """Open another connection, which will take over from this one, or do that as soon as it is allowed."""
        state = self._connections.get(connection)
        if state is not None and not any(other.replaces == connection for other in self._connections.values()):
            soonest = self._last_opening + self._open_every
            if now < soonest:
                state.renew_due = soonest
            else:
                state.renew_due = NEVER
                self.open(now, replaces=connection)

    def tick(self, now: int) -> None:
        """Do what is due: open, send waiting messages, take over, close silent connections."""
        if now >= self._reopen_due:
            self._reopen_due = NEVER
            self.open(now)
        for number, state in list(self._connections.items()):
            if state.state == "open":
                self._send(number, state, now)
                self._watch(number, state, now)

    @property
    def next_due(self) -> int:
        due = [self._reopen_due]
        for state in self._connections.values():
            if state.state == "open":
                due.append(state.heard + self._stale_after)
                due.append(state.opened + _OVERLAP if state.replaces else state.renew_due)
                if state.to_send:
                    due.append(state.send_due)
        return min(due)

    def _next_opening(self, now: int) -> int:
        """When to open the next connection, ns: after up to 1 s, 2 s, ... 30 s, of which half is random."""
        self._failures += 1
        longest = min(30 * _S, _S << min(self._failures - 1, 5))
        due = now + longest // 2 + int(self._random.random() * longest / 2)
        return max(due, self._last_opening + self._open_every)

    def _send(self, number: int, state: _Connection, now: int) -> None:
        if state.to_send and now >= state.send_due:
            self._output.do(SendText(number, state.to_send.popleft()))
            state.send_due = now + self._send_every

    def _watch(self, number: int, state: _Connection, now: int) -> None:
        if now >= state.heard + self._stale_after:
            self._close(number, state, f"nothing was received for {self._stale_after / _S:g} s")
        elif state.replaces:
            if now >= state.opened + _OVERLAP:
                old = self._connections.get(state.replaces)
                if old is not None and old.state == "open":
                    self._close(state.replaces, old, "another connection took over")
                self._put_in_charge(number, state, now)
        elif now >= state.renew_due:
            self.replace(number, now)

    def _put_in_charge(self, number: int, state: _Connection, now: int) -> None:
        """Pass on what this connection kept. Messages that the other one also received are dropped by their ids."""
        state.replaces = 0
        ahead, state.ahead = state.ahead, []
        for data in ahead:
            self._on_message(number, now, data)

    def _close(self, number: int, state: _Connection, reason: str) -> None:
        state.state = "closing"
        self._output.do(CloseConnection(number, reason))
