"""The kernel's rules: one input and its whole cascade, then the next; numbers, names, causes, time, faults."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable

import pytest
from application_kit import MS, START, Core, MemoryTape, Ping, Pong, trade

from tickdeck.application.kernel import Agenda, Kernel
from tickdeck.domain.events import DomainEvent, HandlerFailed, TimerFired, TimerSet, TradingHalted
from tickdeck.errors import ConfigError, TapeError, TickdeckError


def kernel_with(*, max_cascade: int = 10_000, agenda: Agenda | None = None) -> tuple[Kernel, MemoryTape]:
    tape = MemoryTape()
    return Kernel(tape=tape, agenda=agenda, max_cascade=max_cascade), tape


def stamps(events: list[DomainEvent]) -> list[tuple[int, str, str, str]]:
    return [(e.seq, e.event_id, e.causation_id, e.correlation_id) for e in events]


def ping(n: int = 0, ts: int = START) -> Ping:
    return Ping(n=n, ts=ts, ts_ingress=ts, source="test")


def failing(_: DomainEvent) -> None:
    raise ValueError("broken")


def run_due(agenda: Agenda, now: int) -> None:
    while (entry := agenda.pop(now)) is not None:
        entry[1]()


# -- cascade, sequence, identity --------------------------------------------------------------------------------


def test_an_input_and_all_that_it_causes_are_numbered_named_and_chained() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.publish_all([Pong(n=2), Pong(n=0)]))
    kernel.subscribe(Pong, lambda e: kernel.publish(Pong(n=e.n - 1)), where=lambda e: e.n)

    kernel.feed(ping())
    kernel.feed(ping())

    assert stamps(tape.events) == [
        (1, "1", "", "1"),
        (2, "1-1", "1", "1"),
        (3, "1-2", "1", "1"),
        (4, "1-1-1", "1-1", "1"),
        (5, "1-1-1-1", "1-1-1", "1"),
        (6, "2", "", "2"),
        (7, "2-1", "2", "2"),
        (8, "2-2", "2", "2"),
        (9, "2-1-1", "2-1", "2"),
        (10, "2-1-1-1", "2-1-1", "2"),
    ]
    assert (kernel.inputs, kernel.seq) == (2, 10)


def test_a_cascade_goes_to_the_tape_as_one_piece() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))

    kernel.feed(ping())
    kernel.feed(ping())

    assert [[e.seq for e in cascade] for cascade in tape.cascades] == [[1, 2], [3, 4]]


def test_an_input_that_a_file_holds_leaves_a_hole_in_the_numbers() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()), where=lambda e: e.n)

    for n in (0, 1, 0):
        kernel.feed(ping(n), record=False)
    kernel.feed(ping(0))

    assert stamps(tape.events) == [(3, "2-1", "2", "2"), (5, "4", "", "4")]


def test_one_more_event_elsewhere_shifts_nobodys_id_but_its_siblings() -> None:
    def ids(extra: Callable[[Kernel], None]) -> list[str]:
        kernel, tape = kernel_with()
        kernel.subscribe(Ping, lambda e: kernel.publish(Pong(n=1)))
        extra(kernel)
        kernel.subscribe(Pong, lambda e: kernel.publish(Pong(n=9)), where=lambda e: e.n == 1)
        kernel.feed(trade("1"))
        kernel.feed(ping())
        return [e.event_id for e in tape.events if getattr(e, "n", 0) != 100]

    def noise(kernel: Kernel) -> None:
        kernel.subscribe("market.trade", lambda e: kernel.publish(Pong(n=100)))
        kernel.subscribe(Pong, lambda e: kernel.publish(Pong(n=100)), where=lambda e: e.n == 1, priority=-1)

    calm = ids(lambda kernel: None)
    assert calm == ["1", "2", "2-1", "2-1-1"]
    assert ids(noise) == calm


def test_what_is_stamped_is_a_copy() -> None:
    kernel, tape = kernel_with()
    caused = Pong(n=1)
    kernel.subscribe(Ping, lambda e: kernel.publish_all([caused, caused]))
    event = ping()

    kernel.feed(event)

    assert (event.seq, event.event_id, event.correlation_id) == (0, "", "")
    assert (caused.seq, caused.event_id, caused.ts_ingress) == (0, "", 0)
    assert [e.event_id for e in tape.events] == ["1", "1-1", "1-2"]


def test_an_input_keeps_the_cause_that_its_source_gave_it() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))

    kernel.feed(Ping(causation_id="3-1", correlation_id="3", ts_ingress=START))

    assert stamps(tape.events) == [(1, "1", "3-1", "3"), (2, "1-1", "1", "3")]


def test_publishing_outside_of_handlers_takes_an_input() -> None:
    kernel, tape = kernel_with()
    kernel.publish(ping(1))
    with kernel.batch():
        kernel.publish(ping(2))
        assert len(tape.cascades) == 1

    assert [e.event_id for e in tape.events] == ["1", "2"]


def test_feeding_inside_a_handler_is_refused() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.feed(ping()))

    kernel.feed(ping())

    assert [e.event_type for e in tape.events] == ["test.ping", "system.handler_failed"]
    assert "handlers publish events, they do not take inputs" in tape.events[1].payload["message"]


def test_the_next_id_is_the_one_that_the_next_event_gets() -> None:
    kernel, tape = kernel_with()
    foretold: list[str] = []

    def tell(event: Ping | Pong) -> None:
        for n in range(event.n):
            foretold.append(kernel.next_id())
            kernel.publish(Pong(n=event.n - 1 - n))

    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
    kernel.subscribe(Ping, tell)
    kernel.subscribe(Pong, lambda e: kernel.publish(Pong()) and failing(e), where=lambda e: e.n == 1)
    kernel.subscribe(Pong, tell)
    foretold.append(kernel.next_id())
    kernel.feed(ping(3))
    foretold.append(kernel.next_id())
    kernel.feed(ping(0))

    assert foretold[:4] == ["1", "1-2", "1-3", "1-4"]
    assert foretold[-1] == "2"
    silent = ["1-1", "2-1"]  # of the handler that does not ask
    failures = [e.event_id for e in tape.events if isinstance(e, HandlerFailed)]
    assert sorted(foretold) == sorted({e.event_id for e in tape.events} - {*silent, *failures})


def test_inputs_wait_at_the_ingress_until_they_are_taken() -> None:
    kernel, tape = kernel_with()
    kernel.post(Ping(n=1, source="a"))
    kernel.post(trade("1", source="b"))

    assert kernel.run_next()
    assert kernel.run_pending() == 1
    assert not kernel.run_next()
    assert [e.event_type for e in tape.events] == ["market.trade", "test.ping"]


# -- time -------------------------------------------------------------------------------------------------------


def test_the_clock_is_the_ingress_time_of_the_input_and_never_goes_back() -> None:
    kernel, tape = kernel_with()
    seen: list[int] = []
    kernel.subscribe("*", lambda e: seen.append(kernel.clock.now()))
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))

    for ts in (START, START - 5, START + 7):
        kernel.feed(Ping(ts=3, ts_ingress=ts))
    kernel.feed(Ping())

    assert seen == [START] * 4 + [START + 7] * 4
    assert [(e.ts, e.ts_ingress) for e in tape.events] == [
        (3, START),
        (START, START),
        (3, START),
        (START, START),
        (3, START + 7),
        (START + 7, START + 7),
        (START + 7, START + 7),
        (START + 7, START + 7),
    ]


def test_a_venues_time_may_be_ahead_of_ours() -> None:
    kernel, tape = kernel_with()
    kernel.feed(Ping(ts=START + 3_000 * MS, ts_ingress=START))

    assert tape.events[0].ts == START + 3_000 * MS
    assert kernel.clock.now() == START


def test_timers_fire_by_due_time_and_on_ties_in_order_of_creation() -> None:
    agenda = Agenda()
    kernel, tape = kernel_with(agenda=agenda)

    def set_timers(_: Ping) -> None:
        for name, delay in (("b", 2), ("a", 1), ("c", 2)):
            kernel.set_timer(START + delay, name, "me")

    kernel.subscribe(Ping, set_timers)
    kernel.feed(ping())
    run_due(agenda, START + 1)
    assert kernel.clock.now() == START + 1
    run_due(agenda, START + 9)

    fired = [e for e in tape.events if isinstance(e, TimerFired)]
    assert [(e.name, e.timer_id, e.due, e.owner) for e in fired] == [
        ("a", 2, START + 1, "me"),
        ("b", 1, START + 2, "me"),
        ("c", 3, START + 2, "me"),
    ]
    assert stamps(list(fired)) == [(5, "2", "1", "1"), (6, "3", "1", "1"), (7, "4", "1", "1")]
    assert [e.name for e in tape.events if isinstance(e, TimerSet)] == ["b", "a", "c"]
    assert all(e.ts == e.ts_ingress == e.due for e in fired)
    assert kernel.timers == ()


def test_a_cancelled_timer_does_not_fire_and_cancelling_one_that_fired_is_harmless() -> None:
    agenda = Agenda()
    kernel, tape = kernel_with(agenda=agenda)
    first, second = kernel.set_timer(START, "first"), kernel.set_timer(START, "second")
    kernel.cancel_timer(first)
    kernel.cancel_timer(first)

    run_due(agenda, START)
    kernel.cancel_timer(second)

    assert [e.payload["name"] for e in tape.events] == ["second"]


def test_a_timer_in_the_past_fires_at_the_present_time() -> None:
    agenda = Agenda()
    kernel, tape = kernel_with(agenda=agenda)
    kernel.feed(ping())
    kernel.set_timer(START - 100, "late")
    run_due(agenda, START)

    assert (tape.events[1].ts, tape.events[1].ts_ingress) == (START - 100, START)


def test_without_an_agenda_timers_are_only_counted() -> None:
    kernel, tape = kernel_with()

    assert [kernel.set_timer(START, "a"), kernel.set_timer(START, "b")] == [1, 2]
    kernel.cancel_timer(1)
    kernel.feed(ping(ts=START + 1))

    assert [e.event_type for e in tape.events] == ["test.ping"]


def test_an_edge_and_another_thread_set_no_timers_since_a_resumed_run_would_miss_them() -> None:
    agenda = Agenda()
    kernel, tape = kernel_with(agenda=agenda)
    refused: list[str] = []

    def attempt(_: object) -> None:
        for call in (lambda: kernel.set_timer(START + 1, "x"), lambda: kernel.cancel_timer(1)):
            try:
                call()
            except ConfigError as error:
                refused.append(str(error))

    kernel.set_timer(START + 5, "before the first input")
    kernel.subscribe(Ping, attempt, edge=True)
    kernel.feed(ping())
    thread = threading.Thread(target=attempt, args=(None,))
    thread.start()
    thread.join()

    assert [text.split(":")[0] for text in refused] == [
        "set_timer in an edge",
        "cancel_timer in an edge",
        "set_timer",
        "cancel_timer",
    ]
    assert kernel.timers == (1,)
    assert [e.event_type for e in tape.events] == ["test.ping"]


@pytest.mark.parametrize("due", [1e9, "soon", None, True])
def test_a_timer_wants_whole_nanoseconds(due: object) -> None:
    kernel, _ = kernel_with(agenda=Agenda())
    with pytest.raises(ConfigError, match=r"timer 'x': due is .*; give whole nanoseconds"):
        kernel.set_timer(due, "x")  # type: ignore[arg-type]


# -- bounds -----------------------------------------------------------------------------------------------------


def test_a_cascade_without_end_halts_trading_with_its_causes_shown_and_the_edges_learn_of_it() -> None:
    kernel, tape = kernel_with(max_cascade=50)
    outside: list[str] = []
    kernel.subscribe("test.*", lambda e: kernel.publish(Pong()))
    kernel.subscribe("*", lambda e: outside.append(e.event_type), edge=True)

    kernel.feed(ping())

    assert len(tape.events) == 51
    halt = tape.events[-1]
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("one input caused more than 50 events; the last and its causes: test.pong ")
    assert halt.reason.count(" <- ") == 4
    assert halt.causation_id == tape.events[-2].event_id
    assert kernel.halted
    assert outside == [e.event_type for e in tape.events]


def test_a_cascade_that_goes_on_after_the_halt_is_ended_in_silence() -> None:
    kernel, tape = kernel_with(max_cascade=20)
    kernel.subscribe("*", lambda e: kernel.publish_all([Pong(), Pong()]))

    kernel.feed(ping())
    ended_at = len(tape.events)
    kernel.feed(trade("1"))

    assert [e.event_type for e in tape.events[:ended_at]].count("trading.halted") == 1
    assert ended_at == 20 + 1_000
    assert len(tape.cascades) == 2


def test_a_chain_without_end_is_ended_before_its_ids_grow_out_of_hand() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe("test.*", lambda e: kernel.publish(Pong()))

    kernel.feed(ping())

    halt = tape.events[-1]
    assert isinstance(halt, TradingHalted)
    assert halt.reason.startswith("one input caused a chain without end; the last and its causes: test.pong ")
    assert len(halt.reason) < 500
    assert len(tape.events) == 501
    assert max(len(event.event_id) for event in tape.events) <= 1_003


def test_a_cascade_of_exactly_the_bound_is_let_through() -> None:
    kernel, tape = kernel_with(max_cascade=3)
    kernel.subscribe(Ping, lambda e: kernel.publish_all([Pong(), Pong()]))

    kernel.feed(ping())

    assert [e.event_type for e in tape.events] == ["test.ping", "test.pong", "test.pong"]
    assert not kernel.halted


# -- faults -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", ["risk", "execution", "portfolio"])
def test_a_fault_in_a_critical_component_halts_trading_once(component: str) -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, failing, component=component)

    kernel.feed(ping())
    kernel.feed(ping())

    types = [e.event_type for e in tape.events]
    failed = "system.handler_failed"
    assert types == ["test.ping", failed, "trading.halted", "test.ping", failed]
    halt = tape.events[2]
    assert isinstance(halt, TradingHalted)
    assert halt.reason == f"{component} failed on test.ping 1: ValueError: broken"
    assert kernel.halted


def test_a_fault_elsewhere_halts_nothing() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, failing, component="signals")

    kernel.feed(ping())

    assert [e.event_type for e in tape.events] == ["test.ping", "system.handler_failed"]
    assert not kernel.halted


def test_what_a_failed_handler_published_is_discarded_and_its_id_goes_to_the_failure() -> None:
    kernel, tape = kernel_with()

    def publish_and_raise(event: Ping) -> None:
        kernel.publish(Pong())
        failing(event)

    kernel.subscribe(Ping, publish_and_raise)
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
    kernel.feed(ping())

    assert [(e.event_id, e.event_type) for e in tape.events] == [
        ("1", "test.ping"),
        ("1-1", "system.handler_failed"),
        ("1-2", "test.pong"),
    ]
    assert tape.events[1].causation_id == "1"


def test_a_strategys_fault_ends_its_subscriptions_before_the_cascade_goes_on() -> None:
    kernel, tape = kernel_with()
    heard: list[str] = []
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()), priority=1)
    kernel.subscribe(Ping, failing, component="strategy:a")
    kernel.subscribe(Pong, lambda e: heard.append("a"), component="strategy:a")
    kernel.subscribe(Pong, lambda e: heard.append("b"), component="strategy:b")

    kernel.feed(ping())
    kernel.feed(ping())

    assert heard == ["b", "b"]
    assert [e.event_type for e in tape.events].count("system.handler_failed") == 1


def test_after_a_tape_error_nothing_reaches_the_edges_and_nothing_more_is_taken() -> None:
    kernel, tape = kernel_with()
    outside: list[DomainEvent] = []
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))
    kernel.subscribe("*", outside.append, edge=True)
    kernel.feed(trade("1"))
    outside.clear()
    tape.error = TapeError("the disk is full")

    with pytest.raises(TapeError, match="the disk is full"):
        kernel.feed(ping())

    assert outside == []
    assert len(tape.events) == 1
    tape.error = None
    for take in (kernel.feed, kernel.publish):
        with pytest.raises(
            TickdeckError,
            match=r"no more inputs, because input 2 \(test.ping\) ended in TapeError: the disk is full; resume the run",
        ):
            take(ping())
    assert outside == []
    assert len(tape.events) == 1


def test_a_cascade_that_is_not_on_the_tape_reaches_no_edge_even_if_the_one_that_caused_it_hides_the_error() -> None:
    kernel, tape = kernel_with()
    outside: list[str] = []

    def answer(_: Ping) -> None:
        tape.error = TapeError("the disk is full")
        with contextlib.suppress(TapeError):
            kernel.publish(Pong())

    kernel.subscribe(Ping, answer, edge=True)
    kernel.subscribe(Pong, lambda e: outside.append(e.event_id), edge=True)
    kernel.feed(ping())

    assert outside == []
    assert [e.event_id for e in tape.events] == ["1"]


def test_an_interrupt_in_the_middle_of_a_cascade_ends_the_kernel() -> None:
    kernel, tape = kernel_with()

    def interrupted(_: Ping) -> None:
        kernel.publish(Pong())
        raise KeyboardInterrupt

    subscription = kernel.subscribe(Ping, interrupted)
    with pytest.raises(KeyboardInterrupt):
        kernel.feed(ping())
    subscription.cancel()

    with pytest.raises(TickdeckError, match="ended in KeyboardInterrupt"):
        kernel.feed(ping())
    assert tape.events == []


# -- determinism ------------------------------------------------------------------------------------------------


def test_shuffling_handlers_of_equal_priority_does_not_change_what_a_run_leads_to() -> None:
    """Bystanders of every component on every event: whatever order they come in, ids and payloads stay the same."""
    from tickdeck.application.strategies import EmaCross

    def run(seed: int | None) -> list[DomainEvent]:
        shuffle = random.Random(seed).shuffle if seed is not None else None
        core = Core(
            {"ema": EmaCross(fast=2, slow=3)},
            candles=10 * MS,
            signals=("vwap-3", "sma-2"),
            shuffle=shuffle,
        )
        for n in range(4):
            core.kernel.subscribe("*", lambda e: None, priority=n * 10)
        core.start()
        for n in range(60):
            sent = len(core.orders)
            core.trades(str(60_000 + (n * 7919) % 101), step=7 * MS)
            for order in core.orders[sent:]:
                core.fill(order, "60000")
        return core.tape.events

    plain = run(None)
    assert any(e.event_type == "position.opened" for e in plain)
    assert all(run(seed) == plain for seed in range(6))


def test_what_is_no_event_is_refused_in_words_and_changes_nothing() -> None:
    kernel, tape = kernel_with()

    for take in (kernel.feed, kernel.publish):
        with pytest.raises(ConfigError, match="'x' is not an event"):
            take("x")  # type: ignore[arg-type]
    kernel.feed(ping())

    assert stamps(tape.events) == [(1, "1", "", "1")]


def test_a_handler_that_publishes_what_is_no_event_fails_alone() -> None:
    kernel, tape = kernel_with()
    heard: list[DomainEvent] = []
    kernel.subscribe(Ping, lambda e: kernel.publish("x"))  # type: ignore[arg-type,return-value]
    kernel.subscribe(Ping, heard.append)

    kernel.feed(ping())

    assert [type(e).__name__ for e in tape.events] == ["Ping", "HandlerFailed"]
    assert len(heard) == 1
