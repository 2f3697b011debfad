"""What kind of callable a handler is: a plain function, a coroutine function, or neither."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from tickdeck.application.bus.receipt import Receipt
from tickdeck.errors import ConfigError

__all__ = ["check_plain", "check_runs", "check_takes_event", "holds", "is_async", "refuse_unfinished"]


def is_async(handler: Callable[..., Any]) -> bool:
    """Whether calling ``handler`` returns a coroutine. Looks through ``partial``, ``__call__`` and decorators that set
    ``__wrapped__``."""
    return any(inspect.iscoroutinefunction(layer) for layer in _layers(handler, decorated=True))


def check_runs(handler: Callable[..., Any]) -> None:
    """Raise ``ConfigError`` for a generator function, plain or async, because calling one does not run it."""
    for layer in _layers(handler):
        if inspect.isasyncgenfunction(layer) or inspect.isgeneratorfunction(layer):
            raise ConfigError(
                f"subscribe: {handler!r} contains a yield, so calling it would not run it; remove the yield"
            )


def check_takes_event(what: str, function: Callable[..., Any] | None) -> None:
    """Raise ``ConfigError`` if the function cannot be called with an event alone. Every call would raise."""
    try:
        signature = inspect.signature(function, follow_wrapped=False) if function is not None else None
    except (TypeError, ValueError):
        return  # it does not say, such as some functions in C
    try:
        if signature is not None:
            signature.bind(None)
    except TypeError as error:
        raise ConfigError(
            f"{what}: {function!r} cannot be called with an event ({error}); it must take one argument"
        ) from None


def check_plain(what: str, function: Callable[..., Any] | None) -> None:
    """Raise ``ConfigError`` for an async or generator function, if a plain result is needed."""
    if function is None:
        return
    for layer in _layers(function):
        if (
            inspect.iscoroutinefunction(layer)
            or inspect.isasyncgenfunction(layer)
            or inspect.isgeneratorfunction(layer)
        ):
            raise ConfigError(f"{what}: {function!r} is async or a generator; give a plain function that returns")


def refuse_unfinished(result: object, what: str = "the handler") -> None:
    """Raise ``ConfigError`` if a call returned work that will never be done: a coroutine, another awaitable, or a
    generator. Other results are ignored, including the receipt of an event that the handler published."""
    if isinstance(result, Receipt):
        return
    if hasattr(type(result), "__await__"):
        if inspect.iscoroutine(result):
            result.close()  # otherwise Python warns that it was never awaited
        raise ConfigError(f"{what} returned {_a(result)}, which is never awaited; make it an async def")
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise ConfigError(f"{what} returned {_a(result)}, which is never run; remove the yield")


def holds(condition: Callable[[Any], object], event: object) -> bool:
    """Whether ``condition(event)`` is true. Raises ``ConfigError`` if it is async, because a coroutine is always
    true."""
    answer = condition(event)
    if answer is True or not answer:
        return answer is True
    refuse_unfinished(answer, "where")
    return True


def _a(result: object) -> str:
    name = type(result).__name__
    return f"an {name}" if name[0].lower() in "aeiou" else f"a {name}"


def _layers(function: Any, *, decorated: bool = False) -> Iterator[Any]:
    """The callable and what calling it calls, outermost first; with ``decorated`` also what a decorator says that it
    wraps."""
    for _ in range(100):  # a chain that wraps itself must end too
        yield function
        if isinstance(function, functools.partial):
            function = function.func
        elif decorated and hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.ismethod(function):
            function = function.__func__
        elif not inspect.isroutine(function) and not isinstance(function, type):
            function = getattr(type(function), "__call__", None)  # noqa: B004 (which one, not whether)
        else:
            return
