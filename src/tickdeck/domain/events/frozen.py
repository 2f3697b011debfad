"""Immutable containers with a fixed order, so that equal events encode to equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NoReturn, TypeVar

__all__ = ["FrozenDict", "FrozenList", "FrozenSet", "in_order"]

K = TypeVar("K")
V = TypeVar("V")
T_co = TypeVar("T_co", covariant=True)


class FrozenDict(dict[K, V]):
    """An immutable dict. It is equal to a plain dict with the same items, and is encoded in the same way."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("events are immutable; create a new event instead of changing its dict")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


class FrozenList(list[V]):
    """An immutable list. It is equal to a plain list with the same items, and is encoded in the same way."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("events are immutable; create a new event instead of changing its list")

    __setitem__ = __delitem__ = __iadd__ = __imul__ = append = clear = extend = insert = pop = _refuse
    remove = reverse = sort = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (list(self),)


class FrozenSet(frozenset[T_co]):
    """A frozenset that iterates in sorted order, regardless of the hash seed."""

    __slots__ = ("_items",)
    _items: tuple[T_co, ...]

    def __new__(cls, items: Iterable[T_co] = ()) -> FrozenSet[T_co]:
        made = super().__new__(cls, items)
        made._items = tuple(sorted(frozenset.__iter__(made), key=in_order))
        return made

    def __iter__(self) -> Iterator[T_co]:
        return iter(self._items)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._items,)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self._items))}}}" if self._items else "set()"


def in_order(item: object) -> tuple[str, Any]:
    """A sort key for items of any type: text and integers by value, all others by ``repr``."""
    if isinstance(item, str):
        return "str", str(item)
    if isinstance(item, int):
        return "int", item
    return type(item).__name__, repr(item)
