"""A fault around a live run halts trading with a reason, and trading resumes by itself when the fault is over."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from application_kit import BTC, START, Core, D, MemoryTape, ScriptedVenue

from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.live_watch import LiveWatch, WatchedAccount
from tickdeck.domain.events import (
    CommandReceived,
    NotificationAlert,
    OrderCancelRequestedEvent,
    SystemWarning,
    TradeEvent,
    TradingHalted,
    TradingResumed,
)
from tickdeck.errors import VenueUnavailable
from tickdeck.infrastructure.clock import SteadyClock
from tickdeck.infrastructure.resilience import BreakerState, BreakerTransition
from tickdeck.infrastructure.surroundings import TapeCheck, WatchConfig

S = 1_000_000_000


class HandClock:
    """A clock that a test moves and sets."""

    def __init__(self) -> None:
        self.passed, self.set_by = 0, 0

    def monotonic_ns(self) -> int:
        return self.passed

    def time_ns(self) -> int:
        return START + self.passed + self.set_by

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)
        self.passed += round(seconds * S)


class Buyer(Strategy):
    """Buys with each trade."""

    def on_trade(self, trade: TradeEvent) -> None:
        self.buy(BTC, D(1), limit=D(90))


class Rig:
    """A core with a watch whose looks the test makes."""

    def __init__(self, *, tape: MemoryTape | None = None, venue: ScriptedVenue | None = None, **settings: Any) -> None:
        self.core = Core({"buyer": Buyer()}, tape=tape, venue=venue).start().trades("100")
        self.clock = HandClock()
        self.heard = 0
        self.hung: list[str] = []
        self.watch = LiveWatch(
            WatchConfig(**settings),
            self.core.kernel,
            clock=SteadyClock(self.clock),
            tape=self.core.tape,
            folder=Path.cwd(),
            accounts=[WatchedAccount("", self.core.risk, self.core.gateway, self.core.venue)],
            heard=lambda: self.heard,
            on_hang=self.hung.append,
        )
        for check in self.watch._checks:
            if isinstance(check, TapeCheck):
                check._real_now = self.clock.monotonic_ns  # its disk is this clock's

    async def look(self, *after: float) -> None:
        """Make a look after each of these seconds."""
        for seconds in after or (0.5,):
            self.clock.passed += round(seconds * S)
            self.watch.look()

    def said(self) -> list[str]:
        """The warnings, halts and resumes on the tape, in order."""
        found = []
        for event in self.core.tape.events:
            if isinstance(event, SystemWarning):
                found.append(event.message)
            elif isinstance(event, TradingHalted | TradingResumed):
                found.append(f"{event.event_type}: {event.reason}")
        return found

    @property
    def is_halted(self) -> bool:
        return bool(self.core.risk.gate.closed_because)


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test as a plain function, which runs it in an event loop."""

    @functools.wraps(test)
    def run(**given: Any) -> None:
        asyncio.run(test(**given))

    return run


GONE = "trading.resumed: nothing is wrong around the run any more"


@pytest.mark.parametrize("by", [3_600, -3_600])
@in_loop
async def test_a_jump_of_the_clock_halts_until_the_market_was_heard_again(by: int) -> None:
    rig = Rig()
    await rig.look()
    rig.clock.set_by += by * S
    await rig.look()
    assert rig.is_halted
    await rig.look(0.5, 0.5)
    assert rig.is_halted

    rig.heard += 1
    await rig.look()

    way = "forward" if by > 0 else "back"
    text = f"the wall clock was set {way} by 3600.0 s; the run keeps its own time"
    assert rig.said() == [text, f"trading.halted: {text}", GONE]


@in_loop
async def test_a_pause_halts_until_the_market_was_heard_again() -> None:
    rig = Rig()
    await rig.look()
    await rig.look(60)
    await rig.look()
    rig.heard += 1
    await rig.look()

    text = "the event loop stood still for 59.5 s"
    assert rig.said() == [text, f"trading.halted: {text}", GONE]


@in_loop
async def test_a_second_fault_is_told_and_trading_resumes_when_both_are_over() -> None:
    rig = Rig(tape=MemoryTape(synced=False))
    rig.core.tape.sync()
    await rig.look()
    rig.watch._accounts[0].circuits.hear(
        BreakerTransition("binance/orders", BreakerState.CLOSED, BreakerState.OPEN, "OutcomeUnknown")
    )
    await rig.look()
    for _ in range(10):
        await rig.look()
    assert rig.is_halted
    rig.watch._accounts[0].circuits.hear(
        BreakerTransition("binance/orders", BreakerState.OPEN, BreakerState.CLOSED, "")
    )
    await rig.look()
    assert rig.is_halted

    rig.core.tape.sync()
    await rig.look()

    broken = "binance/orders does not work (OutcomeUnknown)"
    stalled = "the disk has written nothing for 5 s, so the tape is behind; only cancels leave"
    assert rig.said() == [broken, f"trading.halted: {broken}", stalled, GONE]


