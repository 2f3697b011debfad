"""``Kind``, the base of all kinds, and what their checks share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

from tickdeck.errors import format_value

__all__ = ["InvalidValue", "JsonFloat", "Kind", "Names"]


class InvalidValue(Exception):
    """A field has a value it must not have. ``path`` is where in the event, ``wanted`` what the value must be."""

    def __init__(self, path: str, value: object, wanted: str) -> None:
        super().__init__(f"{path} is {format_value(value)}; it must be {wanted}")
        self.path = path
        self.wanted = wanted


class JsonFloat(str):
    """A JSON number with a decimal point or an exponent, as text."""

    __slots__ = ()


class Names:
    """The global names of a compiled expression, and the objects they stand for."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = {}
        self._by_id: dict[int, str] = {}

    def of(self, value: object) -> str:
        """The name of ``value``. The same object always has the same name."""
        name = self._by_id.get(id(value))
        if name is None:
            name = self._by_id[id(value)] = f"c{len(self.all)}"
            self.all[name] = value
        return name

    def fresh(self) -> str:
        """An unused name, for a variable of a comprehension."""
        name = f"v{len(self.all)}"
        self.all[name] = None
        return name


class Kind(ABC):
    """The values that an annotation allows."""

    wanted = ""
    """What a value must be, in words."""

    @abstractmethod
    def code(self, v: str, names: Names, first: str = "") -> str:
        """A Python expression that is true only if the value of the variable ``v`` needs no conversion.

        If ``first`` is given, it takes the place of the first use of ``v``: ``first`` assigns the variable.
        """

    @abstractmethod
    def normalize(self, value: Any, path: str) -> Any:
        """Convert a value to the form in which events store it. Returns the same object if it already has that form.

        Raises ``InvalidValue``.
        """

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        """Yield (path, problem) for each part of a JSON value that is wrong but that msgspec would accept."""
        return iter(())

    @property
    def is_scalar(self) -> bool:
        """True for single values, which rarely need conversion; False for containers."""
        return True

    def invalid(self, path: str, value: object) -> InvalidValue:
        return InvalidValue(path, value, self.wanted)
