"""The rules of Binance's market data, without a socket: happenings and the clock go in, frames and actions come out."""

from __future__ import annotations

import contextlib
import json
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from many_examples import MANY

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines import MarketDataEngine
from tickdeck.application.ports import Frame
from tickdeck.domain.events import (
    BookResynced,
    DomainEvent,
    FeedConnected,
    FeedDisconnected,
    GapDetected,
    OrderBookDeltaEvent,
    OrderBookEvent,
    SystemWarning,
    TradeEvent,
    VenueCircuitChanged,
    VenueInstrumentReported,
)
from tickdeck.domain.market import OrderBook, Resynced
from tickdeck.errors import ConfigError, InvalidSymbol
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder, circuit_frame, overload_frame, overload_key
from tickdeck.infrastructure.exchanges.binance.market_data import (
    CloseConnection,
    Fetch,
    MarketDataProtocol,
    OpenConnection,
    SendText,
)

T0 = 1_790_000_000_000_000_000
S = 1_000_000_000


def wrapped(stream: str, **data: Any) -> bytes:
    return json.dumps({"stream": stream, "data": data}, separators=(",", ":")).encode()


def trade(number: int) -> bytes:
    return wrapped(
        "btcusdt@trade", e="trade", E=T0 // 10**6, s="BTCUSDT", t=number, p="60000.10", q="0.5", T=T0 // 10**6, m=True
    )


def delta(first: int, last: int) -> bytes:
    return wrapped(
        "btcusdt@depth@100ms", e="depthUpdate", E=T0 // 10**6, s="BTCUSDT", U=first, u=last, b=[["1.0", "2"]], a=[]
    )


def snapshot(last: int) -> bytes:
    return json.dumps({"lastUpdateId": last, "bids": [["1.0", "1"]], "asks": [["2.0", "1"]]}).encode()


def exchange_info(status: str = "TRADING", tick: str = "0.01", symbol: str = "BTCUSDT") -> bytes:
    filters = [{"filterType": "PRICE_FILTER", "tickSize": tick}, {"filterType": "LOT_SIZE", "stepSize": "0.001"}]
    listed = {"symbol": symbol, "baseAsset": "BTC", "quoteAsset": "USDT", "status": status, "filters": filters}
    return json.dumps({"symbols": [listed], "rateLimits": []}).encode()


def rest_trade(number: int) -> dict[str, Any]:
    return {"id": number, "price": "60000.10", "qty": "0.5", "time": T0 // 10**6, "isBuyerMaker": True}


class Venue:
    """A protocol with an open connection, the events of its frames, and its clock."""

    def __init__(self, **settings: Any) -> None:
        self.now = T0
        self.protocol = MarketDataProtocol(("BTCUSDT",), **{"instruments_every": 1 << 61, **settings})
        self.decoder = FrameDecoder()
        self.frames: list[Frame] = []
        self.protocol.start(self.now)
        opening, asking = self.protocol.actions()
        assert opening == OpenConnection(1)
        assert isinstance(asking, Fetch)
        self.protocol.fetched(asking.number, self.now, exchange_info())
        self.instruments = self.protocol.frames()
        self.protocol.opened(1, self.now)

    def actions(self) -> list[Any]:
        return [a for a in self.protocol.actions() if not (isinstance(a, Fetch) and a.what == "instruments")]

    def instrument_fetches(self) -> list[Fetch]:
        return [a for a in self.protocol.actions() if isinstance(a, Fetch) and a.what == "instruments"]

    def fetches(self) -> list[Fetch]:
        return [action for action in self.actions() if isinstance(action, Fetch)]

    def hear(self, *messages: bytes, connection: int = 1) -> None:
        for message in messages:
            self.now += 1_000
            self.protocol.received(connection, self.now, message)

    def pass_time(self, ns: int) -> None:
        end = self.now + ns
        while self.protocol.next_due <= end:
            self.now = max(self.now, self.protocol.next_due)
            self.protocol.tick(self.now)
        self.now = end

    def events(self) -> list[DomainEvent]:
        frames = self.protocol.frames()
        self.frames += frames
        return [event for frame in frames for event in self.decoder.decode(frame)]

    def trade_ids(self) -> list[int | str]:
        return [event.trade_id for event in self.events() if isinstance(event, TradeEvent)]


def test_a_connection_subscribes_to_every_channel_of_every_symbol() -> None:
    protocol = MarketDataProtocol(("BTCUSDT", "ETHUSDT"), ("trade", "bookTicker"))
    protocol.start(T0)
    protocol.opened(1, T0)
    sent = protocol.actions()[-1]
    assert isinstance(sent, SendText)
    assert json.loads(sent.text) == {
        "method": "SUBSCRIBE",
        "params": ["btcusdt@trade", "btcusdt@bookTicker", "ethusdt@trade", "ethusdt@bookTicker"],
        "id": 1,
    }


def test_many_streams_are_subscribed_to_below_the_venues_rate_of_messages() -> None:
    protocol = MarketDataProtocol(tuple(f"S{n}USDT" for n in range(300)))
    protocol.start(T0)
    protocol.opened(1, T0)
    protocol.actions()
    sent = [T0]
    while len(sent) < 9:
        now = protocol.next_due
        protocol.tick(now)
        sent += [now for action in protocol.actions() if isinstance(action, SendText)]

    assert all(later - earlier >= S // 4 for earlier, later in pairwise(sent))


def test_more_streams_than_a_connection_carries_are_refused() -> None:
    with pytest.raises(ConfigError, match="1050 streams; give 1 to 1024"):
        MarketDataProtocol(tuple(f"S{n}USDT" for n in range(350)))


def test_a_channel_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ConfigError, match="no channel 'trades'"):
        MarketDataProtocol(("BTCUSDT",), ("trades",))


def test_a_book_is_fetched_with_its_first_update_and_joins_the_updates() -> None:
    venue = Venue()
    venue.hear(delta(10, 12), delta(13, 15))
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(13))
    book = OrderBook("BTCUSDT")
    outcomes = []
    for event in venue.events():
        if isinstance(event, OrderBookDeltaEvent):
            outcomes.append(book.apply_delta(event))
        elif isinstance(event, OrderBookEvent):
            outcomes.append(book.apply_snapshot(event))

    assert fetch[1:] == ("depth", "BTCUSDT", 0, 0)
    assert outcomes == [None, None, Resynced(15)]


