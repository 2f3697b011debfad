"""``tickdeck export``: every event is exported unchanged, in each of the formats."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar, get_args

import msgspec
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_record
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
from tickdeck.infrastructure.runs import find_run
from tickdeck.interfaces.cli.times import parse_time


def record(data: Path, **query: Any) -> list[DomainEvent]:
    return list(open_record(find_run(data, "last"), TapeQuery(**query)))


# -- the command ------------------------------------------------------------------------------------------------------


def test_jsonl_has_every_event_completely(tickdeck, simulated):
    result = tickdeck("export", "last", "--data", simulated, "--format", "jsonl", "--out", "all.jsonl", "--json")

    events = record(simulated)
    told = json.loads(result.stdout)
    assert result.exit_code == 0, result.stderr
    assert [event_from_json(line) for line in Path("all.jsonl").read_bytes().splitlines()] == events
    assert (told["rows"], told["out"]) == (len(events), "all.jsonl")
    assert (told["first_ts"], told["last_ts"]) == (events[0].ts_ingress, events[-1].ts_ingress)
    assert sum(told["types"].values()) == len(events)


def test_csv_has_the_columns_of_the_chosen_types(tickdeck, simulated):
    words = ("--format", "csv", "--out", "fills.csv", "--type", "order.*filled")
    assert tickdeck("export", "last", "--data", simulated, *words).exit_code == 0

    with Path("fills.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    fills = record(simulated, types=("order.*filled",))
    assert len(rows) == len(fills) > 0
    assert [row["event_id"] for row in rows] == [fill.event_id for fill in fills]
    assert [Decimal(row["price"]) for row in rows] == [fill.price for fill in fills]
    assert "bids" not in rows[0]


def test_csv_for_a_spreadsheet_has_iso_times_and_a_byte_order_mark(tickdeck, simulated):
    words = ("export", "last", "--data", simulated, "--type", "market.trade", "--out")
    tickdeck(*words, "plain.csv", "--format", "csv")
    tickdeck(*words, "sheet.csv", "--format", "csv", "--spreadsheet")
    refused = tickdeck(*words, "sheet.jsonl", "--format", "jsonl", "--spreadsheet")

    assert Path("sheet.csv").read_bytes().startswith(b"\xef\xbb\xbfseq,")
    with Path("sheet.csv").open(newline="", encoding="utf-8-sig") as sheet, Path("plain.csv").open(newline="") as plain:
        for one, other in zip(csv.DictReader(sheet), csv.DictReader(plain), strict=True):
            assert parse_time(one["ts"]) == int(other["ts"])
            assert one["price"] == other["price"]
    assert refused.exit_code == 2


def test_csv_of_all_types_is_one_table_in_the_order_of_the_run(tickdeck, simulated):
    tickdeck("export", "last", "--data", simulated, "--format", "csv", "--out", "all.csv")

    with Path("all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    events = record(simulated)
    assert [int(row["seq"]) for row in rows] == [event.seq for event in events]
    assert all(row["bids"] == "" for row in rows if row["event_type"] == "market.trade")
    assert all(row["metadata"] == "" for row in rows)


def test_parquet_has_integers_as_such_and_money_as_exact_text(tickdeck, captured):
    words = ("--format", "parquet", "--out", "trades.parquet", "--type", "market.trade")
    result = tickdeck("export", "last", "--data", captured, *words, "--json")

    trades = record(captured, types=("market.trade",))
    table = pq.read_table("trades.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert result.exit_code == 0, result.stderr
    assert table.num_rows == json.loads(result.stdout)["rows"] == len(trades)
    assert (kinds["ts"], kinds["price"], kinds["trade_id"]) == ("int64", "string", "string")
    assert table["price"].to_pylist() == [f"{trade.price:f}" for trade in trades]
    assert table["ts_ingress"].to_pylist() == [trade.ts_ingress for trade in trades]


def test_parquet_takes_all_types_of_a_run(tickdeck, simulated):
    words = ("--format", "parquet", "--out", "all.parquet")
    assert tickdeck("export", "last", "--data", simulated, *words).exit_code == 0

    table = pq.read_table("all.parquet")
    events = record(simulated)
    assert table["event_type"].to_pylist() == [event.event_type for event in events]


@pytest.mark.parametrize("format_", ["csv", "jsonl", "parquet"])
def test_symbol_and_times_restrict_what_is_exported(tickdeck, simulated, format_):
    start = record(simulated)[0].ts_ingress
    bounds = ("--from", start + 2_000_000_000, "--to", start + 3_000_000_000)

    result = tickdeck(
        *("export", "last", "--data", simulated, "--format", format_, "--out", "out"),
        *("--symbol", "ETHUSDT", *bounds, "--json"),
    )

    told = json.loads(result.stdout)
    assert told["rows"] == len(record(simulated, symbol="ETHUSDT", first_ts=bounds[1], last_ts=bounds[3])) > 0
    assert start + 2_000_000_000 <= told["first_ts"] <= told["last_ts"] <= start + 3_000_000_000


@pytest.mark.parametrize("format_", ["csv", "jsonl"])
def test_a_gz_file_has_the_same_bytes_each_time(tickdeck, simulated, format_):
    for name in ("plain", "one.gz", "other.gz"):
        words = ("--format", format_, "--out", name, "--type", "strategy.*")
        assert tickdeck("export", "last", "--data", simulated, *words).exit_code == 0

    assert gzip.decompress(Path("one.gz").read_bytes()) == Path("plain").read_bytes()
    assert Path("one.gz").read_bytes() == Path("other.gz").read_bytes()


def test_people_are_told_how_many_of_each_type(tickdeck, simulated):
    words = ("--format", "jsonl", "--out", "out.jsonl", "--type", "run.*")

    result = tickdeck("export", "last", "--data", simulated, *words)

    assert "2 events within 20.0 s, the first at 2024-01-01 00:00:00.010 UTC" in result.stdout
    assert "1 run.started" in result.stdout
    assert "file  out.jsonl" in result.stdout


@pytest.mark.parametrize(("format_", "lines"), [("csv", 1), ("jsonl", 0)])
def test_an_empty_result_is_an_empty_file_and_a_misspelt_type_is_reported(tickdeck, simulated, format_, lines):
    words = ("--format", format_, "--out", "out", "--type", "order.fillt", "--json")

    result = tickdeck("export", "last", "--data", simulated, *words)

    assert result.exit_code == 0
    assert json.loads(result.stdout)["rows"] == 0
    assert json.loads(result.stdout)["first_ts"] is None
    assert len(Path("out").read_text().splitlines()) == lines
    assert "there is no event type 'order.fillt'; did you mean 'order.filled'?" in result.stderr


def test_an_empty_result_for_a_known_type_suggests_no_typo(tickdeck, simulated):
    words = ("--format", "csv", "--out", "out", "--type", "order.unknown")

    result = tickdeck("export", "last", "--data", simulated, *words)

    assert result.stderr.splitlines() == ["tickdeck: no event matches, so the file has no events"]
    assert "0 events\n" in result.stdout


def refused(result) -> str:
    """The one line with which a wrong call ends."""
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_an_existing_file_is_not_overwritten(tickdeck, simulated):
    Path("mine.csv").write_text("mine")

    told = refused(tickdeck("export", "last", "--data", simulated, "--format", "csv", "--out", "mine.csv"))

    assert "mine.csv: already exists" in told
    assert Path("mine.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("last", "--format", "excel", "--out", "x"), "'excel' is not one of 'csv', 'parquet', 'jsonl'"),
        (("last", "--format", "csv"), "Missing option '--out'"),
        (("last", "--out", "x"), "Missing option '--format'"),
        (("nonsense", "--format", "csv", "--out", "x"), "there is no run 'nonsense'"),
        (("last", "--format", "csv", "--out", "no/x"), "no/x: cannot be created: No such file or directory"),
        (("last", "--format", "csv", "--out", "x", "--from", "noon"), "'noon' is not a time"),
    ],
)
def test_a_wrong_call_is_reported_in_one_line(tickdeck, simulated, words, told):
    assert told in refused(tickdeck("export", *words, "--data", simulated))
    assert list(Path.cwd().iterdir()) == []


def test_without_pyarrow_the_extra_is_named(tickdeck, simulated, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    told = refused(tickdeck("export", "last", "--data", simulated, "--format", "parquet", "--out", "x.parquet"))

    assert "pip install 'tickdeck[parquet]'" in told
    assert list(Path.cwd().iterdir()) == []


def test_a_disk_that_fails_is_reported_in_one_line_and_leaves_nothing(tickdeck, simulated, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tickdeck.infrastructure.exporting.export._line", full)

    result = tickdeck("export", "last", "--data", simulated, "--format", "csv", "--out", "x.csv")

    assert result.exit_code == 3
    assert "x.csv: cannot be written: No space left on device" in result.stderr
    assert list(Path.cwd().iterdir()) == []


def test_a_missing_input_is_reported_and_leaves_nothing(tickdeck, trades):
    tickdeck("backtest", "--tape", trades, "--strategy", "ema-cross")
    trades.unlink()

    told = refused(tickdeck("export", "last", "--format", "csv", "--out", "x.csv"))

    assert "is gone; restore it" in told
    assert not Path("x.csv").exists()


# -- any event --------------------------------------------------------------------------------------------------------

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
