"""`tickdeck export`: what is exported in each format, and mistakes in the call."""

from __future__ import annotations

import csv
import gzip
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tickdeck.application.ports import TapeQuery
from tickdeck.bootstrap import open_record
from tickdeck.domain.events import (
    DomainEvent,
    event_from_json,
)
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


def test_the_summary_counts_the_events_of_each_type(tickdeck, simulated):
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
        (("last", "--format", "csv", "--out", "no/x"), "no/x: there is no folder no; create it"),
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
