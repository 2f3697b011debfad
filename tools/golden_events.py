"""Writes a golden file for each event type and version. It contains an event as a tape of that version stores it.

Later versions must read these files. ``python tools/golden_events.py`` writes missing files and never changes existing
ones. Run it after you add a type or a version.
"""

from __future__ import annotations

import enum
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from tickdeck.domain.events import DomainEvent, iter_event_classes

__all__ = ["FOLDER", "built_in_classes", "golden_path", "main", "sample"]

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"

# For fields whose checks accept fewer values than their type.
_VALUES: dict[str, Any] = {
    "action": "order",
    "kind": "portfolio",
    "last_update_id": 99,
    "liquidity": "maker",
    "low": Decimal("0.75"),
    "severity": "warning",
}


def built_in_classes() -> Iterator[type[DomainEvent]]:
    """The classes of the built-in types."""
    return (cls for cls in iter_event_classes() if cls.__module__.startswith("tickdeck."))


def golden_path(event_type: str, version: int) -> Path:
    return FOLDER / f"{event_type}.v{version}.json"


def sample(cls: type[DomainEvent]) -> DomainEvent:
    """An event whose fields differ from their defaults, as far as its checks allow."""
    return cls(**_fields(cls))


def _fields(cls: type[msgspec.Struct]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    return {name: _VALUES.get(name, _value(name, hints[name])) for name in cls.__struct_fields__}


def _value(name: str, hint: Any) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return _value(name, next(kind for kind in inner if kind is not NoneType))
    if origin is tuple:
        kinds = inner[:1] if inner[-1] is Ellipsis else inner
        return tuple(_value(name, kind) for kind in kinds)
    if origin is dict:
        return {_value(name, inner[0]): _value(name, inner[1])}
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return hint(**_fields(hint))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return list(hint)[-1]
    values: dict[Any, Any] = {str: f"{name} é", int: len(name), float: 0.1, Decimal: Decimal("1.50"), bool: True}
    return values[hint]


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for cls in built_in_classes():
        path = golden_path(cls.event_type, cls.version)
        if not path.exists():
            path.write_bytes(sample(cls).to_json() + b"\n")
            sys.stdout.write(f"{path.relative_to(FOLDER.parent.parent)}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
