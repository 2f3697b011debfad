"""Compares two graphs of objects attribute by attribute, to the last object that both can reach."""

from __future__ import annotations

import contextvars
import decimal
import random
import types
from collections.abc import Iterator
from enum import Enum
from functools import partial
from typing import Any

import msgspec

from tickdeck.application.bus import InMemoryEventBus, Subscription
from tickdeck.domain.events import DomainEvent

__all__ = ["differences"]

_SCALARS = (str, int, float, bool, type(None), decimal.Decimal, bytes, Enum, DomainEvent)
_NOT_COMPARED = (InMemoryEventBus, types.ModuleType, types.BuiltinFunctionType)


def differences(one: object, other: object, ignored: frozenset[str]) -> list[str]:
    """Where the two differ: the way to each difference. ``ignored``: names of attributes that are not compared."""
    found: list[str] = []
    waiting: list[tuple[str, Any, Any]] = [("", one, other)]
    pairs: dict[int, object] = {}
    kept: list[object] = []
    while waiting:
        place, a, b = waiting.pop()
        if isinstance(a, _NOT_COMPARED) and isinstance(b, _NOT_COMPARED):
            continue
        if not _are_of_one_class(a, b):
            found.append(f"{place}: {type(a).__qualname__} and {type(b).__qualname__}")
            continue
        if isinstance(a, _SCALARS):
            if repr(a) != repr(b):
                found.append(f"{place}: {a!r} and {b!r}")
            continue
        if isinstance(a, type):
            if a.__qualname__ != b.__qualname__:
                found.append(f"{place}: {a} and {b}")
            continue
        kept += [a, b]
        if id(a) in pairs:
            if pairs[id(a)] is not b and not isinstance(a, tuple | types.MethodType | frozenset):
                found.append(f"{place}: shared by others only in one of the two")
            continue
        pairs[id(a)] = b
        parts, others = list(_parts(a, ignored)), list(_parts(b, ignored))
        if [name for name, _ in parts] != [name for name, _ in others]:
            found.append(f"{place}: {[name for name, _ in parts][:40]} and {[name for name, _ in others][:40]}")
            continue
        waiting += [(f"{place}{name}", x, y) for (name, x), (_, y) in zip(parts, others, strict=True)]
    return found


def _are_of_one_class(a: object, b: object) -> bool:
    """A file of strategies is executed again for each run, so its classes are other objects."""
    return (type(a).__module__, type(a).__qualname__) == (type(b).__module__, type(b).__qualname__)


def _parts(value: Any, ignored: frozenset[str]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Subscription):
        yield ".order", (value.order, value.name, value.component, value.active)
    elif isinstance(value, contextvars.Context):
        yield ".decimals", repr(value.run(decimal.getcontext))
    elif isinstance(value, random.Random):
        yield ".getstate()", value.getstate()
    elif isinstance(value, types.MethodType):
        yield ".__self__", value.__self__
        yield ".__name__", value.__name__
    elif isinstance(value, partial):
        yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
    elif isinstance(value, types.FunctionType):
        yield ".__qualname__", value.__qualname__
        for cell in value.__closure__ or ():
            yield ".cell", cell.cell_contents
    else:
        if isinstance(value, dict):
            for place, (key, held) in enumerate(value.items()):
                yield f".key({place})", key
                yield f"[{key!r}]" if isinstance(key, str) else f"[{place}]", held
        elif isinstance(value, set | frozenset):
            yield ".members", sorted(map(repr, value))
        elif hasattr(value, "__iter__") and hasattr(value, "__len__"):
            for place, held in enumerate(value):
                yield f"[{place}]", held
        for name in _names(value):
            if name not in ignored and hasattr(value, name):
                yield f".{name}", getattr(value, name)


def _names(value: Any) -> list[str]:
    if isinstance(value, msgspec.Struct):
        return list(type(value).__struct_fields__)
    if type(value).__module__ in ("builtins", "collections"):
        return []
    names = sorted(getattr(value, "__dict__", {}))
    for cls in type(value).__mro__:
        slots = cls.__dict__.get("__slots__", ())
        names += [slots] if isinstance(slots, str) else list(slots)
    return [name for name in names if name not in ("__dict__", "__weakref__")]
