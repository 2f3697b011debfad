"""The command line on a recorded session of Binance spot: six minutes of BTCUSDT."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.bootstrap import open_record
from tickdeck.infrastructure.runs import find_run


def book_of(capture: Path, depth: int) -> tuple[list[list[str]], list[list[str]], int]:
    """The book at the end of a capture, computed by Binance's rule without our code."""
    sides: tuple[dict[Decimal, str], dict[Decimal, str]] = ({}, {})
    lines = gzip.decompress(capture.read_bytes()).splitlines()
    messages = [json.loads(line.split(b" ", 1)[1]) for line in lines]
    snapshot = next(m for m in messages if "lastUpdateId" in m)
    last, names = snapshot["lastUpdateId"], ("bids", "asks")
    deltas = [m["data"] for m in messages if m.get("data", {}).get("e") == "depthUpdate" and m["data"]["u"] > last]
    for message, keys in [(snapshot, names), *((delta, "ba") for delta in deltas)]:
        for side, key in zip(sides, keys, strict=True):
            for price, quantity in message[key]:
                side[Decimal(price)] = quantity
    bids, asks = ({p: q for p, q in side.items() if Decimal(q)} for side in sides)
    best = sorted(bids, reverse=True)[:depth], sorted(asks)[:depth]
    return [[str(p), bids[p]] for p in best[0]], [[str(p), asks[p]] for p in best[1]], deltas[-1]["u"]


@pytest.fixture
def figures(captured: Path) -> dict:
    return json.loads((captured / "figures.json").read_text())


def test_the_run_reads_every_line_without_a_gap(captured, figures):
    counted = Counter(event.event_type for event in open_record(find_run(captured, "last")))

    assert figures["ticks"] == 41_249
    assert counted["market.trade"] == 9_757
    assert counted["market.tick"] == 28_040
    assert counted["market.book_delta"] == 3_451
    assert counted["market.book"] == 1
    assert counted["market.gap_detected"] == 0
    assert counted.total() == figures["events"]


def test_the_strategy_trades_and_the_books_balance(figures):
    assert figures["decisions"] == figures["orders"] > 10
    assert figures["fills"] >= figures["orders"] - figures["rejected"]
    assert Decimal(figures["equity"]) == 100_000 + Decimal(figures["pnl"])


def test_the_book_at_the_end_is_that_of_a_ten_line_script(tickdeck, captured, capture):
    result = tickdeck("book", "last", "--depth", 5, "--data", captured, "--json")

    book = json.loads(result.stdout)
    bids, asks, last = book_of(capture, 5)
    assert result.exit_code == 0
    assert (book["bids"], book["asks"], book["last_update_id"]) == (bids, asks, last)


def test_verify_is_identical(tickdeck, captured, figures):
    result = tickdeck("verify", "last", "--data", captured, "--json")

    verdict = json.loads(result.stdout)
    assert result.exit_code == 0
    assert verdict["identical"] is True
    assert verdict["events"] == figures["events"]
    assert verdict["decisions"] == figures["decisions"]


def test_trace_leads_from_a_fill_back_to_the_market(tickdeck, captured, lines):
    fill = lines(tickdeck("events", "last", "--type", "order.filled", "--limit", 1, "--data", captured, "--json"))[0]

    traced = json.loads(tickdeck("trace", "last", fill["event_id"], "--data", captured, "--json").stdout)

    types = [cause["event_type"] for cause in traced["causes"]]
    assert types[0] == "venue.fill_reported"
    assert types[-1] == "market.trade"  # it is in the file, not on the tape


def test_market_data_that_is_not_on_the_tape_is_listed_from_the_file(tickdeck, captured, lines):
    options = ("--type", "market.*", "--from", "2024-08-08T23:55:00Z", "--limit", 50, "--data", captured, "--json")

    listed = lines(tickdeck("events", "last", *options))

    assert len(listed) == 50
    assert {event["event_type"] for event in listed} >= {"market.trade", "market.tick"}
    assert min(event["ts_ingress"] for event in listed) >= 1_723_161_300_000_000_000


def test_what_is_on_the_tape_is_listed_without_opening_the_input_file(tickdeck, captured, lines, monkeypatch):
    monkeypatch.setattr("tickdeck.bootstrap.record.market_of", lambda *_: pytest.fail("the input file was opened"))

    listed = lines(tickdeck("events", "last", "--type", "order.*", "--data", captured, "--json"))

    assert len(listed) > 20


def test_a_capture_with_removed_lines_has_a_gap_and_then_no_usable_book(tickdeck, capture, tmp_path, lines):
    cut = tmp_path / "cut.raw"
    with gzip.open(capture, "rt") as whole, cut.open("w") as part:
        part.writelines(line for number, line in enumerate(whole) if number < 4_000 and not 2_000 <= number < 2_100)

    tickdeck("run", "--tape", cut, "--speed", "max")

    gaps = lines(tickdeck("events", "last", "--type", "market.gap_detected", "--json"))
    book = tickdeck("book", "last")
    assert {gap["what"] for gap in gaps} == {"book", "trades"}
    assert book.exit_code == 1
    assert "a gap at 2024-08-08T23:54:" in book.stderr
    assert tickdeck("verify", "last").exit_code == 0


def test_two_captures_play_together(tickdeck, capture):
    ether = capture.with_name(capture.name.replace("BTCUSDT", "ETHUSDT"))

    result = tickdeck("backtest", "--tape", capture, "--tape", ether, "--for", 60, "--json")

    figures = json.loads(result.stdout)
    counted = Counter(
        event.symbol
        for event in open_record(find_run(Path("tickdeck-data"), "last"))
        if event.is_market_data and event.is_input
    )
    assert result.exit_code == 0
    assert sorted(figures["position"]) == sorted(counted) == ["BTCUSDT", "ETHUSDT"]
    assert counted.total() == figures["ticks"]
    assert min(counted.values()) > 1_000
    assert tickdeck("verify", "last").exit_code == 0
