"""Brings commands and queries to their handlers, through middleware."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from tickdeck.application.arguments import check_function, check_methods, check_whole
from tickdeck.application.commands.messages import Command, Query
from tickdeck.application.latency import LatencyHistogram
from tickdeck.errors import ConcurrencyError, ConfigError

__all__ = ["Dispatcher", "Middleware", "log_commands", "once_per_id", "retry_on_conflict", "time_commands"]

log = logging.getLogger("tickdeck.commands")

Message: TypeAlias = Command | Query
Next: TypeAlias = Callable[[Any], Awaitable[Any]]
Middleware: TypeAlias = Callable[[Any, Next], Awaitable[Any]]
"""``await middleware(message, next)`` returns the result. It calls ``await next(message)`` to go on: once, several
times or not at all."""

_Key: TypeAlias = tuple[type, str]  # the class of a command, and its id
_REMEMBERED = 10_000  # results by command id: the newest


class Dispatcher:
    """One handler for each class of commands and queries. ``middleware`` runs around every handler, the first one
    outermost. Raises ``ConfigError`` for a middleware that does not take a message and the next function."""

    def __init__(self, *middleware: Middleware) -> None:
        for around in middleware:
            _check_middleware(around)
        self._middleware = middleware
        self._handlers: dict[type[Message], Next] = {}

    def register(self, message_class: type[Message], handler: Any) -> None:
        """Let ``handler.handle(message)`` handle the messages of this class. Raises ``ConfigError`` if the class has a
        handler already, or is neither a command nor a query, or if ``handler`` is a class or its ``handle`` does not
        take a message."""
        given: object = message_class
        if not isinstance(given, type) or not issubclass(given, Command | Query):
            raise ConfigError(f"register: {message_class!r} is neither a Command class nor a Query class")
        if isinstance(handler, type):
            raise ConfigError(f"register: handler is the class {handler.__name__}; give an object of it")
        check_methods("register", "handler", handler, "handle")
        _check_takes(f"register: {type(handler).__name__}.handle", handler.handle)
        if message_class in self._handlers:
            raise ConfigError(f"register: {message_class.__name__} has a handler already")
        call: Next = _awaited(handler.handle, f"{type(handler).__name__}.handle")
        for around in reversed(self._middleware):
            call = _wrapped(around, call)
        self._handlers[message_class] = call

    async def dispatch(self, message: Message) -> Any:
        """The handler's result. Raises what the handler raises, and ``ConfigError`` if there is no handler."""
        handler = self._handlers.get(type(message))
        if handler is None and isinstance(message, type):
            raise ConfigError(f"dispatch: this is the class {message.__name__}; give an object of it")
        if handler is None:
            raise ConfigError(f"dispatch: nothing is registered for {type(message).__name__}")
        return await handler(message)


def _wrapped(around: Middleware, call: Next) -> Next:
    return _awaited(lambda message: around(message, call), getattr(around, "__name__", "the middleware"))


def _awaited(call: Next, name: str) -> Next:
    async def awaited(message: Any) -> Any:
        result: object = call(message)
        if not inspect.isawaitable(result):
            raise ConfigError(f"dispatch: {name} returned {result!r} at once; write it as `async def`")
        return await result

    return awaited


def _check_takes(what: str, handle: Callable[..., object]) -> None:
    try:
        inspect.signature(handle).bind(None)
    except TypeError:
        raise ConfigError(
            f"{what} does not take the message alone; write it as `async def handle(self, command)`"
        ) from None
    except ValueError:  # it does not say what it takes
        return


def _check_middleware(around: object) -> None:
    if not callable(around):
        raise ConfigError(f"Dispatcher: {around!r} is no middleware; give an async function of (message, call)")
    try:
        inspect.signature(around).bind(None, None)
    except TypeError:
        name = getattr(around, "__name__", repr(around))
        raise ConfigError(
            f"Dispatcher: {name} does not take (message, call); if it makes a middleware, call it: {name}()"
        ) from None
    except ValueError:  # it does not say what it takes
        return


def retry_on_conflict(attempts: int = 5) -> Middleware:
    """Handle a message again if another one changed the same aggregate meanwhile (``ConcurrencyError``), up to
    ``attempts`` times in all. Nothing was saved by then, so this repeats the decision, not its effect."""
    check_whole("retry_on_conflict", "attempts", attempts, least=1)

    async def middleware(message: Any, call: Next) -> Any:
        for _ in range(attempts - 1):
            try:
                return await call(message)
            except ConcurrencyError:
                await asyncio.sleep(0)  # let the other one finish
        return await call(message)

    return middleware


def once_per_id() -> Middleware:
    """Handle a command with a ``command_id`` once in this process: a command of the same class with the same id gets
    the first one's result, whatever its other fields are, also while that is under way. One that raised may be sent
    again, and a caller that is cancelled does not stop it. Commands of two classes may have the same id: both answer
    the same event.

    It remembers the newest 10,000 ids. Across restarts, a handler must find out by itself, for example by an aggregate
    whose id is derived from the command's.
    """
    results: dict[_Key, asyncio.Future[Any]] = {}

    async def middleware(message: Any, call: Next) -> Any:
        command_id = message.command_id if isinstance(message, Command) else ""
        if not command_id:
            return await call(message)
        key = type(message), command_id
        known = results.get(key)
        if known is None:
            known = results[key] = asyncio.ensure_future(call(message))
            known.add_done_callback(lambda done: _forget_failure(results, key, done))
            while len(results) > _REMEMBERED:
                del results[next(iter(results))]
        return await asyncio.shield(known)

    return middleware


def _forget_failure(results: dict[_Key, asyncio.Future[Any]], key: _Key, done: asyncio.Future[Any]) -> None:
    if (done.cancelled() or done.exception() is not None) and results.get(key) is done:
        del results[key]


def log_commands() -> Middleware:
    """Log each command with its id, and its error if it raises. Fields are not logged: they may be private."""

    async def middleware(message: Any, call: Next) -> Any:
        if not isinstance(message, Command):
            return await call(message)
        what = f"{type(message).__name__} {message.command_id}".rstrip()
        try:
            result = await call(message)
        except Exception as error:
            log.warning("%s: %s: %s", what, type(error).__name__, error)
            raise
        log.info("%s: done", what)
        return result

    return middleware


def time_commands(monotonic_ns: Callable[[], int], into: dict[str, LatencyHistogram]) -> Middleware:
    """Measure how long each class of messages takes, by the name of the class. ``monotonic_ns`` is that of a clock;
    ``into`` is a dict of your own, which is filled. Messages whose handler raises count too."""
    check_function("time_commands", "monotonic_ns", monotonic_ns, optional=False)
    given: object = into
    if not isinstance(given, dict):
        raise ConfigError(f"time_commands: into is {given!r}; give a dict, which is filled")

    async def middleware(message: Any, call: Next) -> Any:
        began = monotonic_ns()
        try:
            return await call(message)
        finally:
            into.setdefault(type(message).__name__, LatencyHistogram()).add(monotonic_ns() - began)

    return middleware
