"""The feed monitor reports each silence once, and costs nothing if it is not configured."""

from __future__ import annotations

from application_kit import BTC, MS, SECOND, START, Core, D, Ping, tick, trade

from tickdeck.domain.events import CandleEvent, DomainEvent, FeedConnected, FeedDisconnected, FeedStale, TimerFired

LIMIT = 100 * MS


def connected(*symbols: str, ts: int = START) -> FeedConnected:
    return FeedConnected(feed="files", symbols=symbols, ts=ts, ts_ingress=ts, source="driver")


def later(ns: int) -> DomainEvent:
    """An event that is not market data, so that the clock advances."""
    return Ping(ts=START + ns, ts_ingress=START + ns)


def stale(core: Core) -> list[tuple[str, int, int]]:
    return [(e.symbol, e.since - START, e.ts_ingress - START) for e in core.tape.events if isinstance(e, FeedStale)]


def core_with(*symbols: str) -> Core:
    return Core(monitors=LIMIT).feed(connected(*symbols))


def test_a_symbol_without_any_data_is_stale_after_the_limit() -> None:
    core = core_with(BTC).feed(later(LIMIT - 1))
    assert stale(core) == []
    assert stale(core.feed(later(LIMIT))) == [(BTC, 0, LIMIT)]


def test_a_symbol_with_regular_data_is_never_stale_and_sets_few_timers() -> None:
    core = core_with(BTC).feed(*(trade("1", ts=START + n * MS) for n in range(1_000)))

    assert stale(core) == []
    assert sum(isinstance(e, TimerFired) and e.name == BTC for e in core.tape.events) <= 11


def test_each_silence_is_reported_once_with_its_start() -> None:
    core = core_with(BTC).feed(trade("1", ts=START + 30 * MS), later(2 * SECOND))
    assert stale(core) == [(BTC, 30 * MS, 130 * MS)]

    core.feed(tick("1", "2", ts=START + 3 * SECOND), later(4 * SECOND))
    assert stale(core)[1:] == [(BTC, 3 * SECOND, 3 * SECOND + LIMIT)]


def test_each_symbol_is_watched_separately() -> None:
    core = core_with(BTC, "ETHUSDT").feed(*(trade("1", ts=START + n * 50 * MS) for n in range(10)))
    assert stale(core) == [("ETHUSDT", 0, LIMIT)]


def test_an_unannounced_symbol_is_watched_from_its_first_event_on() -> None:
    core = core_with().feed(trade("1", symbol="XRPUSDT"), later(SECOND))
    assert stale(core) == [("XRPUSDT", 0, LIMIT)]


def test_after_the_end_of_the_feed_nothing_is_stale() -> None:
    core = core_with(BTC).feed(FeedDisconnected(feed="files", symbols=(BTC,), source="driver"), later(SECOND))
    assert stale(core) == []


def test_a_feed_that_restarts_gets_the_whole_limit_again() -> None:
    core = core_with(BTC).feed(connected(BTC, ts=START + 60 * MS), later(120 * MS))
    assert stale(core) == []
    assert stale(core.feed(later(SECOND))) == [(BTC, 60 * MS, 160 * MS)]


def test_a_built_candle_does_not_count_as_data() -> None:
    core, one = core_with("ETHUSDT"), D(1)
    core.kernel.subscribe(
        Ping,
        lambda _: core.kernel.publish(
            CandleEvent(
                symbol="ETHUSDT", interval=1, open_ts=0, close_ts=1, open=one, high=one, low=one, close=one, volume=one
            )
        ),
    )
    core.feed(later(90 * MS), later(110 * MS))
    assert stale(core) == [("ETHUSDT", 0, LIMIT)]


def test_a_strategys_timer_is_not_mistaken_for_the_monitors() -> None:
    core = core_with(BTC)
    core.kernel.set_timer(START + 10 * MS, BTC, "feed_monitor")
    core.feed(trade("1", ts=START + 20 * MS), later(105 * MS))
    assert stale(core) == []


def test_without_a_limit_there_are_no_timers_at_all() -> None:
    core = Core().feed(connected(BTC), trade("1"), later(10 * SECOND))
    assert core.of("timer.fired") == []
