"""Writes many objects of one class as a table: one column for each attribute.

A run keeps ten thousand ended orders, and each consists of several objects. To write them one by one takes half a
second, in which the run stands still. Columns are read, compared and written by built-in functions in a tenth of it.
All of them are read again for each snapshot, so none can be out of date.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from enum import Enum
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from tickdeck.application.bus import Subscription
from tickdeck.application.state.scope import Scope
from tickdeck.application.state.values import AS_IS, LARGEST, Where, in_order
from tickdeck.domain.events import DomainEvent, RawEvent, encode_payload
from tickdeck.domain.events.frozen import FrozenDict

if TYPE_CHECKING:
    from tickdeck.application.state.writing import Writer

__all__ = ["TableWriter"]

MANY = 64
"""So many objects are worth a table."""
_COLLECTIONS: dict[type, str] = {list: "list", dict: "dict", set: "set"}


class TableWriter:
    """Finds what can be a table among the objects that ``writer`` meets. The rows of all tables are numbered from 0.
    ``written`` are the tables, in order of their rows: the number of the first, how many there are, the kind, and what
    the kind needs."""

    def __init__(self, writer: Writer, scope: Scope) -> None:
        self._writer = writer
        self._scope = scope
        self._rows = 0
        self._names: dict[type, list[str] | None] = {}
        self.written: list[list[Any]] = []

    def add(self, values: Collection[Any], where: Where) -> bool:
        """Make a table of those ``values`` that are new, if they are alike. Returns whether they are many."""
        if len(values) < MANY:
            return False
        cls = type(next(iter(values)))
        if self._names_of(cls) is not None:
            new = self._writer.new_among(values)
            if len(new) >= MANY and set(map(type, new)) == {cls}:
                self._objects(new, cls, where, "[]")
        return True

    def _names_of(self, cls: type) -> list[str] | None:
        """The attributes of the objects of a class; ``None`` if they are not for a table."""
        if cls not in self._names:
            fixed = issubclass(cls, msgspec.Struct) and cls.__struct_config__.frozen
            own = next(base for base in cls.__mro__ if base.__module__ == "builtins") is object
            usable = own and not fixed and cls is not Subscription and self._scope.is_inside(cls)
            self._names[cls] = self._scope.names_of_slots(cls) if usable else None
        return self._names[cls]

    def _begin(self, values: list[Any], *table: Any) -> int:
        """Add a table, and return its first row."""
        first, count = self._rows, len(values)
        self._rows += count
        self._writer.count_rows(values, first)
        self.written.append([first, count, *table])
        return first

    def _objects(self, values: list[Any], cls: type, where: Where, step: str) -> int | None:
        names = self._names_of(cls)
        try:
            held = [list(map(attrgetter(name), values)) for name in names or ()]
        except AttributeError:  # one of them is not set
            return None
        columns: list[Any] = []
        for name, column in zip(names or (), held, strict=True):
            self._writer.later(columns, column, ((where, step), name))
        return self._begin(values, "objects", self._writer.shape(cls, names or [], (where, step)), columns)

    def column(self, values: list[Any], where: Where) -> list[Any]:
        """One value for each row of a table. ``where``: the way to all of them."""
        classes = set(map(type, values))
        written = self._plain(values, classes)
        if written is not None:
            return written
        if len(classes) == 1:
            if len(set(map(id, values))) == 1:
                return ["same", self._writer.write(values[0], *where)]
            new = self._writer.new_among(values)
            if len(new) == len(values) or len(new) >= MANY:
                first = self._rows_of(new, type(values[0]), where)
                if first is not None and len(new) == len(values):
                    return ["rows", first]
            numbers = self._writer.numbers_of(values)
            if None not in numbers:
                return ["objects", numbers]
        elif len(classes) == 2 and type(None) in classes:
            there = [value for value in values if value is not None]
            return ["some", [value is not None for value in values], self.column(there, where)]
        return ["values", [self._writer.write(value, *where) for value in values]]

    def _plain(self, values: list[Any], classes: set[type]) -> list[Any] | None:
        """A column of values that are no objects with an identity; ``None`` if they are."""
        if classes <= AS_IS:
            same = len(values) > 0 and values.count(values[0]) == len(values)
            return ["same", values[0]] if same else ["values", values]
        if classes <= {Decimal, type(None)}:
            texts = [None if value is None else str(value) for value in values]
            same = texts[0] is not None and texts.count(texts[0]) == len(texts)
            return ["same", ["d", texts[0]]] if same else ["decimals", texts]
        if len(classes) > 1:
            return None
        if int in classes:
            if values.count(values[0]) == len(values):
                return ["same", self._writer.write(values[0], (), "")]
            return ["values", values] if min(values) > -LARGEST and max(values) < LARGEST else None
        if isinstance(values[0], Enum):
            if len(set(map(id, values))) == 1:
                return ["same", self._writer.write(values[0], (), "")]
            names = list(map(attrgetter("_name_"), values))  # ``name`` takes ten times as long
            return ["enums", *self._scope.name_of(type(values[0])), names]
        return None

    def _rows_of(self, values: list[Any], cls: type, where: Where) -> int | None:
        """The first row of a table of objects that belong to the rows of another one; ``None`` if they are not for a
        table."""
        if cls in _COLLECTIONS:
            return self._collections(values, cls, where)
        if issubclass(cls, DomainEvent):
            return None if issubclass(cls, RawEvent) else self._events(values, cls)
        return self._objects(values, cls, *where) if self._names_of(cls) is not None else None

    def _collections(self, values: list[Any], cls: type, where: Where) -> int:
        columns: list[Any] = []
        self._writer.later(columns, list(map(len, values)), (where, "[]"))
        members = [in_order(each, where) for each in values] if cls is set else values
        if cls is dict:
            self._writer.later(columns, list(chain.from_iterable(values)), (where, " as a key"))
            members = [each.values() for each in values]
        self._writer.later(columns, list(chain.from_iterable(members)), (where, "[]"))
        return self._begin(values, _COLLECTIONS[cls], columns)

    def _events(self, values: list[Any], cls: type[DomainEvent]) -> int:
        columns: dict[str, list[Any]] = {}
        for name in cls.__struct_fields__:
            held = list(map(attrgetter(name), values))
            classes = set(map(type, held))
            if name == "metadata" and classes == {FrozenDict} and not any(held):
                continue  # that is the default
            column = self._plain(held, classes)
            if column is None:
                payloads = [encode_payload(event).decode() for event in values]
                return self._begin(values, "payloads", cls.event_type, cls.version, payloads)
            columns[name] = column
        return self._begin(values, "events", cls.event_type, cls.version, columns)
