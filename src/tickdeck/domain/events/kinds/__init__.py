"""What a field of an event may contain. Each annotation has a ``Kind``, which checks a value and normalizes it.

A value that passes can be written to JSON and read back as an equal value. Each kind has two ways to check:

- ``code`` returns the check as a Python expression. The checks of all fields are compiled into one function, because
  a call per field would be most of the cost of creating an event.
- ``normalize`` is slower. It converts a value that is nearly right, or raises an error that says what is wrong.
"""

from tickdeck.domain.events.kinds.composed import Bounded, Constrained, Unions, is_nested_deeper
from tickdeck.domain.events.kinds.containers import Mappings, Records, Sequences, Sets, Tuples, unknown_field
from tickdeck.domain.events.kinds.kind import InvalidValue, JsonFloat, Kind, Names
from tickdeck.domain.events.kinds.scalars import (
    Bound,
    DateTimes,
    Decimals,
    Enums,
    Floats,
    Integers,
    Literals,
    Nothing,
    Others,
    Text,
)

__all__ = [
    "Bound",
    "Bounded",
    "Constrained",
    "DateTimes",
    "Decimals",
    "Enums",
    "Floats",
    "Integers",
    "InvalidValue",
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
    "Unions",
    "is_nested_deeper",
    "unknown_field",
]
