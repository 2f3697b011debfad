"""Reading events of older versions. A tape keeps them as they were written; they are converted when they are read."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tickdeck.errors import EventSchemaError, EventValidationError

__all__ = ["keeps_stream", "upcast", "upcasted"]

Fields = dict[str, Any]
"""An event's fields, including the envelope, as JSON-ready values. Decimals are strings."""

_steps: dict[tuple[str, int], Callable[[Fields], Fields]] = {}
_keeping: set[tuple[str, int]] = set()  # the steps after which an event is in the same stream as before


def upcast(
    event_type: str, from_version: int, function: Callable[[Fields], Fields], *, keeps_stream: bool = False
) -> None:
    """Register a function that converts events of ``event_type`` from ``from_version`` to the next version::

        upcast("news.published", 1, lambda fields: {**fields, "language": "en"})

    An event that is older than its class is converted step by step, up to the version of the class. ``function`` must
    depend only on the fields, because ``verify`` reads the event again and must get the same result.

    ``keeps_stream``: no event is in another stream afterwards. A tape then need not read its old events to find those
    that are.

    Raises ``EventValidationError`` if another function is already registered for this step, or if an argument can never
    apply.
    """
    _check(event_type, from_version, function, keeps_stream)
    other = _steps.get((event_type, from_version))
    if other is not None and _code(other) != _code(function):  # a reloaded module registers the same code again
        raise EventValidationError(
            f"{event_type}: the upcast from version {from_version} is already registered by "
            f"{other.__module__}.{other.__qualname__}; remove one of them"
        )
    _steps[event_type, from_version] = function
    (_keeping.add if keeps_stream else _keeping.discard)((event_type, from_version))


def keeps_stream(event_type: str, version: int, wanted: int) -> bool:
    """Whether the upcasts from ``version`` to ``wanted`` are known to leave each event in its stream."""
    return all((event_type, step) in _keeping for step in range(version, wanted))


def _check(event_type: object, from_version: object, function: object, keeps_stream: object) -> None:
    if not isinstance(event_type, str):
        raise EventValidationError(
            f"upcast: {event_type!r} is not an event type; give its name, such as 'news.published'"
        )
    if type(from_version) is not int or from_version < 1:
        raise EventValidationError(
            f"upcast: {event_type}: from_version is {from_version!r}; it must be an int of at least 1"
        )
    if not callable(function) or inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise EventValidationError(
            f"upcast: {event_type}: {function!r} is not a plain function that returns the new fields"
        )
    if type(keeps_stream) is not bool:
        raise EventValidationError(f"upcast: {event_type}: keeps_stream is {keeps_stream!r}; give True or False")


def _code(function: Callable[[Fields], Fields]) -> object:
    return getattr(function, "__code__", function)


def upcasted(event_type: str, fields: Fields, version: int, wanted: int) -> Fields:
    """Convert the ``fields`` of an event from ``version`` to version ``wanted``.

    Raises ``EventSchemaError`` if an upcast is missing or fails.
    """
    if version > wanted:
        raise EventSchemaError(
            f"{event_type}: version {version} is newer than version {wanted}, which this process has; update its code"
        )
    fields = {name: value for name, value in fields.items() if name not in ("event_type", "version")}
    for step in range(version, wanted):
        function = _steps.get((event_type, step))
        if function is None:
            raise EventSchemaError(
                f"{event_type}: version {version} is older than version {wanted}, which this process has, and there is "
                f"no upcast from version {step}; register one"
            )
        try:
            fields = function(fields)
        except (Exception, SystemExit) as error:
            raise EventSchemaError(
                f"{event_type}: the upcast from version {step} failed: {type(error).__name__}: {error}"
            ) from error
        given: object = fields
        if not isinstance(given, dict):
            raise EventSchemaError(
                f"{event_type}: the upcast from version {step} returned {given!r}; it must return the fields"
            )
    return fields
