"""The kernel: ids, causes and cascades of inputs, and what is written to the tape."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from application_kit import MS, START, Core, MemoryTape, Ping, Pong, trade
from kernel_kit import failing, kernel_with, ping, stamps

from tickdeck.application.kernel import Kernel
from tickdeck.domain.events import DomainEvent, HandlerFailed
from tickdeck.errors import ConfigError, TickdeckError


def test_an_input_and_its_effects_get_seqs_ids_and_causes() -> None:
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


def test_a_cascade_is_appended_as_one_unit() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()))

    kernel.feed(ping())
    kernel.feed(ping())

    assert [[e.seq for e in cascade] for cascade in tape.cascades] == [[1, 2], [3, 4]]


def test_an_input_from_a_file_leaves_a_gap_in_the_seqs() -> None:
    kernel, tape = kernel_with()
    kernel.subscribe(Ping, lambda e: kernel.publish(Pong()), where=lambda e: e.n)

    for n in (0, 1, 0):
        kernel.feed(ping(n), record=False)
    kernel.feed(ping(0))

    assert stamps(tape.events) == [(3, "2-1", "2", "2"), (5, "4", "", "4")]


def test_an_additional_event_changes_only_the_ids_of_its_siblings() -> None:
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


def test_the_stamped_event_is_a_copy() -> None:
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


def test_next_id_predicts_the_id_of_the_next_event() -> None:
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


# -- determinism ------------------------------------------------------------------------------------------------


def test_shuffling_handlers_of_equal_priority_does_not_change_a_run() -> None:
    """Observers of every component on every event. In any order of subscription, ids and payloads stay the same."""
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


def test_a_non_event_is_refused_and_nothing_changes() -> None:
    kernel, tape = kernel_with()

    for take in (kernel.feed, kernel.publish):
        with pytest.raises(ConfigError, match="'x' is not an event"):
            take("x")  # type: ignore[arg-type]
    kernel.feed(ping())

    assert stamps(tape.events) == [(1, "1", "", "1")]


def test_a_handler_that_publishes_a_non_event_fails_alone() -> None:
    kernel, tape = kernel_with()
    heard: list[DomainEvent] = []
    kernel.subscribe(Ping, lambda e: kernel.publish("x"))  # type: ignore[arg-type,return-value]
    kernel.subscribe(Ping, heard.append)

    kernel.feed(ping())

    assert [type(e).__name__ for e in tape.events] == ["Ping", "HandlerFailed"]
    assert len(heard) == 1


@pytest.mark.parametrize(("event_id", "inputs"), [("12-3", 12), ("mine", 20), ("\u0663", 20)])
def test_numbering_goes_on_after_ids_that_a_user_chose(event_id: str, inputs: int) -> None:
    kernel, _ = kernel_with()
    kernel.continue_from(Ping(event_id=event_id, seq=20, ts_ingress=START))

    assert (kernel.inputs, kernel.seq) == (inputs, 20)


@pytest.mark.parametrize("call", ["publish", "publish_threadsafe", "post"])
def test_nobody_but_the_driver_uses_its_name_as_a_source(call: str) -> None:
    kernel = Kernel(tape=MemoryTape(), reserved=frozenset({"driver"}))

    with pytest.raises(TickdeckError, match="driver"):
        getattr(kernel, call)(Ping(source="driver"))
    assert kernel.inputs == 0