class Asked:
    """An exchange that is asked whether it answers."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.questions = 0

    async def answers(self) -> bool:
        self.questions += 1
        return await self.answer


@in_loop
async def test_maintenance_halts_once_and_ends_when_the_exchange_answers() -> None:
    rig = Rig(pause=None)
    account = rig.watch._accounts[0]
    account.exchange = exchange = Asked()  # type: ignore[assignment]
    account.circuits.hear(BreakerTransition("binance/orders", BreakerState.CLOSED, BreakerState.OPEN, "503"))
    await rig.look()
    for questions in range(1, 4):
        await rig.look(30, 0.5, 0.5)
        await asyncio.sleep(0)
        assert exchange.questions == questions
        exchange.answer.set_exception(VenueUnavailable("503"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        exchange.answer = asyncio.get_running_loop().create_future()
        await rig.look()
        assert rig.is_halted

    exchange.answer.set_result(True)
    await rig.look(30)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await rig.look(0.5, 0.5)

    broken = "binance/orders does not work (503)"
    assert rig.said() == [broken, f"trading.halted: {broken}", GONE]
    alerts = [event.text for event in rig.core.tape.events if isinstance(event, NotificationAlert)]
    assert alerts == [
        f"trading is halted: {broken} (open orders: 0 being cancelled, 1 left)",
        "trading resumes: nothing is wrong around the run any more",
    ]


@in_loop
async def test_an_operators_halt_stays_when_a_fault_is_over() -> None:
    rig = Rig()
    await rig.look()
    await rig.look(60)
    rig.core.feed(CommandReceived(command="halt", reason="lunch"))
    rig.heard += 1
    await rig.look(0.5, 0.5)

    assert rig.core.risk.gate.closed_because == "lunch"
    assert GONE not in rig.said()


@in_loop
async def test_an_operator_may_resume_during_a_fault_and_it_halts_again_if_it_lasts() -> None:
    rig = Rig()
    await rig.look()
    await rig.look(60)
    rig.core.feed(CommandReceived(command="resume"))
    assert not rig.is_halted
    await rig.look()

    assert rig.is_halted


@in_loop
async def test_a_halt_of_the_process_before_ends_when_nothing_is_wrong_now() -> None:
    rig = Rig()
    await rig.look()
    rig.core.feed(CommandReceived(command="halt", reason="the disk", arguments={"by": "surroundings"}))
    await rig.look()

    assert not rig.is_halted


# -- a handler that hangs, and a disk that stalls, at a venue outside the process ------------------------------------


@in_loop
async def test_nothing_but_cancels_leaves_while_a_handler_hangs_and_the_event_follows_when_it_returns() -> None:
    venue = ScriptedVenue(simulated=False)
    rig = Rig(venue=venue)
    await asyncio.sleep(0)
    order, sent = rig.core.of("order.submitted")[-1], len(venue.submitted)
    assert sent == 1
    rig.watch._on_hang("a handler has held the bus for 10.0 s: Buyer.on_trade")

    rig.core.gateway.take(order)
    rig.core.gateway.take(OrderCancelRequestedEvent(order_id=order.aggregate_id, symbol=BTC))
    assert (len(venue.submitted), len(venue.cancelled)) == (sent, 1)
    assert rig.core.of("venue.order_reported")[-1].payload["reason"] == "never sent: a handler did not return"

    await rig.look(0.5)
    rig.heard += 1
    await rig.look(0.5)
    text = "a handler has held the bus for 10.0 s: Buyer.on_trade; it has returned now"
    assert rig.said()[-3:] == [text, f"trading.halted: {text}", GONE]
    rig.core.gateway.take(order)
    assert len(venue.submitted) == sent + 1


@in_loop
async def test_only_cancels_leave_while_the_tape_waits_for_the_disk() -> None:
    tape, venue = MemoryTape(synced=False), ScriptedVenue(simulated=False)
    rig = Rig(tape=tape, venue=venue)
    await rig.look(*[0.5] * 12)
    rig.core.feed(CommandReceived(command="cancel"))
    await asyncio.sleep(0)
    assert rig.is_halted
    assert (len(venue.submitted), len(venue.cancelled)) == (0, 1)

    tape.sync()
    for _ in range(20):
        await asyncio.sleep(0)
    await rig.look()
    assert not rig.is_halted
    assert (len(venue.submitted), len(venue.cancelled)) == (0, 1)  # held back by the halt; the cancel left once
