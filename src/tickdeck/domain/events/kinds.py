"""What a field may hold, by its annotation: a ``Kind`` for each, which checks a value and brings it into one form.

A value that passes can be encoded as JSON and read back as an equal one. Containers become immutable and get one
order. ``code`` gives the check as a Python expression, because a call for each field would be most of what it costs to
create an event; ``settle`` is the slow way, which converts what is nearly right and says what is wrong.
"""

from __future__ import annotations

import enum
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import is_
from typing import Any

import msgspec

from tickdeck.domain.events.frozen import FrozenDict, FrozenSet, in_order
from tickdeck.errors import format_value

__all__ = [
    "INT64_MAX",
    "INT64_MIN",
    "Bound",
    "Constrained",
    "DateTimes",
    "Decimals",
    "Enums",
    "Floats",
    "Integers",
    "JsonFloat",
    "Kind",
    "Literals",
    "Mappings",
    "Names",
    "Nothing",
    "Others",
    "Records",
    "Sequences",
    "Sets",
    "Text",
    "Tuples",
    "Unfit",
    "Unions",
    "Values",
    "is_utf8",
    "unknown_field",
]

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
_NOTHING: FrozenDict[Any, Any] = FrozenDict()


class Unfit(Exception):
    """A value does not fit its field: where in the event, what it is, what it must be."""

    def __init__(self, path: str, value: object, wanted: str) -> None:
        super().__init__(f"{path} is {format_value(value)}; it must be {wanted}")
        self.path = path
        self.wanted = wanted


class JsonFloat(str):
    """A number with a point or an exponent, as it stood in JSON."""

    __slots__ = ()


class Names:
    """Objects that the compiled expressions refer to, by the names that they have there."""

    def __init__(self) -> None:
        self.all: dict[str, Any] = {}
        self._by_id: dict[int, str] = {}

    def of(self, value: object) -> str:
        name = self._by_id.get(id(value))
        if name is None:
            name = self._by_id[id(value)] = f"c{len(self.all)}"
            self.all[name] = value
        return name

    def fresh(self) -> str:
        """A name for a variable of a comprehension."""
        name = f"v{len(self.all)}"
        self.all[name] = None
        return name


