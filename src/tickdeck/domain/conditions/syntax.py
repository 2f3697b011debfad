"""The parts of a condition. Each is a value, and ``str`` writes it as the parser reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TypeAlias

import msgspec

from tickdeck.domain.market import parse_timeframe
from tickdeck.errors import ConfigError

__all__ = [
    "COMPARISONS",
    "CROSSINGS",
    "KEYWORDS",
    "And",
    "Arithmetic",
    "Comparison",
    "Negative",
    "Node",
    "Not",
    "Number",
    "Or",
    "Reference",
    "TimeOfDay",
    "children",
    "is_timeframe",
    "walk",
]

CROSSINGS = ("crosses_above", "crosses_below")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=", *CROSSINGS)
KEYWORDS = ("and", "or", "not", *CROSSINGS)
_SECOND = 1_000_000_000


class Number(msgspec.Struct, frozen=True):
    """A number as it was written; with ``percent``, a hundredth of it counts: ``2%`` is 0.02."""

    value: Decimal
    percent: bool = False

    def __str__(self) -> str:
        return format(self.value, "f") + ("%" if self.percent else "")


class TimeOfDay(msgspec.Struct, frozen=True):
    """A time of each day, UTC, in whole ``seconds`` since midnight."""

    seconds: int

    @property
    def ns(self) -> int:
        return self.seconds * _SECOND

    def __str__(self) -> str:
        minutes, second = divmod(self.seconds, 60)
        hour, minute = divmod(minutes, 60)
        return f"{hour:02}:{minute:02}{f':{second:02}' if second else ''} UTC"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """A value that changes: ``price(BTCUSDT)``, ``rsi(14, 1h)``, ``equity``.

    ``function`` is its name. ``symbol`` is empty if the condition leaves it to its context, ``count`` is 0 and
    ``timeframe`` empty if there is none. ``of`` is the name of a strategy or of a signal of the user's.
    """

    function: str
    symbol: str = ""
    count: int = 0
    timeframe: str = ""
    of: str = ""

    def __str__(self) -> str:
        given = (_text(self.of), _text(self.symbol), str(self.count or ""), self.timeframe)
        arguments = ", ".join(filter(None, given))
        return f"{self.function}({arguments})" if arguments else self.function


class Negative(msgspec.Struct, frozen=True):
    """``-x``."""

    operand: Node

    def __str__(self) -> str:
        return f"-{_grouped(self.operand, _BINDING['-x'])}"


class Arithmetic(msgspec.Struct, frozen=True):
    """``x + y``, and the same with ``-``, ``*`` and ``/``."""

    operator: str
    left: Node
    right: Node

    def __str__(self) -> str:
        binding = _BINDING[self.operator]
        return f"{_grouped(self.left, binding)} {self.operator} {_grouped(self.right, binding + 1)}"


class Comparison(msgspec.Struct, frozen=True):
    """``x < y`` and the like; ``operator`` is one of ``COMPARISONS``."""

    operator: str
    left: Node
    right: Node

    def __str__(self) -> str:
        return f"{self.left} {self.operator} {self.right}"


class Not(msgspec.Struct, frozen=True):
    operand: Node

    def __str__(self) -> str:
        return f"not {_grouped(self.operand, _BINDING['not'])}"


class And(msgspec.Struct, frozen=True):
    """All of two or more ``parts``."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " and ".join(_grouped(part, _BINDING["and"] + 1) for part in self.parts)


class Or(msgspec.Struct, frozen=True):
    """Any of two or more ``parts``."""

    parts: tuple[Node, ...]

    def __str__(self) -> str:
        return " or ".join(_grouped(part, _BINDING["or"] + 1) for part in self.parts)


Node: TypeAlias = "Number | TimeOfDay | Reference | Negative | Arithmetic | Comparison | Not | And | Or"

_BINDING = {"or": 0, "and": 1, "not": 2, "comparison": 3, "+": 4, "-": 4, "*": 5, "/": 5, "-x": 6, "atom": 7}
"""How tightly each part binds: a part within a tighter one needs parentheses."""


def _binding_of(node: Node) -> int:
    match node:
        case Or():
            return _BINDING["or"]
        case And():
            return _BINDING["and"]
        case Not():
            return _BINDING["not"]
        case Comparison():
            return _BINDING["comparison"]
        case Arithmetic():
            return _BINDING[node.operator]
        case Negative():
            return _BINDING["-x"]
    return _BINDING["atom"]


def _grouped(node: Node, at_least: int) -> str:
    """The text of ``node``, in parentheses if it binds less than ``at_least``."""
    return str(node) if _binding_of(node) >= at_least else f"({node})"


def _text(name: str) -> str:
    """A symbol or a name as an argument: in quotes where it is no plain word."""
    plain = re.fullmatch(r"[A-Za-z0-9_]*[A-Za-z_][A-Za-z0-9_]*", name) and not is_timeframe(name)
    return name if not name or (plain and name not in KEYWORDS) else f'"{name}"'


def is_timeframe(word: str) -> bool:
    """Whether ``word`` is the interval of candles, such as ``1h``."""
    try:
        parse_timeframe(word)
    except ConfigError:
        return False
    return True


def children(node: Node) -> tuple[Node, ...]:
    match node:
        case Arithmetic() | Comparison():
            return node.left, node.right
        case And() | Or():
            return node.parts
        case Not() | Negative():
            return (node.operand,)
    return ()


def walk(node: Node) -> Iterator[Node]:
    """``node`` and everything in it, from left to right."""
    yield node
    for child in children(node):
        yield from walk(child)
