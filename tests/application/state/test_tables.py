"""Many objects of one class come back from their table as they were, with what they share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.state import Reader, Scope, Writer, name_objects, table_writing
from tickdeck.domain.events import NotificationAlert, OrderSubmittedEvent, TradeEvent
from tickdeck.domain.values import OrderStatus, Side


class Part:
    __slots__ = ("numbers", "owner")

    def __init__(self, owner: Any, numbers: list[Any]) -> None:
        self.owner, self.numbers = owner, numbers


class Row:
    __slots__ = ("event", "ids", "kept", "name", "part", "price", "rare", "size", "status")

    def __init__(self, number: int) -> None:
        self.name = f"row {number}"
        self.price = Decimal(number) / 4
        self.size = number
        self.status = OrderStatus.FILLED if number % 2 else OrderStatus.CANCELLED
        self.ids = {f"a{number}", f"b{number}"} if number % 3 == 0 else set()
        self.kept: dict[str, Any] = {"x": number} if number % 5 == 0 else {}
        self.part = Part(self, [number] * (number % 4))
        self.event: Any = None
        self.rare: Any = None


class Struct(msgspec.Struct):
    left: Any
    right: Any = None


class Loose:
    """It keeps its attributes in a ``__dict__``."""

    def __init__(self, number: int) -> None:
        self.number = number


class Root:
    def __init__(self) -> None:
        self.kept: Any = None
        self.other: Any = None


CLASSES = {("test", cls.__qualname__): cls for cls in (Part, Row, Struct, Loose, Root)}


@pytest.fixture(autouse=True, scope="module")
def tables_of_two() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table_writing, "MANY", 2)
        yield


def written(root: Root) -> dict[str, Any]:
    scope = Scope(classes=CLASSES)
    writer = Writer(name_objects([{"root": Root()}], scope)._replace(names={id(root): "root"}), scope)
    writer.write(root, (), "root")
    return writer.state()


def again(root: Root) -> tuple[Root, dict[str, Any]]:
    """``root`` as a new process would restore it, and what was written."""
    state = msgspec.json.decode(msgspec.json.encode(written(root)))
    restored, scope = Root(), Scope(classes=CLASSES)
    Reader(state, name_objects([{"root": restored}], scope), scope, lambda order: None).fill()
    assert written(restored) == written(root)
    return restored, state


def kinds(state: dict[str, Any]) -> list[str]:
    return [kind for _, _, kind, *_ in state["tables"]]


def test_rows_come_back_with_their_parts() -> None:
    root = Root()
    root.kept = {f"key {number}": Row(number) for number in range(12)}
    root.other = [root.kept["key 3"], root.kept["key 3"].part, root.kept["key 5"].kept]

    restored, state = again(root)

    assert kinds(state) == ["objects", "set", "dict", "objects", "list"]
    assert len(state["objects"]) == 5  # the dict, the list, and what the list has of the rows
    assert list(restored.kept) == list(root.kept)
    for row, other in zip(restored.kept.values(), root.kept.values(), strict=True):
        assert (row.name, repr(row.price), row.size, row.status) == (
            other.name, repr(other.price), other.size, other.status,
        )  # fmt: skip
        assert (row.ids, row.kept, row.part.numbers) == (other.ids, other.kept, other.part.numbers)
        assert row.part.owner is row
        assert row.event is None
    assert restored.other[0] is restored.kept["key 3"]
    assert restored.other[1] is restored.kept["key 3"].part
    assert restored.other[2] is restored.kept["key 5"].kept


def test_what_rows_share_is_shared_again() -> None:
    root = Root()
    shared: list[Any] = [1]
    rows = [Row(number) for number in range(4)]
    for row in rows:
        row.rare = shared
    rows[1].part = rows[2].part  # of two rows
    rows[3].kept = rows[0].kept
    root.kept = rows

    restored, _ = again(root)

    assert all(row.rare is restored.kept[0].rare for row in restored.kept)
    assert restored.kept[1].part is restored.kept[2].part
    assert restored.kept[1].part.owner is restored.kept[2]
    assert restored.kept[3].kept is restored.kept[0].kept
    assert restored.kept[0].part is not restored.kept[1].part


def test_a_row_that_was_met_before_is_the_same_object() -> None:
    root = Root()
    rows = [Row(number) for number in range(5)]
    root.other, root.kept = {"one": rows[1].part, "two": 2}, {str(row.size): row for row in rows}
    root.kept["last"] = rows[0]

    restored, _ = again(root)

    assert restored.other["one"] is restored.kept["1"].part
    assert restored.kept["last"] is restored.kept["0"]


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_an_attribute_that_is_not_set_stays_so(number: int) -> None:
    root = Root()
    root.kept = [Row(each) for each in range(4)]
    del root.kept[number].rare

    restored, _ = again(root)

    assert [hasattr(row, "rare") for row in restored.kept] == [each != number for each in range(4)]


def test_events_keep_their_digits_and_their_metadata() -> None:
    def order(number: int, **more: Any) -> OrderSubmittedEvent:
        return OrderSubmittedEvent(
            event_id=f"{number}-1", order_id=f"o{number}", symbol="BTCUSDT", side=Side.BUY, strategy_id="s",
            quantity=Decimal("1.50"), remaining=Decimal("1.5"), limit=Decimal(number) if number else None, **more,
        )  # fmt: skip

    for more in ({}, {"metadata": {"why": "test"}}):
        root = Root()
        root.kept = [Row(number) for number in range(4)]
        for row in root.kept:
            row.event = order(row.size, **more)
        root.other = root.kept[2].event

        restored, state = again(root)

        assert ("payloads" if more else "events") in kinds(state)
        assert [repr(row.event) for row in restored.kept] == [repr(row.event) for row in root.kept]
        assert restored.other is restored.kept[2].event


def test_objects_with_a_dict_are_written_one_by_one() -> None:
    root = Root()
    root.kept = [Loose(number) for number in range(4)]

    restored, state = again(root)

    assert kinds(state) == []
    assert [one.number for one in restored.kept] == [0, 1, 2, 3]


PLAIN: list[st.SearchStrategy[Any]] = [
    st.none(), st.booleans(), st.integers(), st.integers(-3, 3), st.text(max_size=3), st.sampled_from(["", "a"]),
    st.floats(), st.decimals(allow_nan=False), st.sampled_from([Decimal("1.0"), Decimal(1)]),
    st.sampled_from(OrderStatus), st.sampled_from([OrderStatus.FILLED, Side.BUY]), st.lists(st.integers(), max_size=2),
    st.sets(st.text(max_size=2), max_size=3), st.dictionaries(st.integers(), st.text(max_size=1), max_size=2),
    st.tuples(st.integers()), st.builds(Struct, st.integers()), st.builds(NotificationAlert, text=st.text(max_size=3)),
    st.builds(Struct, st.lists(st.none(), max_size=2), st.booleans()), st.binary(max_size=2),
    st.builds(
        TradeEvent, symbol=st.just("BTCUSDT"), price=st.just(Decimal("1.10")), quantity=st.just(Decimal(2)),
        trade_id=st.integers(0, 9), side=st.sampled_from(Side),
    ),
]  # fmt: skip


ONE_COLUMN = st.lists(st.sampled_from(PLAIN), min_size=1, max_size=3).flatmap(
    lambda kinds: st.lists(st.one_of(kinds), min_size=2, max_size=6)
)


@given(ONE_COLUMN)
def test_any_column_comes_back(values: list[Any]) -> None:
    root = Root()
    root.kept = [Struct(value, place) for place, value in enumerate(values)]

    restored, state = again(root)

    assert kinds(state)[0] == "objects"
    assert [(type(row.left), repr(row.left)) for row in restored.kept] == [
        (type(value), repr(value) if not isinstance(value, set) else repr(row.left))
        for value, row in zip(values, restored.kept, strict=True)
    ]
    assert [row.left for row in restored.kept if type(row.left) is set] == [v for v in values if type(v) is set]


def test_what_cannot_be_written_is_named() -> None:
    root = Root()
    root.kept = [Row(number) for number in range(4)]
    for row in root.kept:
        row.rare = memoryview(b"")
    with pytest.raises(Exception, match=r"root\.kept\[\]\.rare is a memoryview"):
        again(root)


def _calls(function: Callable[[], object]) -> int:
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


def test_more_rows_need_few_calls() -> None:
    def calls_for(count: int) -> int:
        root = Root()
        root.kept = {str(number): Row(number) for number in range(count)}
        for row in root.kept.values():
            row.ids = set()
        return _calls(lambda: written(root))

    assert calls_for(1_000) < calls_for(200) + 1_000  # one for each set
