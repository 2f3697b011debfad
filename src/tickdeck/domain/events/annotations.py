"""Translates the annotations of a class into the kinds of its fields, and rejects annotations that events cannot
have."""

from __future__ import annotations

import collections.abc as abc
import dataclasses
import enum
import inspect
import sys
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from types import NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, NewType, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from tickdeck.domain.events.kinds import (
    Bound,
    Bounded,
    Constrained,
    DateTimes,
    Decimals,
    Enums,
    Floats,
    Integers,
    Kind,
    Literals,
    Mappings,
    Nothing,
    Others,
    Records,
    Sequences,
    Sets,
    Text,
    Tuples,
    Unions,
)

__all__ = ["Unsupported", "booleans", "hints_of", "kind_of_field"]

IDENTIFIERS = ("symbol", "order_id", "strategy_id", "account_id", "currency")
"""Text fields with these names must not be empty, unless their default is ""."""

_SEQUENCES = (list, abc.Sequence, abc.MutableSequence, abc.Collection)
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)


class Unsupported(Exception):
    """An event cannot have a field with this annotation. The message says why, and what to write instead."""


class _Booleans(Enums):
    """``bool``: like an enum, it has a fixed set of values."""


def booleans() -> Kind:
    kind = _Booleans(bool)  # type: ignore[arg-type]
    kind.wanted = "a bool"
    return kind


def hints_of(cls: type) -> dict[str, Any]:
    """The resolved annotations of a class. Raises ``Unsupported`` if one cannot be resolved."""
    hints: dict[str, Any] = {}
    try:
        for each in reversed(cls.__mro__):
            hints |= _own_hints(each)
        return hints
    except NameError as error:
        name = getattr(error, "name", None) or str(error)
        if name == cls.__name__:
            raise Unsupported(
                "an event cannot contain events of its own class; put what repeats into a frozen msgspec.Struct"
            ) from None
        raise Unsupported(
            f"an annotation uses the name {name!r}, which {cls.__module__} does not define; define it before the "
            "class, at the top of the module and outside `if TYPE_CHECKING`, or remove `from __future__ import "
            "annotations`"
        ) from None
    except (TypeError, SyntaxError, AttributeError) as error:
        raise Unsupported(f"an annotation cannot be resolved: {error}") from None


@cache
def _own_hints(cls: type) -> dict[str, Any]:
    """The resolved annotations of the class alone. ``get_type_hints(cls)`` compiles those of its bases again, which was
    a quarter of the instructions to import Tickdeck."""
    own = {"__annotations__": inspect.get_annotations(cls)}
    module = vars(sys.modules[cls.__module__]) if cls.__module__ in sys.modules else {}
    return get_type_hints(type(cls.__name__, (), own), dict(vars(cls)), module, include_extras=True)


def kind_of_field(hint: Any, records: dict[type, Records], *, name: str = "", empty: bool = True) -> Kind:
    """Like ``kind_of``, for the annotation of a whole field. A class that contains itself has a maximum depth."""
    kind = kind_of(hint, records, name=name, empty=empty)
    return Bounded(kind) if any(record.contains_itself for record in records.values()) else kind


def kind_of(hint: Any, records: dict[type, Records], *, name: str = "", empty: bool = True) -> Kind:
    """The kind of an annotation. Raises ``Unsupported``.

    - ``records``: the kinds of the nested classes found so far; new ones are added.
    - ``name``: the name of the field. ``empty``: whether text may be empty, even if its name is in ``IDENTIFIERS``.
    """
    hint = _without_new_type(hint)
    origin, inner = get_origin(hint), get_args(hint)
    of = partial(kind_of, records=records)
    simple = _SIMPLE.get(hint) if isinstance(hint, type) or hint is None else None
    if simple is not None:
        return Text(empty=empty or name not in IDENTIFIERS) if hint is str else simple()
    if origin is Annotated:
        return _annotated(hint, records, name, empty)
    if origin is Literal:
        return Literals(inner)
    if origin in (Union, UnionType):
        return Unions(tuple(kind_of(one, records, name=name, empty=empty) for one in inner))
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return Sequences(of(inner[0]))
        return Tuples(tuple(map(of, inner)))
    if origin in _SEQUENCES and len(inner) == 1:
        return Sequences(of(inner[0]))
    if origin in _SETS and len(inner) == 1:
        return Sets(of(inner[0]))
    if origin in _MAPPINGS and len(inner) == 2:
        return _mapping(hint, of(inner[0]), of(inner[1]))
    if isinstance(hint, type) and origin is None:
        if issubclass(hint, enum.Enum):
            return Enums(hint)
        if hint in Others.CLASSES or (hint.__module__, hint.__name__) == (
            "uuid",
            "UUID",
        ):  # by name, because the core must not import uuid
            return Others(hint)
        if hasattr(hint, "event_type") and not hint.event_type and not getattr(hint, "_is_raw", False):
            raise Unsupported(
                f"{hint.__name__} is a base class, so no event can contain one; name a class with an event_type"
            )
        found = records.get(hint)
        if found is None:
            return _record(hint, records)
        found.contains_itself = found.contains_itself or not found.fields  # they are filled in once they are known
        return found
    raise Unsupported(f"{_show(hint)} is not supported; {_advice(hint)}")


