"""The actions that the market data rules request from their caller, and their statistics."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from tickdeck.application.ports import Frame

__all__ = ["NEVER", "Action", "CloseConnection", "FeedStatistics", "Fetch", "OpenConnection", "Output", "SendText"]

NEVER = 1 << 62
"""A time that never comes, ns."""


class OpenConnection(NamedTuple):
    """Open a WebSocket connection, then call ``opened`` or ``closed``."""

    connection: int


class CloseConnection(NamedTuple):
    """Close a connection, then call ``closed``."""

    connection: int
    reason: str


class SendText(NamedTuple):
    """Send a text message."""

    connection: int
    text: bytes


class Fetch(NamedTuple):
    """Send a REST request, then call ``fetched`` or ``fetch_failed``.

    ``what`` is ``depth``, ``trade``, ``aggTrade`` or ``instruments`` (of all symbols). For trades, the ids ``first`` to
    ``last`` are wanted, or as many of them as fit into one response.
    """

    number: int
    what: str
    symbol: str
    first: int = 0
    last: int = 0


Action: TypeAlias = OpenConnection | CloseConnection | SendText | Fetch


class FeedStatistics(msgspec.Struct, kw_only=True):
    """Counts since the start.

    ``repeated``: messages that arrived on two connections. ``gaps``: detected gaps in trades or books.
    ``trades_fetched``: trades that closed gaps. ``snapshots``: books that were passed on. ``unreadable``: messages with
    unknown content, which were passed on unchanged.
    """

    received: int = 0
    repeated: int = 0
    gaps: int = 0
    trades_fetched: int = 0
    snapshots: int = 0
    connections: int = 0
    unreadable: int = 0


class Output:
    """Frames and actions that wait for the caller, each in order."""

    __slots__ = ("_actions", "frames")

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self._actions: list[Action] = []

    def do(self, action: Action) -> None:
        """Request an action from the caller."""
        self._actions.append(action)

    def take_frames(self) -> list[Frame]:
        taken, self.frames = self.frames, []
        return taken

    def take_actions(self) -> list[Action]:
        taken, self._actions = self._actions, []
        return taken
