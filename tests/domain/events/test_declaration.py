"""Rules for event classes, and how a mistake is reported to the author of the class."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal, InvalidOperation, localcontext
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Generic, Literal, NewType, TypeVar

import msgspec
import pytest

from tickdeck.domain.events import (
    BookResynced,
    CommandReceived,
    DomainEvent,
    OrderEvent,
    RawEvent,
    RunStarted,
    TickEvent,
    TradeEvent,
    decode_payload,
    encode_payload,
    event_from_dict,
    event_from_json,
)
from tickdeck.domain.values import Side
from tickdeck.errors import EventSchemaError, EventValidationError

Sku = NewType("Sku", str)


class Grade(Enum):
    GOOD = "good"
    BAD = "bad"


class Part(msgspec.Struct, frozen=True):
    name: str
    price: Decimal | None = None
    weights: list[float] = []


class Everything(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "declaration_test.everything"
    prices: tuple[Decimal, ...] = ()
    by_name: dict[str, Decimal] = {}
    by_number: dict[int, str] = {}
    number: int | Decimal = 0
    rough: float | Decimal = 0.0
    grade: Grade = Grade.GOOD
    when: datetime | None = None
    tags: set[str] = set()
    part: Part | None = None
    parts: list[Part] = []
    word: Literal["a", "b", 1] = "a"
    sku: Sku = Sku("x")
    few: Annotated[int, msgspec.Meta(ge=0, le=9)] = 0
    sure: bool = False
    pair: tuple[str, int] = ("", 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prices", (Decimal("1.50"), Decimal(2))),
        ("prices", [Decimal(1)]),
        ("by_name", {"b": Decimal(2), "a": Decimal(1)}),
        ("by_number", {10: "x", 9: "y"}),
        ("number", 5),
        ("number", Decimal("5.0")),
        ("rough", 0.1),
        ("rough", Decimal("0.1")),
        ("grade", Grade.BAD),
        ("when", datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))),
        ("when", datetime(2024, 1, 1)),  # noqa: DTZ001 (a time without a zone stays one)
        ("tags", {"z", "a", "m"}),
        ("part", Part("p", Decimal(1), [1, 2.5])),
        ("parts", [Part("p"), Part("q")]),
        ("word", 1),
        ("sku", "y"),
        ("few", 9),
        ("sure", True),
        ("pair", ["a", 1]),
    ],
)
def test_fields_of_all_supported_annotations_round_trip(field: str, value: Any) -> None:
    event = Everything(**{field: value})

    payload = encode_payload(event)
    back = decode_payload(event.event_type, payload)
    assert back == event
    assert encode_payload(back) == payload
    assert event_from_json(event.to_json()) == event
    assert event_from_dict(event.to_dict()) == event
    for twin in (pickle.loads(pickle.dumps(event)), copy.copy(event), copy.deepcopy(event)):
        assert twin == event
        assert encode_payload(twin) == payload
    assert hash(back) == hash(event)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("prices", (0.1,), r"prices\[0\] is 0.1; it must be a decimal.Decimal"),
        ("by_name", {"a": 1}, r"by_name.a is 1; it must be a decimal.Decimal"),
        ("by_name", {"a\ud800": Decimal(1)}, "by_name's key is .*UTF-8"),
        ("number", True, "number is True"),
        ("number", 1 << 70, "number is .*64 bits"),
        ("rough", float("nan"), "rough is nan"),
        ("rough", Decimal("sNaN"), "rough is sNaN"),
        ("grade", "good", "grade is 'good'"),
        ("word", True, "word is True"),
        ("few", 10, "few is 10"),
        ("sure", 1, "sure is 1"),
        ("pair", ("a",), "pair is"),
        ("part", Part(5), "part.name is 5"),  # type: ignore[arg-type]
        ("parts", [Part("p", Decimal("NaN"))], r"parts\[0\].price is NaN"),
        ("sku", None, "sku is None"),
        ("ts", None, "ts is None"),
        ("ts_ingress", 1.5, "ts_ingress is 1.5"),
        ("seq", "1", "seq is '1'"),
        ("source", None, "source is None"),
        ("event_id", 7, "event_id is 7"),
        ("metadata", {"a": 1}, "metadata.a is 1"),
        ("metadata", {1: "a"}, "metadata's key is 1"),
        ("metadata", None, "metadata is None"),
    ],
)
def test_values_that_cannot_round_trip_are_refused_with_event_field_and_value(
    field: str, value: Any, said: str
) -> None:
    with pytest.raises(EventValidationError, match=f"^declaration_test.everything: {said}") as refused:
        Everything(**{field: value})
    assert "\n" not in str(refused.value)
    str(refused.value).encode()  # a message can be logged, whatever the value


def trade(**fields: Any) -> TradeEvent:
    return TradeEvent(**{"symbol": "X", "price": Decimal(1), "quantity": Decimal(1), "side": Side.BUY, **fields})


@pytest.mark.parametrize(
    "make",
    [
        lambda: trade(trade_id=None),
        lambda: trade(trade_id=1.5),
        lambda: trade(trade_id=True),
        lambda: trade(source=None),
        lambda: trade(ts="2024"),
        lambda: trade(ts=1.5e18),
        lambda: trade(metadata={"a": 1}),
        lambda: trade(symbol=""),
        lambda: TickEvent(
            symbol="X",
            bid_price=Decimal(1),
            bid_quantity=Decimal(1),
            ask_price=Decimal(2),
            ask_quantity=Decimal(1),
            update_id=None,  # type: ignore[arg-type]
        ),
        lambda: CommandReceived(command="x", arguments={"n": 1}),  # type: ignore[dict-item]
        lambda: CommandReceived(command="\ud800"),
        lambda: RunStarted(symbols=("a", 1)),  # type: ignore[arg-type]
        lambda: RunStarted(seed=1 << 63),
        lambda: msgspec.structs.replace(trade(), ts=None),
    ],
)
def test_the_catalogues_events_check_every_field(make: Any) -> None:
    with pytest.raises(EventValidationError):
        make()


def test_subclasses_of_plain_types_become_plain() -> None:
    class Shade(StrEnum):
        RED = "red"

    class Size(IntEnum):
        BIG = 3

    class Half(float):
        pass

    event = Everything(sku=Sku(Shade.RED), number=Size.BIG, rough=Half(0.5))

    assert [type(event.sku), type(event.number), type(event.rough)] == [str, int, float]
    assert decode_payload(event.event_type, encode_payload(event)) == event


def test_later_changes_by_the_caller_do_not_change_an_event() -> None:
    weights = [1.0]
    names, tags, parts = {"a": Decimal(1)}, {"a"}, [Part("p", weights=weights)]
    event = Everything(by_name=names, tags=tags, parts=parts)
    before = encode_payload(event)

    weights.append(2.0)
    names["b"] = Decimal(2)
    tags.add("b")
    parts.clear()

    assert encode_payload(event) == before


@pytest.mark.long
def test_equal_events_have_equal_bytes_in_any_order_and_under_any_hash_seed() -> None:
    one = Everything(by_name={"a": Decimal(1), "b": Decimal(2)}, tags={"a", "b"})
    other = Everything(by_name={"b": Decimal(2), "a": Decimal(1)}, tags={"b", "a"})
    assert encode_payload(one) == encode_payload(other)
    program = (
        "from typing import ClassVar\n"
        "from tickdeck.domain.events import DomainEvent, encode_payload\n"
        "class T(DomainEvent, frozen=True, kw_only=True):\n"
        "    event_type: ClassVar[str] = 'a.b'\n"
        "    tags: set[str]\n"
        "print(encode_payload(T(tags=set('a quick brown fox jumps over the lazy dog'.split()))))\n"
    )
    written = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(written) == 1


def test_checks_run_whether_or_not_post_init_calls_super() -> None:
    class Careless(DomainEvent, frozen=True, kw_only=True):
        event_type: ClassVar[str] = "declaration_test.careless"
        number: int

        def __post_init__(self) -> None:
            if self.number < 0:
                raise ValueError("below 0")
            msgspec.structs.force_setattr(self, "source", None if self.number == 7 else "me")

    with pytest.raises(EventValidationError, match="number is None"):
        Careless(number=None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="below 0"):
        Careless(number=-1)
    with pytest.raises(EventValidationError, match="source is None"):
        Careless(number=7)
    assert Careless(number=1).source == "me"


# -- mistakes in a class ----------------------------------------------------------------------------------------------


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


def test_a_subclass_of_str_with_methods_is_text() -> None:
    class Odd(str):
        __slots__ = ()

        def encode(self, *_: Any) -> bytes:
            raise RuntimeError

    assert CommandReceived(command=Odd("halt")).command == "halt"


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


# -- unknown fields ---------------------------------------------------------------------------------------------------


def test_a_field_that_the_class_does_not_have_is_reported() -> None:
    with pytest.raises(EventSchemaError, match=r"everything: x is a field that Everything \(version 1\) does not have"):
        decode_payload("declaration_test.everything", b'{"x":5}')
    with pytest.raises(EventSchemaError, match=r"part\.x is a field that Part does not have"):
        decode_payload("declaration_test.everything", b'{"part":{"name":"p","x":5}}')
    with pytest.raises(EventSchemaError, match="x is a field"):
        event_from_json(b'{"event_type":"declaration_test.everything","x":5}')


def test_a_raw_event_keeps_its_stream_and_shows_its_new_stamps() -> None:
    raw = decode_payload("weather.changed", b'{"event_id":"4-1","seq":9,"ts":5,"degrees":21.5}', 2, "weather/oslo")
    assert isinstance(raw, RawEvent)

    again = msgspec.structs.replace(raw, seq=12, event_id="7")

    assert again.stream == "weather/oslo"
    back = event_from_json(again.to_json())
    assert (back.seq, back.event_id, back.ts) == (12, "7", 5)
    assert back.payload == {"degrees": 21.5}


class _Name(str):
    __slots__ = ()


@pytest.mark.parametrize("field", ["source", "symbol", "event_id", "causation_id"])
@pytest.mark.parametrize("wrong", ["\ud800", None, 5, b"x"])
def test_a_value_that_most_events_share_is_checked_in_the_others(field: str, wrong: Any) -> None:
    fields: dict[str, Any] = {"symbol": "BTCUSDT", "source": "binance", "last_update_id": 1}
    assert BookResynced(**fields) == BookResynced(**fields)

    with pytest.raises(EventValidationError, match=rf"market\.book_resynced: {field} is "):
        BookResynced(**{**fields, field: wrong})
    assert type(getattr(BookResynced(**{**fields, field: _Name("BTCUSDT")}), field)) is str


@pytest.mark.parametrize("wrong", ["0", "-0", "-1", "NaN", "sNaN", "-NaN", "Infinity", "-Infinity", "0E+5"])
@pytest.mark.parametrize("traps", [[], [InvalidOperation]])
def test_no_decimal_context_lets_an_invalid_price_pass(wrong: str, traps: list[Any]) -> None:
    with localcontext(Context(traps=traps)), pytest.raises(EventValidationError, match=r"market\.trade: price is "):
        TradeEvent(symbol="BTCUSDT", price=Decimal(wrong), quantity=Decimal(1), side=Side.BUY)
