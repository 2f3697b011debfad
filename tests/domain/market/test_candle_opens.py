"""The open of a candle is known when the candle opens, and orders can be filled at it. The rest is known at its end."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from tickdeck.domain.events import CandleEvent, MarketEvent, TradeEvent
from tickdeck.domain.market import CandleOpen, Ended, Fill, Instrument, Matcher, WorkingOrder, with_opens
from tickdeck.domain.values import Side, TimeInForce

D = Decimal
SECOND = 1_000_000_000
MINUTE = 60 * SECOND
GRACE = SECOND
INSTRUMENT = Instrument(symbol="BTCUSDT", base="BTC", quote="USDT", tick_size=D("0.1"), lot_size=D("0.1"))


def candle(n: int, open_: str, high: str, low: str, close: str, volume: str = "100") -> CandleEvent:
    return CandleEvent(
        symbol="BTCUSDT",
        interval=MINUTE,
        open_ts=n * MINUTE,
        close_ts=(n + 1) * MINUTE,
        open=D(open_),
        high=D(high),
        low=D(low),
        close=D(close),
        volume=D(volume),
        ts=(n + 1) * MINUTE,
        ts_ingress=(n + 1) * MINUTE,
    )


def opened(n: int, price: str) -> CandleOpen:
    return CandleOpen("BTCUSDT", D(price), n * MINUTE, n * MINUTE)


def order(quantity: str, limit: str | None = None, *, at: int, side: Side = Side.BUY, tif: str = "gtc") -> WorkingOrder:
    price = D(limit) if limit is not None else None
    return WorkingOrder(
        order_id=f"o{at}-{quantity}-{limit}",
        side=side,
        quantity=D(quantity),
        limit=price,
        time_in_force=TimeInForce(tif),
        arrival=at,
        worst=price,
    )


def matcher(*past: CandleEvent) -> Matcher:
    found = Matcher(INSTRUMENT, candle_grace_ns=GRACE)
    for event in past or (candle(1, "100", "101", "99", "100"),):
        assert not found.on_candle(event)
    return found


def fills(outcomes: object) -> list[tuple[str, str]]:
    assert isinstance(outcomes, (list, tuple))
    return [(str(o.price), f"{o.quantity.normalize():f}") for o in outcomes if isinstance(o, Fill)]


def test_an_order_that_arrives_just_after_the_open_is_filled_at_it_at_once() -> None:
    venue = matcher()
    assert fills(venue.on_open(opened(2, "102"))) == []

    assert fills(venue.submit(order("3", at=2 * MINUTE + 1))) == [("102", "3")]


def test_an_order_that_waits_is_filled_when_the_next_candle_opens() -> None:
    venue = matcher()
    assert fills(venue.submit(order("3", at=2 * MINUTE + 1))) == []

    assert fills(venue.on_open(opened(5, "104"))) == [("104", "3")]


def test_an_order_that_arrives_in_the_middle_of_a_candle_waits_for_the_next_open() -> None:
    venue = matcher()
    venue.on_open(opened(2, "102"))

    assert fills(venue.submit(order("3", at=2 * MINUTE + 2 * GRACE))) == []
    assert fills(venue.on_candle(candle(2, "102", "110", "90", "105"))) == []
    assert fills(venue.on_open(opened(3, "105"))) == [("105", "3")]


def test_takers_share_the_allowed_part_of_the_last_candles_volume() -> None:
    venue = matcher(candle(1, "100", "101", "99", "100", volume="50"))
    venue.on_open(opened(2, "102"))

    assert fills(venue.submit(order("3", "103", at=2 * MINUTE + 1))) == [("102", "3")]
    assert fills(venue.submit(order("4", "103", at=2 * MINUTE + 2))) == [("102", "2")]
    venue.on_candle(candle(2, "102", "103", "101", "102", volume="1000"))
    assert fills(venue.on_open(opened(3, "101"))) == [("101", "2")]


def test_the_volume_of_the_open_candle_itself_is_not_known_at_its_open() -> None:
    venue = matcher(candle(1, "100", "101", "99", "100", volume="0"))

    venue.on_open(opened(2, "102"))

    assert venue.submit(order("1", at=2 * MINUTE + 1)) == []
    venue.on_candle(candle(2, "102", "103", "101", "102", volume="100"))
    assert fills(venue.on_open(opened(3, "102"))) == [("102", "1")]


def test_a_limit_that_the_open_does_not_reach_rests_and_fills_when_the_range_goes_through_it() -> None:
    venue = matcher()
    venue.on_open(opened(2, "102"))

    assert fills(venue.submit(order("3", "100.5", at=2 * MINUTE + 1))) == []
    assert fills(venue.on_candle(candle(2, "102", "103", "100.4", "101"))) == [("100.5", "3")]


def test_an_exit_placed_after_the_open_fills_within_the_same_candle() -> None:
    venue = matcher()
    venue.on_open(opened(2, "102"))
    assert fills(venue.submit(order("3", at=2 * MINUTE + 1))) == [("102", "3")]

    venue.submit(order("3", "105", at=2 * MINUTE + 2, side=Side.SELL))

    assert fills(venue.on_candle(candle(2, "102", "106", "101", "103"))) == [("105", "3")]


def test_takers_and_resting_orders_share_one_candles_volume() -> None:
    venue = matcher(candle(1, "100", "101", "99", "100", volume="100"))
    venue.on_open(opened(2, "102"))
    assert fills(venue.submit(order("8", at=2 * MINUTE + 1))) == [("102", "8")]
    venue.submit(order("5", "101", at=2 * MINUTE + 2))

    assert fills(venue.on_candle(candle(2, "102", "103", "100", "101", volume="100"))) == [("101", "2")]


def test_a_post_only_order_uses_the_open_price() -> None:
    venue = matcher()
    venue.on_open(opened(2, "90"))

    (refused,) = venue.submit(order("1", "95", at=2 * MINUTE + 1, tif="post_only"))

    assert isinstance(refused, Ended)


# -- the stream -------------------------------------------------------------------------------------------------------


def kinds(events: list[MarketEvent]) -> list[tuple[str, int]]:
    return [
        ("open" if isinstance(record, CandleOpen) else type(record).__name__, record.ts_ingress)
        for record in with_opens(events)
    ]


def test_each_candle_but_the_first_comes_after_its_open() -> None:
    events: list[MarketEvent] = [
        candle(1, "1", "1", "1", "1"),
        candle(2, "2", "2", "2", "2"),
        candle(9, "3", "3", "3", "3"),
    ]

    assert kinds(events) == [
        ("CandleEvent", 2 * MINUTE),
        ("open", 2 * MINUTE),
        ("CandleEvent", 3 * MINUTE),
        ("open", 9 * MINUTE),
        ("CandleEvent", 10 * MINUTE),
    ]


def test_an_open_that_lies_before_another_event_is_left_out() -> None:
    trade = TradeEvent(
        symbol="BTCUSDT", price=D(1), quantity=D(1), side=Side.BUY, ts=150 * SECOND, ts_ingress=150 * SECOND
    )
    events: list[MarketEvent] = [candle(1, "1", "1", "1", "1"), trade, candle(2, "2", "2", "2", "2")]

    assert kinds(events) == [("CandleEvent", 2 * MINUTE), ("TradeEvent", 150 * SECOND), ("CandleEvent", 3 * MINUTE)]


@pytest.mark.parametrize("latency", [0, 10_000_000])
def test_an_open_arrives_with_the_same_latency_as_a_close(latency: int) -> None:
    candles = (candle(1, "1", "1", "1", "1"), candle(3, "2", "2", "2", "2"))
    late = [replace(event, ts_ingress=event.ts_ingress + latency) for event in candles]

    _, told, _ = with_opens(late)

    assert told == CandleOpen("BTCUSDT", D(2), 3 * MINUTE, 3 * MINUTE + latency)