def test_a_snapshot_just_before_the_first_update_is_taken() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(9))

    assert any(isinstance(event, OrderBookEvent) for event in venue.events())


def test_a_snapshot_older_than_the_updates_is_fetched_again() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(8))
    assert not any(isinstance(event, OrderBookEvent) for event in venue.events())

    venue.pass_time(S)
    (again,) = venue.fetches()
    venue.protocol.fetched(again.number, venue.now, snapshot(12))
    assert any(isinstance(event, OrderBookEvent) for event in venue.events())


def test_a_break_of_the_books_chain_is_passed_on_and_healed_by_a_snapshot() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    venue.protocol.fetched(venue.fetches()[0].number, venue.now, snapshot(11))
    venue.hear(delta(20, 22))
    (fetch,) = venue.fetches()
    venue.hear(delta(23, 24))
    venue.protocol.fetched(fetch.number, venue.now, snapshot(21))
    bus = InMemoryEventBus()
    engine = MarketDataEngine(bus)
    with bus.collect(GapDetected) as gaps, bus.collect(BookResynced) as resyncs:
        for event in venue.events():
            bus.publish(event)

    assert [(gap.expected, gap.received) for gap in gaps] == [(13, 20)]
    assert [resync.last_update_id for resync in resyncs] == [12, 24]
    assert engine.market("BTCUSDT").book.usable


def test_a_book_that_its_owner_cannot_use_gets_a_snapshot_of_everything_so_far_at_once() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    venue.protocol.fetched(venue.fetches()[0].number, venue.now, snapshot(11))
    venue.hear(delta(13, 14))
    venue.protocol.resync("BTCUSDT", venue.now)
    (fetch,) = venue.fetches()
    venue.protocol.fetched(fetch.number, venue.now, snapshot(13))
    venue.events()
    venue.pass_time(S)
    (again,) = venue.fetches()
    venue.protocol.fetched(again.number, venue.now, snapshot(14))

    assert [e.last_update_id for e in venue.events() if isinstance(e, OrderBookEvent)] == [14]


