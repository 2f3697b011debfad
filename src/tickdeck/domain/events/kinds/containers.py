"""Kinds of containers. They are stored as immutable ones that iterate in a fixed order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import is_
from typing import Any

from tickdeck.domain.events.frozen import FrozenDict, FrozenSet, in_order
from tickdeck.domain.events.kinds.kind import Kind, Names
from tickdeck.domain.events.kinds.scalars import Text

__all__ = ["Mappings", "Records", "Sequences", "Sets", "Tuples", "unknown_field"]

_EMPTY: FrozenDict[Any, Any] = FrozenDict()


class Sequences(Kind):
    """``tuple[X, ...]``, ``list[X]``, ``Sequence[X]``: stored as a tuple."""

    def __init__(self, item: Kind) -> None:
        self._item = item
        self._items = _Items(item)
        self.wanted = "a tuple"

    def code(self, v: str, names: Names, first: str = "") -> str:
        x = names.fresh()
        if not isinstance(self._item, Tuples):
            return f"type({first or v}) is tuple and (not {v} or all([{self._item.code(x, names)} for {x} in {v}]))"
        return f"type({first or v}) is tuple and (not {v} or {names.of(_rows_hold(self._item))}({v}))"

    @property
    def is_scalar(self) -> bool:
        return False

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            raise self.invalid(path, value)
        if not self._items.hold(value):
            value = tuple(self._item.normalize(item, f"{path}[{index}]") for index, item in enumerate(value))
        return value if type(value) is tuple else tuple(value)

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                yield from self._item.json_problems(f"{path}[{index}]", item)


class Tuples(Kind):
    """``tuple[X, Y]``: a tuple of fixed length."""

    def __init__(self, items: tuple[Kind, ...]) -> None:
        self.items = items
        self.wanted = f"a tuple of {len(items)}"

    def code(self, v: str, names: Names, first: str = "") -> str:
        parts = [f"type({first or v}) is tuple and len({v}) == {len(self.items)}"]
        for index, item in enumerate(self.items):
            x = names.fresh()
            parts.append(f"({item.code(x, names, f'({x} := {v}[{index}])')})")
        return " and ".join(parts)

    @property
    def is_scalar(self) -> bool:
        return False

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(self.items):
            raise self.invalid(path, value)
        normalized = tuple(
            kind.normalize(item, f"{path}[{index}]")
            for index, (kind, item) in enumerate(zip(self.items, value, strict=True))
        )
        same = type(value) is tuple and all(map(is_, normalized, value))
        return value if same else normalized

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, list):
            for index, (kind, item) in enumerate(zip(self.items, raw, strict=False)):
                yield from kind.json_problems(f"{path}[{index}]", item)


class Sets(Kind):
    """``set[X]``, ``frozenset[X]``: stored as a ``FrozenSet``, which has an order."""

    def __init__(self, item: Kind) -> None:
        self._item = item
        self._items = _Items(item)
        self.wanted = "a set"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(FrozenSet)} and {names.of(self._items.hold)}({v})"

    @property
    def is_scalar(self) -> bool:
        return False

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, set | frozenset):
            raise self.invalid(path, value)
        items = sorted(value, key=in_order)
        if self._items.hold(items):
            return value if type(value) is FrozenSet else FrozenSet(items)
        return FrozenSet(self._item.normalize(item, f"{path}[{index}]") for index, item in enumerate(items))

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                yield from self._item.json_problems(f"{path}[{index}]", item)


class Mappings(Kind):
    """``dict[K, V]``: stored as a ``FrozenDict``, sorted by key."""

    def __init__(self, key: Kind, value: Kind) -> None:
        self._key = key
        self._value = value
        self._compiled: Callable[[Any], bool] | None = None
        self._by_text = isinstance(key, Text)
        self.wanted = "a dict"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(FrozenDict)} and (not {v} or {names.of(self._holds)}({v}))"

    def _holds(self, mapping: Any) -> bool:
        if self._compiled is None:
            self._compiled = _items_hold(self._key, self._value)
        try:
            return self._compiled(mapping)
        except TypeError:  # a value of another type
            return False

    @property
    def is_scalar(self) -> bool:
        return False

    def normalize(self, value: Any, path: str) -> Any:
        if not value and type(value) is dict:
            return _EMPTY
        if not isinstance(value, dict):
            raise self.invalid(path, value)
        if self._holds(value):
            return value if type(value) is FrozenDict else self._frozen(value)
        normalized = {}
        for key, item in value.items():
            new = self._key.normalize(key, f"{path}'s key")
            normalized[new] = self._value.normalize(item, f"{path}.{new}")
        return self._frozen(normalized)

    def _frozen(self, value: dict[Any, Any]) -> FrozenDict[Any, Any]:
        if len(value) < 2:
            return FrozenDict(value)
        if self._by_text:
            keys = sorted(value)
            return FrozenDict(value if keys == list(value) else zip(keys, map(value.__getitem__, keys), strict=True))
        return FrozenDict((key, value[key]) for key in sorted(value, key=in_order))

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, dict):
            for key, item in raw.items():
                yield from self._value.json_problems(f"{path}.{key}", item)


class Records(Kind):
    """A struct, a dataclass or a named tuple within an event. ``fields`` is filled in after the object is created,
    because a record may contain its own type.

    - ``replace(record, **fields)`` returns a changed copy.
    - ``in_json``: the names of the fields in JSON; ``None`` if the record is written as an array.
    - ``others``: names that the JSON object has besides the fields, such as the tag of a struct.
    """

    def __init__(
        self, cls: type, replace: Callable[..., Any], in_json: tuple[str, ...] | None, others: tuple[str, ...] = ()
    ) -> None:
        self.cls = cls
        self.contains_itself = False
        self._others = others
        self._replace = replace
        self._in_json = in_json
        self.fields: dict[str, Kind] = {}
        self._holds: Callable[[Any], bool] | None = None
        self.wanted = f"a {cls.__name__}"

    def name_in_json(self, names: tuple[str, ...]) -> None:
        self._in_json = names

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(self.cls)} and {names.of(self._fits)}({v})"

    def _fits(self, value: Any) -> bool:
        if self._holds is None:
            names = Names()
            parts = [f"({kind.code('v', names, f'(v := e.{name})')})" for name, kind in self.fields.items()]
            self._holds = eval(f"lambda e: {' and '.join(parts) or 'True'}", names.all)  # noqa: S307
        return self._holds(value)

    def normalize(self, value: Any, path: str) -> Any:
        if type(value) is not self.cls:
            raise self.invalid(path, value)
        changed = {}
        for name, kind in self.fields.items():
            old = getattr(value, name)
            new = kind.normalize(old, f"{path}.{name}")
            if new is not old:
                changed[name] = new
        return self._replace(value, **changed) if changed else value

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, dict) and self._in_json is not None:
            yield from self.object_problems(f"{path}.", raw)
        elif isinstance(raw, list):
            items = raw[len(self._others) :]
            for (name, kind), item in zip(self.fields.items(), items, strict=False):
                yield from kind.json_problems(f"{path}.{name}", item)
            if len(items) > len(self.fields):
                yield f"{path}[{len(raw) - 1}]", unknown_field(self.cls)

    def object_problems(self, prefix: str, raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """The ``json_problems`` of a JSON object. A field that the class does not have is a problem."""
        assert self._in_json is not None
        kinds = dict(zip(self._in_json, self.fields.values(), strict=True))
        for key, item in raw.items():
            kind = kinds.get(key)
            if kind is not None:
                yield from kind.json_problems(f"{prefix}{key}", item)
            elif key not in self._others:
                yield f"{prefix}{key}", unknown_field(self.cls)


def unknown_field(cls: type) -> str:
    version = getattr(cls, "version", None)
    known = f"{cls.__name__}" + (f" (version {version})" if isinstance(version, int) else "")
    return f"is a field that {known} does not have; if the class changed, increase its version and register an upcast"


class _Items:
    """A fast check of all items of a container. It is compiled when it is first used."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._holds: Callable[[Any], bool] | None = None

    def hold(self, values: Any) -> bool:
        """Whether no value needs conversion."""
        if self._holds is None:
            names = Names()
            code = self.kind.code("v", names)
            self._holds = eval(f"lambda values: all([{code} for v in values])", names.all)  # noqa: S307
        try:
            return self._holds(values)
        except TypeError:  # an item of another type
            return False


