"""The private stream of an account, from Binance's WebSocket API, as events."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from enum import Enum
from typing import Any, Literal

import msgspec

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import OrderResult
from tickdeck.domain.events import DomainEvent, FeedConnected, FeedDisconnected, SystemWarning, VenueOrderReported
from tickdeck.domain.values import OrderStatus, Quantity
from tickdeck.errors import ClockSkew, ExchangeError, ProtocolError, RateLimited, RequestRefused, VenueUnavailable
from tickdeck.infrastructure.exchanges.binance.mappers.errors import error_from
from tickdeck.infrastructure.exchanges.binance.mappers.user_stream import user_message
from tickdeck.infrastructure.exchanges.binance.sockets import open_socket
from tickdeck.infrastructure.resilience import Backoff

__all__ = ["PRIVATE", "PrivateStream", "StreamTimes"]

PRIVATE = "binance-private"
"""The name of the private stream in ``feed.connected`` and ``feed.disconnected``."""

_SOURCE = "binance"
_REMEMBERED = 1_000  # orders that ended


class StreamTimes(msgspec.Struct, frozen=True, kw_only=True):
    """When a private stream counts as broken; all in seconds.

    An idle stream is normal, so silence alone proves nothing. After ``ping_after`` without a message we send a ping;
    without an answer within ``pong_within`` the connection is lost. While orders are open, the stream is compared with
    a query after ``poll_after`` without a message; a difference counts if it is still there ``confirm_after`` later.
    ``reconnect``: the waits between attempts to connect.
    """

    ping_after: float = 20.0
    pong_within: float = 10.0
    answer_within: float = 10.0
    poll_after: float = 30.0
    confirm_after: float = 2.0
    reconnect: Backoff = Backoff(first=2.0)


class PrivateStream:
    """Connects, subscribes, and reconnects until its iteration is closed.

    ``room()`` returns when another connection may be opened. ``subscription()`` returns the signed request that begins
    the stream. ``open_orders()`` queries the venue. ``on_clock_skew()`` is called if the venue rejects the time of that
    request. ``news()`` is awaited after each subscription, concurrently with the stream; its events are merged into the
    stream.
    """

    def __init__(
        self,
        url: str,
        account_id: str,
        *,
        clock: LiveClock,
        room: Callable[[], Awaitable[None]],
        subscription: Callable[[], Awaitable[bytes]],
        open_orders: Callable[[], Awaitable[tuple[OrderResult, ...]]],
        on_clock_skew: Callable[[], None],
        news: Callable[[], Awaitable[tuple[DomainEvent, ...]]],
        times: StreamTimes = StreamTimes(),  # noqa: B008 (frozen)
    ) -> None:
        self._url, self._account_id, self._clock = url, account_id, clock
        self._subscription, self._open_orders, self._on_clock_skew = subscription, open_orders, on_clock_skew
        self._room = room
        self._news, self._times = news, times
        self._filled: dict[str, Quantity] = {}  # of open orders, as far as we know
        self._ended: dict[str, None] = {}  # the last orders that ended: an answer may come after the report

    def answered(self, order: OrderResult) -> None:
        """The venue answered a request with the state of ``order``."""
        if order.status is not None:
            self._note(order.client_order_id, order.status, order.filled)

    async def events(self) -> AsyncIterator[DomainEvent]:
        """The events of the stream; it never ends by itself.

        ``feed.connected`` comes after each successful subscription, and ``feed.disconnected`` when it ends. Raises
        ``RequestRefused`` if the venue refuses the subscription, for example because of the key.
        """
        failures = 0
        rng = random.Random(self._clock.time_ns())
        while True:
            connection = _Connection()
            reason, least = "", 0.0
            await self._room()
            try:
                socket = await open_socket(
                    self._url,
                    connection.received,
                    connection.lost,
                    ping_after=self._times.ping_after,
                    pong_within=self._times.pong_within,
                )
            except VenueUnavailable as error:
                reason = str(error)
            else:
                try:
                    socket.send(await self._subscription())
                    async for event in self._events_of(connection):
                        failures = 0
                        yield event
                    reason = connection.reason
                except ClockSkew as error:
                    self._on_clock_skew()
                    reason = str(error)
                except RequestRefused:
                    raise
                except ExchangeError as error:
                    reason = str(error)
                    least = error.wait if isinstance(error, RateLimited) else 0.0
                finally:
                    connection.close()
                    socket.close()
            if connection.subscribed:
                yield self._event(FeedDisconnected, reason)
            failures += 1
            await self._clock.sleep(max(least, self._times.reconnect.wait(failures, rng)))

    async def _events_of(self, connection: _Connection) -> AsyncIterator[DomainEvent]:
        """The events of one connection. It ends when the connection is lost or the stream is judged silent."""
        times = self._times
        while True:
            if not connection.subscribed:
                wait: float | None = times.answer_within
            else:
                wait = times.poll_after if self._filled or not connection.compared else None
            try:
                async with asyncio.timeout(wait):
                    data = await connection.messages.get()
            except TimeoutError:
                if not connection.subscribed:
                    connection.reason = "the venue did not answer the subscription"
                    return
                missed = await self._missed(connection)
                if missed:
                    connection.reason = f"the stream is silent: it did not report the change of order {missed}"
                    return
                continue
            if data is None:
                return
            if not isinstance(data, bytes):
                yield data
                continue
            events = self._read(data)
            if events is _Sign.SUBSCRIBED:
                connection.subscribed = True
                self._filled.clear()  # the consumer must query what happened before
                yield self._event(FeedConnected)
                connection.begin(self._bring_news(connection))
                continue
            if events is _Sign.ENDED:
                connection.reason = "the venue ended the stream"
                return
            for event in events:
                if isinstance(event, VenueOrderReported):
                    self._note(event.order_id, event.status, event.filled)
                yield event

    async def _bring_news(self, connection: _Connection) -> None:
        with contextlib.suppress(ExchangeError):  # the next connection will report it
            for event in await self._news():
                connection.messages.put_nowait(event)

    async def _missed(self, connection: _Connection) -> str:
        """The client id of an order whose change the stream did not report; empty if there is none."""
        suspects = await self._changed()
        connection.compared = True
        if suspects:
            await self._clock.sleep(self._times.confirm_after)  # the report may be on its way, or the answer may be old
            if not connection.messages.empty():
                return ""
            suspects = [order for order in await self._changed() if order in suspects]
        return suspects[0] if suspects else ""

    async def _changed(self) -> list[str]:
        """The orders that have ended or filled more than we know. Open orders that we did not know are noted."""
        try:
            found = {order.client_order_id: order.filled for order in await self._open_orders()}
        except RequestRefused:
            raise
        except ExchangeError:
            return []  # without an answer there is nothing to compare
        changed = [order for order, filled in self._filled.items() if found.get(order, filled + 1) > filled]
        for order, filled in found.items():
            if order not in self._ended:
                self._filled.setdefault(order, filled)
        return changed

    def _note(self, order: str, status: OrderStatus, filled: Quantity) -> None:
        if status.is_final:
            self._filled.pop(order, None)
            self._ended[order] = None
            if len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        elif order not in self._ended:
            self._filled[order] = max(filled, self._filled.get(order, filled))

    def _read(self, data: bytes) -> tuple[DomainEvent, ...] | Literal[_Sign.SUBSCRIBED, _Sign.ENDED]:
        """The events of a message, or a sign that the stream has begun or ended.

        A message without an event, or an unreadable one, becomes a warning, because no message about the account is
        dropped silently. Only ``listStatus`` needs none: each order of the list is reported too.
        """
        received = self._clock.time_ns()
        answer = _answer(data)
        if answer is not None:
            if answer.status == 200:
                return _Sign.SUBSCRIBED
            raise error_from(answer.status, msgspec.json.encode(answer.error or {}), changes=False)
        try:
            message = user_message(data, received, self._account_id)
        except ProtocolError as error:
            return (self._warning(str(error), received),)
        if message.kind in ("eventStreamTerminated", "serverShutdown"):
            return _Sign.ENDED
        if message.kind == "listStatus":
            return ()
        what = f"private message {message.kind or 'without a kind'} has no event; query what it may concern"
        return message.events or (self._warning(what, received),)

    def _warning(self, message: str, received: int) -> SystemWarning:
        return SystemWarning(component=_SOURCE, message=message, ts_ingress=received, source=_SOURCE)

    def _event(self, kind: type[FeedConnected | FeedDisconnected], reason: str = "") -> DomainEvent:
        now = self._clock.time_ns()
        if kind is FeedConnected:
            return FeedConnected(feed=PRIVATE, ts_ingress=now, source=_SOURCE)
        return FeedDisconnected(feed=PRIVATE, reason=reason, ts_ingress=now, source=_SOURCE)


class _Sign(Enum):
    """What a message without events says about the stream."""

    SUBSCRIBED = 1
    ENDED = 2


class _Connection:
    """The messages of one socket. ``None`` among them means that the connection is lost."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[bytes | DomainEvent | None] = asyncio.Queue()
        self._work: asyncio.Task[None] | None = None
        self.subscribed = False
        self.compared = False  # with the open orders at the venue
        self.reason = ""

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` concurrently with the stream, at most until ``close``."""
        self._work = asyncio.ensure_future(work)

    def close(self) -> None:
        if self._work is not None:
            self._work.cancel()

    def received(self, data: bytes) -> None:
        self.messages.put_nowait(data)

    def lost(self, reason: str) -> None:
        self.reason = reason
        self.messages.put_nowait(None)


class _Answer(msgspec.Struct):
    status: int = 0
    error: dict[str, Any] | None = None


def _answer(data: bytes) -> _Answer | None:
    """The response to a request, if the message is one."""
    if b'"status"' not in data:
        return None
    try:
        answer = msgspec.json.decode(data, type=_Answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return answer if answer.status else None