def is_utf8(text: str) -> bool:
    """UTF-8 can hold the text: it has no lone surrogate, such as half an emoji that a sender cut in two."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class Kind(ABC):
    """The values that one annotation allows."""

    wanted = ""
    """What a value must be, in words."""

    @abstractmethod
    def code(self, v: str, names: Names, first: str = "") -> str:
        """An expression that is true only if the value of variable ``v`` may be kept as it is.

        It looks at ``first`` instead of ``v`` where it looks at the value first: there the variable is assigned.
        """

    @abstractmethod
    def settle(self, value: Any, path: str) -> Any:
        """The value in the form in which events keep it; itself where it has that form. Raises ``Unfit``."""

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        """What is wrong with a value from JSON that msgspec would take without a word, and where."""
        return iter(())

    @property
    def is_scalar(self) -> bool:
        """A single value, which is nearly always in its final form already."""
        return True

    def unfit(self, path: str, value: object) -> Unfit:
        return Unfit(path, value, self.wanted)


class Nothing(Kind):
    wanted = "None"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"{first or v} is None"

    def settle(self, value: Any, path: str) -> Any:
        if value is not None:
            raise self.unfit(path, value)
        return value


class Text(Kind):
    """``str``; with ``empty=False`` the name of something, which is never empty."""

    def __init__(self, *, empty: bool = True) -> None:
        self._empty = empty
        self.wanted = "a str" if empty else "a str that is not empty"

    def code(self, v: str, names: Names, first: str = "") -> str:
        filled = "" if self._empty else f" and {v}"
        return f"type({first or v}) is str{filled} and ({v}.isascii() or {names.of(is_utf8)}({v}))"

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise self.unfit(path, value)
        if not is_utf8(value):
            raise Unfit(path, str.__str__(value), "text that UTF-8 can hold (this has half of a surrogate pair)")
        if not (value or self._empty):
            raise self.unfit(path, value)
        return value if type(value) is str else str.__str__(value)


class Integers(Kind):
    wanted = "an int"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is int and {v}.bit_length() < 64"

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.unfit(path, value)
        if not INT64_MIN <= value <= INT64_MAX:
            raise Unfit(path, value, "an int of at most 64 bits (with its sign)")
        return value if type(value) is int else int.__int__(value)


class Floats(Kind):
    wanted = "a float"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is float and {v} - {v} == 0.0"

    def settle(self, value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise self.unfit(path, value)
        try:
            plain = float.__float__(value) if isinstance(value, float) else float(value)
        except OverflowError:
            raise Unfit(path, value, "a finite number") from None
        if not math.isfinite(plain):
            raise Unfit(path, value, "a finite number")
        if isinstance(value, int) and int(plain) != value:
            raise Unfit(path, value, "a number that a float holds exactly")
        return value if type(value) is float else plain


class Bound(enum.Enum):
    """How far down a decimal may go; put it in the annotation: ``Annotated[Decimal, Bound.ABOVE_ZERO]``."""

    ABOVE_ZERO = " above 0"
    NOT_NEGATIVE = " that is not negative"


class Decimals(Kind):
    """A finite ``Decimal``, with all its digits."""

    def __init__(self, bound: Bound | None = None) -> None:
        self._bound = bound
        above = "" if bound is None else bound.value
        self.wanted = f"a decimal.Decimal{above} (a float is not exact)"
        self._finite = f"a finite decimal{above}"

    def code(self, v: str, names: Names, first: str = "") -> str:
        finite = f"type({first or v}) is {names.of(Decimal)} and {v}.is_finite()"
        if self._bound is None:
            return finite
        # Two calls cost less than a comparison, which looks up the thread's decimal context.
        if self._bound is Bound.ABOVE_ZERO:
            return f"{finite} and not {v}.is_signed() and not {v}.is_zero()"
        return f"{finite} and (not {v}.is_signed() or {v}.is_zero())"

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, Decimal):
            raise self.unfit(path, value)
        plain = value if type(value) is Decimal else Decimal(value)
        if not plain.is_finite():
            raise Unfit(path, value, self._finite)
        if self._bound is not None and (plain < 0 or (plain == 0 and self._bound is Bound.ABOVE_ZERO)):
            raise Unfit(path, value, self._finite)
        return plain

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, JsonFloat):  # whoever wrote it may have rounded it
            yield path, f"is {raw}; it must be a decimal in a string (a float is not exact)"


class Enums(Kind):
    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        self.wanted = f"a {cls.__name__}"

    def code(self, v: str, names: Names, first: str = "") -> str:
        members = list(getattr(self._cls, "__members__", {}).values())  # a Flag may have more values than these
        if len(members) == 2:  # such as Side
            one, other = map(names.of, members)
            return f"{first or v} is {one} or {v} is {other} or type({v}) is {names.of(self._cls)}"
        return f"type({first or v}) is {names.of(self._cls)}"

    def settle(self, value: Any, path: str) -> Any:
        if type(value) is not self._cls:
            raise self.unfit(path, value)
        return value


class Literals(Kind):
    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values
        self._allowed = frozenset((type(value), value) for value in values)
        self.wanted = " or ".join(map(repr, values))

    def code(self, v: str, names: Names, first: str = "") -> str:
        # By type too: True is equal to 1. What cannot be hashed is of another type.
        types = names.of(tuple(dict.fromkeys(map(type, self._values))))
        return f"type({first or v}) in {types} and (type({v}), {v}) in {names.of(self._allowed)}"

    def settle(self, value: Any, path: str) -> Any:
        for allowed in self._values:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise self.unfit(path, value)


class DateTimes(Kind):
    """A time with a zone is kept in UTC, so that the same instant is always written alike."""

    wanted = "a datetime.datetime"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(datetime)} and ({v}.tzinfo is {names.of(UTC)} or {v}.tzinfo is None)"

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, datetime):
            raise self.unfit(path, value)
        try:
            plain = value if value.tzinfo is None else value.astimezone(UTC)
        except (OverflowError, ValueError):
            raise Unfit(path, value, "a time that UTC has too (from year 1 to 9999)") from None
        if type(plain) is not datetime:
            parts = (plain.year, plain.month, plain.day, plain.hour, plain.minute, plain.second, plain.microsecond)
            exact = datetime(*parts, tzinfo=None if plain.tzinfo is None else UTC)
            if exact != plain:
                raise Unfit(path, value, "a datetime.datetime (this is finer than a microsecond)")
            plain = exact
        return plain


class Others(Kind):
    """Dates, times of day, durations, UUIDs and bytes: whatever comes back from JSON as it was."""

    CLASSES: tuple[type, ...] = (date, time, timedelta, bytes)

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self.wanted = f"a {cls.__name__}"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(self._cls)} and {names.of(self._survives)}({v})"

    def settle(self, value: Any, path: str) -> Any:
        if self._cls is bytes and isinstance(value, bytes | bytearray):
            return value if type(value) is bytes else bytes(value)
        if type(value) is not self._cls:
            raise self.unfit(path, value)
        if not self._survives(value):
            raise Unfit(path, value, f"{self.wanted} that JSON can hold")
        return value

    def _survives(self, value: Any) -> bool:
        try:
            back: Any = msgspec.convert(msgspec.to_builtins(value), self._cls)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
            return False
        return bool(back == value)


class Constrained(Kind):
    """With ``msgspec.Meta``, whose limits msgspec holds only on reading."""

    def __init__(self, kind: Kind, hint: Any) -> None:
        self._kind = kind
        self._hint = hint
        self.wanted = f"{kind.wanted} within the limits of its msgspec.Meta"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"({self._kind.code(v, names, first)}) and {names.of(self._holds)}({v})"

    def settle(self, value: Any, path: str) -> Any:
        plain = self._kind.settle(value, path)
        if not self._holds(plain):
            raise self.unfit(path, value)
        return plain

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        return self._kind.surprises(path, raw)

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

    def settle(self, value: Any, path: str) -> Any:
        inner: Unfit | None = None
        converted: list[Any] = []
        for kind in self._kinds:
            try:
                settled = kind.settle(value, path)
            except Unfit as error:
                if error.path != path or error.wanted != kind.wanted:
                    inner = inner or error  # of the right kind, but not within its limits
                continue
            if settled is value:
                return value
            converted.append(settled)
        if converted:
            return converted[0]
        raise inner or self.unfit(path, value)

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        """What every kind finds wrong with it: ``float | Decimal`` may be a float."""
        found = [list(kind.surprises(path, raw)) for kind in self._kinds if _may_be(kind, raw)]
        if found and all(found):
            yield from found[0]


def _may_be(kind: Kind, raw: Any) -> bool:
    """A value from JSON has the form that the kind's values have there."""
    if isinstance(kind, Constrained):
        return _may_be(kind._kind, raw)
    if isinstance(raw, JsonFloat):
        return isinstance(kind, Floats | Decimals)
    if isinstance(raw, dict):
        return isinstance(kind, Mappings | Records)
    if isinstance(raw, list):
        return isinstance(kind, Tuples | Sequences | Sets | Records)
    return False


