"""Kinds of single values: text, numbers, enums, times."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.domain.events.kinds.kind import InvalidValue, JsonFloat, Kind, Names

__all__ = ["Bound", "DateTimes", "Decimals", "Enums", "Floats", "Integers", "Literals", "Nothing", "Others", "Text"]

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


class Nothing(Kind):
    wanted = "None"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"{first or v} is None"

    def normalize(self, value: Any, path: str) -> Any:
        if value is not None:
            raise self.invalid(path, value)
        return value


class Text(Kind):
    """``str``. With ``empty=False`` the text must not be empty."""

    def __init__(self, *, empty: bool = True) -> None:
        self._empty = empty
        self.wanted = "a str" if empty else "a str that is not empty"

    def code(self, v: str, names: Names, first: str = "") -> str:
        filled = "" if self._empty else f" and {v}"
        return f"type({first or v}) is str{filled} and ({v}.isascii() or {names.of(_is_utf8)}({v}))"

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, str):
            raise self.invalid(path, value)
        if not _is_utf8(value):
            raise InvalidValue(
                path, str.__str__(value), "text that UTF-8 can encode (this has half of a surrogate pair)"
            )
        if not (value or self._empty):
            raise self.invalid(path, value)
        return value if type(value) is str else str.__str__(value)


def _is_utf8(text: str) -> bool:
    """Whether the text can be encoded as UTF-8. A lone surrogate cannot, such as half an emoji that was cut in two."""
    try:
        str.encode(text)  # not the method of a subclass
    except UnicodeEncodeError:
        return False
    return True


class Integers(Kind):
    wanted = "an int"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is int and {v}.bit_length() < 64"

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.invalid(path, value)
        if not _INT64_MIN <= value <= _INT64_MAX:
            raise InvalidValue(path, value, "an int that fits into 64 bits (with sign)")
        return value if type(value) is int else int.__int__(value)


class Floats(Kind):
    wanted = "a float"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is float and {v} - {v} == 0.0"

    def normalize(self, value: Any, path: str) -> Any:
        if isinstance(value, bool) or not isinstance(value, float | int):
            raise self.invalid(path, value)
        try:
            plain = float.__float__(value) if isinstance(value, float) else float(value)
        except OverflowError:
            raise InvalidValue(path, value, "a finite number") from None
        if not math.isfinite(plain):
            raise InvalidValue(path, value, "a finite number")
        if isinstance(value, int) and int(plain) != value:
            raise InvalidValue(path, value, "a number that a float can represent exactly")
        return value if type(value) is float else plain


class Bound(enum.Enum):
    """A lower bound for decimals. Put it in the annotation: ``Annotated[Decimal, Bound.ABOVE_ZERO]``."""

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

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, Decimal):
            raise self.invalid(path, value)
        plain = value if type(value) is Decimal else Decimal(value)
        if not plain.is_finite():
            raise InvalidValue(path, value, self._finite)
        if self._bound is not None and (plain < 0 or (plain == 0 and self._bound is Bound.ABOVE_ZERO)):
            raise InvalidValue(path, value, self._finite)
        return plain

    def json_problems(self, path: str, raw: Any) -> Iterator[tuple[str, str]]:
        if isinstance(raw, JsonFloat):  # it may have been rounded when it was written
            yield path, f"is {raw}; it must be a decimal in a string (a float is not exact)"


class Enums(Kind):
    def __init__(self, cls: type[enum.Enum]) -> None:
        self._cls = cls
        self.wanted = f"a {cls.__name__}"

    def code(self, v: str, names: Names, first: str = "") -> str:
        members = list(getattr(self._cls, "__members__", {}).values())  # a Flag has more values than these
        if len(members) == 2:  # such as Side
            one, other = map(names.of, members)
            return f"{first or v} is {one} or {v} is {other} or type({v}) is {names.of(self._cls)}"
        return f"type({first or v}) is {names.of(self._cls)}"

    def normalize(self, value: Any, path: str) -> Any:
        if type(value) is not self._cls:
            raise self.invalid(path, value)
        return value


class Literals(Kind):
    def __init__(self, values: tuple[Any, ...]) -> None:
        self._values = values
        self._allowed = frozenset((type(value), value) for value in values)
        self.wanted = " or ".join(map(repr, values))

    def code(self, v: str, names: Names, first: str = "") -> str:
        # Compare the type too, because True == 1. The type comes first, because other types may not be hashable.
        types = names.of(tuple(dict.fromkeys(map(type, self._values))))
        return f"type({first or v}) in {types} and (type({v}), {v}) in {names.of(self._allowed)}"

    def normalize(self, value: Any, path: str) -> Any:
        for allowed in self._values:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise self.invalid(path, value)


class DateTimes(Kind):
    """``datetime``. A time with a zone is converted to UTC, so that equal instants are written in the same way."""

    wanted = "a datetime.datetime"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(datetime)} and ({v}.tzinfo is {names.of(UTC)} or {v}.tzinfo is None)"

    def normalize(self, value: Any, path: str) -> Any:
        if not isinstance(value, datetime):
            raise self.invalid(path, value)
        try:
            plain = value if value.tzinfo is None else value.astimezone(UTC)
        except (OverflowError, ValueError):
            raise InvalidValue(path, value, "a time that is between the years 1 and 9999 in UTC") from None
        if type(plain) is not datetime:
            parts = (plain.year, plain.month, plain.day, plain.hour, plain.minute, plain.second, plain.microsecond)
            exact = datetime(*parts, tzinfo=None if plain.tzinfo is None else UTC)
            if exact != plain:
                raise InvalidValue(path, value, "a datetime.datetime without fractions of a microsecond")
            plain = exact
        return plain


class Others(Kind):
    """Dates, times of day, durations, UUIDs and bytes that can be written to JSON and read back unchanged."""

    CLASSES: tuple[type, ...] = (date, time, timedelta, bytes)

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self.wanted = f"a {cls.__name__}"

    def code(self, v: str, names: Names, first: str = "") -> str:
        return f"type({first or v}) is {names.of(self._cls)} and {names.of(self._survives)}({v})"

    def normalize(self, value: Any, path: str) -> Any:
        if self._cls is bytes and isinstance(value, bytes | bytearray):
            return value if type(value) is bytes else bytes(value)
        if type(value) is not self._cls:
            raise self.invalid(path, value)
        if not self._survives(value):
            raise InvalidValue(path, value, f"{self.wanted} that can be written to JSON")
        return value

    def _survives(self, value: Any) -> bool:
        try:
            back: Any = msgspec.convert(msgspec.to_builtins(value), self._cls)
        except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
            return False
        return bool(back == value)
