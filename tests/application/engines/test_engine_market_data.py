"""The market data engine: one market per symbol, gaps in the record, candles."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, START, Core, D, tick, trade
from msgspec.structs import replace

from tickdeck.domain.events import (
    BookResynced,
    CandleEvent,
    DomainEvent,
    GapDetected,
    GapFilled,
    MarketSnapshotEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TradeEvent,
)
from tickdeck.domain.values import Level


def snapshot(last: int, bids: tuple[Level, ...] = ((D(99), D(1)),), asks: tuple[Level, ...] = ((D(101), D(1)),)):
    return OrderBookEvent(symbol=BTC, last_update_id=last, bids=bids, asks=asks, ts_ingress=START)


def delta(first: int, last: int, bids: tuple[Level, ...] = (), asks: tuple[Level, ...] = ()) -> OrderBookDeltaEvent:
    return OrderBookDeltaEvent(
        symbol=BTC, first_update_id=first, last_update_id=last, bids=bids, asks=asks, ts_ingress=START
    )


def candle(close: str, *, open_ts: int = START) -> CandleEvent:
    return CandleEvent(
        symbol=BTC,
        interval=SECOND,
        open_ts=open_ts,
        close_ts=open_ts + SECOND,
        open=D(close),
        high=D(close),
        low=D(close),
        close=D(close),
        volume=D(1),
        ts=open_ts + SECOND,
        ts_ingress=open_ts + SECOND,
    )


def gaps(core: Core) -> list[tuple[str, int, int]]:
    return [(e.what, e.expected, e.received) for e in core.tape.events if isinstance(e, GapDetected)]


def derived(core: Core) -> list[str]:
    return [e.event_type for e in core.tape.events if not e.is_input]


# -- books ------------------------------------------------------------------------------------------------------


def test_a_snapshot_makes_the_book_usable_and_deltas_keep_it_so() -> None:
    core = Core().feed(snapshot(10), delta(11, 12, bids=((D(100), D(2)),)))
    book = core.market_data.market(BTC).book

    assert derived(core) == ["market.book_resynced"]
    assert (book.usable, book.last_update_id, book.best_bid()) == (True, 12, (D(100), D(2)))


def test_a_lost_delta_is_a_gap_and_the_book_is_unusable_until_a_snapshot_joins_the_deltas() -> None:
    core = Core().feed(snapshot(10), delta(13, 14))
    book = core.market_data.market(BTC).book
    assert gaps(core) == [("book", 11, 13)]
    assert not book.usable
    assert core.market_data.market(BTC).best_bid is None

    core.feed(delta(15, 16), snapshot(14))

    assert [e.last_update_id for e in core.tape.events if isinstance(e, BookResynced)] == [10, 16]
    assert (book.usable, book.last_update_id) == (True, 16)


def test_books_of_two_symbols_are_separate() -> None:
    other = OrderBookEvent(symbol="ETHUSDT", last_update_id=5, bids=(), asks=())
    core = Core().feed(snapshot(10), other, delta(12, 13))

    assert gaps(core) == [("book", 11, 12)]
    assert core.market_data.market("ETHUSDT").book.usable


# -- trades -----------------------------------------------------------------------------------------------------


def test_a_jump_in_the_trade_ids_is_a_gap() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in (7, 8, 11, 12)))
    assert gaps(core) == [("trades", 9, 11)]


def test_a_repeated_or_late_trade_is_no_gap() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in (7, 8, 7, 8, 9)))
    assert gaps(core) == []


def test_trade_ids_are_counted_by_symbol() -> None:
    core = Core().feed(trade("1", trade_id=7), trade("1", trade_id=100, symbol="ETHUSDT"), trade("1", trade_id=8))
    assert gaps(core) == []


def test_ids_that_are_not_counters_are_not_checked() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in ("a-7", "b-9", 0, 0, 5, "c", 9)))
    assert gaps(core) == []


# -- prices -----------------------------------------------------------------------------------------------------


def test_the_price_is_the_last_trades_or_the_middle_of_the_best_prices() -> None:
    core = Core()
    market = core.market_data.market(BTC)
    assert market.price is None

    core.feed(snapshot(1))
    assert market.price == 100
    core.feed(tick("103", "105"))
    assert market.price == 104
    assert (market.best_bid, market.best_ask) == ((103, 1), (105, 1))
    core.feed(trade("107"))
    assert market.price == 107
    core.feed(tick("1", "2"))
    assert market.price == 107


def test_a_one_sided_book_has_no_price() -> None:
    core = Core().feed(snapshot(1, asks=()))
    assert core.market_data.market(BTC).price is None
    assert core.market_data.prices() == {}


def test_a_tick_without_bids_has_no_price() -> None:
    market = Core().feed(tick("0", "101")).market_data.market(BTC)

    assert (market.best_bid, market.best_ask) == (None, (101, 1))
    assert market.price is None


def test_prices_contain_only_symbols_with_a_price() -> None:
    core = Core().feed(trade("5", symbol="ETHUSDT"), trade("7"))
    core.market_data.market("XRPUSDT")
    assert core.market_data.prices() == {"ETHUSDT": 5, BTC: 7}


def test_a_candle_of_a_file_is_a_price() -> None:
    core = Core().feed(candle("42"))
    assert core.market_data.market(BTC).price == 42


def test_a_built_candle_does_not_replace_the_price_of_the_trade_that_closed_it() -> None:
    core = Core(candles=SECOND).feed(trade("100", ts=START), trade("200", ts=START + SECOND))

    assert derived(core) == ["market.candle"]
    assert core.market_data.market(BTC).price == 200


# -- candles ----------------------------------------------------------------------------------------------------


def test_candles_are_made_of_trades_and_caused_by_the_trade_that_closes_them() -> None:
    core = Core(candles=SECOND).feed(
        trade("100", "1", ts=START),
        trade("120", "2", ts=START + 1),
        trade("90", "3", ts=START + SECOND - 1),
        trade("95", "1", ts=START + 5 * SECOND),
    )

    (made,) = [e for e in core.tape.events if isinstance(e, CandleEvent)]
    assert (made.open, made.high, made.low, made.close, made.volume, made.trades) == (100, 120, 90, 90, 6, 3)
    assert (made.open_ts, made.close_ts, made.ts) == (START, START + SECOND, START + SECOND)
    assert (made.event_id, made.causation_id) == ("4-1", "4")


def test_without_an_interval_there_are_no_candles() -> None:
    core = Core().trades("100", "101", "102", step=3_600 * SECOND)
    assert derived(core) == []


def test_the_market_is_up_to_date_for_every_receiver_of_a_trade() -> None:
    core = Core()
    seen: list[tuple[D | None, D]] = []

    def look(event: DomainEvent) -> None:
        price = core.market_data.market(BTC).price
        assert price is not None
        seen.append((price, event.price))  # type: ignore[attr-defined]

    core.kernel.subscribe("market.trade", look)
    core.trades("100", "101")

    assert seen == [(100, 100), (101, 101)]


# -- gaps that are closed ---------------------------------------------------------------------------------------


def filled(core: Core) -> list[tuple[str, int, int, str]]:
    return [(e.what, e.expected, e.received, e.how) for e in core.tape.events if isinstance(e, GapFilled)]


def test_late_trades_close_their_gap_when_the_last_one_arrives() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in (1, 5, 3, 6, 2, 2)))
    assert (gaps(core), filled(core)) == ([("trades", 2, 5)], [])

    core.feed(trade("1", trade_id=4))
    assert filled(core) == [("trades", 2, 5, "late")]
    assert core.market_data.market(BTC).next_trade_id == 7


def test_a_snapshot_closes_the_gap_of_a_book_and_the_first_one_closes_none() -> None:
    core = Core().feed(snapshot(10), delta(20, 21))
    assert filled(core) == []
    core.feed(snapshot(20))

    assert filled(core) == [("book", 11, 20, "snapshot")]
    assert derived(core)[-2:] == ["market.book_resynced", "market.gap_filled"]
    core.feed(snapshot(30))
    assert len(filled(core)) == 1


# -- snapshots --------------------------------------------------------------------------------------------------


def snapshots(core: Core) -> list[MarketSnapshotEvent]:
    return [e for e in core.tape.events if isinstance(e, MarketSnapshotEvent)]


def at(ms: int, price: str = "10", quantity: str = "1", **fields: Any) -> TradeEvent:
    return trade(price, quantity, ts=START + ms * MS, **fields)


def test_a_snapshot_is_published_with_the_first_market_data_of_each_interval() -> None:
    core = Core(monitors=100 * MS).feed(at(10, "10", "1"), at(99, "20", "3"), at(100, "40", "4"), at(150), at(450, "8"))

    first, second = snapshots(core)
    assert (first.ts_ingress - START, first.since - START) == (100 * MS, 10 * MS)
    assert (first.last_price, first.last_quantity, first.trades, first.volume) == (40, 4, 3, 8)
    assert first.vwap == (10 + 60 + 160) / D(8)
    assert (second.ts_ingress - START, second.since - START) == (450 * MS, 100 * MS)
    assert (second.last_price, second.trades, second.volume, second.vwap) == (8, 2, 2, 9)


def test_a_snapshot_has_levels_only_if_the_book_is_usable() -> None:
    levels = tuple((D(90 - n), D(1)) for n in range(20))
    core = Core(monitors=100 * MS).feed(snapshot(10, bids=levels), at(100), delta(20, 21), at(200))

    usable, broken = snapshots(core)
    assert usable.bids == levels[:10]
    assert usable.asks == ((D(101), D(1)),)
    assert (broken.bids, broken.asks) == ((), ())


def test_a_snapshot_without_a_book_has_the_newest_tick_and_none_for_unknown_values() -> None:
    core = Core(monitors=100 * MS).feed(tick("9", "11"), tick("9", "12", ts=START + 100 * MS))

    (only,) = snapshots(core)
    assert (only.bids, only.asks) == (((D(9), D(1)),), ((D(12), D(1)),))
    assert (only.last_price, only.last_quantity, only.vwap, only.trades) == (None, None, None, 0)


def test_each_symbol_has_its_own_snapshots_and_built_candles_cause_none() -> None:
    core = Core(candles=10 * MS, monitors=100 * MS)
    core.feed(at(10), at(20, symbol="ETHUSDT"), at(110, symbol="ETHUSDT"))
    assert [s.symbol for s in snapshots(core)] == ["ETHUSDT"]


def test_without_an_interval_the_engine_receives_nothing_twice() -> None:
    assert len(Core().kernel.statistics().handlers) < len(Core(monitors=SECOND).kernel.statistics().handlers)
    assert snapshots(Core().feed(at(10), at(10_000))) == []


def test_a_gap_between_recorded_candles_is_reported_by_open_times() -> None:
    core = Core().start()

    for minute in (0, 1, 4, 5):
        core.feed(candle("100", open_ts=START + minute * SECOND))

    assert gaps(core) == [("candles", START + 2 * SECOND, START + 4 * SECOND)]


def test_repeated_trades_are_counted_and_late_ones_are_not() -> None:
    core = Core()

    for trade_id in (5, 6, 6, 5, 4, 9, 7, 7, 8):  # 7 and 8 come late, 7 twice
        core.feed(trade("1", trade_id=trade_id))

    assert core.market_data.market(BTC).repeated == 4


@pytest.mark.parametrize(
    ("prices", "jumps"),
    [
        (("99", "101", "9990", "31", "9.99"), 0),
        (("10", "4999.9"), 0),
        (("10", "5000"), 1),
        (("99", "50000"), 1),
        (("20", "9000", "19"), 0),
        (("10000", "10"), 1),
        (("44957", "45.1", "44961"), 2),
        (("44957", "1e400"), 1),
        (("44957", "1e999999", "1e-999999"), 2),
        (("0.00001", "0.01"), 1),
    ],
)
def test_a_price_that_changes_by_a_factor_of_500_is_counted(prices: tuple[str, ...], jumps: int) -> None:
    core = Core()
    for n, price in enumerate(prices):
        core.feed(trade(price, trade_id=n + 1, ts=START + n))

    market = core.market_data.market(BTC)
    assert market.jumps == jumps
    assert market.last_price == Decimal(prices[-1])


def test_a_jump_within_a_candle_or_before_its_open_is_counted() -> None:
    core = Core()
    core.feed(candle("100", open_ts=START))
    core.feed(replace(candle("100", open_ts=START + SECOND), high=Decimal("1e400")))
    core.feed(candle("1", open_ts=START + 2 * SECOND))

    market = core.market_data.market(BTC)
    assert market.jumps == 2  # up to the high and back
    core.feed(candle("500", open_ts=START + 3 * SECOND))
    assert market.jumps == 3