def _rows_hold(row: Tuples) -> Callable[[Any], bool]:
    """A function that checks whether all tuples in a sequence are in their final form, such as the levels of an order
    book.

    This check is most of the cost of creating a book event. So the loop is written out, and it unpacks each tuple,
    which is faster than checking its length and indexing its items.
    """
    names = Names()
    items = [names.fresh() for _ in row.items]
    fit = " and ".join(f"({kind.code(x, names)})" for kind, x in zip(row.items, items, strict=True)) or "True"
    source = f"""
def holds(rows):
    try:
        for row in rows:
            if type(row) is not tuple:
                return False
            [{", ".join(items)}] = row
            if not ({fit}):
                return False
    except ValueError:  # a tuple of another length
        return False
    return True
"""
    return _function(source, names)


def _items_hold(key: Kind, value: Kind) -> Callable[[Any], bool]:
    """A function that checks whether all keys and values of a dict are in their final form."""
    names = Names()
    source = f"""
def holds(mapping):
    for k, v in mapping.items():
        if not (({key.code("k", names)}) and ({value.code("v", names)})):
            return False
    return True
"""
    return _function(source, names)


def _function(source: str, names: Names) -> Callable[[Any], bool]:
    exec(source, names.all)  # noqa: S102 (made of generated names)
    holds: Callable[[Any], bool] = names.all["holds"]
    return holds
