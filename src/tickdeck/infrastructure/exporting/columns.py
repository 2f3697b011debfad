"""Events of several types as one table: which columns it has, and what stands in a cell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, TypeAlias, get_args, get_type_hints

import msgspec

from tickdeck.domain.events import DomainEvent, RawEvent, event_class

__all__ = ["BOOLEAN", "FLOAT", "INTEGER", "TEXT", "Cell", "Columns", "cell"]

Cell: TypeAlias = int | float | bool | str | None

INTEGER, FLOAT, BOOLEAN, TEXT = "integer", "float", "boolean", "text"

_KINDS: dict[object, str] = {int: INTEGER, float: FLOAT, bool: BOOLEAN}
_HEAD: tuple[tuple[str, str], ...] = (
    ("seq", INTEGER),
    ("event_id", TEXT),
    ("event_type", TEXT),
    ("version", INTEGER),
    ("ts", INTEGER),
    ("ts_ingress", INTEGER),
    ("aggregate_id", TEXT),
    ("correlation_id", TEXT),
    ("causation_id", TEXT),
    ("source", TEXT),
    ("metadata", TEXT),
)


class Columns:
    """The columns of a table of events: what all events have, then the own fields of each type in its order. Fields of
    one name in several types share a column; it holds text where their kinds differ.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, str] = dict(_HEAD)
        """The columns in their order, by name: ``INTEGER``, ``FLOAT``, ``BOOLEAN`` or ``TEXT``."""
        self._seen: set[str] = set()

    def add(self, event: DomainEvent) -> None:
        """See to it that the event has its columns."""
        if isinstance(event, RawEvent):
            for name in event.payload:
                self._put(name, TEXT)  # of a type that this process does not know any value may be anything
        elif event.event_type not in self._seen:
            self._seen.add(event.event_type)
            cls = event_class(event.event_type) or type(event)
            hints = get_type_hints(cls)
            for name in cls.__struct_fields__:
                if name not in DomainEvent.__struct_fields__:
                    self._put(name, _kind(hints[name]))

    def _put(self, name: str, kind: str) -> None:
        if self.kinds.setdefault(name, kind) != kind:
            self.kinds[name] = TEXT

    def readers(self) -> list[Callable[[Mapping[str, Any]], Cell]]:
        """For each column, in order, what takes its cell from an event's ``to_dict()``."""
        return [_reader(name, kind) for name, kind in self.kinds.items()]


def rows(events: Iterable[DomainEvent], columns: Columns) -> Iterable[list[Cell]]:
    """The cells of each event, one a column; ``None`` where its type has no such field."""
    readers = columns.readers()
    for event in events:
        fields = event.to_dict()
        yield [read(fields) for read in readers]


def _reader(name: str, kind: str) -> Callable[[Mapping[str, Any]], Cell]:
    if kind == TEXT:
        return lambda fields: _text(cell(fields.get(name)))
    return lambda fields: fields.get(name)


def cell(value: Any) -> Cell:
    """A JSON-ready value as it stands in a cell: mappings and lists as JSON, empty ones of both as nothing."""
    if isinstance(value, dict | list | tuple):
        return msgspec.json.encode(value).decode() if value else None
    if isinstance(value, Decimal):
        return str(value)
    return value  # type: ignore[no-any-return]


def _text(value: Cell) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _kind(hint: Any) -> str:
    """``INTEGER`` for ``int`` and ``int | None``, and so on; ``TEXT`` for decimals, which must stay exact, and the
    rest.
    """
    kinds = {_KINDS.get(arm, TEXT) for arm in get_args(hint) or (hint,) if arm is not type(None)}
    return kinds.pop() if len(kinds) == 1 else TEXT