class Values:
    """Settles the items of a container, the quick way where they may all be kept as they are."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._holds: Callable[[Any], bool] | None = None

    def hold(self, values: Any) -> bool:
        """All may be kept as they are."""
        if self._holds is None:
            names = Names()
            code = self.kind.code("v", names)
            self._holds = eval(f"lambda values: all([{code} for v in values])", names.all)  # noqa: S307
        try:
            return self._holds(values)
        except TypeError:  # a key of another kind
            return False


def _rows_hold(row: Tuples) -> Callable[[Any], bool]:
    """Says whether all of many tuples may be kept as they are: the levels of a book, and their like.

    The loop is written out. It is most of what the event of a book costs, and unpacking a tuple is quicker than
    looking at its length and its items.
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
    except ValueError:  # of another length
        return False
    return True
"""
    return _function(source, names)


def _items_hold(key: Kind, value: Kind) -> Callable[[Any], bool]:
    """Says whether all keys and values of a dict may be kept as they are."""
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


class Sequences(Kind):
    """``tuple[X, ...]``, ``list[X]``, ``Sequence[X]``: kept as a tuple."""

    def __init__(self, item: Kind) -> None:
        self._item = item
        self._values = Values(item)
        self.wanted = "a tuple"

    def code(self, v: str, names: Names, first: str = "") -> str:
        x = names.fresh()
        if not isinstance(self._item, Tuples):
            return f"type({first or v}) is tuple and (not {v} or all([{self._item.code(x, names)} for {x} in {v}]))"
        return f"type({first or v}) is tuple and (not {v} or {names.of(_rows_hold(self._item))}({v}))"

    @property
    def is_scalar(self) -> bool:
        return False

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            raise self.unfit(path, value)
        if not self._values.hold(value):
            value = tuple(self._item.settle(item, f"{path}[{index}]") for index, item in enumerate(value))
        return value if type(value) is tuple else tuple(value)

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                yield from self._item.surprises(f"{path}[{index}]", item)


class Tuples(Kind):
    """``tuple[X, Y]``: as many items as are written there."""

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

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple) or len(value) != len(self.items):
            raise self.unfit(path, value)
        settled = tuple(
            kind.settle(item, f"{path}[{index}]")
            for index, (kind, item) in enumerate(zip(self.items, value, strict=True))
        )
        same = type(value) is tuple and all(map(is_, settled, value))
        return value if same else settled

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, list):
            for index, (kind, item) in enumerate(zip(self.items, raw, strict=False)):
                yield from kind.surprises(f"{path}[{index}]", item)


class Sets(Kind):
    """``set[X]``, ``frozenset[X]``: kept as a ``FrozenSet``, which has an order."""

    def __init__(self, item: Kind) -> None:
        self._item = item
        self._values = Values(item)
        self.wanted = "a set"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(FrozenSet)} and {names.of(self._values.hold)}({v})"

    @property
    def is_scalar(self) -> bool:
        return False

    def settle(self, value: Any, path: str) -> Any:
        if not isinstance(value, set | frozenset):
            raise self.unfit(path, value)
        items = sorted(value, key=in_order)
        if self._values.hold(items):
            return value if type(value) is FrozenSet else FrozenSet(items)
        return FrozenSet(self._item.settle(item, f"{path}[{index}]") for index, item in enumerate(items))

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, list):
            for index, item in enumerate(raw):
                yield from self._item.surprises(f"{path}[{index}]", item)


class Mappings(Kind):
    """``dict[K, V]``: kept as a ``FrozenDict`` in order of the keys."""

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
        except TypeError:  # a value of another kind
            return False

    @property
    def is_scalar(self) -> bool:
        return False

    def settle(self, value: Any, path: str) -> Any:
        if not value and type(value) is dict:
            return _NOTHING
        if not isinstance(value, dict):
            raise self.unfit(path, value)
        if self._holds(value):
            return value if type(value) is FrozenDict else self._frozen(value)
        settled = {}
        for key, item in value.items():
            new = self._key.settle(key, f"{path}'s key")
            settled[new] = self._value.settle(item, f"{path}.{new}")
        return self._frozen(settled)

    def _frozen(self, value: dict[Any, Any]) -> FrozenDict[Any, Any]:
        if len(value) < 2:
            return FrozenDict(value)
        if self._by_text:
            keys = sorted(value)
            return FrozenDict(value if keys == list(value) else zip(keys, map(value.__getitem__, keys), strict=True))
        return FrozenDict((key, value[key]) for key in sorted(value, key=in_order))

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, dict):
            for key, item in raw.items():
                yield from self._value.surprises(f"{path}.{key}", item)


class Records(Kind):
    """A struct, a dataclass or a named tuple within an event; ``fields`` says what it holds, once it is known.

    ``replace(record, **fields)`` gives a changed copy, ``in_json`` are the fields' names in JSON, ``None`` where it is
    written as an array there, and ``others`` what else the JSON object has: the tag of a struct.
    """

    def __init__(
        self, cls: type, replace: Callable[..., Any], in_json: tuple[str, ...] | None, others: tuple[str, ...] = ()
    ) -> None:
        self.cls = cls
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

    def settle(self, value: Any, path: str) -> Any:
        if type(value) is not self.cls:
            raise self.unfit(path, value)
        changed = {}
        for name, kind in self.fields.items():
            old = getattr(value, name)
            new = kind.settle(old, f"{path}.{name}")
            if new is not old:
                changed[name] = new
        return self._replace(value, **changed) if changed else value

    def surprises(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, dict) and self._in_json is not None:
            yield from self.surprises_in(f"{path}.", raw)
        elif isinstance(raw, list):
            items = raw[len(self._others) :]
            for (name, kind), item in zip(self.fields.items(), items, strict=False):
                yield from kind.surprises(f"{path}.{name}", item)
            if len(items) > len(self.fields):
                yield f"{path}[{len(raw) - 1}]", unknown_field(self.cls)

    def surprises_in(self, prefix: str, raw: dict[str, Any]) -> Iterator[tuple[str, str]]:
        """Those of the fields of a JSON object; a field that the class does not have is one."""
        assert self._in_json is not None
        kinds = dict(zip(self._in_json, self.fields.values(), strict=True))
        for key, item in raw.items():
            kind = kinds.get(key)
            if kind is not None:
                yield from kind.surprises(f"{prefix}{key}", item)
            elif key not in self._others:
                yield f"{prefix}{key}", unknown_field(self.cls)


def unknown_field(cls: type) -> str:
    version = getattr(cls, "version", None)
    known = f"{cls.__name__}" + (f" (version {version})" if isinstance(version, int) else "")
    return f"is a field that {known} does not know; if the class changed, give it the next version and an upcast"
