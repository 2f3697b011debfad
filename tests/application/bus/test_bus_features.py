"""What the bus can do beyond calling handlers: filters, pauses, threads, overflow, retries, dead letters."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tickdeck import (
    Block,
    CommandReceived,
    ConfigError,
    Conflate,
    DomainEvent,
    DropOldest,
    EventDeadLettered,
    EventFilter,
    Halt,
    HandlerFailed,
    InMemoryEventBus,
    Kernel,
    OrderFilledEvent,
    RecordingBus,
    Retry,
    Side,
    Throttle,
    TickEvent,
    TradeEvent,
    TradingHalted,
    dead_letters_on,
    get_event_bus,
    publish_domain_event,
    subscribe_to_event,
)
from tickdeck.application.bus.ambient import ambient_bus
from tickdeck.application.latency import LatencyHistogram
from tickdeck.infrastructure.tape import NullTape, SqliteTape
from tickdeck.infrastructure.watchdog import Watchdog


class Note(DomainEvent, frozen=True, kw_only=True):
    event_type: ClassVar[str] = "bustest.note"
    n: int = 0


def trade(symbol: str = "BTCUSDT", *, ts: int = 1, trade_id: int = 1) -> TradeEvent:
    return TradeEvent(
        symbol=symbol, price=Decimal(100), quantity=Decimal(1), side=Side.BUY, trade_id=trade_id, ts=ts, ts_ingress=ts
    )


def tick(bid: str, symbol: str = "BTCUSDT") -> TickEvent:
    return TickEvent(
        symbol=symbol, bid_price=Decimal(bid), bid_quantity=Decimal(1), ask_price=Decimal(200), ask_quantity=Decimal(1)
    )


class FakeClock:
    def __init__(self) -> None:
        self.now = 0
        self.slept: list[float] = []

    def monotonic_ns(self) -> int:
        self.now += 100
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def failing(times: int, heard: list[Any]) -> Callable[[DomainEvent], Awaitable[None]]:
    left = [times]

    async def handler(event: DomainEvent) -> None:
        if left[0]:
            left[0] -= 1
            raise ConnectionError("https://secret@host")
        heard.append(event)

    return handler


# -- filters ------------------------------------------------------------------------------------------------------


def test_filters_combine_and_say_no_to_what_any_condition_refuses() -> None:
    btc, ticks = EventFilter(symbols=("BTCUSDT",)), EventFilter("market.tick")
    large = EventFilter(where=lambda e: getattr(e, "trade_id", 0) > 5)

    assert btc(trade())
    assert not btc(trade("ETHUSDT"))
    assert [(btc & ~ticks)(e) for e in (trade(), tick("1"))] == [True, False]
    assert [(ticks | large)(e) for e in (trade(trade_id=6), trade(), tick("1"))] == [True, False, True]
    assert EventFilter(sources=("binance",))(trade()) is False
    assert EventFilter()(Note()) is True


def test_a_filter_narrows_a_subscription() -> None:
    bus, heard = InMemoryEventBus(), list[DomainEvent]()
    bus.subscribe("market.*", heard.append, where=EventFilter("*.trade") & EventFilter(symbols=("ETHUSDT",)))

    bus.publish_all([trade(), trade("ETHUSDT"), tick("1", "ETHUSDT")])

    assert [e.event_type for e in heard] == ["market.trade"]


def test_a_decorated_function_is_subscribed_and_stays_itself() -> None:
    bus, heard = InMemoryEventBus(), list[int]()

    @bus.on(Note, priority=3)
    def note(event: Note) -> None:
        heard.append(event.n)

    bus.publish(Note(n=7))
    note(Note(n=8))
    assert heard == [7, 8]


# -- pausing and disabling ----------------------------------------------------------------------------------------


def test_a_paused_bus_holds_events_and_delivers_them_in_order_on_resume() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(Note, lambda e: heard.append(e.n))
    bus.pause()
    bus.publish(Note(n=1))
    with bus.batch():
        bus.publish(Note(n=2))
    assert heard == []
    assert bus.paused

    bus.resume()
    bus.publish(Note(n=3))
    bus.resume()

    assert heard == [1, 2, 3]
    assert not bus.paused


def test_a_pause_inside_a_handler_lets_the_cascade_end() -> None:
    bus, heard = InMemoryEventBus(), list[int]()

    def handler(event: Note) -> None:
        heard.append(event.n)
        if event.n == 1:
            bus.pause()
            bus.publish(Note(n=2))

    bus.subscribe(Note, handler)
    bus.publish(Note(n=1))
    bus.publish(Note(n=3))
    assert heard == [1, 2]
    bus.resume()
    assert heard == [1, 2, 3]


def test_a_disabled_bus_discards_and_counts() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(Note, lambda e: heard.append(e.n))
    bus.pause()
    bus.publish(Note(n=1))
    bus.enabled = False  # what was held is delivered first
    bus.publish(Note(n=2))
    bus.enabled = True
    bus.publish(Note(n=3))

    assert heard == [1, 3]
    assert bus.statistics().discarded == 1
    assert bus.enabled


# -- threads ------------------------------------------------------------------------------------------------------


def test_what_other_threads_publish_is_taken_in_the_thread_of_the_loop_and_none_is_lost() -> None:
    async def run() -> tuple[list[int], list[int]]:
        bus, heard, owners = InMemoryEventBus(), list[int](), list[int]()
        done = asyncio.Event()

        def handler(event: Note) -> None:
            heard.append(event.n)
            owners.append(threading.get_ident())
            if len(heard) == 4_000:
                done.set()

        bus.subscribe(Note, handler)
        bus.bind()
        workers = [
            threading.Thread(
                target=lambda first=first: [bus.publish_threadsafe(Note(n=first + k)) for k in range(1_000)]
            )
            for first in range(0, 4_000, 1_000)
        ]
        for worker in workers:
            worker.start()
        await asyncio.wait_for(done.wait(), 30)
        for worker in workers:
            worker.join()
        return heard, owners

    heard, owners = asyncio.run(run())
    assert sorted(heard) == list(range(4_000))
    assert set(owners) == {threading.get_ident()}


def test_without_a_loop_the_owner_takes_what_threads_published() -> None:
    bus, heard = InMemoryEventBus(), list[int]()
    bus.subscribe(Note, lambda e: heard.append(e.n))
    thread = threading.Thread(target=bus.publish_threadsafe, args=(Note(n=5),))
    thread.start()
    thread.join()
    assert heard == []
    assert bus.statistics().waiting == 1
    assert bus.run_pending() == 1
    assert heard == [5]


# -- the ambient bus ----------------------------------------------------------------------------------------------


def test_the_ambient_bus_is_the_runs_within_it_and_a_plain_one_outside() -> None:
    plain = get_event_bus()
    kernel, heard = Kernel(tape=NullTape()), list[DomainEvent]()
    with ambient_bus(kernel):
        assert get_event_bus() is kernel
        subscription = subscribe_to_event(Note, heard.append, name="mine")
        publish_domain_event(Note(n=1))
    publish_domain_event(Note(n=2))

    assert subscription.name == "mine"
    assert [e.seq for e in heard] == [1]
    assert get_event_bus() is plain


def test_a_recording_bus_keeps_what_it_dispatched_in_order() -> None:
    bus = RecordingBus()
    bus.subscribe(TradeEvent, lambda e: bus.publish(Note(n=1)))
    bus.publish(trade())

    assert [e.event_type for e in bus.events] == ["market.trade", "bustest.note"]
    assert bus.of("market.*") == [bus.events[0]]
    assert bus.of(Note) == [bus.events[1]]
    bus.clear()
    assert bus.events == []


# -- overflow -----------------------------------------------------------------------------------------------------


def test_a_throttled_handler_hears_one_event_a_key_and_interval_of_the_events_own_time() -> None:
    bus, heard = InMemoryEventBus(), list[tuple[str, int]]()
    bus.subscribe(TradeEvent, lambda e: heard.append((e.symbol, e.ts)), overflow=Throttle(100))

    for ts in (0, 50, 99, 100, 150, 260):
        bus.publish_all([trade(ts=ts + 1), trade("ETHUSDT", ts=ts + 1)])

    assert [ts for symbol, ts in heard if symbol == "BTCUSDT"] == [1, 101, 261]
    assert len(heard) == 6
    assert bus.statistics().dropped == {"market.trade": 6}


def test_conflation_keeps_the_newest_of_each_key_for_a_slow_edge() -> None:
    async def run() -> list[str]:
        bus, heard = InMemoryEventBus(), list[str]()

        async def slow(event: TickEvent) -> None:
            heard.append(f"{event.symbol} {event.bid_price}")
            await asyncio.sleep(0)

        bus.subscribe(TickEvent, slow, overflow=Conflate("symbol"))
        bus.publish_all([tick("1"), tick("2"), tick("5", "ETHUSDT"), tick("3")])
        await bus.drain()
        assert bus.statistics().dropped == {"market.tick": 2}
        return heard

    assert asyncio.run(run()) == ["BTCUSDT 3", "ETHUSDT 5"]


def test_the_oldest_goes_where_the_subscriber_chose_so() -> None:
    async def run() -> list[Decimal]:
        bus, heard = InMemoryEventBus(), list[Decimal]()

        async def edge(event: TickEvent) -> None:
            heard.append(event.bid_price)

        bus.subscribe(TickEvent, edge, overflow=DropOldest(), mailbox=2)
        bus.publish_all([tick("1"), tick("2"), tick("3")])
        await bus.drain()
        return heard

    assert asyncio.run(run()) == [2, 3]


@pytest.mark.parametrize("topic", [OrderFilledEvent, "order.*", "*", "position.updated", "risk.*", "market.*"])
@pytest.mark.parametrize("policy", [DropOldest(), Conflate("symbol"), Throttle(5)])
def test_lossy_policies_are_refused_on_anything_but_market_data(topic: Any, policy: Any) -> None:
    async def edge(event: DomainEvent) -> None: ...

    with pytest.raises(ConfigError, match=r"lossy|lose"):
        InMemoryEventBus().subscribe(topic, edge, overflow=policy)


def test_options_that_do_not_fit_the_handler_are_refused_in_words() -> None:
    async def edge(event: DomainEvent) -> None: ...

    bus = InMemoryEventBus()
    with pytest.raises(ConfigError, match="sockets"):
        bus.subscribe(TickEvent, edge, overflow=Block())
    with pytest.raises(ConfigError, match="is a plain handler"):
        bus.subscribe(TickEvent, lambda e: None, overflow=DropOldest())
    with pytest.raises(ConfigError, match="is a plain handler"):
        bus.subscribe(TickEvent, lambda e: None, retry=Retry())
    with pytest.raises(ConfigError, match="attempts"):
        Retry(attempts=0)
    with pytest.raises(ConfigError, match="backoff"):
        Retry(backoff=-1.0)
    with pytest.raises(ConfigError, match="needs a clock"):
        InMemoryEventBus(measure=True)


def test_a_run_halts_when_an_edge_falls_behind_by_a_whole_mailbox() -> None:
    async def run() -> None:
        kernel, halts, left_out = Kernel(tape=NullTape()), list[DomainEvent](), list[int]()

        async def edge(event: Note) -> None: ...

        kernel.subscribe(Note, edge, mailbox=2, name="narrow", refused=lambda e: left_out.append(e.n))
        kernel.subscribe(TradingHalted, halts.append)
        for n in range(5):
            kernel.publish(Note(n=n))
        await kernel.drain()

        assert kernel.halted
        assert len(halts) == 1
        assert "narrow" in halts[0].payload["reason"]
        assert left_out == [2, 3, 4]

    asyncio.run(run())


def test_a_full_mailbox_takes_events_again_when_there_is_room_and_tells_each_time_that_it_ran_over() -> None:
    async def run() -> None:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Note) -> None:
            heard.append(event.n)

        bus.subscribe(Note, edge, mailbox=1)
        with bus.collect(HandlerFailed) as failures:
            for _ in range(2):
                bus.publish_all([Note(n=1), Note(n=2), Note(n=3)])
                await bus.drain()
        assert heard == [1, 1]
        assert len(failures) == 2
        assert bus.statistics().dropped == {"bustest.note": 4}

    asyncio.run(run())


# -- retries and dead letters -------------------------------------------------------------------------------------


def test_an_edge_is_tried_again_with_growing_pauses_until_it_succeeds() -> None:
    async def run() -> None:
        clock, heard = FakeClock(), list[DomainEvent]()
        bus = InMemoryEventBus(clock=clock)
        bus.subscribe(Note, failing(2, heard), retry=Retry(attempts=3, backoff=0.5))
        bus.publish(Note(n=1))
        await bus.drain()
        assert len(heard) == 1
        assert clock.slept == [0.5, 1.0]
        assert bus.statistics().failures == 0

    asyncio.run(run())


def test_an_event_that_no_attempt_could_deliver_is_a_dead_letter_and_can_be_sent_again() -> None:
    async def run() -> None:
        heard = list[DomainEvent]()
        bus = InMemoryEventBus(clock=FakeClock())
        bus.subscribe(Note, failing(3, heard), retry=Retry(attempts=2), name="mailer")
        with bus.collect("*") as told:
            bus.publish(Note(n=1))
            await bus.drain()
            (letter,) = bus.dead_letters()
            bus.resend(letter)  # fails once more, then succeeds
            await bus.drain()

        assert (letter.handler, letter.error, letter.attempts) == ("mailer", "ConnectionError", 2)
        assert [e.event_type for e in told] == [
            "bustest.note",
            "system.handler_failed",
            "system.event_dead_lettered",
            "command.received",
        ]
        assert not any("secret" in repr(e) for e in told)
        assert [e.payload for e in heard] == [{"n": 1}]
        assert bus.dead_letters() == ()

    asyncio.run(run())


def test_a_letter_to_nobody_stays_where_it_is() -> None:
    async def run() -> None:
        bus = InMemoryEventBus(clock=FakeClock())
        subscription = bus.subscribe(Note, failing(9, []), name="mailer")
        bus.publish(Note(n=1))
        await bus.drain()
        subscription.cancel()
        (letter,) = bus.dead_letters()
        with pytest.raises(ConfigError, match="mailer"):
            bus.resend(letter)
        assert bus.dead_letters() == (letter,)

    asyncio.run(run())


def test_dead_letters_outlive_the_process_on_the_tape(tmp_path: Path) -> None:
    async def first() -> None:
        with SqliteTape(tmp_path / "tape.db") as tape:
            kernel = Kernel(tape=tape, clock=FakeClock())
            kernel.subscribe(Note, failing(9, []), name="mailer")
            kernel.publish(Note(n=1))
            kernel.publish(Note(n=2))
            await kernel.drain()
            kernel.resend(kernel.dead_letters()[0])  # fails again: a letter again
            await kernel.drain()

    async def second() -> list[DomainEvent]:
        heard = list[DomainEvent]()
        with SqliteTape(tmp_path / "tape.db") as tape:
            letters = dead_letters_on(tape.read())
            last = list(tape.read())[-1]
            kernel = Kernel(tape=tape, clock=FakeClock())
            kernel.continue_from(last)
            kernel.restore_dead_letters(letters)
            kernel.subscribe(Note, failing(0, heard), name="mailer")
            for letter in kernel.dead_letters():
                kernel.resend(letter)
            await kernel.drain()
            assert dead_letters_on(tape.read()) == ()
        return heard

    asyncio.run(first())
    heard = asyncio.run(second())
    assert [e.payload["n"] for e in heard] == [2, 1]
    assert all(isinstance(e, Note) and e.event_id in ("1", "2") for e in heard)


def test_what_the_log_says_of_an_edges_error_holds_no_text_of_it(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        bus = InMemoryEventBus(clock=FakeClock())
        bus.subscribe(Note, failing(1, []))
        bus.publish(Note())
        await bus.drain()

    asyncio.run(run())
    assert "ConnectionError" in caplog.text
    assert "secret" not in caplog.text


def test_the_record_of_dead_letters_ignores_other_commands() -> None:
    dead = EventDeadLettered(dead_event_id="1", handler="h", error="E", payload_json=Note(n=3).to_json().decode())

    (letter,) = dead_letters_on([dead, CommandReceived(command="halt")])

    assert letter.event == Note(n=3)


# -- measuring, watching, leaving nothing behind ------------------------------------------------------------------


def test_a_bus_that_measures_tells_how_long_its_handlers_take() -> None:
    clock = FakeClock()
    bus = InMemoryEventBus(clock=clock, measure=True)

    def slow(event: Note) -> None:
        clock.now += 1_000_000

    bus.subscribe(Note, slow)
    bus.publish_all([Note(), Note()])
    (handler,) = bus.statistics().handlers
    assert handler.max_ns == 1_000_100
    assert handler.p50_ns is not None
    assert 940_000 <= handler.p50_ns <= 1_000_100
    assert InMemoryEventBus().subscribe(Note, slow).statistics().p99_ns is None


def test_quantiles_of_a_histogram_are_right_within_a_sixteenth() -> None:
    histogram = LatencyHistogram()
    for value in range(1, 10_001):
        histogram.add(value)
    for fraction in (0.01, 0.5, 0.99, 1.0):
        exact = fraction * 10_000
        got = histogram.quantile(fraction)
        assert got is not None
        assert exact * 15 / 16 - 1 <= got <= exact
    histogram.add(-5)
    assert histogram.quantile(0.0) == 0
    assert (histogram.count, histogram.maximum) == (10_001, 10_000)
    assert LatencyHistogram().quantile(0.5) is None


def test_the_watchdog_names_a_handler_that_does_not_return() -> None:
    bus, alarms, rang = InMemoryEventBus(), list[str](), threading.Event()

    def alarm(text: str) -> None:
        alarms.append(text)
        rang.set()

    def stuck(event: Note) -> None:
        assert rang.wait(30)

    bus.subscribe(Note, lambda e: None)
    bus.subscribe(Note, stuck)
    with Watchdog(bus, limit=0.05, alarm=alarm):
        bus.publish(Note())
    (text,) = alarms
    assert "stuck" in text
    assert "test_bus_features.py" in text


def test_the_watchdog_names_a_plain_edge_that_does_not_return() -> None:
    bus, alarms, rang = InMemoryEventBus(), list[str](), threading.Event()

    def alarm(text: str) -> None:
        alarms.append(text)
        rang.set()

    def stuck_edge(event: Note) -> None:
        assert rang.wait(30)

    bus.subscribe(Note, stuck_edge, edge=True)
    with Watchdog(bus, limit=0.05, alarm=alarm):
        bus.publish(Note())
    (text,) = alarms
    assert "stuck_edge" in text


@pytest.mark.long
@pytest.mark.parametrize("cycles", [5_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_subscribing_and_cancelling_leaves_nothing_behind(cycles: int) -> None:
    bus = InMemoryEventBus()

    async def edge(event: DomainEvent) -> None: ...

    for n in range(cycles):
        with bus.subscribe(Note, edge if n % 2 else (lambda e: None)):
            if n % 1_000 == 0:
                bus.publish(trade())

    assert bus.statistics().handlers == ()
    assert bus._edges.mailboxes == []
    assert bus.statistics().published == {"market.trade": -(-cycles // 1_000)}


def test_halt_is_a_choice_on_a_plain_bus_too_and_lasts() -> None:
    async def run() -> list[int]:
        bus, heard = InMemoryEventBus(), list[int]()

        async def edge(event: Note) -> None:
            heard.append(event.n)

        bus.subscribe(Note, edge, mailbox=1, overflow=Halt())
        bus.publish_all([Note(n=1), Note(n=2)])
        await bus.drain()
        bus.publish(Note(n=3))
        await bus.drain()
        return heard

    assert asyncio.run(run()) == [1]


def test_a_throttle_goes_by_the_clock_of_the_bus_where_events_have_no_time() -> None:
    class Clock:
        now = 1_000

        def monotonic_ns(self) -> int:
            return self.now

        async def sleep(self, seconds: float) -> None:
            raise NotImplementedError

    clock, heard = Clock(), list[DomainEvent]()
    bus, without = InMemoryEventBus(clock=clock, stamp=False), InMemoryEventBus(stamp=False)
    bus.subscribe(TradeEvent, heard.append, overflow=Throttle(100))
    without.subscribe(TradeEvent, heard.append, overflow=Throttle(100))

    for clock.now in (1_000, 1_050, 1_100):
        bus.publish(trade(ts=0))
    without.publish(trade(ts=0))

    assert len(heard) == 2
    assert without.statistics().failures == 1  # told, not lost in silence


@pytest.mark.parametrize("field", ["symbols", "sources"])
def test_one_name_in_the_place_of_a_tuple_is_refused_by_a_filter(field: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} is 'BTCUSDT', a single name; give a tuple"):
        EventFilter(**{field: "BTCUSDT"})
