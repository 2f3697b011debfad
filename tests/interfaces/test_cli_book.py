"""``tickdeck book``: the order book at a time."""

from __future__ import annotations

import json
from decimal import Decimal


def test_book_shows_the_best_levels_with_the_digits_that_were_sent(tickdeck, simulated):
    book = json.loads(
        tickdeck("book", "last", "--symbol", "ETHUSDT", "--depth", 3, "--data", simulated, "--json").stdout
    )

    bids, asks = ([Decimal(price) for price, _ in book[side]] for side in ("bids", "asks"))
    assert list(book) == ["symbol", "ts", "last_update_id", "usable", "bids", "asks"]
    assert book["symbol"] == "ETHUSDT"
    assert len(bids) == len(asks) == 3
    assert sorted(bids, reverse=True) == bids
    assert sorted(asks) == asks
    assert bids[0] < asks[0]


def test_book_at_an_earlier_time_is_an_earlier_book(tickdeck, simulated):
    options = ("--symbol", "BTCUSDT", "--data", simulated, "--json")

    end = json.loads(tickdeck("book", "last", *options).stdout)
    before = json.loads(tickdeck("book", "last", *options, "--at", "2024-01-01T00:00:10Z").stdout)

    assert before["last_update_id"] < end["last_update_id"]
    assert before["ts"] <= 1_704_067_210_000_000_000 < end["ts"]


def test_people_see_both_sides_next_to_each_other(tickdeck, simulated):
    options = ("--symbol", "BTCUSDT", "--depth", 2, "--data", simulated)
    book = json.loads(tickdeck("book", "last", *options, "--json").stdout)

    head, titles, best, second = tickdeck("book", "last", *options).stdout.splitlines()

    assert head.startswith("BTCUSDT at 2024-01-01T00:00:")
    assert titles.split() == ["bid", "quantity", "bid", "ask", "ask", "quantity"]
    assert best.split() == [*reversed(book["bids"][0]), *book["asks"][0]]
    assert second.split() == [*reversed(book["bids"][1]), *book["asks"][1]]


def test_book_of_a_run_with_several_symbols_needs_one_of_them(tickdeck, simulated):
    unnamed = tickdeck("book", "last", "--data", simulated)
    unknown = tickdeck("book", "last", "--symbol", "SOLUSDT", "--data", simulated)

    assert (unnamed.exit_code, unknown.exit_code) == (2, 2)
    assert "BTCUSDT, ETHUSDT" in unnamed.stderr
    assert "'SOLUSDT'" in unknown.stderr


def test_before_the_first_snapshot_the_answer_is_no(tickdeck, simulated):
    result = tickdeck("book", "last", "--symbol", "BTCUSDT", "--at", 1, "--data", simulated, "--json")

    book = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (book["usable"], book["bids"], book["asks"]) == (False, [], [])
    assert "the record has no order book before that time" in result.stderr


def test_a_run_on_trades_alone_has_no_book(tickdeck, trades):
    tickdeck("backtest", "--tape", trades)

    result = tickdeck("book", "last")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "BTCUSDT has no usable book at the end of the tape" in result.stderr
