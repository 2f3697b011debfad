"""The bus compared with a model of a few lines, for any subscriptions, cancellations, events and errors."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec
import pytest
from application_kit import LoudPing, Ping, Pong
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tickdeck.application.bus import InMemoryEventBus, Subscription
from tickdeck.domain.events import DomainEvent, HandlerFailed

TOPICS = [Ping, LoudPing, Pong, DomainEvent, "test.ping", "test.ping.*", "test.*", "*", "other.*"]
EVENTS = [Ping, LoudPing, Pong]


class Behaviour(msgspec.Struct, frozen=True):
    """What a handler does when it is called: publish, then perhaps cancel a subscription, then perhaps raise."""

    publishes: int = 0
    raises: bool = False
    cancels: int | None = None


class Entry(msgspec.Struct):
    number: int
    topic: type[DomainEvent] | str
    priority: int
    behaviour: Behaviour


class Model:
    """The rules of the bus, written as simply as possible."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.log: list[tuple[int, str, int]] = []
        self.dead = 0

    def publish(self, event_type: type[DomainEvent], depth: int) -> None:
        queue = [(event_type, depth)]
        while queue:
            kind, left = queue.pop(0)
            hearing = [e for e in self.entries if self._matches(e.topic, kind)]
            for entry in sorted(hearing, key=lambda e: (-e.priority, e.number)):
                name = kind.event_type
                self.log.append((entry.number, name, left))
                behaviour = entry.behaviour
                caused = [(Pong, left - 1)] * behaviour.publishes if left and kind is not HandlerFailed else []
                self.entries = [e for e in self.entries if e.number != behaviour.cancels]
                if not behaviour.raises:
                    queue += caused
                elif kind is HandlerFailed:
                    self.dead += 1
                else:
                    queue.append((HandlerFailed, 0))

    @staticmethod
    def _matches(topic: type[DomainEvent] | str, kind: type[DomainEvent]) -> bool:
        return fnmatchcase(kind.event_type, topic) if isinstance(topic, str) else issubclass(kind, topic)


class BusMachine(RuleBasedStateMachine):
    subscriptions = Bundle("subscriptions")

    def __init__(self) -> None:
        super().__init__()
        self.bus = InMemoryEventBus()
        self.model = Model()
        self.log: list[tuple[int, str, int]] = []
        self.made: dict[int, Subscription] = {}

    def handler(self, number: int, behaviour: Behaviour) -> Callable[[DomainEvent], None]:
        def handle(event: DomainEvent) -> None:
            depth = event.n if isinstance(event, Ping | Pong) else 0
            self.log.append((number, event.event_type, depth))
            if depth:
                self.bus.publish_all([Pong(n=depth - 1)] * behaviour.publishes)
            if behaviour.cancels in self.made:
                self.made[behaviour.cancels].cancel()
            if behaviour.raises:
                raise RuntimeError(str(number))

        return handle

    @rule(
        target=subscriptions,
        topic=st.sampled_from(TOPICS),
        priority=st.integers(-1, 1),
        behaviour=st.builds(
            Behaviour,
            publishes=st.integers(0, 2),
            raises=st.booleans(),
            cancels=st.none() | st.integers(1, 8),
        ),
    )
    def subscribe(self, topic: type[DomainEvent] | str, priority: int, behaviour: Behaviour) -> int:
        number = len(self.made) + 1
        self.made[number] = self.bus.subscribe(topic, self.handler(number, behaviour), priority=priority)
        self.model.entries.append(Entry(number, topic, priority, behaviour))
        return number

    @rule(number=consumes(subscriptions))
    def cancel(self, number: int) -> None:
        self.made[number].cancel()
        self.model.entries = [e for e in self.model.entries if e.number != number]

    @rule(event_type=st.sampled_from(EVENTS), depth=st.integers(0, 2))
    def publish(self, event_type: type[Ping] | type[Pong], depth: int) -> None:
        self.bus.publish(event_type(n=depth))
        self.model.publish(event_type, depth)

    @rule(events=st.lists(st.sampled_from(EVENTS), max_size=3))
    def publish_a_batch(self, events: list[type[Ping] | type[Pong]]) -> None:
        with self.bus.batch():
            for event_type in events:
                self.bus.publish(event_type(n=1))
        for event_type in events:
            self.model.publish(event_type, 1)

    @invariant()
    def both_have_called_the_same(self) -> None:
        assert self.log == self.model.log

    @invariant()
    def both_have_the_same_subscriptions_and_counts(self) -> None:
        statistics = self.bus.statistics()
        assert statistics.dead_letters == self.model.dead
        assert sum(s.calls for s in (m.statistics() for m in self.made.values())) == len(self.log)
        active = [number for number, subscription in self.made.items() if subscription.active]
        assert active == [entry.number for entry in self.model.entries]


TestBus = pytest.mark.long(BusMachine.TestCase)
TestBus.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
