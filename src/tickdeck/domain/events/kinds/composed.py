"""Kinds made of other kinds: unions, and annotations with limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from tickdeck.domain.events.kinds.containers import Mappings, Records, Sequences, Sets, Tuples
from tickdeck.domain.events.kinds.kind import InvalidValue, JsonFloat, Kind, Names
from tickdeck.domain.events.kinds.scalars import Decimals, Floats

__all__ = ["Bounded", "Constrained", "Unions", "is_nested_deeper"]


class Constrained(Kind):
    """An annotation with ``msgspec.Meta``. msgspec checks its limits only when it decodes; this checks them always."""

    def __init__(self, kind: Kind, hint: Any) -> None:
        self._kind = kind
        self._hint = hint
        self.wanted = f"{kind.wanted} within the limits of its msgspec.Meta"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"({self._kind.code(v, names, first)}) and {names.of(self._holds)}({v})"

    def normalize(self, value: Any, path: str) -> Any:
        plain = self._kind.normalize(value, path)
        if not self._holds(plain):
            raise self.invalid(path, value)
        return plain

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        return self._kind.json_problems(path, raw)

    def _holds(self, value: Any) -> bool:
        try:
            msgspec.convert(msgspec.to_builtins(value), self._hint, str_keys=True)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
            return False
        return True


_DEEPEST = 100
"""How deep a class may contain itself. Reading each level takes a few of the 1,000 calls that Python nests."""


class Bounded(Kind):
    """A field whose class contains itself, such as a tree. Refuses a value that would be too deep to be read."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self.wanted = kind.wanted

    def code(self, v: str, names: Names, first: str = "") -> str:
        value = f"({first})" if first else v
        return f"not {names.of(_is_too_deep)}({value}) and ({self._kind.code(v, names)})"

    @property
    def is_scalar(self) -> bool:
        return self._kind.is_scalar

    def normalize(self, value: Any, path: str) -> Any:
        if _is_too_deep(value):
            raise InvalidValue(path, _Shown(value), f"{self.wanted} of at most {_DEEPEST} levels")
        return self._kind.normalize(value, path)

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        return self._kind.json_problems(path, raw)


class _Shown:
    """Stands for a value in an error that ``repr`` cannot show, because it is too deep."""

    def __init__(self, value: object) -> None:
        self._name = type(value).__name__

    def __repr__(self) -> str:
        return f"a {self._name} of too many levels"


def _is_too_deep(value: Any) -> bool:
    return is_nested_deeper(value, _DEEPEST)


def is_nested_deeper(value: Any, limit: int) -> bool:
    """Whether ``value`` has more than ``limit`` levels of containers and records. Does not recurse."""
    level = [value]
    for _ in range(limit + 1):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return False
    return True


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    if isinstance(value, list | tuple | set | frozenset):
        return value
    if isinstance(value, msgspec.Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    return ()


class Unions(Kind):
    def __init__(self, kinds: tuple[Kind, ...]) -> None:
        self._kinds = kinds
        self.wanted = " or ".join(kind.wanted for kind in kinds)

    def code(self, v: str, names: Names, first: str = "") -> str:
        head, *others = self._kinds
        return " or ".join([f"({head.code(v, names, first)})", *(f"({kind.code(v, names)})" for kind in others)])

    @property
    def is_scalar(self) -> bool:
        return all(kind.is_scalar for kind in self._kinds)

    def normalize(self, value: Any, path: str) -> Any:
        inner: InvalidValue | None = None
        converted: list[Any] = []
        for kind in self._kinds:
            try:
                normalized = kind.normalize(value, path)
            except InvalidValue as error:
                if error.path != path or error.wanted != kind.wanted:
                    inner = inner or error  # the right type, but out of its limits
                continue
            if normalized is value:
                return value
            converted.append(normalized)
        if converted:
            return converted[0]
        raise inner or self.invalid(path, value)

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        """A problem counts only if all possible members have one: ``float | Decimal`` may be a float."""
        found = [list(kind.json_problems(path, raw)) for kind in self._kinds if _may_be(kind, raw)]
        if found and all(found):
            yield from found[0]


def _may_be(kind: Kind, raw: Any) -> bool:
    """Whether a JSON value has the form that the kind's values have in JSON."""
    if isinstance(kind, Constrained):
        return _may_be(kind._kind, raw)
    if isinstance(raw, JsonFloat):
        return isinstance(kind, Floats | Decimals)
    if isinstance(raw, dict):
        return isinstance(kind, Mappings | Records)
    if isinstance(raw, list):
        return isinstance(kind, Tuples | Sequences | Sets | Records)
    return False
