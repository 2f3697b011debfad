"""Reads the objects that were written as tables."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from tickdeck.application.state.scope import Scope, StateError
from tickdeck.domain.events import decode_payload, event_class

if TYPE_CHECKING:
    from tickdeck.application.state.reading import Reader

__all__ = ["TableReader"]

_COLLECTIONS: dict[str, Callable[[], Any]] = {"list": list, "dict": dict, "set": set}


class TableReader:
    """Makes the objects of the ``tables`` of a state, each table when one of its rows is asked for."""

    def __init__(self, tables: list[list[Any]], reader: Reader, scope: Scope) -> None:
        self._tables = tables
        self._firsts = [first for first, *_ in tables]
        self._reader = reader
        self._scope = scope
        self._made: dict[int, list[Any]] = {}

    def row(self, number: int) -> Any:
        """The object in this row. It has its contents after the next ``fill`` of the reader."""
        place = bisect_right(self._firsts, number) - 1
        return self._rows(place)[number - self._firsts[place]]

    def _rows(self, place: int) -> list[Any]:
        made = self._made.get(place)
        if made is None:
            made = self._made[place] = self._make(self._tables[place])
        return made

    def _make(self, table: list[Any]) -> list[Any]:
        _, count, kind, *parts = table
        if kind in ("events", "payloads"):
            event_type, version, written = parts
            if kind == "payloads":
                return [decode_payload(event_type, payload, version) for payload in written]
            return self._events(event_type, version, written, count)
        if kind == "objects":
            cls, names = self._reader.class_and_names(parts[0])
            made = [self._reader.empty_object(cls) for _ in range(count)]
            self._reader.later(lambda: self._set_attributes(made, cls, names, parts[1]))
        elif kind in _COLLECTIONS:
            made = [_COLLECTIONS[kind]() for _ in range(count)]
            self._reader.later(lambda: self._fill(made, kind, parts[0]))
        else:
            raise StateError(f"there is no kind {kind!r} of tables")
        return made

    def _events(self, event_type: str, version: int, columns: dict[str, Any], count: int) -> list[Any]:
        cls = event_class(event_type)
        if cls is None or cls.version != version:
            raise StateError(f"there is no version {version} of {event_type}")
        held = [self._column(column, count) for column in columns.values()]
        return [cls(**dict(zip(columns, values, strict=True))) for values in zip(*held, strict=True)]

    def _set_attributes(self, rows: list[Any], cls: type, names: list[str], columns: list[Any]) -> None:
        put = setattr if issubclass(cls, msgspec.Struct) else object.__setattr__
        for name, column in zip(names, columns, strict=True):
            for row, value in zip(rows, self._column(column, len(rows)), strict=True):
                put(row, name, value)

    def _fill(self, rows: list[Any], kind: str, columns: list[Any]) -> None:
        lengths = self._column(columns[0], len(rows))
        total = sum(lengths)
        parts: list[Iterator[Any]] = [iter(self._column(column, total)) for column in columns[1:]]
        for row, length in zip(rows, lengths, strict=True):
            held = [islice(part, length) for part in parts]
            if kind == "list":
                row.extend(*held)
            elif kind == "set":
                row.update(*held)
            else:
                row.update(zip(*held, strict=True))

    def _column(self, column: list[Any], count: int) -> list[Any]:
        """The values of a column, one for each of ``count`` rows."""
        kind, *parts = column
        match kind:
            case "same":
                return [self._reader.read(parts[0])] * count
            case "values":
                return list(map(self._reader.read, parts[0]))
            case "decimals":
                return [None if text is None else Decimal(text) for text in parts[0]]
            case "enums":
                cls: Any = self._scope.class_named(parts[0], parts[1])
                return [getattr(cls, name) for name in parts[2]]
            case "rows":
                return self._rows(bisect_right(self._firsts, parts[0]) - 1)
            case "objects":
                return [self._reader.read(["o", number]) for number in parts[0]]
            case "some":
                there = iter(self._column(parts[1], sum(parts[0])))
                return [next(there) if is_there else None for is_there in parts[0]]
        raise StateError(f"there is no kind {kind!r} of columns")
