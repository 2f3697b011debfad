"""Kinds made of other kinds: unions, and annotations with limits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tickdeck.domain.events.kinds.containers import Mappings, Records, Sequences, Sets, Tuples
from tickdeck.domain.events.kinds.kind import InvalidValue, JsonFloat, Kind, Names
from tickdeck.domain.events.kinds.scalars import Decimals, Floats

__all__ = ["Constrained", "Unions"]


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
