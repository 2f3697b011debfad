"""Reads the text of a condition. The grammar is in ``docs/triggers.md``; one method reads one rule of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from difflib import get_close_matches
from typing import NamedTuple, NoReturn

from tickdeck.domain.conditions.hints import hint_for_token, instead_of, zone_hint
from tickdeck.domain.conditions.lexer import Token, mistake, tokens
from tickdeck.domain.conditions.syntax import (
    COMPARISONS,
    CROSSINGS,
    KEYWORDS,
    And,
    Arithmetic,
    Comparison,
    Negative,
    Node,
    Not,
    Number,
    Or,
    Reference,
    TimeOfDay,
    is_timeframe,
)
from tickdeck.domain.conditions.vocabulary import FUNCTIONS, Function, Kind
from tickdeck.domain.market import parse_timeframe
from tickdeck.errors import format_value

__all__ = ["LONGEST", "comparisons_of", "parse"]

LONGEST = 1_000
"""Characters of a condition."""
_DEEPEST = 20
_LARGEST_COUNT = 10_000
_MOST_DIGITS = 30
_LIKE_A_NUMBER = re.compile(r"[0-9][0-9_]*([eE][0-9]*|[kKmM])?")
_LONGEST_CANDLE = 366 * 86_400_000_000_000  # ns


class _Part(NamedTuple):
    """A part of the condition that was read: what it is worth, where it begins, and how deep it is."""

    node: Node
    kind: Kind
    column: int
    depth: int = 0
    percent: str = ""  # "of": a function that counts in percent; "literal": a number with a % sign


def parse(text: str) -> Node:
    """The parts of a condition. Raises ``ConditionError``."""
    return _Parser(text).condition()


def comparisons_of(text: str) -> list[tuple[Comparison, int]]:
    """The comparisons in a condition with their columns, from left to right. Raises ``ConditionError``."""
    parser = _Parser(text)
    parser.condition()
    return parser.comparisons


class _Parser:
    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise mistake(text, LONGEST + 1, f"the condition has {len(text)} characters; at most {LONGEST} are read")
        self._text = text
        self._tokens = list(tokens(text))
        self._place = 0
        self._open = 0  # how many rules are being read within each other
        self.comparisons: list[tuple[Comparison, int]] = []  # with their columns

    # -- the rules, from the one that binds least ------------------------------------------------------------------

    def condition(self) -> Node:
        if self._next.kind == "end":
            self._fail(self._next.column, "the condition is empty", "give one such as `price > 100`")
        part = self._or()
        if self._next.kind != "end":
            self._unexpected("an operator, `and` or `or`")
        self._need(part, Kind.TRUTH)
        return part.node

    def _or(self) -> _Part:
        return self._chain("or")

    def _chain(self, word: str) -> _Part:
        parts = [self._and_or_not(word)]
        while self._takes(word):
            parts.append(self._and_or_not(word))
        if len(parts) == 1:
            return parts[0]
        for part in parts:
            self._need(part, Kind.TRUTH)
        nodes = tuple(part.node for part in parts)
        return self._made(Or(nodes) if word == "or" else And(nodes), Kind.TRUTH, *parts)

    def _and_or_not(self, word: str) -> _Part:
        return self._chain("and") if word == "or" else self._not()

    def _not(self) -> _Part:
        column = self._next.column
        if not self._takes("not"):
            return self._comparison()
        self._deeper(column)
        operand = self._not()
        self._open -= 1
        self._need(operand, Kind.TRUTH)
        return self._made(Not(operand.node), Kind.TRUTH, operand)._replace(column=column)

    def _comparison(self) -> _Part:
        left = self._sum()
        sign = self._next
        if not (sign.kind in ("sign", "word") and sign.text in COMPARISONS):
            return left
        self._place += 1
        right = self._sum()
        self._check_comparable(left, sign, right)
        if self._next.kind in ("sign", "word") and self._next.text in COMPARISONS:
            self._fail(self._next.column, "a comparison has two sides", "combine comparisons with `and`")
        comparison = Comparison(sign.text, left.node, right.node)
        self.comparisons.append((comparison, left.column))
        return self._made(comparison, Kind.TRUTH, left, right)

    def _sum(self) -> _Part:
        left = self._product()
        while self._next.kind == "sign" and self._next.text in "+-":
            left = self._arithmetic(left, self._product)
        return left

    def _product(self) -> _Part:
        left = self._unary()
        while self._next.kind == "sign" and self._next.text in "*/":
            left = self._arithmetic(left, self._unary)
        return left

    def _arithmetic(self, left: _Part, read: Callable[[], _Part]) -> _Part:
        sign = self._next.text
        self._place += 1
        right = read()
        for part in (left, right):
            self._need(part, Kind.NUMBER)
        return self._made(Arithmetic(sign, left.node, right.node), Kind.NUMBER, left, right)

    def _unary(self) -> _Part:
        column = self._next.column
        if not (self._next.kind == "sign" and self._next.text == "-"):
            return self._atom()
        self._place += 1
        self._deeper(column)
        operand = self._unary()
        self._open -= 1
        self._need(operand, Kind.NUMBER)
        made = self._made(Negative(operand.node), Kind.NUMBER, operand)
        return made._replace(column=column, percent=operand.percent)

    def _atom(self) -> _Part:
        token = self._next
        if token.kind == "number":
            return self._number()
        if token.kind == "time":
            return self._time()
        if token.kind == "sign" and token.text == "(":
            self._place += 1
            self._deeper(token.column)
            part = self._or()
            self._open -= 1
            if not self._takes(")"):
                self._unexpected("`)`")
            return part
        if token.kind == "word" and token.text not in KEYWORDS:
            return self._reference()
        return self._unexpected("a value, such as `price` or a number")

    # -- values ----------------------------------------------------------------------------------------------------

    def _number(self) -> _Part:
        token = self._take()
        if len(token.text) > _MOST_DIGITS:
            self._fail(token.column, f"the number has more than {_MOST_DIGITS} digits", "round it")
        percent = self._takes("%")
        literal = "literal" if percent else ""
        return _Part(Number(Decimal(token.text), percent), Kind.NUMBER, token.column, percent=literal)

    def _time(self) -> _Part:
        token = self._take()
        hour, minute, second = (*map(int, token.text.split(":")), 0)[:3]
        if hour > 23 or minute > 59 or second > 59:
            self._fail(token.column, f"{token.text} is no time of day", "give one from 00:00 UTC to 23:59:59 UTC")
        if not self._takes("UTC"):
            self._fail(self._next.column, "the time has no zone", zone_hint(token.text, self._next.text))
        return _Part(TimeOfDay((hour * 60 + minute) * 60 + second), Kind.TIME, token.column)

    def _reference(self) -> _Part:
        name = self._take()
        function = FUNCTIONS.get(name.text)
        if function is None:
            self._unknown(name)
        given = self._arguments() if self._takes("(") else []
        reference = self._filled(name, function, given)
        return _Part(reference, function.kind, name.column, percent="of" if function.percent else "")

    def _unknown(self, name: Token) -> NoReturn:
        word = name.text
        if word.lower() in KEYWORDS or word.lower() in FUNCTIONS:
            self._fail(name.column, f"there is no {word!r}", f"did you mean {word.lower()!r}?")
        if _LIKE_A_NUMBER.fullmatch(word):
            self._fail(name.column, f"{format_value(word)} is no number", "write all digits, such as 65000 or 0.00001")
        instead = instead_of(word)
        if instead:
            self._fail(name.column, f"there is no {word!r}", instead)
        close = get_close_matches(word.lower(), [*FUNCTIONS, *KEYWORDS], n=1)
        if close:
            self._fail(name.column, f"there is no {word!r}", f"did you mean {close[0]!r}?")
        if self._next.text != "(" and word.isupper():
            self._fail(name.column, f"there is no {word!r}", f"the price of a symbol is price({word})")
        self._fail(name.column, f"there is no {format_value(word)}", f"there are {', '.join(FUNCTIONS)}")

    def _arguments(self) -> list[Token]:
        """The arguments of a name, up to the closing parenthesis."""
        given: list[Token] = []
        if self._takes(")"):
            return given
        while True:
            token = self._take()
            if token.kind not in ("word", "number", "text") or (token.kind == "word" and token.text in KEYWORDS):
                self._place -= 1
                self._unexpected("an argument: a symbol, a whole number or an interval such as 1h")
            given.append(token)
            if self._takes(")"):
                return given
            if not self._takes(","):
                self._unexpected("`,` or `)`", self._hint_between(token))

    def _hint_between(self, before: Token) -> str:
        """The hint for what follows an argument without a comma."""
        found = self._next
        if found.kind == "sign" and found.text in "-/":
            after = self._tokens[self._place + 1]
            whole = f"{before.text}{found.text}{after.text}" if after.kind in ("word", "number") else "BTC-PERP"
            return f'put quotes around a name with {found.text!r}: "{whole}"'
        if before.kind == "number" and found.text.isalpha() and is_timeframe(before.text + found.text):
            return f"write {before.text}{found.text} without a blank"
        return "write a comma between arguments" if found.kind in ("word", "number", "text") else ""

    def _filled(self, name: Token, function: Function, given: list[Token]) -> Reference:
        waiting = list(given)
        of = symbol = timeframe = ""
        count = 0
        if function.of:
            if not waiting or waiting[0].kind == "number":
                self._misused(name, function, f"it needs the name of a {function.of}")
            of = self._name(waiting.pop(0))
        if function.symbol and waiting and waiting[0].kind != "number" and not _is_interval(waiting[0]):
            symbol = self._name(waiting.pop(0))
        if function.count:
            if not waiting or waiting[0].kind != "number":
                self._misused(name, function, f"it needs a whole number of {function.count}", waiting)
            count = self._count(waiting.pop(0))
        if function.timeframe and waiting and _is_interval(waiting[0]):
            timeframe = self._interval(waiting.pop(0))
        if function.timeframe == "required" and not timeframe:
            self._misused(name, function, "it needs the interval of candles, such as 1h", waiting)
        if waiting:
            self._misused(name, function, f"{waiting[0].text!r} does not belong here", waiting)
        return Reference(function=name.text, symbol=symbol, count=count, timeframe=timeframe, of=of)

    def _misused(self, name: Token, function: Function, what: str, waiting: list[Token] | None = None) -> NoReturn:
        column = waiting[0].column if waiting else name.column
        self._fail(column, f"{name.text}: {what}", f"its arguments are: {function.usage}")

    def _name(self, token: Token) -> str:
        if not token.text or any(map(str.isspace, token.text)) or not token.text.isprintable():
            self._fail(token.column, f"{format_value(token.text)} is no name", "names have no blanks")
        return token.text

    def _count(self, token: Token) -> int:
        if not token.text.isdecimal() or not 1 <= int(token.text[:_MOST_DIGITS]) <= _LARGEST_COUNT:
            self._fail(token.column, f"{token.text} is no count", f"give a whole number from 1 to {_LARGEST_COUNT}")
        return int(token.text)

    def _interval(self, token: Token) -> str:
        timeframe = parse_timeframe(token.text)
        if timeframe.ns > _LONGEST_CANDLE or timeframe.months > 12:
            self._fail(token.column, f"candles of {token.text} are too long", "give at most a year")
        return str(timeframe)

    # -- checks ----------------------------------------------------------------------------------------------------

    def _check_comparable(self, left: _Part, sign: Token, right: _Part) -> None:
        for part in (left, right):
            if part.kind is Kind.TRUTH:
                self._fail(part.column, "a truth cannot be compared", "combine truths with `and`, `or` and `not`")
        if left.kind is not right.kind:
            hint = "write a time of day as 16:00 UTC" if Kind.TIME in (left.kind, right.kind) else ""
            self._fail(sign.column, f"a {left.kind} cannot be compared with a {right.kind}", hint)
        if left.kind is Kind.TIME and sign.text in ("==", "!=", *CROSSINGS):
            self._fail(sign.column, f"{sign.text} does not work with times, which are exact to the ns", "write >= or <")
        for part, other in ((left, right), (right, left)):
            if part.percent == "of" and other.percent == "literal":
                self._fail(other.column, "the other side counts in percent already", "leave out the % sign")

    def _need(self, part: _Part, kind: Kind) -> None:
        if part.kind is kind:
            return
        if kind is Kind.TRUTH:
            self._fail(part.column, f"this is a {part.kind}, not a condition", "compare it, as in `price > 100`")
        self._fail(part.column, f"this is a {part.kind}, and a {kind} is needed")

    def _made(self, node: Node, kind: Kind, *parts: _Part) -> _Part:
        depth = 1 + max(part.depth for part in parts)
        if depth > _DEEPEST:
            self._too_deep(parts[0].column)
        return _Part(node, kind, parts[0].column, depth)

    def _deeper(self, column: int) -> None:
        self._open += 1
        if self._open > _DEEPEST:
            self._too_deep(column)

    def _too_deep(self, column: int) -> NoReturn:
        self._fail(column, f"more than {_DEEPEST} parts are nested here", "split the condition")

    # -- tokens ----------------------------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._place]

    def _take(self) -> Token:
        token = self._tokens[self._place]
        self._place += token.kind != "end"
        return token

    def _takes(self, text: str) -> bool:
        """Whether the next token is this sign or word, which is then taken."""
        token = self._next
        if token.kind in ("sign", "word") and token.text == text:
            self._place += 1
            return True
        return False

    def _unexpected(self, wanted: str, hint: str = "") -> NoReturn:
        token = self._next
        found = "the condition ends" if token.kind == "end" else f"there is {format_value(token.text)}"
        hint = hint or self._hint_at(token, value=wanted.startswith("a value"))
        if not hint and token.text.startswith("cross"):
            hint = "write crosses_above or crosses_below"
        elif not hint and token.kind == "word":
            close = get_close_matches(token.text.lower(), KEYWORDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close and close[0] != token.text else ""
        self._fail(token.column, f"{found} where {wanted} is needed", hint)

    def _hint_at(self, token: Token, *, value: bool) -> str:
        """The hint for a token where a value is needed, or else an operator."""
        before = self._tokens[self._place - 1] if self._place else Token("", "", 0)
        if value and token.kind == "text":
            return 'only names in parentheses have quotes, as in price("BTC-PERP")'
        if not value and token.kind in ("word", "text") and before.text in FUNCTIONS and token.text.isupper():
            shown = token.text if token.kind == "word" else f'"{token.text}"'
            return "" if token.text.lower() in KEYWORDS else f"write {before.text}({shown})"
        if not value and token.kind == "number" and before.text != ")" and before.text in FUNCTIONS:
            return "compare them, as in `price > 100`"
        return hint_for_token(before.text, token.text, value=value) if token.kind in ("sign", "word") else ""

    def _fail(self, column: int, what: str, hint: str = "") -> NoReturn:
        raise mistake(self._text, column, what, hint)


def _is_interval(token: Token) -> bool:
    return token.kind == "word" and is_timeframe(token.text)
