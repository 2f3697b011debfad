"""Attributes are read completely, and without the ``__dict__`` that would slow the object down."""

from __future__ import annotations

import gc
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.state.attributes import Attributes
from tickdeck.application.strategies import Strategy


class Plain:
    """Its code knows ``a`` to ``d``; ``c`` and ``d`` have a value that belongs to the class."""

    c = None
    d = 7

    def __init__(self) -> None:
        self.a = 1

    def change(self) -> None:
        self.b = self.c = self.d = self.a

    @property
    def doubled(self) -> int:
        return 2 * self.a


class Partly:
    __slots__ = ("__dict__", "__hidden", "left")

    def __init__(self) -> None:
        self.left, self.__hidden = [1], "h"
        self.other: object = self.left


class Tuned(Strategy):
    """Its parameters have the values of the class."""

    fast: int = 12
    name: str | None = None


@dataclass
class Made:
    size: int
    kept: list[int] = field(default_factory=list)


class Many:
    def __init__(self) -> None:
        for number in range(40):
            setattr(self, f"n{number}", number)


class Derived(dict[str, int]):
    def __init__(self) -> None:
        super().__init__(x=1)
        self.note = "n"


class Answering:
    def __init__(self) -> None:
        self.own = 1

    def __getattr__(self, name: str) -> str:
        return name

    def ask(self) -> object:
        return self.invented


def has_dict(value: object) -> bool:
    """Whether somebody has asked for the ``__dict__`` of ``value``. Now somebody has."""
    before = gc.get_referents(value)
    return any(each is vars(value) for each in before)


@pytest.mark.parametrize("make", [Plain, Partly, Tuned, lambda: Made(3)])
def test_reading_attributes_leaves_the_object_fast(make: Any) -> None:
    value = make()
    read, attributes = Attributes(), []
    for _ in range(2):
        attributes = read.of(value)

    assert not has_dict(value)
    in_slots = {"left": value.left, "_Partly__hidden": "h"} if isinstance(value, Partly) else {}
    assert dict(attributes) == vars(value) | in_slots
    assert len(attributes) == len(dict(attributes))


@pytest.mark.parametrize("make", [Many, Derived, Answering])
def test_attributes_of_unusual_objects_are_complete(make: Any) -> None:
    value = make()

    assert dict(Attributes().of(value)) == vars(value)


def test_the_order_does_not_depend_on_how_attributes_were_read() -> None:
    read = Attributes()
    value, same = Plain(), Plain()
    value.change()
    same.change()
    vars(same)

    assert read.of(value) == read.of(same) == [("a", 1), ("b", 1), ("c", 1), ("d", 1)]


CHANGES = st.tuples(st.sampled_from("abcdefg"), st.sampled_from([None, 1, 7, "text", (), "gone"]))


@given(st.lists(st.lists(CHANGES, max_size=8), max_size=4))
def test_whatever_is_set_or_deleted_is_read(objects: list[list[tuple[str, object]]]) -> None:
    """Also names that the code of the class does not mention, and values that the class has, too."""
    read = Attributes()
    for changes in objects:
        value = Plain()
        for name, held in changes:
            if held != "gone":
                setattr(value, name, held)
            elif name in [name for name, _ in read.of(value)]:
                delattr(value, name)
        found = read.of(value)
        assert found == sorted(vars(value).items())
