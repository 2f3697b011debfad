"""The simulated market: equal seeds, streams that agree with each other, and enough life to trade on."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from itertools import islice, pairwise, takewhile

import pytest

from tickdeck.domain.events import MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.domain.market import Ema, Instrument, OrderBook, Rsi, instrument_for
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.simulated import simulated_market

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPETH", "SOMEUSDT")


def first(count: int, symbols: Iterable[str] = SYMBOLS, seed: int = 7) -> list[MarketEvent]:
    return list(islice(simulated_market(list(symbols), seed, START), count))


def within(seconds: float, seed: int) -> list[MarketEvent]:
    market = simulated_market(["BTCUSDT"], seed, START)
    return list(takewhile(lambda e: e.ts < START + seconds * SECOND, market))


def test_equal_arguments_give_equal_events() -> None:
    assert first(2_000) == first(2_000)


def test_another_seed_gives_another_market() -> None:
    assert first(100, seed=1) != first(100, seed=2)


def test_a_symbols_prices_do_not_depend_on_the_other_symbols() -> None:
    alone = first(300, ["ETHUSDT"])
    among = [e for e in first(3_000) if e.symbol == "ETHUSDT"][:300]
    assert [(type(e), e.ts, e.payload) for e in alone] == [(type(e), e.ts, e.payload) for e in among]


def test_receive_time_is_the_feed_latency_later_and_strictly_increases() -> None:
    events = first(4_000)
    times = [e.ts_ingress for e in events]
    assert all(a < b for a, b in pairwise(times))
    assert times[0] == START + 10_000_000
    assert all(0 <= e.ts_ingress - e.ts - 10_000_000 < 10 for e in events)
    assert next(simulated_market(["BTCUSDT"], 1, START, 5)).ts_ingress == START + 5


def test_every_symbol_begins_with_a_snapshot_of_its_book() -> None:
    seen: dict[str, type[MarketEvent]] = {}
    for event in first(500):
        seen.setdefault(event.symbol, type(event))
    assert seen == dict.fromkeys(SYMBOLS, OrderBookEvent)


@pytest.mark.parametrize("seed", range(4))
def test_book_ticks_and_trades_agree(seed: int) -> None:
    books = {symbol: OrderBook(symbol) for symbol in SYMBOLS}
    ticks: dict[str, TickEvent] = {}
    trades = dict.fromkeys(SYMBOLS, 0)
    compared = 0
    for event in first(6_000, seed=seed):
        book, tick = books[event.symbol], ticks.get(event.symbol)
        if isinstance(event, OrderBookEvent):
            book.apply_snapshot(event)
        elif isinstance(event, OrderBookDeltaEvent):
            assert event.first_update_id == book.last_update_id + 1
            assert book.apply_delta(event) is None
            assert tick is not None
            assert (tick.bid_price, tick.bid_quantity) == book.best_bid()
            assert (tick.ask_price, tick.ask_quantity) == book.best_ask()
            assert not book.is_crossed()
            assert min(len(book.bids()), len(book.asks())) > 1
            compared += 1
        elif isinstance(event, TickEvent):
            assert event.bid_price < event.ask_price
            assert tick is None or event.update_id >= tick.update_id
            ticks[event.symbol] = event
        else:
            assert isinstance(event, TradeEvent)
            assert tick is not None
            trades[event.symbol] += 1
            assert event.trade_id == trades[event.symbol]
            best = (
                (tick.ask_price, tick.ask_quantity) if event.side is Side.BUY else (tick.bid_price, tick.bid_quantity)
            )
            assert event.price == best[0]
            assert event.quantity <= best[1]
    assert compared > 100


def test_prices_and_quantities_are_on_the_instruments_grid() -> None:
    for event in first(1_000):
        instrument = instrument_for(event.symbol)
        if isinstance(event, TradeEvent):
            assert event.price % instrument.tick_size == 0
            assert event.quantity % instrument.lot_size == 0
            assert event.quantity >= instrument.min_quantity


def test_instruments_may_be_given_even_with_a_coarse_grid() -> None:
    coarse = Instrument(symbol="BTCUSDT", base="BTC", quote="USDT", tick_size=Decimal(500), lot_size=Decimal(1))
    market = simulated_market(["BTCUSDT"], 1, START, instruments={"BTCUSDT": coarse})
    trades = [e for e in islice(market, 2_000) if isinstance(e, TradeEvent)]
    assert all(t.price % 500 == 0 and t.quantity % 1 == 0 for t in trades)


def test_prices_start_where_the_symbol_says_and_stay_in_reach() -> None:
    prices = [float(e.price) for e in first(20_000, ["BTCUSDT"]) if isinstance(e, TradeEvent)]
    assert abs(prices[0] - 61_000) < 100
    assert 0.95 < min(prices) / prices[0] <= max(prices) / prices[0] < 1.05
    unlisted = next(e for e in first(3, ["SOMEUSDT"]) if isinstance(e, TickEvent))
    assert 1 <= unlisted.bid_price <= 1_000


@pytest.mark.parametrize("seed", range(3))
def test_rate_is_between_50_and_200_events_a_second_with_all_kinds(seed: int) -> None:
    events = within(10, seed)
    assert 50 <= len(events) / 10 <= 200
    for kind, least in ((TradeEvent, 20), (TickEvent, 30), (OrderBookDeltaEvent, 9)):
        assert sum(type(e) is kind for e in events) / 10 >= least


def test_averages_cross_and_the_rsi_swings_within_20_seconds_for_most_seeds() -> None:
    crossed = swung = 0
    for seed in range(8):
        closes = {e.ts // (SECOND // 4): float(e.price) for e in within(20, seed) if isinstance(e, TradeEvent)}
        fast, slow, rsi = Ema(12), Ema(26), Rsi(14)
        above: list[bool] = []
        low = False
        for close in closes.values():
            values = fast.update(close), slow.update(close)
            if values[0] is not None and values[1] is not None:
                above.append(values[0] > values[1])
            strength = rsi.update(close)
            low = low or (strength is not None and strength < 30)
        crossed += any(above)
        swung += low
    assert crossed >= 7
    assert swung >= 5


@pytest.mark.parametrize("symbols", [[], ["BTCUSDT", "BTCUSDT"]])
def test_no_symbols_or_repeated_symbols_are_refused(symbols: list[str]) -> None:
    with pytest.raises(ConfigError, match="name at least one"):
        simulated_market(symbols, 1, START)
