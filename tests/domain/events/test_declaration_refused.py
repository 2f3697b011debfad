"""Event classes that cannot work, and values that nest too deeply, are refused with the reason."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
import pytest

from tickdeck.domain.events import (
    DomainEvent,
    OrderEvent,
    RawEvent,
    TradeEvent,
    decode_payload,
    encode_payload,
    event_from_json,
)
from tickdeck.errors import EventSchemaError, EventValidationError


def define(
    annotations: dict[str, Any], name: str = "Wrong", bases: tuple[type, ...] = (DomainEvent,), **rest: Any
) -> Any:
    options = rest.pop("options", {"frozen": True, "kw_only": True})
    namespace = {"__annotations__": annotations, "__module__": __name__, "event_type": "declaration_test.wrong", **rest}
    return type(DomainEvent)(name, (DomainEvent,), namespace, **options)


class Local:
    pass


T = TypeVar("T")


class Box(msgspec.Struct, Generic[T], frozen=True):
    content: T


class Huge(Enum):
    VALUE = 2**70


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ({"event_type": str}, "write `event_type: ClassVar"),
        ({"event_type": "str"}, "write `event_type: ClassVar"),
        ({"version": int}, "write `version: ClassVar"),
        ({"extra": Any}, "extra: Any is not supported"),
        ({"extra": object}, "extra: object is not supported"),
        ({"extra": dict[str, Any]}, "extra: Any is not supported"),
        ({"extra": dict}, "extra: dict is not supported"),
        ({"extra": Local}, "extra: Local is not supported"),
        ({"extra": "Nowhere"}, "an annotation uses the name 'Nowhere', which .* does not define"),
        ({"extra": str | Decimal}, "extra: .*may not contain more than one str-like type"),
        ({"extra": dict[float, int]}, "JSON cannot have the keys"),
        ({"payload": str}, "every event already has an attribute payload"),
        ({"stream": str}, "every event already has an attribute stream"),
        ({"ts": datetime}, "every event has a field ts of another type"),
        ({"version": "int"}, r"write `version: ClassVar\[int\] = \.\.\.`"),
        ({"class": str}, "'class' is a keyword of Python"),
        ({"extra": Box[int]}, r"Box\[int\] is not supported; write a class with concrete types"),
        ({"extra": Huge}, "extra: .*2\\*\\*63"),
        ({"extra": DomainEvent}, "extra: DomainEvent is a base class"),
        ({"extra": tuple[OrderEvent, ...]}, "extra: OrderEvent is a base class"),
        ({"extra": "Wrong | None"}, "an event cannot contain events of its own class"),
    ],
)
def test_a_class_that_cannot_work_is_refused_when_it_is_defined(annotations: dict[str, Any], said: str) -> None:
    with pytest.raises(EventValidationError, match=f"^Wrong: .*{said}"):
        define(annotations)


class Tree(msgspec.Struct, frozen=True):
    number: int
    below: tuple[Tree, ...] = ()


class Forest(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "declaration_test.forest"
    trees: dict[str, Tree]


def tree(levels: int) -> Tree:
    grown = Tree(1)
    for _ in range((levels - 1) // 2):  # a level is a tree or a tuple
        grown = Tree(1, (grown,))
    return grown


def test_a_value_that_nests_too_deeply_is_refused_with_a_short_message() -> None:
    event = Forest(trees={"oak": tree(99)})

    def read(frames: int) -> DomainEvent:  # a reader may have been called by many others
        return event_from_json(event.to_json()) if frames == 0 else read(frames - 1)

    assert read(400) == event
    for levels in (101, 1_000, 100_000):
        with pytest.raises(EventValidationError, match=r"trees is a dict of too many levels; it must be .* most 100"):
            Forest(trees={"oak": tree(levels)})
    nested: dict[str, Any] = {}
    for _ in range(300):
        nested = {"a": nested}
    with pytest.raises(EventValidationError, match="at most 250 levels"):
        RawEvent(raw_type="weather.changed", raw=nested)


def test_a_raw_event_of_a_type_that_has_a_class_is_refused() -> None:
    with pytest.raises(EventValidationError, match=r"'market\.trade', which TradeEvent is for"):
        RawEvent(raw_type="market.trade", raw={"x": 1})


def test_an_error_in_the_class_itself_is_reported_when_an_event_is_read() -> None:
    class Strict(DomainEvent, frozen=True, kw_only=True):
        event_type: ClassVar[str] = "declaration_test.strict"

        def __post_init__(self) -> None:
            raise KeyError("limit")

    with pytest.raises(EventSchemaError, match="the class Strict raised KeyError: 'limit' for this event"):
        event_from_json(b'{"event_type":"declaration_test.strict"}')


def test_a_mutable_struct_is_refused_as_a_field() -> None:
    class Loose(msgspec.Struct):
        name: str

    with pytest.raises(EventValidationError, match=r"Loose is mutable.*frozen=True"):
        define({"leg": Loose})


def test_a_subclass_of_a_concrete_event_needs_a_type_of_its_own() -> None:
    with pytest.raises(EventValidationError, match=r"MyTrade: it extends TradeEvent.*its own event_type"):

        class MyTrade(TradeEvent, frozen=True, kw_only=True):
            liquidation: bool = False


def test_a_class_may_be_defined_again() -> None:
    first = define({"a": int}, "Again", event_type="declaration_test.again")
    second = define({"b": int}, "Again", event_type="declaration_test.again")

    assert type(decode_payload("declaration_test.again", encode_payload(second(b=1)))) is second
    assert first is not second


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frozen": False}, "immutable"),
        ({"array_like": True}, "array_like"),
        ({"omit_defaults": True}, "omit_defaults"),
        ({"rename": "camel"}, "rename"),
        ({"tag": "x"}, "tag"),
        ({"eq": False}, "eq=False"),
    ],
)
def test_an_option_that_cannot_work_is_refused_with_the_first_event(options: dict[str, Any], said: str) -> None:
    cls = define({"some_field": int}, options={"kw_only": True, **options})
    with pytest.raises(EventValidationError, match=f"^Wrong: .*{said}"):
        cls(some_field=1)
