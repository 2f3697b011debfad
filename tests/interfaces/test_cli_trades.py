"""``tickdeck trades`` and ``tickdeck export --trades``."""

from __future__ import annotations

import csv
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

from tickdeck.bootstrap import open_record
from tickdeck.infrastructure.runs import find_run


def listed(tickdeck, data: Path, *words: object) -> list[dict[str, object]]:
    return [
        json.loads(line) for line in tickdeck("trades", "last", "--data", data, *words, "--json").stdout.splitlines()
    ]


def test_trades_are_those_of_the_record_and_can_be_traced(tickdeck, simulated, record) -> None:
    trades = listed(tickdeck, simulated)

    closed = [trade for trade in trades if trade["closed_at"]]
    assert len(closed) == sum(event.event_type == "position.closed" for event in record) > 0
    fills = {event.event_id: event for event in record if event.event_type == "order.filled"}
    for trade in closed:
        assert fills[trade["entry_event"]].strategy_id == trade["strategy_id"]
        assert fills[trade["exit_event"]].ts_ingress == trade["exit_ts"]
        assert trade["entry_reason"]
        assert all(not str(trade[name]).endswith("0") or "." not in trade[name] for name in ("quantity", "fees", "pnl"))
        assert trade["exit_reason"]


def test_statistics_add_up_to_the_listed_trades(tickdeck, simulated) -> None:
    closed = [trade for trade in listed(tickdeck, simulated) if trade["closed_at"]]

    for key in ("user", "account", "strategy", "symbol", "day"):
        figures = listed(tickdeck, simulated, "--by", key)
        assert sum(line["trades"] for line in figures) == len(closed)
        assert all(not line["pnl"].endswith("0") or "." not in line["pnl"] for line in figures)
        assert sum(Decimal(line["pnl"]) for line in figures) == sum(Decimal(trade["pnl"]) for trade in closed)


def test_people_get_a_line_for_each_trade_and_its_reasons_below(tickdeck, simulated) -> None:
    [first, *_] = listed(tickdeck, simulated)

    head, line, below, *_ = tickdeck("trades", "last", "--data", simulated).stdout.splitlines()

    assert head.split() == ["opened", "lasted", "trade", "entry", "exit", "pnl"]
    assert f"{first['side']} " in line
    assert str(first["symbol"]) in line
    assert f"{first['strategy_id']}: {first['entry_reason']} [{first['entry_event']}]" in below


def test_a_choice_without_a_trade_says_so(tickdeck, simulated) -> None:
    result = tickdeck("trades", "last", "--symbol", "NONE", "--data", simulated)

    assert (result.exit_code, result.stdout) == (0, "")
    assert "no trade matches" in result.stderr


def test_every_format_of_the_export_has_the_listed_trades(tickdeck, simulated, tmp_path: Path) -> None:
    trades = listed(tickdeck, simulated)
    for format_ in ("csv", "jsonl", "sqlite"):
        done = tickdeck(
            "export", "last", "--trades", "--format", format_, "--out", f"t.{format_}", "--data", simulated, "--json"
        )
        assert json.loads(done.stdout)["rows"] == len(trades)

    assert [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()] == trades
    with Path("t.csv").open(newline="") as file:
        assert [row["pnl"] for row in csv.DictReader(file)] == [trade["pnl"] for trade in trades]
    with closing(sqlite3.connect("t.sqlite")) as database:
        assert database.execute("SELECT pnl, entry_ts FROM trades").fetchall() == [
            (trade["pnl"], trade["entry_ts"]) for trade in trades
        ]
        total = database.execute("SELECT sum(pnl) FROM trades").fetchone()[0]
    assert abs(Decimal(total) - sum(Decimal(trade["pnl"]) for trade in trades)) < Decimal("1e-9")


def test_an_export_of_trades_refuses_what_it_cannot_do(tickdeck, simulated, tmp_path: Path) -> None:
    def refused(*words: object) -> str:
        result = tickdeck("export", "last", "--out", "x", "--data", simulated, *words)
        assert result.exit_code == 2
        assert not Path("x").exists()
        return result.stderr

    assert "csv, jsonl, sqlite" in refused("--trades", "--format", "parquet")
    assert "omit --type" in refused("--trades", "--format", "csv", "--type", "order.*")
    assert "is for --trades" in refused("--format", "sqlite")


def test_the_report_lists_the_same_trades(tickdeck, simulated) -> None:
    from tickdeck.infrastructure.reporting import run_session
    from tickdeck.infrastructure.runs import read_manifest

    folder = find_run(simulated, "last")
    session = run_session(read_manifest(folder), open_record(folder))

    closed = [trade for trade in listed(tickdeck, simulated) if trade["closed_at"]]
    assert sorted((t.entry_ts, t.pnl) for t in session.trades if t.exit_ts) == sorted(
        (trade["entry_ts"], Decimal(trade["pnl"])) for trade in closed
    )
