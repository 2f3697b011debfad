"""Checks of the arguments of public calls. Each raises a ``ConfigError`` that names the call, the argument and the
value.

A wrong argument is refused in the call that gives it. Otherwise it would be ignored, or fail later in another place.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from tickdeck.domain.events import DomainEvent, iter_event_classes
from tickdeck.errors import ConfigError

__all__ = [
    "check_events",
    "check_flag",
    "check_function",
    "check_methods",
    "check_stream",
    "check_time",
    "check_whole",
    "level_outside",
    "type_names",
]


def check_whole(call: str, name: str, value: object, *, least: int | None = None, optional: bool = False) -> None:
    """A whole number, not a bool. ``least``: the lowest allowed value."""
    if value is None and optional:
        return
    if type(value) is not int or (least is not None and value < least):
        wanted = "a whole number" if least is None else f"a whole number of at least {least}"
        raise ConfigError(f"{call}: {name} is {value!r}; give {wanted}")


def check_time(call: str, name: str, value: object, *, optional: bool = False) -> None:
    """A time in ns since 1970, UTC."""
    if (value is not None or not optional) and type(value) is not int:
        raise ConfigError(f"{call}: {name} is {value!r}; give nanoseconds since 1970, UTC, as an int")


def check_flag(call: str, name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{call}: {name} is {value!r}; give True or False")


def check_function(call: str, name: str, value: object, *, optional: bool = True) -> None:
    """A function, or ``None`` if it is ``optional``."""
    if callable(value) or (value is None and optional):
        return
    raise ConfigError(f"{call}: {name} is {value!r}; give a function{', or leave it out' if optional else ''}")


def check_methods(call: str, name: str, value: object, *methods: str) -> None:
    """An object with these methods."""
    for method in methods:
        if not callable(getattr(value, method, None)):
            raise ConfigError(f"{call}: {name} is {value!r}, which has no method {method}()")


def check_events(call: str, events: Any) -> list[DomainEvent]:
    """Several events, as a list."""
    if not isinstance(events, Iterable):
        raise ConfigError(f"{call}: {events!r} is not a list of events; give {call}([event])")
    found = list(events)
    for event in found:
        if not isinstance(event, DomainEvent):
            raise ConfigError(f"{call}: {event!r} is not an event; give objects of subclasses of DomainEvent")
    return found


def check_stream(call: str, stream: object) -> None:
    if not isinstance(stream, str) or not stream:
        raise ConfigError(f"{call}: the stream is {stream!r}; give its key, as event.stream returns it")


def type_names(call: str, given: Any) -> tuple[str, ...]:
    """The dotted types that a type, a wildcard or an event class stands for."""
    if isinstance(given, str) and given:
        return (given,)
    if not (isinstance(given, type) and issubclass(given, DomainEvent)):
        raise ConfigError(f"{call}: types has {given!r}; give dotted types such as 'order.*', or event classes")
    if given is DomainEvent:
        return ("*",)
    own = (given.event_type,) if given.event_type else ()  # perhaps of a class that was defined again since
    others = tuple(cls.event_type for cls in iter_event_classes() if issubclass(cls, given))
    names = tuple(dict.fromkeys(own + others))
    if not names:
        raise ConfigError(
            f"{call}: types has {given.__name__}, a class that has no event_type and no subclass with one"
        )
    return names


def level_outside() -> int:
    """The ``stacklevel`` of the first frame outside Tickdeck, so that a warning shows the user's line."""
    frame, level = inspect.currentframe(), 0
    while frame is not None and str(frame.f_globals.get("__name__", "")).startswith("tickdeck."):
        frame, level = frame.f_back, level + 1
    return level
