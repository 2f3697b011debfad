"""Exported events can be read back, and each column has the kind of its field."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.domain.events import (
    ActionIntent,
    DomainEvent,
    OrderBookEvent,
    RawEvent,
    SignalSnapshotEvent,
    StrategyDecisionEvent,
    TradeEvent,
    event_from_json,
)
from tickdeck.domain.values import Side
from tickdeck.infrastructure.exporting import export_events
from tickdeck.infrastructure.exporting.columns import BOOLEAN, FLOAT, INTEGER, TEXT, Columns

symbols = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Zs", "Cc")), min_size=1, max_size=12)
texts = st.text(st.characters(codec="utf-8") | st.sampled_from('\r\n",'), max_size=12)
money = st.decimals(min_value=Decimal("1E-12"), max_value=10**12, allow_nan=False, allow_infinity=False)
levels = st.lists(st.tuples(money, money), max_size=3).map(tuple)
envelopes: dict[str, Any] = {
    "seq": st.integers(1, 2**63 - 1),
    "event_id": st.sampled_from(("1", "1-2", "1-2-3")),
    "ts": st.integers(0, 2**63 - 1),
    "ts_ingress": st.integers(0, 2**63 - 1),
    "source": texts,
    "metadata": st.dictionaries(texts, texts, max_size=2),
}
intents = st.builds(
    ActionIntent, action=st.just("order"), symbol=symbols, side=st.sampled_from(Side), quantity=money, order_id=texts
)
events = st.lists(
    st.one_of(
        st.builds(
            TradeEvent,
            symbol=symbols,
            price=money,
            quantity=money,
            side=st.sampled_from(Side),
            trade_id=st.integers(0, 2**63 - 1) | texts,
            **envelopes,
        ),
        st.builds(
            OrderBookEvent, symbol=symbols, last_update_id=st.integers(0, 9), bids=levels, asks=levels, **envelopes
        ),
        st.builds(
            SignalSnapshotEvent, symbol=symbols, values=st.dictionaries(texts, st.floats(-1e9, 1e9)), **envelopes
        ),
        st.builds(
            StrategyDecisionEvent,
            strategy_id=symbols,
            intents=st.lists(intents, max_size=2).map(tuple),
            reason=texts,
            **envelopes,
        ),
    ),
    max_size=6,
)


def exported(given_events: list[DomainEvent], format_: str, folder: Path) -> Path:
    out = folder / f"out.{format_}"
    out.unlink(missing_ok=True)
    export_events(lambda: iter(given_events), format_, out)
    return out


def rebuilt(row: dict[str, str], cls: type[DomainEvent]) -> DomainEvent:
    """The event in a row of the table."""
    plain: dict[str, Any] = {"event_type": row["event_type"], "version": int(row["version"])}
    for field in msgspec.structs.fields(cls):
        text = row[field.name]
        if field.type is int:
            plain[field.name] = int(text)
        elif not text and type(None) in get_args(field.type):
            plain[field.name] = None
        elif text and (field.name in ("bids", "asks", "intents", "values", "metadata")):
            plain[field.name] = json.loads(text)
        elif field.name == "trade_id" or field.name != "metadata":
            plain[field.name] = text
    return event_from_json(msgspec.json.encode(plain))


@given(events)
def test_any_events_are_read_back_from_jsonl(tmp_path_factory, given_events):
    out = exported(given_events, "jsonl", tmp_path_factory.getbasetemp())

    assert [event_from_json(line) for line in out.read_bytes().split(b"\n")[:-1]] == given_events


@given(events)
def test_any_events_can_be_rebuilt_from_csv(tmp_path_factory, given_events):
    out = exported(given_events, "csv", tmp_path_factory.getbasetemp())

    with out.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    back = [rebuilt(row, type(event)) for row, event in zip(rows, given_events, strict=True)]
    assert [_with_text_ids(event) for event in back] == [_with_text_ids(event) for event in given_events]


@settings(max_examples=25)
@given(events)
def test_a_parquet_table_has_the_cells_of_the_csv(tmp_path_factory, given_events):
    folder = tmp_path_factory.getbasetemp()
    table = pq.read_table(exported(given_events, "parquet", folder))
    text = exported(given_events, "csv", folder).read_bytes().decode()

    cells = [["" if cell is None else str(cell) for cell in row.values()] for row in table.to_pylist()]
    assert [table.column_names, *cells] == list(csv.reader(io.StringIO(text, newline="")))


def _with_text_ids(event: DomainEvent) -> DomainEvent:
    """A table does not distinguish the trade id 5 from the text "5"."""
    return msgspec.structs.replace(event, trade_id=str(event.trade_id)) if isinstance(event, TradeEvent) else event


# -- the columns ------------------------------------------------------------------------------------------------------


def test_an_unknown_type_is_exported_with_the_fields_that_it_has():
    raw = RawEvent(
        raw_type="news.published", raw_version=3, raw={"headline": "Moon", "heat": 1.5, "price": None}, seq=7
    )
    columns = Columns()
    columns.add(raw)

    row = dict(zip(columns.kinds, columns.row(raw), strict=True))

    assert (row["event_type"], row["version"], row["seq"]) == ("news.published", 3, 7)
    assert (row["headline"], row["heat"], row["price"]) == ("Moon", "1.5", None)


class Kind(Enum):
    A = "a"


class Delivered(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "export_test.delivered"
    kind: Kind
    when: datetime
    by: dict[str, int]


def test_values_that_json_writes_as_text_are_text_without_quotes():
    event = Delivered(kind=Kind.A, when=datetime(2024, 8, 8, tzinfo=UTC), by={"x": 1})
    columns = Columns()
    columns.add(event)

    assert columns.row(event)[-3:] == ["a", "2024-08-08T00:00:00Z", '{"x":1}']


def test_a_column_that_two_types_fill_differently_is_text():
    trade = TradeEvent(symbol="B", price=Decimal(1), quantity=Decimal("1E+3"), side=Side.BUY)
    raw = RawEvent(raw_type="x.y", raw={"seconds": 3, "quantity": [1, 2]})
    columns = Columns()
    for event in (trade, raw):
        columns.add(event)

    assert columns.kinds["quantity"] == TEXT
    assert dict(zip(columns.kinds, columns.row(raw), strict=True))["quantity"] == "[1,2]"
    assert dict(zip(columns.kinds, columns.row(trade), strict=True))["quantity"] == "1000"


class Measured(DomainEvent, frozen=True, kw_only=True):
    event_type = "measured.done"
    count: int | None = None
    share: float = 0.0
    good: bool = True
    price: Decimal | None = None


class Weighed(DomainEvent, frozen=True, kw_only=True):
    event_type = "weighed.done"
    share: int = 0


def test_a_column_has_the_kind_of_its_field():
    columns = Columns()
    columns.add(Measured())

    kinds = columns.kinds
    assert (kinds["count"], kinds["share"], kinds["good"], kinds["price"]) == (INTEGER, FLOAT, BOOLEAN, TEXT)
    assert columns.row(Measured(count=2))[-4:] == [2, 0.0, True, None]
    columns.add(Weighed(share=3))
    assert columns.kinds["share"] == TEXT
    assert columns.row(Measured(share=0.5))[-3] == "0.5"


def test_csv_writes_booleans_in_lower_case(tmp_path):
    export_events(lambda: iter([Measured(count=2)]), "csv", tmp_path / "out.csv")

    assert (tmp_path / "out.csv").read_text().splitlines()[1].endswith(",2,0.0,true,")


def test_events_added_during_an_export_are_left_for_the_next_one(tmp_path):
    looks: list[int] = []

    def growing() -> Iterator[DomainEvent]:
        looks.append(0)
        yield Measured(seq=1)
        if len(looks) > 1:
            yield Weighed(seq=2)

    done = export_events(growing, "csv", tmp_path / "out.csv")

    assert done.rows == 1
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 2
