"""Late subscriptions: the past first, then the present, without loss or repetition, whoever publishes meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from application_kit import LoudPing, MemoryTape, Ping, Pong
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tickdeck.application.bus import InMemoryEventBus, Topic
from tickdeck.application.kernel import Kernel
from tickdeck.application.streaming import RingBuffer, subscribe_with_replay
from tickdeck.domain.events import DomainEvent, HandlerFailed, RawEvent
from tickdeck.errors import ConfigError


def followed(capacity: int = 100) -> tuple[InMemoryEventBus, RingBuffer]:
    bus, ring = InMemoryEventBus(), RingBuffer(capacity)
    ring.follow(bus)
    return bus, ring


def numbers(events: list[DomainEvent]) -> list[int]:
    return [event.n for event in events if isinstance(event, Ping | Pong)]


def test_only_what_matches_the_topic_and_the_condition_is_replayed() -> None:
    bus, ring = followed()
    bus.publish_all([Ping(n=1), Pong(n=2), LoudPing(n=3), Ping(n=4), RawEvent(raw_type="news.published", raw={})])
    heard: dict[str, list[DomainEvent]] = {}

    def late(name: str, topic: Topic, where: Callable[[DomainEvent], bool] | None = None) -> None:
        subscribe_with_replay(bus, ring, topic, heard.setdefault(name, []).append, replay_last=2, where=where)

    late("class", Ping)
    late("where", Ping, lambda event: event.n != 3)
    late("type", "test.pong")
    late("wildcard", "test.ping*")
    late("unknown", RawEvent)
    late("none", RawEvent, lambda event: event.raw_type == "x")
    late("some", RawEvent, lambda event: event.raw_type == "news.published")
    late("all", DomainEvent)
    bus.publish(Ping(n=3))

    assert {name: numbers(events) for name, events in heard.items()} == {
        "class": [3, 4, 3],
        "where": [1, 4],
        "type": [2],
        "wildcard": [3, 4, 3],
        "unknown": [],
        "none": [],
        "some": [],
        "all": [4, 3],
    }
    assert [len(heard[name]) for name in ("unknown", "some", "all")] == [1, 1, 3]


def test_events_published_during_the_replay_come_after_it() -> None:
    bus, ring = followed()
    bus.publish_all([Ping(n=1), Ping(n=2)])
    heard: list[str] = []

    def late(event: Ping | Pong) -> None:
        heard.append(f"{event.event_type} {event.n}")
        if isinstance(event, Ping):
            bus.publish(Pong(n=event.n))

    subscribe_with_replay(bus, ring, "test.*", late, replay_last=9)

    assert heard == ["test.ping 1", "test.ping 2", "test.pong 1", "test.pong 2"]


def test_a_handler_that_raises_during_the_replay_is_not_subscribed() -> None:
    bus, ring = followed()
    bus.publish_all([Ping(n=1), Ping(n=2)])
    heard: list[int] = []

    def late(event: Ping) -> None:
        heard.append(event.n)
        bus.publish(Pong(n=event.n))
        if event.n == 2:
            raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        subscribe_with_replay(bus, ring, Ping, late, replay_last=9)
    bus.publish(Ping(n=3))

    assert heard == [1, 2]
    assert numbers(ring.last(9)) == [1, 2, 3]


def test_errors_after_a_replay_are_reported_like_those_of_any_handler() -> None:
    bus, ring = followed()

    def late(event: Ping) -> None:
        raise RuntimeError("broken")

    subscribe_with_replay(bus, ring, Ping, late, replay_last=1)
    bus.publish(Ping(n=1))

    assert [type(event) for event in ring.last(9)] == [Ping, HandlerFailed]


def test_an_async_handler_gets_past_and_present_through_its_mailbox_with_room_for_both() -> None:
    async def main() -> list[int]:
        bus, ring = followed()
        heard: list[int] = []

        async def late(event: Ping) -> None:
            await asyncio.sleep(0)
            heard.append(event.n)

        bus.publish_all([Ping(n=n) for n in range(5)])
        subscribe_with_replay(bus, ring, Ping, late, replay_last=3, mailbox=1)
        bus.publish(Ping(n=5))
        await bus.drain()
        return heard

    assert asyncio.run(main()) == [2, 3, 4, 5]


def test_an_async_handler_is_refused_inside_a_handler_where_the_cascade_is_not_on_disk() -> None:
    tape = MemoryTape()
    kernel, ring = Kernel(tape=tape), RingBuffer(10)
    ring.follow(kernel)

    async def late(event: Ping) -> None:
        raise AssertionError("it must hear nothing")

    kernel.subscribe(Pong, lambda event: subscribe_with_replay(kernel, ring, "*", late, replay_last=5))
    kernel.publish(Pong())

    (failure,) = [event for event in tape.events if isinstance(event, HandlerFailed)]
    assert "async and subscribes inside a handler" in failure.message


def test_a_subscriber_in_a_batch_receives_the_batch_once() -> None:
    bus, ring = followed()
    heard: list[int] = []

    with bus.batch():
        bus.publish(Ping(n=1))
        subscribe_with_replay(bus, ring, Ping, lambda event: heard.append(event.n), replay_last=9)
        bus.publish(Ping(n=2))

    assert heard == [1, 2]


@pytest.mark.parametrize("arguments", [{}, {"replay_last": 1, "since": 1}])
def test_exactly_one_replay_argument_is_required(arguments: dict[str, int]) -> None:
    bus, ring = followed()

    with pytest.raises(ConfigError, match="either replay_last"):
        subscribe_with_replay(bus, ring, Ping, print, **arguments)

    assert len(bus.statistics().handlers) == 1


# -- any order of calls ---------------------------------------------------------------------------------------------

TOPICS: dict[str, Callable[[DomainEvent], bool]] = {
    "*": lambda event: True,
    "test.ping*": lambda event: isinstance(event, Ping),
    "test.pong": lambda event: isinstance(event, Pong),
}


class Late:
    """A late subscriber, and the events that it must have received."""

    def __init__(self, machine: ReplayMachine, topic: str, replay_last: int, publishes: int) -> None:
        self.machine = machine
        self.matches = TOPICS[topic]
        self.heard: list[DomainEvent] = []
        self.publishes = publishes
        self.begins = len(machine.dispatched)
        """The number of dispatched events when it subscribed."""
        kept = machine.dispatched[: self.begins][-machine.capacity :]
        matching = [event for event in kept if self.matches(event)]
        self.past = matching[len(matching) - min(replay_last, len(matching)) :]
        subscribe_with_replay(
            machine.bus, machine.ring, topic, self.hear, replay_last=replay_last, priority=replay_last % 2
        )

    def hear(self, event: DomainEvent) -> None:
        self.heard.append(event)
        self.machine.publish_children(event, self.publishes)


class ReplayMachine(RuleBasedStateMachine):
    """Late subscribers subscribe outside and inside handlers, while handlers and they themselves publish.

    The oracle is a plain list: a handler that runs before all others notes each event. A subscriber that subscribed
    after ``begins`` of them must have received the last matching ones of those, then all later matching ones.
    """

    @initialize(capacity=st.integers(1, 8), kernel=st.booleans())
    def start(self, capacity: int, kernel: bool) -> None:
        self.capacity = capacity
        self.bus = Kernel(tape=MemoryTape()) if kernel else InMemoryEventBus()
        self.ring = RingBuffer(capacity)
        self.dispatched: list[DomainEvent] = []
        self.ring.follow(self.bus)
        self.ring_follower = self.bus.subscribe("*", self.dispatched.append, priority=1 << 60)
        self.number = 0
        self.late: list[Late] = []
        self.to_subscribe: list[tuple[int, str, int, int]] = []
        self.bus.subscribe("test.*", self.act, priority=5)
        self.bus.subscribe("test.*", self.act, priority=-5)

    def publish_children(self, event: DomainEvent, count: int) -> None:
        """``n`` is a unique number times four, plus how many generations may follow."""
        assert isinstance(event, Ping | Pong)
        left = event.n % 4
        for k in range(count if left else 0):
            self.number += 1
            self.bus.publish((Ping if k % 2 else Pong)(n=self.number * 4 + left - 1))

    def act(self, event: DomainEvent) -> None:
        """In a handler: subscribe those that are due, before or after the children of the event."""
        self.publish_children(event, 1)
        due = [plan for plan in self.to_subscribe if plan[0] <= len(self.dispatched)]
        self.to_subscribe = [plan for plan in self.to_subscribe if plan not in due]
        for _, topic, replay_last, publishes in due:
            self.late.append(Late(self, topic, replay_last, publishes))

    @rule(kinds=st.lists(st.sampled_from([Ping, Pong, LoudPing]), min_size=1, max_size=3), left=st.integers(0, 2))
    def publish(self, kinds: list[type[Ping] | type[Pong]], left: int) -> None:
        for kind in kinds:
            self.number += 1
            self.bus.publish(kind(n=self.number * 4 + left))

    @rule(topic=st.sampled_from(sorted(TOPICS)), replay_last=st.integers(0, 10), publishes=st.integers(0, 1))
    def subscribe_outside(self, topic: str, replay_last: int, publishes: int) -> None:
        if len(self.late) < 4:
            self.late.append(Late(self, topic, replay_last, publishes))

    @rule(
        later=st.integers(1, 6),
        topic=st.sampled_from(sorted(TOPICS)),
        replay_last=st.integers(0, 10),
        publishes=st.integers(0, 1),
    )
    def subscribe_inside(self, later: int, topic: str, replay_last: int, publishes: int) -> None:
        if len(self.late) + len(self.to_subscribe) < 4:
            self.to_subscribe.append((len(self.dispatched) + later, topic, replay_last, publishes))

    @rule(topic=st.sampled_from(sorted(TOPICS)))
    def subscribe_in_a_batch(self, topic: str) -> None:
        if len(self.late) < 4:
            with self.bus.batch():
                self.number += 1
                self.bus.publish(Ping(n=self.number * 4 + 1))
                self.late.append(Late(self, topic, 3, 1))

    @invariant()
    def every_late_subscriber_heard_the_past_then_the_present_each_event_once(self) -> None:
        assert not any(isinstance(event, HandlerFailed) for event in self.dispatched)
        for late in self.late:
            assert late.heard == late.past + [e for e in self.dispatched[late.begins :] if late.matches(e)]
            assert len({event.n for event in late.heard}) == len(late.heard)


TestReplay = ReplayMachine.TestCase
TestReplay.settings = settings(stateful_step_count=20)
