"""Binance's market data without a socket: subscriptions, instruments, trades, overload, connections."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from binance_feed_kit import T0, S, Venue, delta, exchange_info, rest_trade, trade, wrapped

from tickdeck.domain.events import (
    FeedConnected,
    FeedDisconnected,
    SystemWarning,
    TradeEvent,
    VenueCircuitChanged,
    VenueInstrumentReported,
)
from tickdeck.domain.market import instrument_for
from tickdeck.errors import ConfigError, InvalidSymbol
from tickdeck.infrastructure.exchanges.binance.decoder import FrameDecoder, circuit_frame, overload_frame, overload_key
from tickdeck.infrastructure.exchanges.binance.market_data import (
    CloseConnection,
    Fetch,
    MarketDataProtocol,
    OpenConnection,
    SendText,
)
from tickdeck.infrastructure.exchanges.binance.profile import BINANCE_SPOT


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


def test_streams_that_the_venue_does_not_list_are_subscribed_to_again_in_shorter_messages() -> None:
    symbols = tuple(f"S{n}USDT" for n in range(200))
    protocol, decoder, now = MarketDataProtocol(symbols, ("trade",)), FrameDecoder(), T0
    protocol.start(now)
    protocol.opened(1, now)
    subscribed: list[str] = []
    lengths, warnings = [], []
    for _ in range(60):
        for action in protocol.actions():
            if not isinstance(action, SendText):
                continue
            request = json.loads(action.text)
            answer: list[str] | None = None
            if request["method"] == "LIST_SUBSCRIPTIONS":
                answer = subscribed
            else:
                lengths.append(len(request["params"]))
                if lengths[-1] <= 50:  # longer messages are ignored
                    subscribed += [name for name in request["params"] if name != "s7usdt@trade"]
            protocol.received(1, now, json.dumps({"result": answer, "id": request["id"]}).encode())
        now = max(now, min(protocol.next_due, now + S))
        protocol.tick(now)
        warnings += [e for f in protocol.frames() for e in decoder.decode(f) if isinstance(e, SystemWarning)]

    assert lengths == [100, 100, 50, 50, 50, 50, 1]
    assert [warning.message for warning in warnings] == [
        "the venue does not send s0usdt@trade, s1usdt@trade, s2usdt@trade, s3usdt@trade, s4usdt@trade and 195 more; "
        "subscribed again",
        "the venue does not send s7usdt@trade; subscribed again",
        "the venue does not send s7usdt@trade; it ignored three subscriptions",
    ]


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


def test_instruments_are_passed_on_at_the_start_and_when_they_change() -> None:
    venue = Venue(instruments_every=5 * S)
    told = [event for frame in venue.instruments for event in venue.decoder.decode(frame)]
    for body in (exchange_info(), exchange_info("HALT"), exchange_info("HALT"), exchange_info("HALT", tick="0.1")):
        venue.pass_time(5 * S)
        (fetch,) = venue.instrument_fetches()
        venue.protocol.fetched(fetch.number, venue.now, body)
        told += [event for event in venue.events() if isinstance(event, VenueInstrumentReported)]
    venue.pass_time(5 * S)
    venue.protocol.fetched(venue.instrument_fetches()[0].number, venue.now, exchange_info(symbol="ETHUSDT"))
    told += [event for event in venue.events() if isinstance(event, VenueInstrumentReported)]

    changes = [(e.status, str(e.tick_size)) for e in told if isinstance(e, VenueInstrumentReported)]
    assert changes == [("trading", "0.01"), ("halt", "0.01"), ("halt", "0.1"), ("delisted", "0.1")]


def test_a_symbol_that_a_continued_run_had_and_that_is_not_listed_any_more_is_delisted() -> None:
    had = [instrument_for(symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    protocol, decoder = MarketDataProtocol(("BTCUSDT", "ETHUSDT")), FrameDecoder()
    protocol.recall_instruments(had)
    protocol.start(T0)
    (asking,) = (action for action in protocol.actions() if isinstance(action, Fetch))
    protocol.fetched(asking.number, T0, exchange_info())

    told = [event for frame in protocol.frames() for event in decoder.decode(frame)]
    found = {event.symbol: event for event in told if isinstance(event, VenueInstrumentReported)}
    assert (found["BTCUSDT"].status, found["ETHUSDT"].status) == ("trading", "delisted")
    gone = found["ETHUSDT"]
    steps = (gone.tick_size, gone.lot_size, gone.min_quantity, gone.max_quantity, gone.min_notional)
    eth = had[1]
    assert steps == (eth.tick_size, eth.lot_size, eth.min_quantity, eth.max_quantity, eth.min_notional)


def test_a_continued_run_of_which_no_symbol_is_listed_any_more_ends_with_one_line() -> None:
    protocol = MarketDataProtocol(("ETHUSDT",))
    protocol.recall_instruments([instrument_for("ETHUSDT")])
    protocol.start(T0)
    (asking,) = (action for action in protocol.actions() if isinstance(action, Fetch))
    with pytest.raises(InvalidSymbol, match=r"binance lists none of the run's symbols any more \(ETHUSDT\)"):
        protocol.fetched(asking.number, T0, exchange_info())


def test_instruments_are_queried_again_after_a_failure_or_an_invalid_answer() -> None:
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


def test_instruments_are_queried_at_once_when_asked_and_often_while_a_symbol_is_not_traded() -> None:
    venue = Venue(instruments_every=60 * S)
    venue.pass_time(30 * S)
    assert not venue.instrument_fetches()
    for _ in range(2):
        venue.protocol.ask_instruments(venue.now)
        venue.pass_time(S)
    (fetch,) = venue.instrument_fetches()

    venue.protocol.fetched(fetch.number, venue.now, exchange_info("HALT"))
    venue.pass_time(4 * S)
    assert not venue.instrument_fetches()
    venue.pass_time(S)
    (fetch,) = venue.instrument_fetches()
    venue.protocol.fetched(fetch.number, venue.now, exchange_info())
    venue.pass_time(59 * S)
    assert not venue.instrument_fetches()
    venue.pass_time(S)
    assert len(venue.instrument_fetches()) == 1


def test_an_unlisted_symbol_ends_the_feed() -> None:
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


@pytest.mark.parametrize(("remembered", "missing"), [((), (8, 9)), ((8,), (9, 9))])
def test_trades_that_were_missed_since_the_last_known_one_are_fetched(
    remembered: tuple[int, ...], missing: tuple[int, int]
) -> None:
    """A run continues from a snapshot that knows the last trade, and from the frames behind it."""
    venue = Venue(after={"BTCUSDT": 7}, remembered=tuple(map(trade, remembered)))
    assert [fetch for fetch in venue.fetches() if fetch.what == "trade"] == []
    venue.hear(trade(10))

    (fetch,) = (fetch for fetch in venue.fetches() if fetch.what == "trade")
    assert (fetch.first, fetch.last) == missing
    assert venue.trade_ids() == []


def test_trades_that_cannot_be_fetched_leave_a_gap_in_the_ids() -> None:
    venue = Venue()
    venue.hear(trade(1), trade(5))
    (fetch,) = venue.fetches()
    venue.protocol.fetch_failed(fetch.number, venue.now)
    venue.hear(trade(6))

    assert venue.trade_ids() == [1, 5, 6]
    assert not venue.fetches()


def test_an_unanswered_fetch_does_not_hold_trades_forever() -> None:
    venue = Venue()
    venue.hear(trade(1), trade(5))
    venue.pass_time(11 * S)

    assert venue.trade_ids() == [1, 5]


def test_a_new_connection_takes_over_early_without_gap_or_repetition() -> None:
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


def test_the_new_connection_takes_over_immediately_if_the_old_one_breaks_early() -> None:
    venue = Venue()
    venue.pass_time(S)
    venue.hear(trade(1), b'{"e":"serverShutdown","E":1790000000000}')
    assert OpenConnection(2) in venue.actions()
    venue.protocol.opened(2, venue.now)
    venue.hear(trade(2))
    venue.hear(trade(2), trade(3), connection=2)
    venue.protocol.closed(1, venue.now, "gone")
    venue.hear(trade(4), connection=2)

    assert venue.trade_ids() == [1, 2, 3, 4]


def test_a_failed_takeover_is_retried_while_the_old_connection_serves() -> None:
    venue = Venue()
    venue.pass_time(S)
    venue.hear(trade(1), b'{"e":"serverShutdown","E":1790000000000}')
    venue.protocol.closed(2, venue.now, "refused")
    venue.actions()
    venue.hear(trade(2))
    venue.pass_time(S // 4)
    assert not [action for action in venue.actions() if not isinstance(action, SendText)]

    venue.pass_time(S)
    assert OpenConnection(3) in venue.actions()
    assert venue.trade_ids() == [1, 2]


def test_a_lost_connection_is_reported_and_restored_with_growing_waits() -> None:
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


def test_a_venue_that_ends_every_connection_is_not_asked_more_often_than_it_allows() -> None:
    venue = Venue()
    opened = []
    for number in range(2, 2 * BINANCE_SPOT.connects):
        venue.hear(trade(number), connection=number - 1)
        venue.protocol.closed(number - 1, venue.now, "reset by peer")
        venue.pass_time(venue.protocol.next_due - venue.now)
        assert OpenConnection(number) in venue.actions()
        opened.append(venue.now)
        venue.protocol.opened(number, venue.now)

    later = opened[BINANCE_SPOT.connects :]
    assert all(end - begin >= BINANCE_SPOT.connects_window for begin, end in zip(opened, later, strict=False))


def test_a_venue_that_announces_its_shutdown_on_every_connection_is_not_asked_more_often_than_it_allows() -> None:
    venue = Venue()
    opened = []
    current = 1
    while len(opened) < 20:
        venue.hear(trade(len(opened) + 1), connection=current)
        venue.protocol.received(current, venue.now, b'{"e":"serverShutdown","E":1}')
        while not (found := [action for action in venue.actions() if isinstance(action, OpenConnection)]):
            venue.pass_time(venue.protocol.next_due - venue.now)
        opened.append(venue.now)
        venue.protocol.closed(current, venue.now, "the venue shuts down")
        current = found[0].connection
        venue.protocol.opened(current, venue.now)

    least = BINANCE_SPOT.connects_window // BINANCE_SPOT.connects
    assert all(end - begin >= least for begin, end in pairwise(opened))


def test_a_silent_connection_is_replaced() -> None:
    venue = Venue()
    venue.hear(trade(1))
    venue.pass_time(61 * S)

    assert CloseConnection(1, "nothing was received for 60 s") in venue.actions()
    venue.protocol.closed(1, venue.now, "nothing was received for 60 s")
    venue.protocol.tick(venue.now)
    assert OpenConnection(2) in venue.actions()


def test_a_refused_subscription_is_kept_with_its_message() -> None:
    venue = Venue()
    venue.hear(b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}')
    (_, warning) = venue.events()

    assert "invalid stream" in venue.protocol.problems[0]
    assert isinstance(warning, SystemWarning)
