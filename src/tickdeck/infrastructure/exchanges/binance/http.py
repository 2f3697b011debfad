"""REST over aiohttp, and the port that tests use instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from tickdeck.errors import ConfigError, VenueUnavailable
from tickdeck.infrastructure.exchanges.binance.wire import HttpRequest

__all__ = ["AiohttpClient", "Answer", "HttpClient"]


class Answer(NamedTuple):
    """A response: HTTP status, headers with names in lower case, and the body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient(Protocol):
    """Sends requests. Raises ``VenueUnavailable`` if nothing was sent, ``TimeoutError`` or ``ConnectionError`` if the
    request may have arrived."""

    async def send(self, request: HttpRequest) -> Answer:
        """Send a request once, and return the response."""

    async def close(self) -> None:
        """Close all connections. You may call this twice."""


class AiohttpClient:
    """``HttpClient`` on one pool of connections to ``base``. ``timeout`` in seconds, for a whole request. Raises
    ``ConfigError`` if the extra is not installed."""

    def __init__(self, base: str, *, timeout: float = 10.0) -> None:
        try:
            import aiohttp
            import yarl
        except ImportError:
            raise ConfigError(
                "exchange 'binance' needs more packages; install them: pip install 'tickdeck[binance]'"
            ) from None
        self._aiohttp, self._url = aiohttp, yarl.URL
        self._base, self._timeout = base, timeout
        self._session: Any = None

    async def send(self, request: HttpRequest) -> Answer:
        http = self._aiohttp
        if self._session is None:
            timeout = http.ClientTimeout(total=self._timeout)
            self._session = http.ClientSession(timeout=timeout, middlewares=(self._once,))
        url = self._url(self._base + request.target, encoded=True)  # the signed text must be sent unchanged
        try:
            async with self._session.request(
                request.method, url, data=request.body or None, headers=dict(request.headers), allow_redirects=False
            ) as answer:
                headers = {name.lower(): value for name, value in answer.headers.items()}
                return Answer(answer.status, headers, await answer.read())
        except http.ClientConnectorError as error:
            raise VenueUnavailable(f"binance: {self._base} cannot be reached ({type(error).__name__})") from None
        except TimeoutError:
            raise TimeoutError(f"binance: no answer within {self._timeout:g} s") from None
        except http.ClientError as error:
            raise ConnectionError(f"binance: the connection broke ({type(error).__name__})") from None

    async def _once(self, request: Any, handler: Any) -> Any:
        """A middleware. aiohttp sends a GET, PUT or DELETE a second time if a connection that it kept breaks before the
        answer. The first may have taken effect, so its error is passed on as one that is not repeated."""
        http = self._aiohttp
        try:
            return await handler(request)
        except http.ClientConnectorError:
            raise
        except (http.ClientOSError, http.ServerDisconnectedError) as error:
            raise ConnectionError(f"binance: the connection broke ({type(error).__name__})") from error

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