def _without_new_type(hint: Any) -> Any:
    while True:
        if isinstance(hint, NewType):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":  # ``type Price = Decimal``, since Python 3.12
            hint = hint.__value__
        else:
            return hint


def _annotated(hint: Any, records: dict[type, Records], name: str, empty: bool) -> Kind:
    base, *extras = get_args(hint)
    for extra in extras:
        if isinstance(extra, Kind):
            return extra
    bounds = [extra for extra in extras if isinstance(extra, Bound)]
    if bounds and base is Decimal:
        return Decimals(bounds[0])
    kind = kind_of(base, records, name=name, empty=empty)
    if any(isinstance(extra, msgspec.Meta) for extra in extras):
        return Constrained(kind, hint)
    return kind


def _mapping(hint: Any, key: Kind, value: Kind) -> Kind:
    if not isinstance(key, Text | Integers | Decimals | Enums | Literals) or isinstance(key, _Booleans):
        raise Unsupported(f"JSON cannot have the keys of {_show(hint)}; use str, int, Decimal or an enum")
    return Mappings(key, value)


def _record(cls: type, records: dict[type, Records]) -> Kind:
    """The kind of a nested class. It is added to ``records`` before its fields, because it may contain its own type."""
    shown = f"{cls.__module__}.{cls.__qualname__}"
    replace: Callable[..., Any]
    defaults: dict[str, Any]
    if issubclass(cls, msgspec.Struct):
        config = cls.__struct_config__
        if not config.frozen:
            raise Unsupported(f"{shown} is mutable, but events are immutable; declare it with frozen=True")
        if config.omit_defaults:
            raise Unsupported(
                f"{shown} omits defaults by identity, so equal values may encode differently; remove omit_defaults"
            )
        infos = msgspec.structs.fields(cls)
        defaults = {field.name: field.default for field in infos}
        fields = {field.name: field.encode_name for field in infos}
        tagged = (config.tag_field,) if config.tag_field is not None else ()
        replace, in_json = msgspec.structs.replace, None if config.array_like else tuple(fields.values())
        record = records[cls] = Records(cls, replace, in_json, tagged)
    elif dataclasses.is_dataclass(cls):
        if not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
            raise Unsupported(f"{shown} is mutable, but events are immutable; declare it with frozen=True")
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        fields = {name: name for name in defaults}
        record = records[cls] = Records(cls, dataclasses.replace, tuple(fields))
    elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
        fields = {name: name for name in cls._fields}
        defaults = cls._field_defaults  # type: ignore[attr-defined]
        record = records[cls] = Records(cls, cls._replace, None)  # type: ignore[attr-defined]
    else:
        raise Unsupported(f"{_show(cls)} is not supported; {_advice(cls)}")
    try:
        hints = hints_of(cls)
        missing = [name for name in fields if name not in hints]
        if missing:
            raise Unsupported(f"{missing[0]} has no annotation")
        record.fields = {
            name: kind_of(hints[name], records, name=name, empty=defaults.get(name) == "") for name in fields
        }
    except Unsupported as error:
        del records[cls]
        raise Unsupported(f"in {shown}: {error}") from None
    return record


def _show(hint: Any) -> str:
    return hint.__name__ if inspect.isclass(hint) and get_origin(hint) is None else str(hint)


def _advice(hint: Any) -> str:
    if hint in (Any, object):
        return "write a precise type, such as `dict[str, str]` or `int | str`"
    if isinstance(hint, TypeVar):
        return "write a concrete type"
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), msgspec.Struct):
        return "write a class with concrete types instead of a generic one"
    if hint in (dict, list, tuple, set, frozenset):
        return f"write the type of its items, such as `{hint.__name__}[str{', Decimal' if hint is dict else ''}]`"
    if hint is ClassVar or get_origin(hint) is ClassVar:
        return "a ClassVar cannot be a field"
    return "use str, int, float, bool, Decimal, enums, dates, containers of these, or a frozen msgspec.Struct"


_SIMPLE: dict[Any, Callable[[], Kind]] = {
    str: Text,
    int: Integers,
    float: Floats,
    bool: booleans,
    Decimal: Decimals,
    NoneType: Nothing,
    None: Nothing,
    datetime: DateTimes,
}
