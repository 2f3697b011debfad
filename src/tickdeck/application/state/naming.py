"""Names the objects that a run has when it is prepared, by the way that leads to them."""

from __future__ import annotations

import random
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any, NamedTuple

import msgspec

from tickdeck.application.bus import Subscription
from tickdeck.application.state.scope import Namespace, Scope, is_plain_method
from tickdeck.domain.events import DomainEvent

__all__ = ["Named", "name_objects"]

_VALUES = (str, int, float, Decimal, bytes, Enum, type(None), type, types.ModuleType, DomainEvent)


class Named(NamedTuple):
    """The objects of a prepared run: ``names`` by ``id()``, and ``objects`` by name, which holds them."""

    names: dict[int, str]
    objects: dict[str, Any]


def name_objects(roots: Iterable[Mapping[str, object]], scope: Scope) -> Named:
    """Name everything that can be reached from ``roots``: from the first group of them, then what only the next one
    reaches. The shortest way within a group counts. A run that the same code prepares from the same configuration has
    equal objects under equal names."""
    named = Named({}, {})
    for group in roots:
        waiting: deque[tuple[str, object]] = deque(group.items())
        while waiting:
            name, value = waiting.popleft()
            if id(value) in named.names or isinstance(value, _VALUES):
                continue
            # Names of tuples and methods are not used, but each is visited once.
            named.names[id(value)], named.objects[name] = name, value
            waiting.extend((f"{name}{label}", held) for label, held in _held_by(value, scope))
    return named


def _held_by(value: Any, scope: Scope) -> Iterator[tuple[str, Any]]:
    if scope.is_outside(value) or isinstance(value, Subscription | random.Random):
        return
    if isinstance(value, dict):
        for place, (key, held) in enumerate(value.items()):
            if not isinstance(key, _VALUES):
                yield f"[key {place}]", key
            yield f"[{place}]", held
    elif isinstance(value, list | tuple | deque):
        for place, held in enumerate(value):
            yield f"[{place}]", held
    elif isinstance(value, partial):
        yield ".func", value.func
        for place, held in enumerate(value.args):
            yield f".args[{place}]", held
        for name, held in value.keywords.items():
            yield f".keywords.{name}", held
    elif is_plain_method(value):
        yield ".__self__", value.__self__
    elif isinstance(value, types.FunctionType):
        for place, cell in enumerate(value.__closure__ or ()):
            if cell != types.CellType():
                yield f".cell[{place}]", cell.cell_contents
    elif isinstance(value, Namespace):
        for name, held in value.items():
            yield f".{name}", held
    if isinstance(value, msgspec.Struct) or scope.is_inside(type(value)):
        for name, held in scope.attributes(value):
            yield f".{name}", held
