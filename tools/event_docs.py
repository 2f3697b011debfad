"""Generates the tables of fields in docs/events.md from the event classes.

    python tools/event_docs.py            print them
    python tools/event_docs.py --write    write them to the page

Exit codes: 0 for success, 2 for wrong arguments.
"""

from __future__ import annotations

import inspect
import sys
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from tickdeck.application.catalogue import catalogue
from tickdeck.domain.events import DomainEvent, event_class

__all__ = ["PAGE", "in_page", "tables"]

PAGE = Path(__file__).resolve().parent.parent / "docs" / "events.md"
_MARK = "<!-- fields: made by tools/event_docs.py, from here to the end -->\n"
_NAMES = {str: "text", int: "integer", float: "number", bool: "boolean", Decimal: "decimal, as text", Any: "anything"}


def tables() -> str:
    """A section for each built-in type: the meaning of its fields, and a row per field, without the envelope."""
    parts = []
    for entry in catalogue():
        cls = event_class(entry.event_type)
        if cls is not None and cls.__module__.startswith("tickdeck.domain."):
            parts.append(_section(entry.event_type, cls))
    return "\n".join(parts)


def _section(title: str, cls: type[msgspec.Struct]) -> str:
    paragraphs = [" ".join(part.split()) for part in inspect.cleandoc(cls.__doc__ or "").split("\n\n")[1:]]
    bases = [inspect.cleandoc(base.__doc__ or "") for base in cls.__mro__[1:] if base.__module__ == cls.__module__]
    paragraphs += [
        " ".join(part.split()) for text in bases for part in text.split("\n\n") if not part.startswith("Base of")
    ]
    lines = [f"### {title}", "", *(line for part in paragraphs if part for line in (part.replace("``", "`"), ""))]
    rows = list(_rows(cls))
    if rows:
        lines += ["| field | type | default |", "| --- | --- | --- |", *rows, ""]
    else:
        lines += ["No fields of its own.", ""]
    return "\n".join(lines)


def _rows(cls: type[msgspec.Struct]) -> list[str]:
    hints = get_type_hints(cls)
    envelope = set(DomainEvent.__struct_fields__) if issubclass(cls, DomainEvent) else set()
    return [
        f"| `{field.name}` | {_type(hints[field.name])} | {_default(field)} |"
        for field in msgspec.structs.fields(cls)
        if field.name not in envelope
    ]


def _type(hint: Any) -> str:
    """The type in terms of JSON."""
    if hint is NoneType:
        return "null"
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(map(_type, inner))
    if origin is tuple:
        return f"list of {_type(inner[0])}" if inner[-1] is ... else f"[{', '.join(map(_type, inner))}]"
    if origin is dict:
        return f"object of {_type(inner[1])} by {_type(inner[0])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return " or ".join(f'`"{member.value}"`' for member in hint)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        fields = get_type_hints(hint)
        return "object of " + ", ".join(f"`{name}` ({_type(fields[name])})" for name in hint.__struct_fields__)
    return _NAMES[hint]


def _default(field: Any) -> str:
    if field.required:
        return "required"
    value = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
    if isinstance(value, Enum):
        value = value.value
    return f"`{msgspec.json.encode(value).decode()}`"


def in_page(page: str) -> str:
    """``page`` with the current tables."""
    head, mark, _ = page.partition(_MARK)
    if not mark:
        raise ValueError(f"there is no line {_MARK!r} in {PAGE.name}")
    return f"{head}{mark}\n{tables()}"


def main(words: list[str]) -> int:
    if words not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    if words:
        PAGE.write_text(in_page(PAGE.read_text("utf-8")), "utf-8")
    else:
        print(tables())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