def test_a_book_that_breaks_again_and_again_does_not_use_up_the_limits() -> None:
    venue = Venue()
    venue.hear(delta(10, 12))
    asked = 0
    for _ in range(1_000):  # 100 s
        for fetch in venue.fetches():
            asked += 1
            venue.protocol.fetched(fetch.number, venue.now, snapshot(12))
            venue.protocol.resync("BTCUSDT", venue.now)
        venue.pass_time(S // 10)

    assert 3 <= asked <= 16


def test_instruments_are_passed_on_at_the_start_and_when_they_change() -> None:
    venue = Venue(instruments_every=60 * S)
    told = [event for frame in venue.instruments for event in venue.decoder.decode(frame)]
    for body in (exchange_info(), exchange_info("HALT"), exchange_info("HALT"), exchange_info("HALT", tick="0.1")):
        venue.pass_time(60 * S)
        (fetch,) = venue.instrument_fetches()
        venue.protocol.fetched(fetch.number, venue.now, body)
        told += [event for event in venue.events() if isinstance(event, VenueInstrumentReported)]
    venue.pass_time(60 * S)
    venue.protocol.fetched(venue.instrument_fetches()[0].number, venue.now, exchange_info(symbol="ETHUSDT"))
    told += [event for event in venue.events() if isinstance(event, VenueInstrumentReported)]

    changes = [(e.status, str(e.tick_size)) for e in told if isinstance(e, VenueInstrumentReported)]
    assert changes == [("trading", "0.01"), ("halt", "0.01"), ("halt", "0.1"), ("delisted", "0.1")]


def test_instruments_are_asked_for_again_after_a_failure_and_after_nonsense() -> None:
    venue = Venue(instruments_every=60 * S)
    venue.pass_time(60 * S)
    (fetch,) = venue.instrument_fetches()
    venue.protocol.fetch_failed(fetch.number, venue.now, 20 * S)
    venue.pass_time(19 * S)
    assert not venue.instrument_fetches()
    venue.pass_time(2 * S)
    (fetch,) = venue.instrument_fetches()
    venue.protocol.fetched(fetch.number, venue.now, b'{"symbols":[{"symbol":"BTCUSDT","filters":7}]}')
    venue.pass_time(5 * S)
    assert len(venue.instrument_fetches()) == 1


def test_a_symbol_that_is_not_listed_ends_the_feed_because_the_venue_would_stay_silent_for_ever() -> None:
    protocol = MarketDataProtocol(("BTCUSD",))
    protocol.start(T0)
    (fetch,) = (action for action in protocol.actions() if isinstance(action, Fetch))
    with pytest.raises(InvalidSymbol, match="BTCUSD is not listed"):
        protocol.fetched(fetch.number, T0, exchange_info())


def test_frames_of_our_own_become_events() -> None:
    decoder = FrameDecoder()
    (circuit,) = decoder.decode(circuit_frame(T0, "binance/market-data", "closed", "open", "VenueUnavailable"))
    (overload,) = decoder.decode(overload_frame(T0, 1_234, 5))

    assert isinstance(circuit, VenueCircuitChanged)
    assert (circuit.name, circuit.before, circuit.after) == ("binance/market-data", "closed", "open")
    assert isinstance(overload, SystemWarning)
    assert "1,234 messages of trades and books were dropped" in overload.message


@pytest.mark.parametrize(
    ("data", "key"),
    [
        (trade(1), ""),
        (delta(1, 2), ""),
        (wrapped("btcusdt@bookTicker", u=1), "btcusdt@bookTicker"),
        (wrapped("btcusdt@depth20@100ms", lastUpdateId=1), "btcusdt@depth20@100ms"),
        (b'{"symbol":"BTCUSDT","lastUpdateId":7}', "BTCUSDT"),
        (wrapped("btcusdt@kline_1m", k={}), None),
        (wrapped("!connection"), None),
        (b'{"result":null,"id":1}', None),
        (b"nonsense", None),
    ],
)
def test_under_overload_best_prices_and_snapshots_are_conflated_and_trades_and_updates_dropped(
    data: bytes, key: str | None
) -> None:
    assert overload_key(data) == key


def test_missing_trades_are_fetched_and_come_before_those_that_were_held() -> None:
    venue = Venue()
    venue.hear(trade(1), trade(2), trade(5), trade(6))
    assert venue.trade_ids() == [1, 2]
    (fetch,) = (fetch for fetch in venue.fetches() if fetch.what == "trade")
    assert (fetch.first, fetch.last) == (3, 4)

    body = json.dumps([rest_trade(number) for number in (3, 4, 5, 6, 7)]).encode()
    venue.protocol.fetched(fetch.number, venue.now, body)
    venue.hear(trade(7))
    assert venue.trade_ids() == [3, 4, 5, 6, 7]


def test_trades_that_cannot_be_fetched_leave_a_hole_that_shows_in_the_ids() -> None:
    venue = Venue()
    venue.hear(trade(1), trade(5))
    (fetch,) = venue.fetches()
    venue.protocol.fetch_failed(fetch.number, venue.now)
    venue.hear(trade(6))

    assert venue.trade_ids() == [1, 5, 6]
    assert not venue.fetches()


def test_a_fetch_that_gets_no_answer_does_not_hold_trades_for_ever() -> None:
    venue = Venue()
    venue.hear(trade(1), trade(5))
    venue.pass_time(11 * S)

    assert venue.trade_ids() == [1, 5]


def test_a_connection_takes_over_before_the_venue_ends_the_old_one_without_hole_or_repetition() -> None:
    venue = Venue()
    number = 0
    heard: list[int | str] = []
    for _ in range(24 * 60 * 2 + 10):  # a day and more, a trade every 30 s
        number += 1
        live = [1] if not venue.protocol.statistics.connections > 1 else [1, 2]
        for connection in live:
            venue.hear(trade(number), connection=connection)
        venue.pass_time(30 * S)
        for action in venue.actions():
            if isinstance(action, OpenConnection):
                venue.protocol.opened(action.connection, venue.now)
            elif isinstance(action, CloseConnection):
                venue.protocol.closed(action.connection, venue.now, action.reason)
        events = venue.events()
        assert not any(isinstance(event, FeedDisconnected) for event in events)
        heard += [event.trade_id for event in events if isinstance(event, TradeEvent)]

    assert venue.protocol.statistics.connections == 2
    assert heard == list(range(1, number + 1))


def test_the_new_connection_takes_over_at_once_when_the_old_one_breaks_early() -> None:
    venue = Venue()
    venue.hear(trade(1), b'{"e":"serverShutdown","E":1790000000000}')
    assert OpenConnection(2) in venue.actions()
    venue.protocol.opened(2, venue.now)
    venue.hear(trade(2))
    venue.hear(trade(2), trade(3), connection=2)
    venue.protocol.closed(1, venue.now, "gone")
    venue.hear(trade(4), connection=2)

    assert venue.trade_ids() == [1, 2, 3, 4]


def test_a_takeover_that_fails_is_tried_again_later_while_the_old_connection_serves() -> None:
    venue = Venue()
    venue.hear(trade(1), b'{"e":"serverShutdown","E":1790000000000}')
    venue.protocol.closed(2, venue.now, "refused")
    venue.actions()
    venue.hear(trade(2))
    venue.pass_time(S // 4)
    assert not venue.actions()

    venue.pass_time(S)
    assert OpenConnection(3) in venue.actions()
    assert venue.trade_ids() == [1, 2]


def test_a_lost_connection_is_told_and_made_again_with_growing_waits() -> None:
    venue = Venue()
    waits = []
    venue.protocol.closed(1, venue.now, "reset by peer")
    for number in range(2, 9):
        before = venue.now
        venue.pass_time(venue.protocol.next_due - venue.now)
        waits.append(venue.now - before)
        assert OpenConnection(number) in venue.actions()
        venue.protocol.closed(number, venue.now, "refused")
    told = [event for event in venue.events() if isinstance(event, FeedConnected | FeedDisconnected)]

    assert [type(event) for event in told] == [FeedConnected, FeedDisconnected]
    assert isinstance(told[1], FeedDisconnected)
    assert told[1].reason == "reset by peer"
    assert all(S // 2 << min(n, 4) <= wait <= 30 * S for n, wait in enumerate(waits))


def test_a_silent_connection_is_made_anew() -> None:
    venue = Venue()
    venue.hear(trade(1))
    venue.pass_time(61 * S)

    assert CloseConnection(1, "nothing was received for 60 s") in venue.actions()
    venue.protocol.closed(1, venue.now, "nothing was received for 60 s")
    venue.protocol.tick(venue.now)
    assert OpenConnection(2) in venue.actions()


def test_a_refused_subscription_is_kept_with_its_words() -> None:
    venue = Venue()
    venue.hear(b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}')
    (_, warning) = venue.events()

    assert "invalid stream" in venue.protocol.problems[0]
    assert isinstance(warning, SystemWarning)


@pytest.mark.parametrize("symbol", ["LRCBTC", "NKNUSDT"])
def test_the_recorded_books_are_rebuilt_without_a_mismatch(shared: Path, symbol: str) -> None:
    """The best prices of the rebuilt book are those that the venue's bookTicker shows for the same update."""
    folder = shared / "exchanges" / "binance"
    recorded = json.loads((folder / f"rec_depth_snapshot_{symbol}.json").read_text())
    protocol = MarketDataProtocol((symbol,), ("bookTicker", "depth@100ms"))
    decoder, book = FrameDecoder(), OrderBook(symbol)
    tickers = {}
    lines = (folder / f"rec_other_streams_{symbol}.jsonl").read_text().splitlines()
    for message in (json.loads(line)["msg"] for line in lines):
        if message["stream"].endswith("bookTicker"):
            tickers[message["data"]["u"]] = message["data"]
    protocol.start(T0)
    protocol.opened(1, T0)
    now, asked, compared = T0, False, 0
    for line in (folder / f"rec_depth_stream_{symbol}.jsonl").read_text().splitlines():
        record = json.loads(line)
        now += 1
        if not asked and record["recv_ts"] > recorded["recv_ts"]:
            fetches = [action for action in protocol.actions() if isinstance(action, Fetch)]
            fetch = next(action for action in fetches if action.what == "depth")
            protocol.fetched(fetch.number, now, json.dumps(recorded["response"]).encode())
            asked = True
        protocol.received(1, now, json.dumps(record["msg"], separators=(",", ":")).encode())
        for frame in protocol.frames():
            for event in decoder.decode(frame):
                if isinstance(event, OrderBookDeltaEvent):
                    assert book.apply_delta(event) is None
                elif isinstance(event, OrderBookEvent):
                    book.apply_snapshot(event)
        ticker = tickers.get(book.last_update_id)
        if book.usable and ticker is not None:
            compared += 1
            bid, ask = book.best_bid(), book.best_ask()
            assert bid is not None
            assert ask is not None
            assert [f"{n:f}" for n in (*bid, *ask)] == [ticker[key] for key in "bBaA"]

    assert book.usable
    assert compared >= 3
    assert protocol.statistics.gaps == 0


def _mutated(message: bytes, rng: random.Random) -> bytes:
    data = bytearray(message)
    for _ in range(rng.randrange(1, 6)):
        place = rng.randrange(len(data) or 1)
        match rng.randrange(5):
            case 0 if data:
                data[place] = rng.randrange(256)
            case 1:
                del data[place : place + rng.randrange(1, 9)]
            case 2:
                data[place:place] = rng.choice(
                    [b"null", b"-1", b"1e999", b'"NaN"', b"[", b"{}", b"9" * 40, b'"', b"\x00", b"true", b"[[" * 9]
                )
            case 3:
                begin = rng.randrange(len(data) or 1)
                data[place:place] = data[begin : begin + rng.randrange(1, 30)]
            case _:
                del data[place:]
    return bytes(data).replace(b"\n", b" ")


def _fuzz(shared: Path, frames: int) -> None:
    """Mutated frames give events or warnings, and the feed goes on with the next good one."""
    rng = random.Random(7)
    folder = shared / "exchanges" / "binance"
    messages = [trade(3), delta(5, 6)]
    for name in ("rec_other_streams_NKNUSDT", "rec_depth_stream_LRCBTC"):
        lines = (folder / f"{name}.jsonl").read_text().splitlines()[:20]
        messages += [json.dumps(json.loads(line)["msg"], separators=(",", ":")).encode() for line in lines]
    bodies = [snapshot(100), exchange_info(), json.dumps([rest_trade(n) for n in range(1, 9)]).encode()]
    venue = Venue(instruments_every=S)
    for n in range(frames):
        venue.hear(_mutated(rng.choice(messages), rng))
        if n % 50 == 0:
            for fetch in (action for action in venue.protocol.actions() if isinstance(action, Fetch)):
                with contextlib.suppress(InvalidSymbol):
                    venue.protocol.fetched(fetch.number, venue.now, _mutated(rng.choice(bodies), rng))
            venue.pass_time(S // 10)
            for event in venue.events():
                assert isinstance(event, DomainEvent)
        if n % 1_000 == 0:
            venue.frames.clear()
    venue.pass_time(20 * S)
    venue.events()

    fresh = wrapped(
        "ethusdt@trade", e="trade", s="ETHUSDT", t=1, p="1", q="1", T=T0 // 10**6, m=False, new_field={"a": [1]}
    )
    venue.hear(fresh)
    events = venue.events()
    assert [event.symbol for event in events if isinstance(event, TradeEvent)] == ["ETHUSDT"]
    assert venue.decoder.faults


def test_mutated_frames_never_stop_the_feed(shared: Path) -> None:
    _fuzz(shared, 3_000)


@pytest.mark.slow
def test_very_many_mutated_frames_never_stop_the_feed(shared: Path) -> None:
    _fuzz(shared, 10 * MANY)
