"""The kernel's clock and its timers."""

from __future__ import annotations

import threading

import pytest
from application_kit import MS, START, Ping, Pong
from kernel_kit import kernel_with, ping, run_due, stamps

from tickdeck.application.kernel import Agenda
from tickdeck.domain.events import TimerFired, TimerSet
from tickdeck.errors import ConfigError


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


def test_edges_and_other_threads_cannot_set_timers() -> None:
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
def test_a_timer_needs_whole_nanoseconds(due: object) -> None:
    kernel, _ = kernel_with(agenda=Agenda())
    with pytest.raises(ConfigError, match=r"timer 'x': due is .*; give whole nanoseconds"):
        kernel.set_timer(due, "x")  # type: ignore[arg-type]
