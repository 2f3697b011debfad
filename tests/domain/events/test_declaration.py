"""Declared events: their fields, values and bytes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from decimal import Context, Decimal, InvalidOperation, localcontext
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, ClassVar, Literal, NewType

import msgspec
import pytest

from tickdeck.domain.events import (
    BookResynced,
    CommandReceived,
    DomainEvent,
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


def test_a_subclass_of_str_with_methods_is_text() -> None:
    class Odd(str):
        __slots__ = ()

        def encode(self, *_: Any) -> bytes:
            raise RuntimeError

    assert CommandReceived(command=Odd("halt")).command == "halt"


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


class Counted:
    resolved = 0

    def __class_getitem__(cls, hint: type) -> type:
        cls.resolved += 1
        return hint


def test_an_annotation_is_resolved_once_for_all_subclasses() -> None:
    # To resolve those of the envelope again for each class took a quarter of the instructions to import Tickdeck.
    class Base(DomainEvent, frozen=True, kw_only=True):
        amount: Counted[int]

    class First(Base, frozen=True, kw_only=True):
        event_type: ClassVar[str] = "test.resolved_once"

    class Second(Base, frozen=True, kw_only=True):
        event_type: ClassVar[str] = "test.resolved_once_too"

    assert Counted.resolved == 1
    assert First(amount=1).amount == Second(amount=1).amount == 1
