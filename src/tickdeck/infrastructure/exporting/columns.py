"""Events of several types as one table: its columns and its cells."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from typing import Any, TypeAlias, get_args, get_type_hints

import msgspec

from tickdeck.application.bus import type_name
from tickdeck.application.units import iso_time
from tickdeck.domain.events import DomainEvent, RawEvent

__all__ = ["BOOLEAN", "FLOAT", "INTEGER", "TEXT", "Cell", "Columns"]

Cell: TypeAlias = int | float | bool | str | None

_TIMES = ("ts", "ts_ingress", "open_ts", "close_ts", "first_ts", "last_ts", "since", "due")
"""Fields that are times (ns UTC), in any type."""

INTEGER, FLOAT, BOOLEAN, TEXT = "integer", "float", "boolean", "text"

_KINDS: dict[object, str] = {int: INTEGER, float: FLOAT, bool: BOOLEAN}
_HEAD: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "seq": (INTEGER, lambda event: event.seq),
    "event_id": (TEXT, lambda event: event.event_id),
    "event_type": (TEXT, type_name),
    "version": (INTEGER, lambda event: event.raw_version if isinstance(event, RawEvent) else event.version),
    "ts": (INTEGER, lambda event: event.ts),
    "ts_ingress": (INTEGER, lambda event: event.ts_ingress),
    "aggregate_id": (TEXT, lambda event: event.aggregate_id),
    "correlation_id": (TEXT, lambda event: event.correlation_id),
    "causation_id": (TEXT, lambda event: event.causation_id),
    "source": (TEXT, lambda event: event.source),
    "metadata": (TEXT, lambda event: event.metadata or None),
}
"""The envelope fields of every event: each column's kind, and where to find its value."""


class Columns:
    """The columns of a table of events: the envelope's, then the fields of each added type.

    Fields with the same name share a column; if their kinds differ, it holds text. With ``iso_times``, times are ISO
    8601 text instead of integers of ns.
    """

    def __init__(self, *, iso_times: bool = False) -> None:
        self._iso = iso_times
        self.kinds = {name: kind for name, (kind, _) in _HEAD.items()}
        """The columns in order, by name: ``INTEGER``, ``FLOAT``, ``BOOLEAN`` or ``TEXT``."""
        self._own: dict[type[DomainEvent], tuple[str, ...]] = {}

    def add(self, event: DomainEvent) -> None:
        """Add the columns of the event's type."""
        cls = type(event)
        if isinstance(event, RawEvent):
            for name in event.payload:
                self._put(name, TEXT)  # in a type that this process does not know, a value may be anything
        elif cls not in self._own:
            hints = get_type_hints(cls)
            self._own[cls] = tuple(name for name in cls.__struct_fields__ if name not in DomainEvent.__struct_fields__)
            for name in self._own[cls]:
                self._put(name, _kind(hints[name]))

    def _put(self, name: str, kind: str) -> None:
        if self.kinds.setdefault(name, kind) != kind:
            self.kinds[name] = TEXT

    def row(self, event: DomainEvent) -> list[Cell]:
        """The cells of an added event, in column order; ``None`` for fields that its type does not have.

        Strings are copied. Decimals are written without an exponent. Other values in a text column are JSON.
        """
        values: dict[str, Any] = {name: read(event) for name, (_, read) in _HEAD.items()}
        if isinstance(event, RawEvent):
            values = event.payload | values
        else:
            for name in self._own[type(event)]:
                values[name] = getattr(event, name)
        if self._iso:
            for name in _TIMES:
                if type(values.get(name)) is int:
                    values[name] = iso_time(values[name])
        return [
            value if (value := values.get(name)) is None or kind != TEXT else _text(value)
            for name, kind in self.kinds.items()
        ]


def _text(value: Any) -> str:
    if isinstance(value, str):
        return str(value.value) if isinstance(value, Enum) else value
    if isinstance(value, Decimal):
        return f"{value:f}"
    plain = msgspec.to_builtins(value)  # of an enum its value, of a datetime its ISO 8601 text
    return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()


def _kind(hint: Any) -> str:
    """``INTEGER`` for ``int`` and ``int | None``, and so on. Everything else is ``TEXT``, including decimals, which
    stay exact."""
    kinds = {_KINDS.get(arm, TEXT) for arm in get_args(hint) or (hint,) if arm is not type(None)}
    return kinds.pop() if len(kinds) == 1 else TEXT
