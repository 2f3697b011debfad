"""Each format, from text in the test to its events."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from tickdeck.domain.events import CandleEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import InputError
from tickdeck.infrastructure.readers import InputFile, ReadNotes, open_input

Write = Callable[..., Path]

SPOT_TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    '"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
SPOT_TICKER = (
    '{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63","B":"3.7","a":"61837.64",'
    '"A":"1.5"}}'
)
SPOT_DEPTH = (
    '{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255308,"s":"BTCUSDT","U":50,"u":57,'
    '"b":[["61837.6","1.50"]],"a":[["61838.0","0.3"],["61844.3","0.00"]]}}'
)
SNAPSHOT = '{"lastUpdateId":49,"bids":[["61837.6","2"]],"asks":[["61838.1","4"]]}'
FUTURES_TRADE = (
    '{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256321,"s":"BTCUSDT","t":5266583935,'
    '"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)
FUTURES_TICKER = (
    '{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":8,"s":"BTCUSDT","b":"1","B":"2","a":"3","A":"4",'
    '"T":1723161256313,"E":1723161256314}}'
)
FUTURES_DEPTH = (
    '{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",'
    '"U":70,"u":79,"pu":57,"b":[],"a":[]}}'
)
FUTURES_SNAPSHOT = '{"lastUpdateId":60,"E":1723161256501,"T":1723161256493,"bids":[],"asks":[]}'


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(text: str, name: str = "file") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def capture(*messages: str) -> str:
    """Lines that are received every 1 us, starting at 1723161254000000001."""
    return "".join(f"{1723161254000000001 + 1000 * n} {message}\n" for n, message in enumerate(messages))


# -- raw captures --------------------------------------------------------------------------------------------------


def test_a_spot_trade_whose_buyer_is_the_maker_is_a_sell(write: Write) -> None:
    (trade,) = open_input(InputFile(write(capture(SPOT_TRADE))))

    assert trade == TradeEvent(
        symbol="BTCUSDT",
        price=Decimal("61837.63"),
        quantity=Decimal("0.02"),
        side=Side.SELL,
        trade_id=3735683259,
        ts=1723161255342_000_000,
        ts_ingress=1723161254000000001,
        source="binance",
    )
    assert isinstance(trade, TradeEvent)
    assert str(trade.price) == "61837.63000000"  # the venue's digits are kept


def test_best_prices_on_spot_have_only_our_time(write: Write) -> None:
    (tick,) = open_input(InputFile(write(capture(SPOT_TICKER))))

    assert tick == TickEvent(
        symbol="BTCUSDT",
        bid_price=Decimal("61837.63"),
        bid_quantity=Decimal("3.7"),
        ask_price=Decimal("61837.64"),
        ask_quantity=Decimal("1.5"),
        update_id=50093239212,
        ts=1723161254000000001,
        ts_ingress=1723161254000000001,
        source="binance",
    )


def test_a_snapshot_belongs_to_the_symbol_that_the_streams_name(write: Write) -> None:
    snapshot, delta = open_input(InputFile(write(capture(SNAPSHOT, SPOT_DEPTH))))

    assert snapshot == OrderBookEvent(
        symbol="BTCUSDT",
        last_update_id=49,
        bids=((Decimal("61837.6"), Decimal(2)),),
        asks=((Decimal("61838.1"), Decimal(4)),),
        ts=1723161254000000001,
        ts_ingress=1723161254000000001,
        source="binance",
    )
    assert delta == OrderBookDeltaEvent(
        symbol="BTCUSDT",
        first_update_id=50,
        last_update_id=57,
        bids=((Decimal("61837.6"), Decimal("1.5")),),
        asks=((Decimal(61838), Decimal("0.3")), (Decimal("61844.3"), Decimal(0))),
        ts=1723161255308_000_000,
        ts_ingress=1723161254000001001,
        source="binance",
    )


def test_futures_messages_have_transaction_times_and_links(write: Write) -> None:
    path = write(capture(FUTURES_TRADE, FUTURES_TICKER, FUTURES_DEPTH, FUTURES_SNAPSHOT))

    trade, tick, delta, snapshot = open_input(InputFile(path))

    assert isinstance(trade, TradeEvent)
    assert trade.side is Side.BUY
    assert isinstance(delta, OrderBookDeltaEvent)
    assert (delta.first_update_id, delta.last_update_id, delta.previous_update_id) == (70, 79, 57)
    assert [event.ts for event in (trade, tick, delta, snapshot)] == [
        1723161256321_000_000,
        1723161256313_000_000,
        1723161256298_000_000,
        1723161256493_000_000,
    ]


def test_messages_without_market_data_are_counted_and_skipped(write: Write) -> None:
    other = SPOT_TRADE.replace("@trade", "@ticker")
    answer = '{"result":null,"id":1}'
    shutdown = '{"e":"serverShutdown","E":1}'
    insurance = FUTURES_TRADE.replace("MARKET", "INSURANCE_FUND")
    everything = SPOT_TICKER.replace("btcusdt@bookTicker", "!bookTicker")
    notes = ReadNotes()

    path = write(capture(other, answer, SPOT_TRADE, shutdown, insurance, other, everything))
    events = list(open_input(InputFile(path), notes=notes))

    assert len(events) == 1
    assert notes.skipped == {
        "ticker": 2,
        "message without stream": 1,
        "message serverShutdown": 1,
        "trade INSURANCE_FUND": 1,
        "!bookTicker": 1,
    }


def test_a_symbol_selects_from_a_capture_with_several(write: Write) -> None:
    ether = SPOT_TRADE.replace("btcusdt", "ethusdt").replace("BTCUSDT", "ETHUSDT")
    notes = ReadNotes()

    path = write(capture(SPOT_TRADE, ether, SNAPSHOT))
    events = list(open_input(InputFile(path, symbol="ETHUSDT"), notes=notes))

    assert [(event.event_type, event.symbol) for event in events] == [
        ("market.trade", "ETHUSDT"),
        ("market.book", "ETHUSDT"),
    ]
    assert notes.skipped == {}


def test_a_snapshot_in_a_capture_with_several_symbols_needs_the_symbol_option(write: Write) -> None:
    ether = SPOT_TRADE.replace("btcusdt", "ethusdt").replace("BTCUSDT", "ETHUSDT")

    with pytest.raises(InputError, match="file, line 3: a snapshot does not name its symbol"):
        list(open_input(InputFile(write(capture(SPOT_TRADE, ether, SNAPSHOT)))))


def test_receive_times_that_go_back_a_little_keep_the_files_order(write: Write) -> None:
    path = write(f"1500000001000000000 {SPOT_TRADE}\n1500000000000000000 {SPOT_TICKER}\n")

    assert [event.ts_ingress for event in open_input(InputFile(path))] == [15 * 10**17 + 10**9, 15 * 10**17]


# -- Binance's public CSV ----------------------------------------------------------------------------------------------


def test_a_row_becomes_a_trade_received_after_the_feed_latency(write: Write) -> None:
    row = "3735683259,61837.63000000,0.02000000,1236.75260000,1723161255342,False,True\n"

    (trade,) = open_input(InputFile(write(row, "BTCUSDT-trades-2024-08-08.csv")), feed_latency_ns=5)

    assert trade == TradeEvent(
        symbol="BTCUSDT",
        price=Decimal("61837.63"),
        quantity=Decimal("0.02"),
        side=Side.BUY,
        trade_id=3735683259,
        ts=1723161255342_000_000,
        ts_ingress=1723161255342_000_005,
        source="binance",
    )


def test_feed_latency_is_ten_milliseconds_by_default(write: Write) -> None:
    (trade,) = open_input(InputFile(write("1,2,3,6,1723161255342,True,True\n"), symbol="BTCUSDT"))

    assert trade.ts_ingress - trade.ts == 10_000_000


def test_trade_times_since_2025_are_microseconds(write: Write) -> None:
    path = write("1,2,3,6,1735689599999,True,True\n2,2,3,6,1735689600000007,True,True\n")

    trades = list(open_input(InputFile(path, symbol="BTCUSDT")))

    assert [trade.ts for trade in trades] == [1735689599999_000_000, 1735689600000007_000]


def test_a_futures_file_has_a_header_and_one_column_fewer(write: Write) -> None:
    text = "id,price,qty,quote_qty,time,is_buyer_maker\r\n7,100.5,2,201,1723161255342,true\r\n\r\n"

    (trade,) = open_input(InputFile(write(text), symbol="BTCUSDT"))

    assert isinstance(trade, TradeEvent)
    assert (trade.trade_id, trade.price, trade.side) == (7, Decimal("100.5"), Side.SELL)


@pytest.mark.parametrize(
    "text",
    [
        "26129,0.01633102,4.70443515,27781,27783,1498793709153,true,true\n",
        "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker\n"
        "26129,0.01633102,4.70443515,27781,27783,1498793709153,true\n",
    ],
    ids=["spot", "futures"],
)
def test_an_aggregate_counts_as_one_trade_under_its_own_id(write: Write, text: str) -> None:
    (trade,) = open_input(InputFile(write(text), symbol="BNBBTC"))

    assert isinstance(trade, TradeEvent)
    assert (trade.trade_id, trade.ts, trade.side) == (26129, 1498793709153_000_000, Side.SELL)
    assert (trade.price, trade.quantity) == (Decimal("0.01633102"), Decimal("4.70443515"))


# -- flat trades ---------------------------------------------------------------------------------------------------

FLAT = """\
local_ts_ns,venue,symbol,trade_id,price,qty,buyer_is_maker,trade_ts_ms,event_ts_ms
1723161254087896568,spot,BTCUSDT,31,61837.63,0.02,true,1723161255342,1723161255343
1723161254087896569,usdm,BTCUSDT,51,61800.30,0.5,false,1723161255342,1723161255343
1723161254087896570,spot,ETHUSDT,11,2683.80,0.002,false,1723161255611,1723161255612
"""


def test_a_flat_row_keeps_its_receive_time_and_venue(write: Write) -> None:
    trade, _ = open_input(InputFile(write(FLAT)))

    assert trade == TradeEvent(
        symbol="BTCUSDT",
        price=Decimal("61837.63"),
        quantity=Decimal("0.02"),
        side=Side.SELL,
        trade_id=31,
        ts=1723161255342_000_000,
        ts_ingress=1723161254087896568,
        source="spot",
    )


@pytest.mark.parametrize(
    ("venue", "symbol", "ids", "passed_over"),
    [
        (None, None, [31, 11], {"venue usdm": 1}),
        ("spot", "ETHUSDT", [11], {"venue usdm": 1}),
        ("usdm", None, [51], {"venue spot": 2}),
    ],
)
def test_one_venue_is_read_from_a_flat_file(
    write: Write, venue: str | None, symbol: str | None, ids: list[int], passed_over: dict[str, int]
) -> None:
    notes = ReadNotes()

    trades = list(open_input(InputFile(write(FLAT + "\n"), venue=venue, symbol=symbol), notes=notes))

    assert [trade.trade_id for trade in trades if isinstance(trade, TradeEvent)] == ids
    assert notes.skipped == passed_over


# -- candles -------------------------------------------------------------------------------------------------------


def candles(*times: str) -> str:
    return "timestamp,open,high,low,close,volume\n" + "".join(f"{time},2,4,1,3,10.5\n" for time in times)


def test_a_candle_is_known_only_at_its_end(write: Write) -> None:
    path = write(candles("2024-10-01 03:00:00", "2024-10-01 03:01:00"), "candles-BTCUSDT.csv")

    first, second = open_input(InputFile(path), feed_latency_ns=7)

    opened = 1727751600 * 10**9
    assert first == CandleEvent(
        symbol="BTCUSDT",
        interval=60 * 10**9,
        open_ts=opened,
        close_ts=opened + 60 * 10**9,
        open=Decimal(2),
        high=Decimal(4),
        low=Decimal(1),
        close=Decimal(3),
        volume=Decimal("10.5"),
        ts=opened + 60 * 10**9,
        ts_ingress=opened + 60 * 10**9 + 7,
        source="file",
    )
    assert isinstance(second, CandleEvent)
    assert second.open_ts == first.close_ts


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2024-10-01 03:00:00", "2024-10-01 03:05:00"),
        ("2024-10-01T03:00:00Z", "2024-10-01T03:05:00Z"),
        ("2024-10-01 05:00:00+02:00", "2024-10-01 03:05:00+00:00"),
        ("2024-10-01 03:00:00.000000", "2024-10-01 03:05:00.000000"),
        ("1727751600", "1727751900"),
        ("1727751600000", "1727751900000"),
        ("1727751600000000", "1727751900000000"),
        ("1727751600000000000", "1727751900000000000"),
    ],
)
def test_candle_times_are_iso_or_integers_of_any_unit(write: Write, first: str, second: str) -> None:
    candle, _ = open_input(InputFile(write(candles(first, second)), symbol="BTCUSDT"))

    assert isinstance(candle, CandleEvent)
    assert (candle.open_ts, candle.interval) == (1727751600 * 10**9, 300 * 10**9)


def test_candle_columns_are_found_by_name(write: Write) -> None:
    text = "Close,Volume,Timestamp,Open,High,Low,n\n3,10.5,1727751600,2,4,1,9\n3,10.5,1727751660,2,4,1,9\n\n"

    candle, _ = open_input(InputFile(write(text), symbol="BTCUSDT"))

    assert isinstance(candle, CandleEvent)
    assert (candle.open, candle.high, candle.low, candle.close) == (Decimal(2), Decimal(4), Decimal(1), Decimal(3))
    assert (candle.volume, candle.open_ts) == (Decimal("10.5"), 1727751600 * 10**9)


def test_candles_may_be_missing_between_others(write: Write) -> None:
    path = write(candles("1727751600", "1727751660", "1727751900"))

    read = [event for event in open_input(InputFile(path, symbol="BTCUSDT")) if isinstance(event, CandleEvent)]

    assert [candle.open_ts // 10**9 for candle in read] == [1727751600, 1727751660, 1727751900]
    assert {candle.interval for candle in read} == {60 * 10**9}


def test_a_given_interval_makes_one_row_enough(write: Write) -> None:
    (candle,) = open_input(InputFile(write(candles("1727751600")), symbol="BTCUSDT", interval="30s"))

    assert isinstance(candle, CandleEvent)
    assert candle.close_ts == 1727751630 * 10**9


# -- all formats ---------------------------------------------------------------------------------------------------

TEXTS = {
    "binance-raw": capture(SPOT_TRADE, SPOT_TICKER, SPOT_DEPTH, SNAPSHOT),
    "binance-trades": "1,2,3,6,1723161255342,True,True\n",
    "binance-aggtrades": "1,2,3,5,6,1723161255342,True,True\n",
    "trades": FLAT,
    "candles": candles("1727751600", "1727751660"),
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_gzip_and_plain_give_the_same_events_whatever_the_name(tmp_path: Path, text: str) -> None:
    plain, packed = tmp_path / "BTCUSDT.gz", tmp_path / "BTCUSDT"
    plain.write_text(text)
    packed.write_bytes(gzip.compress(text.encode()))

    assert list(open_input(InputFile(plain))) == list(open_input(InputFile(packed))) != []


@pytest.mark.parametrize("text", [t for name, t in TEXTS.items() if name != "binance-raw"])
def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path, text: str) -> None:
    plain, windows = tmp_path / "BTCUSDT-a", tmp_path / "BTCUSDT-b"
    plain.write_text(text)
    windows.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())

    assert list(open_input(InputFile(plain))) == list(open_input(InputFile(windows)))
