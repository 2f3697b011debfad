"""Old versions of event types: what is on a tape stays as it was written, and is brought up to date on reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tickdeck.errors import EventDecodeError, EventSchemaError, EventValidationError

__all__ = ["upcast", "upcasted"]

Fields = dict[str, Any]
"""An event's fields, envelope and own ones, as JSON-ready values: money is in strings."""

_steps: dict[tuple[str, int], Callable[[Fields], Fields]] = {}


def upcast(event_type: str, from_version: int, function: Callable[[Fields], Fields]) -> None:
    """Register how an event of ``event_type`` goes from ``from_version`` to the next version::

        upcast("news.published", 1, lambda fields: {**fields, "language": "en"})

    Called once for each event that is older than its class, step by step up to the version of the class. ``function``
    must depend on the fields alone, since a proof reads the event again. Raises ``EventValidationError`` where another
    function is registered for the same step.
    """
    other = _steps.get((event_type, from_version))
    if other is not None and _code(other) != _code(function):  # equal where a module is loaded again
        raise EventValidationError(
            f"{event_type}: the step from version {from_version} is taken by {other.__module__}.{other.__qualname__}"
        )
    _steps[event_type, from_version] = function


def _code(function: Callable[[Fields], Fields]) -> object:
    return getattr(function, "__code__", function)


def upcasted(event_type: str, fields: Fields, version: int, wanted: int) -> Fields:
    """``fields`` of an event of ``version`` as those of version ``wanted``.

    Raises ``EventDecodeError`` where there is no way from one to the other.
    """
    if version > wanted:
        raise EventSchemaError(
            f"{event_type}: version {version} is newer than the {wanted} that this process knows; update its code"
        )
    fields = {name: value for name, value in fields.items() if name not in ("event_type", "version")}
    for step in range(version, wanted):
        function = _steps.get((event_type, step))
        if function is None:
            raise EventSchemaError(
                f"{event_type}: version {version} is older than the {wanted} that this process knows, and no upcast "
                f"leads on from {step}; register one"
            )
        try:
            fields = function(fields)
        except Exception as error:
            raise EventDecodeError(
                f"{event_type}: the upcast from version {step} failed: {type(error).__name__}: {error}"
            ) from error
        given: object = fields
        if not isinstance(given, dict):
            raise EventDecodeError(f"{event_type}: the upcast from version {step} gave {given!r}; return the fields")
    return fields
