"""A candle that overlaps a gap is marked."""

from __future__ import annotations

from application_kit import BTC, D

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.engines import CandlePlan, MarketDataEngine
from tickdeck.domain.events import CandleEvent, RunResumed, TradeEvent
from tickdeck.domain.market import Timeframe
from tickdeck.domain.values import Side

S = 1_000_000_000
MINUTE = 60 * S
T0 = 1_723_161_600 * S


def trade(trade_id: int, second: int) -> TradeEvent:
    return TradeEvent(
        symbol=BTC, price=D(100), quantity=D(1), side=Side.BUY, trade_id=trade_id, ts=T0 + second * S, source="x"
    )


def candle(minute: int, *, gap: bool = False) -> CandleEvent:
    begin = T0 + minute * MINUTE
    prices = {"open": D(1), "high": D(1), "low": D(1), "close": D(1)}
    return CandleEvent(
        symbol=BTC, interval=MINUTE, open_ts=begin, close_ts=begin + MINUTE, volume=D(1), gap=gap, source="x", **prices
    )


def flags(minutes: int, *events: TradeEvent | CandleEvent | RunResumed) -> list[bool]:
    """The marks of the candles of this many minutes that the engine built, in order."""
    bus = InMemoryEventBus()
    MarketDataEngine(bus, CandlePlan(base=Timeframe(minutes * MINUTE), base_wanted=True))
    with bus.collect(CandleEvent) as candles:
        for event in events:
            bus.publish(event)
    return [made.gap for made in candles if made.interval == minutes * MINUTE]


def test_a_candle_without_a_gap_is_not_marked() -> None:
    assert flags(1, trade(1, 0), trade(2, 30), trade(3, 60), trade(4, 120)) == [False, False]


def test_a_gap_within_a_candle_marks_that_candle_alone() -> None:
    assert flags(1, trade(1, 0), trade(5, 30), trade(6, 60), trade(7, 120)) == [True, False]


def test_a_gap_between_two_candles_marks_both() -> None:
    assert flags(1, trade(1, 0), trade(5, 60), trade(6, 120), trade(7, 180)) == [True, True, False]


def test_after_a_resume_the_open_candle_and_the_next_one_are_marked() -> None:
    assert flags(1, trade(1, 0), RunResumed(), trade(2, 60), trade(3, 120), trade(4, 180)) == [True, True, False]


def test_a_missing_finer_candle_marks_the_coarser_ones_to_which_it_may_belong() -> None:
    assert flags(3, *(candle(minute) for minute in (0, 2, 3, 4, 5))) == [True, False]
    assert flags(3, *(candle(minute) for minute in (0, 1, 4, 5, 6, 7, 8))) == [True, True, False]
    assert flags(3, *(candle(minute) for minute in (0, 1, 3, 4, 5))) == [True, False]


def test_a_marked_finer_candle_marks_the_coarser_one() -> None:
    assert flags(3, candle(0), candle(1, gap=True), *map(candle, range(2, 6))) == [True, False]
