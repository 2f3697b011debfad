"""Checks the types of the fields of a message."""

from __future__ import annotations

import types
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec

from tickdeck.application.redaction import REDACTED, is_secret
from tickdeck.errors import ConfigError, format_value

__all__ = ["check_fields"]


def check_fields(message: msgspec.Struct) -> None:
    """Raise ``ConfigError`` for all fields whose value is not of the type that the class says. Of a collection, its own
    class counts; what is no class, such as a protocol, is not checked."""
    mistakes = []
    for name, classes in _classes_by_field(type(message)).items():
        value = getattr(message, name)
        if isinstance(value, classes) and not (isinstance(value, bool) and bool not in classes):
            continue
        shown = REDACTED if is_secret(name) else format_value(value)
        wanted = " or ".join("None" if cls is types.NoneType else cls.__name__ for cls in classes)
        mistakes.append(f"{type(message).__name__}: {name} is {shown}; give {wanted}")
    if mistakes:
        raise ConfigError.of(mistakes)


@cache
def _classes_by_field(cls: type[msgspec.Struct]) -> dict[str, tuple[type, ...]]:
    """The classes that each field may have, without fields that may have any."""
    try:
        hints = get_type_hints(cls)
    except NameError:  # a class within a function may name others that only exist there
        return {}
    found = {name: _classes(hints[name]) for name in cls.__struct_fields__ if name in hints}
    return {name: classes for name, classes in found.items() if classes}


def _classes(hint: Any) -> tuple[type, ...]:
    """The classes of a type; none if anything may be of it."""
    if get_origin(hint) in (Union, types.UnionType):
        parts = [_classes(part) for part in get_args(hint)]
        return tuple(cls for part in parts for cls in part) if all(parts) else ()
    plain = get_origin(hint) or hint
    if plain is None:
        plain = types.NoneType
    anything = plain is Any or plain is object or is_typeddict(plain) or getattr(plain, "_is_protocol", False)
    if anything or not isinstance(plain, type):
        return ()
    return (float, int) if plain is float else (plain,)
