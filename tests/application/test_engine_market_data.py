"""The market data engine: one market a symbol, holes in the record, candles."""

from __future__ import annotations

from application_kit import BTC, SECOND, START, Core, D, tick, trade

from tickdeck.domain.events import (
    BookResynced,
    CandleEvent,
    DomainEvent,
    GapDetected,
    OrderBookDeltaEvent,
    OrderBookEvent,
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


def test_books_of_two_symbols_are_apart() -> None:
    other = OrderBookEvent(symbol="ETHUSDT", last_update_id=5, bids=(), asks=())
    core = Core().feed(snapshot(10), other, delta(12, 13))

    assert gaps(core) == [("book", 11, 12)]
    assert core.market_data.market("ETHUSDT").book.usable


# -- trades -----------------------------------------------------------------------------------------------------


def test_a_hole_in_the_trade_ids_is_a_gap() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in (7, 8, 11, 12)))
    assert gaps(core) == [("trades", 9, 11)]


def test_a_repeated_or_late_trade_is_no_gap() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in (7, 8, 7, 8, 9)))
    assert gaps(core) == []


def test_trade_ids_are_counted_by_symbol() -> None:
    core = Core().feed(trade("1", trade_id=7), trade("1", trade_id=100, symbol="ETHUSDT"), trade("1", trade_id=8))
    assert gaps(core) == []


def test_ids_that_do_not_count_are_not_checked() -> None:
    core = Core().feed(*(trade("1", trade_id=n) for n in ("a-7", "b-9", 0, 0, 5, "c", 9)))
    assert gaps(core) == []


# -- prices -----------------------------------------------------------------------------------------------------


def test_the_price_is_the_last_trades_else_the_middle_of_the_best_prices() -> None:
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


def test_prices_are_of_the_symbols_that_have_one() -> None:
    core = Core().feed(trade("5", symbol="ETHUSDT"), trade("7"))
    core.market_data.market("XRPUSDT")
    assert core.market_data.prices() == {"ETHUSDT": 5, BTC: 7}


def test_a_candle_of_a_file_is_a_price() -> None:
    core = Core().feed(candle("42"))
    assert core.market_data.market(BTC).price == 42


def test_a_candle_of_our_own_does_not_take_the_price_back_to_before_the_trade_that_closed_it() -> None:
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


def test_whoever_hears_a_trade_finds_the_market_up_to_date() -> None:
    core = Core()
    seen: list[tuple[D | None, D]] = []

    def look(event: DomainEvent) -> None:
        price = core.market_data.market(BTC).price
        assert price is not None
        seen.append((price, event.price))  # type: ignore[attr-defined]

    core.kernel.subscribe("market.trade", look)
    core.trades("100", "101")

    assert seen == [(100, 100), (101, 101)]
