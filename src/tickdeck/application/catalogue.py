"""The catalogue of events: one line for every type that this process knows."""

from __future__ import annotations

import inspect

import msgspec

from tickdeck.domain.events import DomainEvent, iter_event_classes

__all__ = ["CatalogueEntry", "catalogue"]

_OURS = "tickdeck.domain.events."


class CatalogueEntry(msgspec.Struct, frozen=True, kw_only=True, rename={"event_type": "type", "event_class": "class"}):
    """``event_type``: the dotted type. ``event_class``: its class. ``group``: the first part of the type (for a user's
    type: its module). ``line``: the first paragraph of the class's docstring."""

    event_type: str
    event_class: str
    group: str
    line: str


def catalogue() -> tuple[CatalogueEntry, ...]:
    """All registered types, sorted by group and type, the built-in groups first."""
    entries = [(not cls.__module__.startswith(_OURS), _entry(cls)) for cls in iter_event_classes()]
    entries.sort(key=lambda pair: (pair[0], pair[1].group, pair[1].event_type))
    return tuple(entry for _, entry in entries)


def _entry(cls: type[DomainEvent]) -> CatalogueEntry:
    return CatalogueEntry(
        event_type=cls.event_type,
        event_class=cls.__name__,
        group=cls.__module__.removeprefix(_OURS),
        line=" ".join((inspect.cleandoc(cls.__dict__.get("__doc__") or "")).split("\n\n", 1)[0].split()),
    )
