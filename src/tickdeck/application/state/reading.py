"""Puts a written state into the objects of a new process."""

from __future__ import annotations

import base64
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import msgspec

from tickdeck.application.bus import Subscription
from tickdeck.application.state.naming import Named
from tickdeck.application.state.scope import Scope, StateError
from tickdeck.application.state.table_reading import TableReader
from tickdeck.domain.events import decode_payload
from tickdeck.domain.events.frozen import FrozenDict, FrozenList, FrozenSet

__all__ = ["Reader"]

_FROZEN = ("tuple", "partial", "event", "frozen", "fields", "frozendict", "frozenlist", "frozenset",
           "frozenset of events", "bytes", "datetime", "date", "timedelta")  # fmt: skip
"""Kinds of objects whose contents must be there when they are made."""

_TABLE = object()


class Reader:
    """Reads the values of one ``state``, and puts it into the objects ``named``, which are as after the preparation of
    a run. An object that the state refers to twice is made once. ``subscription(order)``: the one with this number.

    Raises ``StateError`` if the state does not fit, and whatever damaged values raise; the objects are of no use then.
    """

    def __init__(
        self,
        state: Mapping[str, Any],
        named: Named,
        scope: Scope,
        subscription: Callable[[int], Subscription | None],
    ) -> None:
        self._objects: list[Any] = state["objects"]
        self._contents: dict[str, Any] = state["contents"]
        self._shapes = [((module, name), names) for module, name, *names in state["shapes"]]
        self._classes: dict[tuple[str, str], type] = {}
        self._enums: dict[tuple[str, str, str], Any] = {}
        self._named = named
        self._scope = scope
        self._subscription = subscription
        self._made: dict[int, Any] = {}
        self._to_fill: deque[tuple[Any, Any]] = deque()
        self._tables = TableReader(state["tables"], self, scope)
        self._kinds: dict[str, Callable[[Any], Any]] = {
            "o": lambda node: self._object(node[1]),
            "d": lambda node: Decimal(node[1]),
            "n": lambda node: self._object_named(node[1]),
            "enum": self._enum,
            "int": lambda node: int(node[1]),
            "float": lambda node: float(node[1]),
            "class": lambda node: scope.class_named(node[1], node[2]),
            "subscription": self._read_subscription,
            "method": lambda node: getattr(self.read(node[1]), node[2]),
        }

    def fill(self, roots: Collection[str] | None = None) -> None:
        """Put everything in its place. ``roots``: only what belongs to these; what they refer to elsewhere must be
        there, and stays as it is."""
        if roots is None:
            for cls, _ in self._shapes:
                self._class(cls)
        for name, content in self._contents.items():
            if roots is None or name.partition(".")[0].partition("[")[0] in roots:
                self._to_fill.append((self._object_named(name), content))
        while self._to_fill:
            value, node = self._to_fill.popleft()
            if value is _TABLE:
                node()
            else:
                self._fill(value, node)

    def later(self, fill: Callable[[], None]) -> None:
        """Call ``fill`` when it is its turn: it puts the contents into the rows of a table."""
        self._to_fill.append((_TABLE, fill))

    def read(self, value: Any) -> Any:
        """The value that was written as ``value``."""
        return self._kinds[value[0]](value) if type(value) is list else value

    def _pairs(self, written: list[Any]) -> Iterator[tuple[Any, Any]]:
        read = map(self.read, written)
        return zip(read, read, strict=True)

    def _enum(self, node: Any) -> Any:
        key = (node[1], node[2], node[3])
        if key not in self._enums:
            self._enums[key] = getattr(self._scope.class_named(node[1], node[2]), node[3])
        return self._enums[key]

    def _object_named(self, name: str) -> Any:
        if name not in self._named.objects:
            raise StateError(f"this run has no {name}")
        return self._named.objects[name]

    def _read_subscription(self, node: Any) -> Subscription:
        found = self._subscription(node[1])
        if found is None:
            raise StateError(f"this run has no subscription {node[1]}")
        return found

    def _object(self, number: int) -> Any:
        if number in self._made:
            return self._made[number]
        if number < 0:
            return self._tables.row(-number - 1)
        node = self._objects[number]
        made: Any
        if node[0] in _FROZEN:
            made = self._frozen(node)
        else:
            made = self._empty(node)
            self._to_fill.append((made, node))
        self._made[number] = made
        return made

    def _empty(self, node: Any) -> Any:
        match node[0]:
            case "list":
                return []
            case "dict":
                return {}
            case "set":
                return set()
            case "deque":
                return deque(maxlen=node[1])
            case "ordered":
                return OrderedDict()
            case "counter":
                return Counter()
            case "defaultdict":
                return defaultdict(self.read(node[1]))
            case "bytearray":
                return bytearray()
            case "random":
                return random.Random(0)
            case "i" | "derived":
                return self.empty_object(self.class_and_names(node[1])[0])
        raise StateError(f"there is no kind {node[0]!r} of objects")

    def empty_object(self, cls: Any) -> Any:
        """A new object of ``cls``, whose attributes are set later."""
        if issubclass(cls, msgspec.Struct):  # an empty one does not exist
            return cls(**dict.fromkeys(cls.__struct_fields__))
        return cls.__new__(cls)

    def _frozen(self, node: Any) -> Any:
        read = self.read
        match node[0]:
            case "tuple":
                return tuple(map(read, node[1]))
            case "fields":
                return self._scope.class_named(node[1], node[2])(*map(read, node[3]))
            case "frozen":
                cls, names = self.class_and_names(node[1])
                return cls(**dict(zip(names, map(read, node[2]), strict=True)))
            case "event":
                return decode_payload(node[1], node[3], node[2])
            case "partial":
                return partial(read(node[1]), *map(read, node[2]), **{name: read(held) for name, held in node[3]})
            case "frozendict":
                return FrozenDict(self._pairs(node[1]))
            case "frozenlist":
                return FrozenList(map(read, node[1]))
            case "frozenset":
                return frozenset(map(read, node[1]))
            case "frozenset of events":
                return FrozenSet(map(read, node[1]))
            case "bytes":
                return base64.b64decode(node[1])
            case "datetime":
                return datetime.fromisoformat(node[1]).replace(fold=node[2])
            case "date":
                return date.fromisoformat(node[1])
        return timedelta(node[1], node[2], node[3])

    def class_and_names(self, shape: int) -> tuple[Any, list[str]]:
        """The class of new objects with this number of a shape, and the names of their attributes."""
        key, names = self._shapes[shape]
        cls = self._class(key)
        if cls is None:
            raise StateError("a new object has no class")
        return cls, names

    def _class(self, key: tuple[str, str]) -> type | None:
        """The class with this module and name; ``None`` for that of a named object."""
        if key[1] and key not in self._classes:
            self._classes[key] = self._scope.class_named(*key)
        return self._classes.get(key)

    def _fill(self, value: Any, node: Any) -> None:
        kind = node[0]
        if kind == "i":
            self._set_attributes(value, node)
        elif kind == "derived":
            self._set_attributes(value, node)
            self._fill(value, node[3])
        elif kind == "variables":
            for name, held in node[1]:
                value.set(name, self.read(held))
        elif kind == "cells":
            cells = [cell for cell in value.__closure__ or () if cell != types.CellType()]
            for cell, held in zip(cells, node[1], strict=True):
                cell.cell_contents = self.read(held)
        elif kind == "random":
            version, numbers, gauss = node[1]
            value.setstate((version, tuple(numbers), gauss))
        elif kind == "bytearray":
            value[:] = base64.b64decode(node[1])
        elif kind in ("list", "deque"):
            held = list(map(self.read, node[-1]))
            base = list if kind == "list" else deque
            base.clear(value)
            base.extend(value, held)
        elif kind == "set":
            held = list(map(self.read, node[1]))
            set.clear(value)
            set.update(value, held)
        elif kind in ("dict", "ordered", "counter", "defaultdict"):
            pairs = list(self._pairs(node[-1]))
            own = OrderedDict if kind == "ordered" else dict
            own.clear(value)
            for key, held in pairs:
                own.__setitem__(value, key, held)
        elif kind not in _FROZEN:  # what was there when the run was prepared, and cannot change
            raise StateError(f"there is no kind {kind!r} of contents")

    def _set_attributes(self, value: Any, node: Any) -> None:
        _, names = self._shapes[node[1]]
        put = setattr if isinstance(value, msgspec.Struct) else object.__setattr__
        for name, _ in self._scope.attributes(value):
            if name not in names:
                delattr(value, name)
        for name, held in zip(names, node[2], strict=True):
            put(value, name, self._kinds[held[0]](held) if type(held) is list else held)
