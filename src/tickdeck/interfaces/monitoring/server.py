"""A small HTTP server for a run: ``/metrics``, ``/health`` and ``/ready``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, TypeVar

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.watchdog import running_handler
from tickdeck.interfaces.monitoring.families import collect
from tickdeck.interfaces.monitoring.watch import RunWatch

__all__ = ["MonitoringServer"]

T = TypeVar("T")
_PATIENCE = 2.0  # seconds within which the event loop must make a turn
_POLL = 0.1  # seconds until the server notices that it must end
_TEXT, _JSON = "text/plain; charset=utf-8", "application/json"


class _Answer(NamedTuple):
    status: HTTPStatus
    kind: str
    body: bytes


class MonitoringServer:
    """Listens on ``host`` and ``port`` from its creation, and answers during ``serving``.

    It works in its own threads, so it can report that the run's event loop hangs. The figures are read in the event
    loop, and formatted in those threads.

    Raises ``ConfigError`` if it cannot listen there.
    """

    def __init__(self, host: str, port: int, *, patience: float = _PATIENCE) -> None:
        """``patience``: how many seconds the event loop may take for a turn before the run counts as hanging."""
        self._patience = patience
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        try:
            family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            self._server = _Server(family, (host, port))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}; give another port") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL,), name="tickdeck-metrics", daemon=True
        )

    @property
    def url(self) -> str:
        """The URL of the metrics."""
        host, port = self._server.server_address[:2]
        name = host.decode() if isinstance(host, bytes) else host
        return f"http://{f'[{name}]' if ':' in name else name}:{port}/metrics"

    @contextlib.contextmanager
    def serving(self, watch: RunWatch) -> Iterator[None]:
        """Answer during the block, which runs in the run's event loop. Then stop listening."""
        loop, thread = asyncio.get_running_loop(), threading.get_ident()

        def in_loop(call: Callable[[], T]) -> T:
            return _in_loop(loop, call, self._patience)

        def answer(path: str) -> _Answer:
            try:
                return self._answer(path.partition("?")[0], watch, in_loop)
            except TimeoutError:
                place = running_handler(thread)
                why = f"the event loop has not turned for {self._patience:g} s{f': {place}' if place else ''}"
                return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"alive": False, "why": [why]})
            except RuntimeError:  # the loop is closed
                return _json(HTTPStatus.SERVICE_UNAVAILABLE, {"alive": False, "why": ["the run has ended"]})

        self._server.answer = answer
        self._thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self.close()

    def close(self) -> None:
        """Stop listening."""
        self._server.server_close()

    def _answer(self, path: str, watch: RunWatch, in_loop: Callable[[Callable[[], Any]], Any]) -> _Answer:
        if path == "/metrics":
            families = in_loop(lambda: list(collect(watch)))
            families += self._process.collect()
            return _Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(_Collected(families)))
        if path == "/health":
            seq = in_loop(lambda: watch.run.kernel.seq)
            return _json(HTTPStatus.OK, {"alive": True, "run": watch.run.manifest.run_id, "seq": seq})
        if path == "/ready":
            obstacles = in_loop(watch.obstacles)
            status = HTTPStatus.SERVICE_UNAVAILABLE if obstacles else HTTPStatus.OK
            return _json(status, {"ready": not obstacles, "why": obstacles})
        return _Answer(HTTPStatus.NOT_FOUND, _TEXT, b"there are /metrics, /health and /ready\n")


class _Collected(CollectorRegistry):
    """Families that were collected before."""

    def __init__(self, families: list[Metric]) -> None:
        super().__init__()
        self._families = families

    def collect(self) -> Iterator[Metric]:
        return iter(self._families)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    answer: Callable[[str], _Answer]

    def __init__(self, family: int, address: tuple[str, int]) -> None:
        self.address_family = family
        super().__init__(address, _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that disconnected; this is not worth a message."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5  # seconds in which a client must have sent its request
    server_version, sys_version = "tickdeck", ""

    def do_GET(self) -> None:
        answer = self.server.answer(self.path)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are not logged."""


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], T], patience: float) -> T:
    """The result of ``call`` in the thread of ``loop``. Raises ``TimeoutError`` if the loop does not turn in time."""
    result: Future[T] = Future()

    def work() -> None:
        if result.set_running_or_notify_cancel():
            try:
                result.set_result(call())
            except BaseException as error:  # noqa: BLE001 (the waiting thread raises it)
                result.set_exception(error)

    loop.call_soon_threadsafe(work)
    try:
        return result.result(patience)
    finally:
        result.cancel()


def _json(status: HTTPStatus, body: dict[str, Any]) -> _Answer:
    return _Answer(status, _JSON, msgspec.json.encode(body) + b"\n")
