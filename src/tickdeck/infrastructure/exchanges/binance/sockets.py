"""A WebSocket connection to the venue, using picows. It answers each ping with the same bytes, as the venue
requires.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tickdeck.errors import ConfigError, VenueUnavailable

__all__ = ["Socket", "open_socket"]

_LARGEST = 16 << 20  # bytes of a frame
_TIMEOUT = 10.0  # seconds to connect


class Socket:
    """An open connection. ``send`` and ``close`` never raise. After ``close``, no message is received."""

    def __init__(self, url: str, on_text: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self.url = url
        self.on_text: Callable[[bytes], None] | None = on_text
        self.on_lost: Callable[[str], None] | None = on_lost
        self.parts: list[bytes] = []
        self.send: Callable[[bytes], None] = _nowhere
        self.pause: Callable[[bool], None] = lambda paused: None
        self._disconnect: Callable[[], None] = lambda: None

    def opened(self, send: Callable[[bytes], None], pause: Callable[[bool], None], stop: Callable[[], None]) -> None:
        self.send, self.pause, self._disconnect = send, pause, stop

    def text(self, data: bytes) -> None:
        if self.on_text is not None:
            if b"\n" in data or b"\r" in data:
                data = data.replace(b"\r", b" ").replace(b"\n", b" ")
            self.on_text(data)

    def lost(self, reason: str) -> None:
        on_lost, self.on_lost, self.on_text = self.on_lost, None, None
        if on_lost is not None:
            on_lost(reason)

    def close(self) -> None:
        """Close the connection. ``on_lost`` is not called."""
        self.on_text = self.on_lost = None
        self._disconnect()


async def open_socket(
    url: str,
    on_text: Callable[[bytes], None],
    on_lost: Callable[[str], None],
    *,
    ping_after: float | None = None,
    pong_within: float = 10.0,
) -> Socket:
    """Connect. ``on_text`` receives each text message without line breaks, ``on_lost`` the reason, once.

    With ``ping_after``, the venue is pinged after that many seconds without a message. The connection is lost if
    nothing arrives within another ``pong_within`` seconds.

    Raises ``VenueUnavailable`` if the venue cannot be reached, ``ConfigError`` if the extra is not installed.
    """
    try:
        import picows
    except ImportError:
        raise ConfigError(
            "exchange 'binance' needs more packages; install them: pip install 'tickdeck[binance]'"
        ) from None

    socket = Socket(url, on_text, on_lost)

    class Listener(picows.WSListener):  # type: ignore[misc,unused-ignore]
        def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
            kind = frame.msg_type
            if kind == picows.WSMsgType.TEXT or kind == picows.WSMsgType.CONTINUATION:
                data = frame.get_payload_as_bytes()
                if not frame.fin:
                    socket.parts.append(data)
                    return
                if socket.parts:
                    data, socket.parts = b"".join([*socket.parts, data]), []
                socket.text(data)
            elif kind == picows.WSMsgType.CLOSE:
                transport.send_close(frame.get_close_code())
                socket.lost(f"closed by the venue ({getattr(frame.get_close_code(), 'value', frame.get_close_code())})")
                transport.disconnect()

        def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
            socket.lost("connection lost")

    try:
        transport, _ = await asyncio.wait_for(
            picows.ws_connect(
                Listener,
                url,
                max_frame_size=_LARGEST,
                websocket_handshake_timeout=_TIMEOUT,
                enable_auto_ping=ping_after is not None,
                auto_ping_idle_timeout=ping_after or _TIMEOUT,
                auto_ping_reply_timeout=pong_within,
            ),
            _TIMEOUT + 1,
        )
    except (OSError, TimeoutError, picows.WSError) as error:
        raise VenueUnavailable(f"binance: {url} cannot be reached ({type(error).__name__})") from None
    inner = transport.underlying_transport
    socket.opened(
        lambda data: transport.send(picows.WSMsgType.TEXT, data),
        lambda paused: inner.pause_reading() if paused else inner.resume_reading(),
        transport.disconnect,
    )
    return socket


def _nowhere(data: bytes) -> None:
    """Drops messages that arrive before the connection is open."""
