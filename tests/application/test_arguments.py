"""A wrong argument of a public call is refused in that call. It is never ignored or misunderstood."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tickdeck import (
    BoundedAsyncQueue,
    Conflate,
    DropOldest,
    EventFilter,
    Halt,
    InMemoryEventBus,
    InMemoryEventStore,
    Kernel,
    OrderCancelRequestedEvent,
    OrderEvent,
    OrderFilledEvent,
    Replayer,
    Retry,
    RingBuffer,
    TapeQuery,
    Throttle,
    close_bus,
    open_bus,
    open_store,
    publish_domain_event,
    subscribe_to_event,
    subscribe_with_replay,
)
from tickdeck.errors import ConfigError, TickdeckError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.tape import NullTape
from tickdeck.infrastructure.watchdog import Watchdog

A_DAY = datetime(2025, 1, 1, tzinfo=UTC)
EVENT = OrderCancelRequestedEvent(order_id="o-1", symbol="BTCUSDT", strategy_id="mine", account_id="paper")

Call = Callable[[], object]


def hear(event: Any) -> None: ...


async def hear_later(event: Any) -> None: ...


def bus() -> InMemoryEventBus:
    return InMemoryEventBus()


def kernel() -> Kernel:
    return Kernel(tape=NullTape())


def replayer() -> Replayer:
    return Replayer(lambda: (), SystemClock())


def ring() -> RingBuffer:
    return RingBuffer(4)


# The calls that take named options, each with valid arguments.
KEYWORDS: dict[str, Callable[..., object]] = {
    "InMemoryEventBus": InMemoryEventBus,
    "Kernel": lambda **options: Kernel(tape=NullTape(), **options),
    "open_bus": lambda **options: open_bus("memory://", **options),
    "open_store": lambda **options: open_store("memory://", **options),
    "TapeQuery": TapeQuery,
    "EventFilter": EventFilter,
    "Retry": Retry,
    "Throttle": lambda **options: Throttle(interval=1, **options),
    "Conflate": Conflate,
    "DropOldest": DropOldest,
    "Halt": Halt,
    "RingBuffer": lambda **options: RingBuffer(4, **options),
    "Replayer": lambda **options: Replayer(lambda: (), SystemClock(), **options),
    "BoundedAsyncQueue": lambda **options: BoundedAsyncQueue(4, **options),
    "subscribe": lambda **options: bus().subscribe("order.*", hear, **options),
    "on": lambda **options: bus().on("order.*", **options),
    "publish": lambda **options: bus().publish(EVENT, **options),
    "publish_all": lambda **options: bus().publish_all([EVENT], **options),
    "collect": lambda **options: bus().collect("order.*", **options),
    "batch": lambda **options: bus().batch(**options),
    "unsubscribe": lambda **options: bus().unsubscribe(hear, **options),
    "subscribe_to_event": lambda **options: subscribe_to_event("order.*", hear, **options),
    "subscribe_with_replay": lambda **options: subscribe_with_replay(
        bus(), ring(), "order.*", hear, replay_last=1, **options
    ),
    "replay": lambda **options: replayer().replay(**options),
    "set_timer": lambda **options: kernel().set_timer(1, "name", **options),
    "append": lambda **options: InMemoryEventStore().append([EVENT], **options),
    "read": lambda **options: InMemoryEventStore().read(**options),
}


@pytest.mark.parametrize("call", KEYWORDS)
@pytest.mark.parametrize("name", ["priorty", "typ", "symbol_", "tape_fromat"])
def test_a_misspelt_option_is_refused(call: str, name: str) -> None:
    with pytest.raises((TypeError, ConfigError), match=name):
        KEYWORDS[call](**{name: 1})


WRONG: dict[str, Call] = {
    # the bus
    "a clock that is none": lambda: InMemoryEventBus(clock=A_DAY),  # type: ignore[arg-type]
    "a time for wall_now": lambda: InMemoryEventBus(wall_now=A_DAY),  # type: ignore[arg-type]
    "a text for stamp": lambda: InMemoryEventBus(stamp="no"),  # type: ignore[arg-type]
    "a flag for shuffle": lambda: InMemoryEventBus(shuffle=True),  # type: ignore[arg-type]
    "a text for enabled": lambda: setattr(bus(), "enabled", "no"),
    "a mailbox of a plain handler": lambda: bus().subscribe("order.*", hear, mailbox=5),
    "refused of a plain handler": lambda: bus().subscribe("order.*", hear, refused=hear),
    "a text for priority": lambda: bus().subscribe("order.*", hear, priority="2"),  # type: ignore[call-overload]
    "a text for a policy": lambda: bus().subscribe("order.*", hear_later, overflow="halt"),  # type: ignore[call-overload]
    "the class of a policy": lambda: bus().subscribe("order.*", hear_later, overflow=Halt),  # type: ignore[call-overload]
    "a number for retry": lambda: bus().subscribe("order.*", hear_later, retry=3),  # type: ignore[call-overload]
    "an event class as a handler": lambda: bus().subscribe("order.*", OrderFilledEvent),
    "a list of topics": lambda: bus().subscribe(["order.*"], hear),  # type: ignore[call-overload]
    "an event as a topic": lambda: bus().subscribe(EVENT, hear),  # type: ignore[call-overload]
    "a decorator without a topic": lambda: bus().on(hear),  # type: ignore[call-overload]
    "a decorator with a text for priority": lambda: bus().on("order.*", priority="2"),  # type: ignore[call-overload]
    "nothing to unsubscribe": lambda: bus().unsubscribe(None),  # type: ignore[call-overload]
    "two handlers to unsubscribe": lambda: bus().unsubscribe(hear, hear),
    "a text for a handler to unsubscribe": lambda: bus().unsubscribe(OrderEvent, "hear"),  # type: ignore[call-overload]
    "a subscription with a handler": lambda: bus().unsubscribe(bus().subscribe("order.*", hear), hear),  # type: ignore[call-overload]
    "a class to publish": lambda: bus().publish(OrderFilledEvent),  # type: ignore[arg-type]
    "a list to publish": lambda: bus().publish([EVENT]),  # type: ignore[arg-type]
    "one event for publish_all": lambda: bus().publish_all(EVENT),  # type: ignore[arg-type]
    "a text for publish_all": lambda: bus().publish_all("order"),  # type: ignore[arg-type]
    "a class to post": lambda: bus().post(OrderFilledEvent),  # type: ignore[arg-type]
    "a text from another thread": lambda: bus().publish_threadsafe("order"),  # type: ignore[arg-type]
    "a number as an ambient event": lambda: publish_domain_event(5),  # type: ignore[arg-type]
    "a topic to collect": lambda: bus().collect([OrderEvent]).__enter__(),  # type: ignore[call-overload]
    "a text to resend": lambda: bus().resend("1"),  # type: ignore[arg-type]
    "nothing after a cascade": lambda: bus().after_cascade(None),  # type: ignore[arg-type]
    "a class for a filter of symbols": lambda: EventFilter(symbols="BTCUSDT"),  # type: ignore[arg-type]
    "a number for a filter": lambda: EventFilter(5),  # type: ignore[arg-type]
    "a bus to watch for no time": lambda: Watchdog(bus(), limit=0),
    "an alarm that is no function": lambda: Watchdog(bus(), alarm="log"),  # type: ignore[arg-type]
    # the kernel and its timers
    "a tape that is none": lambda: Kernel(tape=5),  # type: ignore[arg-type]
    "a text for max_cascade": lambda: Kernel(tape=NullTape(), max_cascade="5"),  # type: ignore[arg-type]
    "no cascade at all": lambda: Kernel(tape=NullTape(), max_cascade=0),
    "one reserved source": lambda: Kernel(tape=NullTape(), reserved="timer"),  # type: ignore[arg-type]
    "a datetime for a timer": lambda: kernel().set_timer(A_DAY, "name"),  # type: ignore[arg-type]
    "a duration for a timer": lambda: kernel().set_timer(timedelta(1), "name"),  # type: ignore[arg-type]
    "a number for the name of a timer": lambda: kernel().set_timer(1, 5),  # type: ignore[arg-type]
    "a text for the id of a timer": lambda: kernel().cancel_timer("1"),  # type: ignore[arg-type]
    "versions as a list": lambda: kernel().publish_all([EVENT], expected=["order"]),  # type: ignore[arg-type]
    "a version as a text": lambda: kernel().publish_all([EVENT], expected={"order": "0"}),  # type: ignore[dict-item]
    # queries and replays
    "a datetime in a query": lambda: TapeQuery(first_ts=A_DAY),  # type: ignore[arg-type]
    "a text for a time in a query": lambda: TapeQuery(last_ts="2025"),  # type: ignore[arg-type]
    "one class in a query": lambda: TapeQuery(types=OrderEvent),  # type: ignore[arg-type]
    "no types in a query": lambda: TapeQuery(types=None),  # type: ignore[arg-type]
    "an empty type in a query": lambda: TapeQuery(types=("",)),
    "a number for a symbol": lambda: TapeQuery(symbol=5),  # type: ignore[arg-type]
    "a tuple for a stream": lambda: TapeQuery(stream=("order", "o-1")),  # type: ignore[arg-type]
    "a number for an id": lambda: TapeQuery(from_id=5),  # type: ignore[arg-type]
    "a datetime to replay from": lambda: replayer().replay(A_DAY),  # type: ignore[arg-type]
    "a text to replay to": lambda: replayer().replay(to="2025"),  # type: ignore[arg-type]
    "a flag as a speed": lambda: replayer().replay(speed=True),
    "one class to replay": lambda: replayer().replay(types=OrderEvent),  # type: ignore[arg-type]
    "one symbol to replay": lambda: replayer().replay(symbols="BTCUSDT"),
    "numbers as symbols": lambda: replayer().replay(symbols=(5,)),  # type: ignore[arg-type]
    "a number as a transform": lambda: replayer().replay(transform=5),  # type: ignore[arg-type]
    "an async transform": lambda: replayer().replay(transform=hear_later),  # type: ignore[arg-type]
    "a datetime to seek": lambda: replayer().seek(A_DAY),  # type: ignore[arg-type]
    "a store as a record": lambda: Replayer(InMemoryEventStore(), SystemClock()),  # type: ignore[arg-type]
    "a text in a ring buffer": lambda: ring().append("order"),  # type: ignore[arg-type]
    "a ring buffer that follows nothing": lambda: ring().follow(5),  # type: ignore[arg-type]
    "one type of a ring buffer": lambda: ring().last(1, types="order.*"),  # type: ignore[arg-type]
    "an async condition of a ring buffer": lambda: ring().last(1, where=hear_later),  # type: ignore[arg-type]
    "a late subscription to no bus": lambda: subscribe_with_replay(5, ring(), "order.*", hear, replay_last=1),  # type: ignore[arg-type]
    "a late subscription to no log": lambda: subscribe_with_replay(bus(), 5, "order.*", hear, replay_last=1),  # type: ignore[arg-type]
    "a late subscription since a datetime": lambda: subscribe_with_replay(bus(), ring(), "*", hear, since=A_DAY),  # type: ignore[arg-type]
    "closing what is no bus": lambda: asyncio.run(close_bus(None)),  # type: ignore[arg-type]
    "a text for read_only": lambda: open_store("memory://", read_only="no"),  # type: ignore[call-overload]
}


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_argument_is_refused_in_one_line(call: str) -> None:
    with pytest.raises(TickdeckError) as refused:
        WRONG[call]()
    assert re.fullmatch(r"[^\n]+", str(refused.value))


@pytest.fixture(params=["memory://", "sqlite", "jsonl"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    url = request.param if request.param == "memory://" else f"{request.param}://{tmp_path / 'tape'}"
    with open_store(url) as opened:
        opened.append([EVENT])
        yield opened


OF_STORES: dict[str, Callable[[Any], object]] = {
    "a type instead of a query": lambda store: store.read("order.*"),
    "a class instead of a query": lambda store: store.read(OrderEvent),
    "a type to follow": lambda store: store.follow("order.*"),
    "a type for the last": lambda store: store.last(1, "order.*"),
    "a text for a count": lambda store: store.last("1"),
    "one event to append": lambda store: store.append(EVENT),
    "a text to append": lambda store: store.append("order"),
    "a class to append": lambda store: store.append([OrderFilledEvent]),
    "a number among events": lambda store: store.append([5, EVENT]),
    "a text for a version": lambda store: store.append([EVENT], "1"),
    "a negative version": lambda store: store.append([EVENT], -1),
    "versions as a list": lambda store: store.append([EVENT], expected=[EVENT.stream]),
    "a version as a text": lambda store: store.append([EVENT], expected={EVENT.stream: "1"}),
    "two versions of a stream": lambda store: store.append([EVENT], 1, expected={EVENT.stream: 0}),
    "a text as a state": lambda store: store.save_snapshot(EVENT.stream, 1, "state"),
    "a text as a snapshot's version": lambda store: store.save_snapshot(EVENT.stream, "1", b"state"),
    "a flag as a snapshot's version": lambda store: store.save_snapshot(EVENT.stream, True, b"state"),
    "a number as a stream": lambda store: store.save_snapshot(5, 1, b"state"),
    "a snapshot of a number": lambda store: store.load_snapshot(5),
    "a snapshot up to a text": lambda store: store.load_snapshot(EVENT.stream, "1"),
    "a version of a number": lambda store: store.stream_version(5),
    "a text to wait for": lambda store: store.wait_durable("1"),
}


@pytest.mark.long
@pytest.mark.parametrize("call", OF_STORES)
def test_a_store_refuses_a_wrong_argument_and_stores_nothing(store: Any, call: str) -> None:
    with pytest.raises(ConfigError):
        OF_STORES[call](store)
    assert [event.event_id for event in store.read()] == ["1"]
    assert store.load_snapshot(EVENT.stream) is None


def test_classes_are_accepted_where_types_are() -> None:
    assert EventFilter(OrderEvent)(EVENT)
    assert not EventFilter(OrderFilledEvent)(EVENT)
    found = ring()
    found.append(EVENT)
    assert found.last(1, types=(OrderEvent,)) == [EVENT]  # type: ignore[arg-type]
    assert found.last(1, types=(OrderFilledEvent,)) == []  # type: ignore[arg-type]

    async def play() -> list[object]:
        player = Replayer(lambda: (EVENT,), SystemClock())
        return [event async for event in player.replay(speed="max", types=(OrderEvent,))]

    assert asyncio.run(play()) == [EVENT]


def test_publish_all_publishes_everything_or_nothing() -> None:
    own = bus()
    with own.collect("*") as events, pytest.raises(ConfigError):
        own.publish_all([EVENT, 5])  # type: ignore[list-item]
    assert events == []
