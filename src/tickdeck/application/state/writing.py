"""Writes the state of a run's objects as JSON values.

A text, a number, a boolean or ``None`` is written as it is; anything else as a list that begins with its kind. There
may be many objects, so the common kinds have short names, and many objects of one class become a table.
"""

from __future__ import annotations

import base64
import random
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import Any

import msgspec

from tickdeck.application.bus import Subscription
from tickdeck.application.state.naming import Named
from tickdeck.application.state.scope import Namespace, Scope, StateError, is_plain_method
from tickdeck.application.state.table_writing import TableWriter
from tickdeck.application.state.values import AS_IS, LARGEST, Where, in_order, in_words
from tickdeck.domain.events import DomainEvent, RawEvent, encode_payload
from tickdeck.domain.events.frozen import FrozenDict, FrozenList, FrozenSet

__all__ = ["Writer"]

_DERIVABLE = (dict, list, set)
"""Built-in classes from which a class of the run may be derived."""


class Writer:
    """Writes values, and everything that they refer to. An object that is referred to twice is written once."""

    def __init__(self, named: Named, scope: Scope) -> None:
        self._named = named
        self._scope = scope
        self._numbers: dict[int, int] = {}  # of new objects, by id()
        self._enums: dict[tuple[type, str], list[Any]] = {}  # members of two classes may be equal
        self._shapes: dict[tuple[Any, ...], int] = {}  # class and names of attributes -> number
        self._written: set[str] = set()
        self._objects: list[Any] = []
        self._contents: dict[str, Any] = {}
        self._held: list[object] = []  # so that no id() is used again
        self._waiting: deque[tuple[str | int | list[Any], Any, Where]] = deque()
        self._tables = TableWriter(self, scope)
        # There are a hundred thousand objects of a few classes, so what depends on the class is found once.
        self._stored: set[type] = set()  # classes whose objects are not written in place
        self._new: set[type] = set()  # those of which a new process makes objects
        self._kinds: dict[type, tuple[str, type | None]] = {}  # kind and built-in base of what is written by attributes

    def state(self) -> dict[str, Any]:
        """Everything that was written so far: the new objects in order, those in tables, the contents of the named
        ones, and the shapes of objects: their class and the names of their attributes."""
        while self._waiting:
            place, value, where = self._waiting.popleft()
            if isinstance(place, list):
                place.append(self._tables.column(value, where))
                continue
            content = self._content(value, where)
            if isinstance(place, int):
                self._objects[place] = content
            elif content is not None:
                self._contents[place] = content
        shapes = [
            [*(self._scope.name_of(cls) if cls is not None else ("", "")), *names] for cls, *names in self._shapes
        ]
        return {
            "objects": self._objects,
            "tables": self._tables.written,
            "contents": self._contents,
            "shapes": shapes,
        }

    def write(self, value: Any, before: Where, step: str) -> Any:
        """``value``, or a reference to it. ``before`` and ``step`` are its ``Where``."""
        cls = type(value)
        if value is None or cls is str or cls is bool:
            return value
        if cls is int:
            return value if -LARGEST < value < LARGEST else ["int", str(value)]
        if cls is Decimal:
            return ["d", str(value)]
        if cls is float:
            return value if value - value == 0 else ["float", repr(value)]
        number = self._numbers.get(id(value))
        if number is not None:
            return ["o", number]
        if cls not in self._stored:
            in_place = self._in_place(value, cls, before, step)
            if in_place is not None:
                return in_place
            if cls is not types.BuiltinFunctionType:  # methods and functions have this class
                self._stored.add(cls)
        name = self._named.names.get(id(value))
        if name is not None and cls is not tuple and cls is not partial:
            if name not in self._written:
                self._written.add(name)
                self._waiting.append((name, value, (before, step)))
            return ["n", name]
        number = self._numbers[id(value)] = len(self._objects)
        self._objects.append(None)
        self._held.append(value)
        if cls not in self._new:
            if not self._can_be_new(value, cls):
                raise _not_storable(value, (before, step))
            self._new.add(cls)
        self._waiting.append((number, value, (before, step)))
        return ["o", number]

    def _in_place(self, value: Any, cls: type, before: Where, step: str) -> list[Any] | None:
        """What names a value that has no state of its own; ``None`` if it has."""
        if isinstance(value, Enum):
            key = (cls, value.name)
            return self._enums.get(key) or self._enums.setdefault(
                key, ["enum", *self._class(cls, (before, step)), value.name]
            )
        if isinstance(value, type):
            return ["class", *self._class(value, (before, step))]
        if cls is Subscription:
            return ["subscription", value.order]
        if is_plain_method(value):
            self._held.append(value)
            return ["method", self.write(value.__self__, (before, step), ""), value.__name__]
        return None

    def _can_be_new(self, value: object, cls: type) -> bool:
        if cls in _PLAIN or isinstance(value, DomainEvent | partial):
            return True
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return self._scope.is_inside(cls)
        built_in = next(base for base in cls.__mro__ if base.__module__ == "builtins")
        return built_in in (object, *_DERIVABLE) and self._scope.is_inside(cls)

    def _class(self, cls: type, where: Where) -> tuple[str, str]:
        """The name of ``cls``, by which it is found again."""
        try:
            return self._scope.name_of(cls)
        except StateError:
            raise StateError(
                f"{in_words(where)} has the class {cls.__qualname__}, which cannot be found by its name in a file of "
                "this run's strategies and signals"
            ) from None

    def _shape(self, value: object, names: list[str], where: Where) -> int:
        # The class of a named object is that of the object that the new process has.
        return self.shape(None if id(value) in self._named.names else type(value), names, where)

    def shape(self, cls: type | None, names: list[str], where: Where) -> int:
        """The number of the shape of objects of ``cls`` with the attributes ``names``."""
        key = (cls, *names)
        number = self._shapes.get(key)
        if number is None:
            if cls is not None:
                self._class(cls, where)
            number = self._shapes[key] = len(self._shapes)
        return number

    def _content(self, value: Any, where: Where) -> Any:
        cls = type(value)
        make = _PLAIN.get(cls)
        if make is not None:
            return make(self, value, where)
        if cls not in self._kinds:
            content = self._special(value, cls, where)
            if cls not in self._kinds:
                return content
        kind, base = self._kinds[cls]
        names, values = self._attributes(value, where)
        shape = self._shape(value, names, where)
        if base is not None:
            return [kind, shape, values, _PLAIN[base](self, value, where)]
        return [kind, shape, values]

    def _special(self, value: Any, cls: type, where: Where) -> list[Any] | None:
        """The content of what is not written by its attributes; ``None`` if it has none. Of other classes, it finds the
        kind instead."""
        if isinstance(value, DomainEvent):
            if isinstance(value, RawEvent):
                raise StateError(f"{in_words(where)} is an event of an unknown type")
            return ["event", value.event_type, value.version, encode_payload(value).decode()]
        if isinstance(value, partial):
            keywords = [[name, self.write(held, where, name)] for name, held in value.keywords.items()]
            return ["partial", self.write(value.func, where, ".func"), self.each(value.args, where), keywords]
        if isinstance(value, types.FunctionType):
            cells = [cell for cell in value.__closure__ or () if cell != types.CellType()]
            held = [self.write(cell.cell_contents, where, " in a closure") for cell in cells]
            return ["cells", held] if cells else None
        if isinstance(value, Namespace):
            return ["variables", [[name, self.write(held, where, f".{name}")] for name, held in value.items()]]
        if self._scope.is_fixed(value):
            return None
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return ["fields", *self._class(cls, where), self.each(value, where)]
        is_struct = isinstance(value, msgspec.Struct)
        if not (is_struct or self._scope.is_inside(cls)):
            raise _not_storable(value, where)
        base = next((base for base in _DERIVABLE if isinstance(value, base)), None)
        kind = "frozen" if is_struct and value.__struct_config__.frozen else "i"
        self._kinds[cls] = ("derived", base) if base is not None else (kind, None)
        return None

    def _attributes(self, value: Any, where: Where) -> tuple[list[str], list[Any]]:
        names, values = [], []
        for name, held in self._scope.attributes(value):
            names.append(name)
            kind = type(held)
            if held is None or kind is str or kind is bool:
                values.append(held)
            elif kind is Decimal:
                values.append(["d", str(held)])
            else:
                values.append(self.write(held, where, name))
        return names, values

    def each(self, values: Sequence[Any], where: Where) -> list[Any]:
        """The members of a collection."""
        if self._tables.add(values, where) and (written := self._known(values)) is not None:
            return written
        return [self.write(held, where, "[]") for held in values]

    def pairs(self, values: dict[Any, Any], where: Where) -> list[Any]:
        """The keys and values of a dict, in turn."""
        if self._tables.add(values.values(), where):
            keys, members = self._known(values), self._known(values.values())
            if keys is not None and members is not None:
                return [part for pair in zip(keys, members, strict=True) for part in pair]
        written: list[Any] = []
        for key, held in values.items():
            step = f"[{key!r}]" if type(key) is str else "[]"
            written.append(self.write(key, where, " as a key"))
            written.append(self.write(held, where, step))
        return written

    # -- for tables ------------------------------------------------------------------------------------------------

    def _known(self, values: Collection[Any]) -> list[Any] | None:
        """Many values as ``write`` writes them, if each is plain or each is an object with a number."""
        if set(map(type, values)) <= AS_IS:
            return list(values)
        numbers = self.numbers_of(values)
        return None if None in numbers else [["o", number] for number in numbers]

    def numbers_of(self, values: Collection[Any]) -> list[int | None]:
        """The numbers of objects; ``None`` for one that has none."""
        return list(map(self._numbers.get, map(id, values)))

    def new_among(self, values: Collection[Any]) -> list[Any]:
        """The objects that have neither a number nor a name, each once."""
        numbers, names = self._numbers, self._named.names
        ids = set(map(id, values))
        if len(ids) == len(values) and numbers.keys().isdisjoint(ids) and names.keys().isdisjoint(ids):
            return list(values)
        by_id = dict(zip(map(id, values), values, strict=True))
        return [value for key, value in by_id.items() if key not in numbers and key not in names]

    def count_rows(self, values: list[Any], first: int) -> None:
        """Number new objects as the rows of tables from ``first`` on: row n is object -n - 1."""
        self._numbers.update(zip(map(id, values), range(-first - 1, -first - len(values) - 1, -1), strict=True))
        self._held.extend(values)

    def later(self, columns: list[Any], values: list[Any], where: Where) -> None:
        """Add a column with these ``values`` to ``columns``, when it is its turn."""
        self._waiting.append((columns, values, where))


