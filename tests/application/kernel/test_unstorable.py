"""An event whose fields were changed without checks does not end the kernel, and does not reach the tape.

It is refused when it is published. Only an event of one of Tickdeck's classes that a handler publishes is not checked
again, because that costs too much. If it cannot be encoded, ``system.error`` takes its place.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import force_setattr

from tickdeck import (
    DomainEvent,
    HandlerFailed,
    OrderCancelRequestedEvent,
    StrategyDecisionEvent,
    SystemError,  # noqa: A004
    TradingHalted,
    open_bus,
    open_store,
)
from tickdeck import SystemWarning as Warned
from tickdeck.application.bus import describe_error
from tickdeck.application.kernel import Kernel
from tickdeck.application.ports import TapeQuery
from tickdeck.application.proof import RecordCheck
from tickdeck.errors import EventValidationError, TapeError

pytestmark = pytest.mark.long  # real tapes

FORMATS = ("sqlite", "jsonl")
INVALID = (object(), "\ud800", {1, 2}.__iter__(), Decimal, lambda: None)
UNREADABLE = (5, None, 1.5, ("a",), {"a": "b"}, Decimal(1))
"""Values of the wrong type that JSON can represent."""


class Asked(DomainEvent, frozen=True, kw_only=True):
    event_type = "unstorable.asked"
    text: str = ""


class Answered(DomainEvent, frozen=True, kw_only=True):
    event_type = "unstorable.answered"
    text: str = ""
    many: tuple[str, ...] = ()


def broken(event: DomainEvent, field: str, value: Any) -> DomainEvent:
    force_setattr(event, field, value)
    return event


def on_disk(bus: Any) -> list[tuple[str, str]]:
    bus.store.read()
    return [(event.event_type, event.event_id) for event in bus.store.read()]


@pytest.mark.parametrize("tape_format", FORMATS)
@pytest.mark.parametrize("value", INVALID, ids=lambda value: type(value).__name__)
def test_an_unstorable_event_of_a_handler_is_replaced_and_trading_halts(
    tmp_path: Path, tape_format: str, value: Any
) -> None:
    bus = open_bus(tmp_path / "tape", tape_format=tape_format)
    sent: list[DomainEvent] = []

    async def edge(event: DomainEvent) -> None:
        sent.append(event)

    async def run() -> None:
        bus.subscribe("unstorable.*", edge)
        bus.subscribe("system.warning", edge)
        bus.subscribe(Asked, lambda _: bus.publish(broken(Warned(component="mine", message=""), "message", value)))
        bus.publish(Asked())
        bus.publish(Asked(text="again"))
        await bus.drain()
        assert on_disk(bus) == [
            ("unstorable.asked", "1"),
            ("system.error", "1-1"),
            ("trading.halted", "1-1-1"),
            ("unstorable.asked", "2"),
            ("system.error", "2-1"),
        ]
        [error, _] = bus.store.read(TapeQuery(types=(SystemError,)))
        assert isinstance(error, SystemError)
        assert error.message == "system.warning 1-1 cannot be stored: message is invalid"
        assert error.causation_id == "1"
        await bus.close()

    asyncio.run(run())
    assert [type(event) for event in sent] == [Asked, Asked]


@pytest.mark.parametrize("tape_format", FORMATS)
@pytest.mark.parametrize("value", INVALID + UNREADABLE, ids=lambda value: type(value).__name__)
def test_an_outside_publisher_gets_an_error_and_the_bus_continues(tmp_path: Path, tape_format: str, value: Any) -> None:
    bus = open_bus(tmp_path / "tape", tape_format=tape_format)
    for event in (broken(Asked(), "text", value), broken(Warned(component="mine", message=""), "message", value)):
        with pytest.raises(EventValidationError, match=rf"{event.event_type}: (text|message) is .*; it must be"):
            bus.publish(event)
        with pytest.raises(EventValidationError, match=event.event_type):
            bus.publish_all([event, Asked()], expected={})
    bus.publish(Asked())
    assert on_disk(bus) == [("unstorable.asked", "1")]
    asyncio.run(bus.close())


@pytest.mark.parametrize("value", UNREADABLE, ids=lambda value: type(value).__name__)
def test_a_handler_that_publishes_a_bypassed_event_of_its_own_class_fails(tmp_path: Path, value: Any) -> None:
    bus = open_bus(tmp_path / "tape")
    bus.subscribe(Asked, lambda _: bus.publish(broken(Answered(), "text", value)))
    bus.publish(Asked())
    assert on_disk(bus) == [("unstorable.asked", "1"), ("system.handler_failed", "1-1")]
    [failed] = bus.store.read(TapeQuery(types=(HandlerFailed,)))
    assert isinstance(failed, HandlerFailed)
    assert failed.message.startswith("unstorable.answered: text is ")
    asyncio.run(bus.close())


@pytest.mark.parametrize("call", ["publish_threadsafe", "post"])
def test_a_bypassed_event_from_another_thread_is_refused_to_that_thread(tmp_path: Path, call: str) -> None:
    async def run() -> None:
        bus = open_bus(tmp_path / "tape")
        with ThreadPoolExecutor(1) as thread:
            with pytest.raises(EventValidationError, match="text is 5"):
                thread.submit(getattr(bus, call), broken(Asked(), "text", 5)).result()
            thread.submit(getattr(bus, call), Asked()).result()
        bus.run_pending()
        assert on_disk(bus) == [("unstorable.asked", "1")]
        await bus.close()

    asyncio.run(run())


@pytest.mark.parametrize("url", ["memory://", "sqlite:///{}/a.db", "jsonl:///{}/b"])
def test_a_store_refuses_a_bypassed_event_that_nobody_stamped(tmp_path: Path, url: str) -> None:
    with open_store(url.format(tmp_path)) as store:
        store.append([Asked()])
        with pytest.raises(EventValidationError, match=r"unstorable\.asked: text is 5"):
            store.append([Asked(), broken(Asked(), "text", 5)])
        assert [event.event_id for event in store.read()] == ["1"]


def test_a_container_that_was_changed_is_replaced_too(tmp_path: Path) -> None:
    bus = open_bus(tmp_path / "tape")
    decided = StrategyDecisionEvent(strategy_id="mine", intents=())
    bus.subscribe(Asked, lambda _: bus.publish(broken(decided, "intents", ("a", object()))))
    bus.publish(Asked())
    assert ("system.error", "1-1") in on_disk(bus)
    asyncio.run(bus.close())


def test_an_order_that_cannot_be_stored_never_reaches_the_gateway(tmp_path: Path) -> None:
    bus = open_bus(tmp_path / "tape")
    sent: list[DomainEvent] = []
    bus.subscribe("order.*", sent.append, edge=True)
    order = OrderCancelRequestedEvent(order_id="o-1", symbol="BTCUSDT", strategy_id="mine", account_id="paper")
    bus.subscribe(Asked, lambda _: bus.publish(broken(order, "reserved", object())))
    bus.publish(Asked())
    assert sent == []
    asyncio.run(bus.close())


def test_the_same_code_makes_the_same_replacement_in_a_proof(tmp_path: Path) -> None:
    class Once:
        """The handlers of a run and of its proof."""

        def __init__(self, kernel: Kernel) -> None:
            self.heard: list[str] = []
            kernel.subscribe(
                Asked,
                lambda _: kernel.publish(broken(Warned(component="mine", message=""), "message", {1}.__iter__())),
            )
            kernel.subscribe("*", lambda event: self.heard.append(event.event_type))

    bus = open_bus(tmp_path / "tape")
    first = Once(bus)
    bus.publish(Asked())
    recorded = list(bus.store.read())
    asyncio.run(bus.close())

    proof = Kernel(tape=RecordCheck(iter(recorded)))
    second = Once(proof)
    proof.feed(recorded[0])

    assert second.heard == first.heard
    assert TradingHalted.event_type in first.heard


def test_any_other_tape_error_ends_the_kernel(tmp_path: Path) -> None:
    bus = open_bus(tmp_path / "tape")

    def fail(*_: object, **__: object) -> None:
        raise TapeError("the disk is full")

    bus._tape.append = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(TapeError, match="the disk is full") as caught:
        bus.publish(Asked())
    assert describe_error(caught.value) == "the disk is full"
    with pytest.raises(Exception, match="takes no more"):
        bus.publish(Asked())
