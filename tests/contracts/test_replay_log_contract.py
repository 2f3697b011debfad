"""The contract of every ``ReplayLog``. An implementation declares what it cannot do, and is tested for that."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from fnmatch import fnmatchcase
from pathlib import Path
from typing import ClassVar, Protocol

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.kernel import Kernel
from tickdeck.application.streaming import RingBuffer, subscribe_with_replay
from tickdeck.application.streaming.replay_log import ReplayGap, ReplayLog
from tickdeck.application.streaming.tape_replay_log import TapeReplayLog
from tickdeck.domain.events import CommandReceived, DomainEvent, OrderAcceptedEvent, RawEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.tape import NullTape, SqliteTape

CAPACITY = 6


class Backend(Protocol):
    """One implementation, with a way to add events."""

    log: ReplayLog
    capacity: int | None
    """How many events it stores; ``None``: all."""

    def append(self, cascade: Sequence[DomainEvent]) -> None: ...

    def kernel(self) -> Kernel:
        """A kernel whose events go into the log."""

    def close(self) -> None: ...


class Ring:
    capacity = CAPACITY

    def __init__(self, folder: Path) -> None:
        self.log = RingBuffer(CAPACITY)

    def append(self, cascade: Sequence[DomainEvent]) -> None:
        for event in cascade:
            self.log.append(event)

    def kernel(self) -> Kernel:
        kernel = Kernel(tape=NullTape())
        self.log.follow(kernel)
        return kernel

    def close(self) -> None:
        """Nothing to close."""


class OnTape:
    capacity = None

    def __init__(self, folder: Path) -> None:
        self.tape = SqliteTape(folder / "tape.sqlite")
        self.log = TapeReplayLog(self.tape)

    def append(self, cascade: Sequence[DomainEvent]) -> None:
        self.tape.append(cascade)

    def kernel(self) -> Kernel:
        return Kernel(tape=self.tape)

    def close(self) -> None:
        self.tape.close()


BACKENDS: dict[str, Callable[[Path], Backend]] = {"ring": Ring, "tape": OnTape}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    made = BACKENDS[request.param](tmp_path)
    yield made
    made.close()


KINDS = ("trade", "order", "command", "raw")


def make(kind: str, seq: int) -> DomainEvent:
    stamps = {"event_id": str(seq), "seq": seq, "ts": seq, "ts_ingress": seq}
    if kind == "trade":
        return TradeEvent(symbol="BTCUSDT", price=Decimal("61.50"), quantity=Decimal(1), side=Side.BUY, **stamps)
    if kind == "order":
        return OrderAcceptedEvent(order_id="o", symbol="BTCUSDT", **stamps)
    if kind == "command":
        return CommandReceived(command="halt", **stamps)
    return RawEvent(raw_type="weather.not_registered", raw=stamps, **stamps)


def trades(*seqs: int) -> list[DomainEvent]:
    return [make("trade", seq) for seq in seqs]


def name_of(event: DomainEvent) -> str:
    return event.raw_type if isinstance(event, RawEvent) else event.event_type


# -- by example -------------------------------------------------------------------------------------------------------


def test_an_empty_log_has_nothing_and_has_forgotten_nothing(backend: Backend) -> None:
    assert backend.log.last(5) == []
    assert list(backend.log.since(0)) == []
    assert backend.log.forgotten_seq == 0


def test_last_returns_the_oldest_first_and_fewer_if_there_are_fewer(backend: Backend) -> None:
    backend.append(trades(1, 2, 3))

    assert backend.log.last(2) == trades(2, 3)
    assert backend.log.last(5) == trades(1, 2, 3)
    assert backend.log.last(0) == []


def test_since_returns_the_events_after_the_last_seen_one(backend: Backend) -> None:
    backend.append(trades(1, 2, 5))

    assert list(backend.log.since(2)) == trades(5)
    assert list(backend.log.since(3)) == trades(5)
    assert list(backend.log.since(5)) == []
    assert list(backend.log.since(99)) == []


def test_since_returns_the_state_at_the_call(backend: Backend) -> None:
    backend.append(trades(1, 2))

    found = backend.log.since(0)
    backend.append(trades(3))

    assert list(found) == trades(1, 2)


def test_last_counts_only_matching_events(backend: Backend) -> None:
    events = [make(kind, seq) for seq, kind in enumerate(("order", "trade", "raw", "order", "trade"), start=1)]
    backend.append(events)

    assert [e.seq for e in backend.log.last(2, types=("order.*",))] == [1, 4]
    assert [e.seq for e in backend.log.last(1, types=("weather.*",))] == [3]
    assert [e.seq for e in backend.log.last(2, types=("*",), where=lambda e: e.seq < 4)] == [2, 3]
    assert [e.seq for e in backend.log.since(1, types=("order.*", "weather.not_registered"))] == [3, 4]
    assert [e.seq for e in backend.log.since(0, where=lambda e: e.seq % 2 == 0)] == [2, 4]


@pytest.mark.parametrize("wrong", [-1, 1.5, "3", None, True])
def test_an_invalid_count_is_refused_immediately(backend: Backend, wrong: int) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        backend.log.last(wrong)
    with pytest.raises(ConfigError, match="whole number"):
        backend.log.since(wrong)


def test_a_log_that_has_forgotten_events_raises_immediately(backend: Backend) -> None:
    seqs = range(1, CAPACITY + 3)
    backend.append(trades(*seqs))

    if backend.capacity is None:
        assert backend.log.forgotten_seq == 0
        assert list(backend.log.since(1)) == trades(*seqs)[1:]
    else:
        assert backend.log.forgotten_seq == 2
        assert list(backend.log.since(2)) == trades(*seqs)[2:]
        with pytest.raises(ReplayGap, match="after seq 1, up to seq 2"):
            backend.log.since(1)


def test_the_end_of_a_long_log_is_found_among_many_that_do_not_match(backend: Backend) -> None:
    backend.append([make("order", 1), *(make("trade", seq) for seq in range(2, 2_000))])

    found = backend.log.last(1, types=("order.*",))

    assert [e.seq for e in found] == ([1] if backend.capacity is None else [])


def test_extending_the_search_from_the_end_misses_no_event(backend: Backend) -> None:
    orders = [make("order", seq) for seq in range(1, 991)]
    backend.append([*orders, *trades(*range(991, 1_001))])

    found = backend.log.last(300, types=("order.*",))

    assert found == (orders[-300:] if backend.capacity is None else [])


# -- behind a bus ---------------------------------------------------------------------------------------------------


def test_a_late_subscriber_gets_the_past_then_the_present_each_event_once(backend: Backend) -> None:
    kernel = backend.kernel()
    kernel.publish_all([CommandReceived(command=name) for name in "abc"])
    heard: list[str] = []

    subscribe_with_replay(
        kernel, backend.log, CommandReceived, lambda event: heard.append(event.command), replay_last=2
    )
    kernel.publish(CommandReceived(command="d"))

    assert heard == ["b", "c", "d"]


def test_a_returning_subscriber_continues_after_the_last_event_it_saw(backend: Backend) -> None:
    kernel = backend.kernel()
    heard: list[int] = []
    subscription = kernel.subscribe("*", lambda event: heard.append(event.seq))
    kernel.publish(CommandReceived(command="seen"))
    subscription.cancel()
    kernel.publish_all([CommandReceived(command="missed")] * 2)

    subscribe_with_replay(kernel, backend.log, "*", lambda event: heard.append(event.seq), since=heard[-1])
    kernel.publish(CommandReceived(command="live"))

    assert heard == [1, 2, 3, 4]


def test_a_log_in_step_contains_the_event_that_is_being_handled(backend: Backend) -> None:
    kernel = backend.kernel()
    found: list[list[DomainEvent]] = []
    kernel.subscribe("*", lambda event: found.append([e for e in backend.log.last(1) if e.seq == event.seq]))

    kernel.publish(CommandReceived(command="now"))

    assert [bool(events) for events in found] == [backend.log.in_step]


def test_inside_a_handler_only_a_log_in_step_is_accepted(backend: Backend) -> None:
    kernel = backend.kernel()
    heard: list[int] = []
    refused: list[str] = []

    def subscribe_late(event: DomainEvent) -> None:
        try:
            subscribe_with_replay(kernel, backend.log, "*", lambda e: heard.append(e.seq), replay_last=5)
        except ConfigError as error:
            refused.append(str(error))

    first = kernel.subscribe("command.*", subscribe_late)
    kernel.publish(CommandReceived(command="a"))
    first.cancel()
    kernel.publish(CommandReceived(command="b"))

    if backend.log.in_step:
        assert (heard, refused) == ([1, 2], [])
    else:
        assert heard == []
        assert "inside a handler" in refused[0]
        assert len(kernel.statistics().handlers) == 0


# -- any order of calls, against a list ------------------------------------------------------------------------------

PATTERNS = ("*", "market.*", "order.accepted", "command.*", "weather.*", "no.such")


class ReplayLogMachine(RuleBasedStateMachine):
    """Events go into a log and into a list, and both must give the same answers."""

    make_backend: ClassVar[Callable[[Path], Backend]]

    @initialize()
    def start(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.backend = type(self).make_backend(self.folder)
        self.events: list[DomainEvent] = []
        self.seq = 0

    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), hole=st.integers(0, 300))
    def append(self, kinds: list[str], hole: int) -> None:
        self.seq += hole
        cascade = [make(kind, self.seq + k) for k, kind in enumerate(kinds, start=1)]
        self.seq += len(kinds)
        self.backend.append(cascade)
        self.events += cascade

    @property
    def kept(self) -> list[DomainEvent]:
        return self.events if self.backend.capacity is None else self.events[-self.backend.capacity :]

    @rule(
        count=st.integers(0, 12),
        types=st.lists(st.sampled_from(PATTERNS), max_size=2).map(tuple),
        modulus=st.integers(1, 3),
    )
    def ask_for_the_last(self, count: int, types: tuple[str, ...], modulus: int) -> None:
        found = self.backend.log.last(count, types=types, where=lambda event: event.seq % modulus == 0)

        matching = [e for e in self.kept if _matches(e, types) and e.seq % modulus == 0]
        assert found == matching[len(matching) - min(count, len(matching)) :]

    @rule(back=st.integers(0, 700), types=st.lists(st.sampled_from(PATTERNS), max_size=2).map(tuple))
    def ask_since(self, back: int, types: tuple[str, ...]) -> None:
        seq = max(self.seq - back, 0)
        forgotten = self.events[: len(self.events) - len(self.kept)]
        if forgotten and forgotten[-1].seq > seq:
            with pytest.raises(ReplayGap):
                self.backend.log.since(seq, types=types)
            return
        found = list(self.backend.log.since(seq, types=types))
        assert found == [e for e in self.events if e.seq > seq and _matches(e, types)]

    @invariant()
    def it_knows_what_it_has_forgotten(self) -> None:
        forgotten = self.events[: len(self.events) - len(self.kept)]
        assert self.backend.log.forgotten_seq == (forgotten[-1].seq if forgotten else 0)

    def teardown(self) -> None:
        self.backend.close()
        shutil.rmtree(self.folder)


def _matches(event: DomainEvent, types: tuple[str, ...]) -> bool:
    return not types or any(fnmatchcase(name_of(event), pattern) for pattern in types)


def machine(name: str) -> type:
    found = type(f"ReplayLogMachine_{name}", (ReplayLogMachine,), {"make_backend": BACKENDS[name]}).TestCase
    found.settings = settings(stateful_step_count=20, suppress_health_check=[HealthCheck.too_slow])
    return found


TestRingBuffer = machine("ring")
TestTapeReplayLog = machine("tape")


# -- the ring buffer by itself --------------------------------------------------------------------------------------


def test_without_a_kernel_a_ring_buffer_supports_last_but_not_since() -> None:
    bus, ring = InMemoryEventBus(), RingBuffer(2)
    ring.follow(bus, "command.*")
    bus.publish_all([CommandReceived(command=name) for name in "abc"])

    assert [event.command for event in ring.last(9)] == ["b", "c"]
    assert len(ring) == 2
    with pytest.raises(ConfigError, match="have no seq"):
        ring.since(0)


def test_a_ring_buffer_refuses_the_events_of_another_run() -> None:
    ring = RingBuffer(3)
    ring.append(make("trade", 5))

    for seq in (5, 1):
        with pytest.raises(ConfigError, match=f"seq {seq} after seq 5"):
            ring.append(make("trade", seq))

    assert ring.last(3) == trades(5)


@pytest.mark.parametrize("capacity", [0, -1, 2.0])
def test_a_ring_buffer_needs_a_capacity(capacity: int) -> None:
    with pytest.raises(ConfigError, match="capacity"):
        RingBuffer(capacity)