_PLAIN: dict[type, Callable[[Writer, Any, Where], list[Any]]] = {
    dict: lambda writer, value, where: ["dict", writer.pairs(value, where)],
    OrderedDict: lambda writer, value, where: ["ordered", writer.pairs(value, where)],
    Counter: lambda writer, value, where: ["counter", writer.pairs(value, where)],
    defaultdict: lambda writer, value, where: [
        "defaultdict", writer.write(value.default_factory, where, ".default_factory"), writer.pairs(value, where),
    ],
    FrozenDict: lambda writer, value, where: ["frozendict", writer.pairs(value, where)],
    list: lambda writer, value, where: ["list", writer.each(value, where)],
    tuple: lambda writer, value, where: ["tuple", writer.each(value, where)],
    FrozenList: lambda writer, value, where: ["frozenlist", writer.each(value, where)],
    deque: lambda writer, value, where: ["deque", value.maxlen, writer.each(value, where)],
    set: lambda writer, value, where: ["set", writer.each(in_order(value, where), where)],
    frozenset: lambda writer, value, where: ["frozenset", writer.each(in_order(value, where), where)],
    FrozenSet: lambda writer, value, where: ["frozenset of events", writer.each(in_order(value, where), where)],
    bytes: lambda writer, value, where: ["bytes", base64.b64encode(value).decode()],
    bytearray: lambda writer, value, where: ["bytearray", base64.b64encode(value).decode()],
    random.Random: lambda writer, value, where: ["random", _random(value)],
    datetime: lambda writer, value, where: ["datetime", _in_utc(value, where).isoformat(), value.fold],
    date: lambda writer, value, where: ["date", value.isoformat()],
    timedelta: lambda writer, value, where: ["timedelta", value.days, value.seconds, value.microseconds],
}  # fmt: skip
"""How objects of built-in classes and the like are written."""


def _random(value: random.Random) -> list[Any]:
    version, numbers, gauss = value.getstate()
    return [version, list(numbers), gauss]


def _in_utc(value: datetime, where: Where) -> datetime:
    if value.tzinfo is not None and value.utcoffset() != timedelta(0):
        raise StateError(f"{in_words(where)} is a time in another zone than UTC, which a snapshot cannot hold")
    return value


def _not_storable(value: object, where: Where) -> StateError:
    cls = type(value)
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    article = "an" if name[0] in "aeiou" else "a"
    return StateError(f"{in_words(where)} is {article} {name}, which a snapshot cannot hold")
