"""Reconciliation of trades: what counts as evidence, who decides otherwise, and what a kill between two steps changes:
nothing.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from commands_kit import NOW, D, FillingExchange, Program
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tickdeck.application.commands import (
    ReconcileTradeCommand,
    ReconcileTradeHandler,
    SettleTradeCommand,
    SettleTradeHandler,
    UnitOfWork,
)
from tickdeck.application.ports import OrderResult, TapeQuery
from tickdeck.bootstrap import close_bus
from tickdeck.domain.events import (
    DomainEvent,
    ReconciliationEvent,
    ReconciliationHandedOverEvent,
    ReconciliationReadEvent,
    TwoPhaseTradeEvent,
)
from tickdeck.domain.trading import RECONCILIATION_TRANSITIONS, Reconciliation, Trade
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import InvalidTransition, OutcomeUnknown, UnknownOrder, VenueUnavailable

SECOND = 1_000_000_000
WAIT = 30 * SECOND  # in_flight + query_lag of the exchange of these tests
TRADE = "copy-L1"


class Rig:
    """A trade whose answer was lost. Each pause lets the exchange's clock go on; ``told`` are what happens to it, by
    the number of the pause."""

    def __init__(self, url: Any = "memory://", *, arrives: bool = False) -> None:
        self.exchange = FillingExchange(100, USDT=1000)
        self.pauses: list[float] = []
        self.told: dict[int, Callable[[], None]] = {}
        self._url, self.arrives = url, arrives
        self.open()

    def open(self) -> None:
        self.program = Program(self._url, a=self.exchange)
        parts = (lambda: UnitOfWork(self.program.bus)), {"a": self.exchange}.__getitem__, self.program.open_trades
        self.reconciler = ReconcileTradeHandler(*parts, sleep=self.sleep)
        self.settler = SettleTradeHandler(*parts, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.exchange.now += int(seconds * SECOND)
        self.told.get(len(self.pauses), lambda: None)()

    async def trade(self) -> None:
        def lost(_: object) -> None:
            raise OutcomeUnknown("timed out")

        if self.arrives:
            self.exchange.after = lost
        else:
            self.exchange.before = lost
        await self.program.copy(trade_id="L1")

    async def reconcile(self, *, wait: bool = True) -> Trade:
        return await self.reconciler.handle(ReconcileTradeCommand(account_id="a", trade_id=TRADE, wait=wait))

    def appear(self, status: OrderStatus = OrderStatus.FILLED, *, listed: bool = True) -> None:
        """The request that was lost has arrived after all."""
        request = self.exchange.requests[0]
        result = self.exchange._match(request)
        self.exchange.truth[request.client_order_id] = result
        if status is OrderStatus.ACCEPTED:
            self.exchange.truth[request.client_order_id] = open_order(result)
        if not listed:
            self.hide(request.client_order_id)

    def hide(self, order_id: str) -> None:
        """The query of the order does not show it, by our id."""
        shown = self.exchange.order

        async def order(symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
            if not venue_order_id:
                raise UnknownOrder("no such order")
            found = [one for one in self.exchange.truth.values() if one.venue_order_id == venue_order_id]
            return found[0] if found else await shown(symbol, client_order_id=client_order_id)

        self.exchange.order = order  # type: ignore[method-assign,assignment]

    def events(self) -> list[DomainEvent]:
        return list(self.program.bus.store.read(TapeQuery(types=("trade.*", "reconciliation.*"))))

    def said(self) -> list[str]:
        """What the readings found, and the other events by type."""
        return [e.found if isinstance(e, ReconciliationReadEvent) else e.event_type for e in self.events()][2:]

    def reserved(self) -> Any:
        return self.program.balance("a", "USDT").reserved


def open_order(result: OrderResult) -> OrderResult:
    return replace(result, status=OrderStatus.ACCEPTED, raw_status="NEW", filled=D(0), fills=())


def run(test: Callable[[Rig], Awaitable[None]], **options: Any) -> None:
    async def program() -> None:
        rig = Rig(**options)
        await rig.trade()
        await test(rig)
        await close_bus(rig.program.bus)

    asyncio.run(program())


def test_an_executed_order_is_found_at_once_and_confirmed_with_its_fills() -> None:
    async def test(rig: Rig) -> None:
        trade = await rig.reconcile()

        assert (trade.status, trade.executed_quantity, trade.executed_price) == ("executed", D("0.5"), D(100))
        assert trade.fees == {"USDT": D("0.05")}
        assert rig.said() == ["trade.executed", "reconciliation.settled"]
        assert (rig.reserved(), rig.program.balance("a", "USDT").total) == (0, rig.exchange.held["USDT"])

    run(test, arrives=True)


def test_an_order_that_never_arrived_is_rolled_back_after_the_exchanges_wait() -> None:
    async def test(rig: Rig) -> None:
        trade = await rig.reconcile()

        assert (trade.status, trade.reason) == ("failed", "the exchange never received the order")
        assert rig.pauses == [1, 2, 4, 8, 10, 10]  # 35 s, after which the answers count
        assert rig.said() == ["nowhere"] * 6 + ["trade.failed", "reconciliation.settled"]
        assert rig.reserved() == 0

    run(test)


def test_one_answer_is_weak_evidence_however_old_the_trade_is() -> None:
    async def test(rig: Rig) -> None:
        rig.exchange.now = NOW + 1_000 * WAIT
        assert (await rig.reconcile(wait=False)).status == "needs_reconciliation"
        rig.exchange.now += WAIT - 1
        assert (await rig.reconcile(wait=False)).status == "needs_reconciliation"
        rig.exchange.now += 1
        assert (await rig.reconcile(wait=False)).status == "failed"

    run(test)


def test_an_order_that_arrives_late_is_confirmed() -> None:
    async def test(rig: Rig) -> None:
        rig.told[3] = rig.appear
        trade = await rig.reconcile()

        assert (trade.status, trade.executed_quantity) == ("executed", D("0.5"))
        assert rig.said() == ["nowhere"] * 3 + ["trade.executed", "reconciliation.settled"]

    run(test)


@pytest.mark.parametrize("source", ["fills", "open_orders"])
def test_another_source_of_the_exchange_shows_the_order(source: str) -> None:
    async def test(rig: Rig) -> None:
        def appear() -> None:
            if source == "fills":
                rig.appear(listed=False)
                return
            order_id = rig.exchange.requests[0].client_order_id
            listed = open_order(rig.exchange._match(rig.exchange.requests[0]))

            async def open_orders(symbol: str | None = None) -> tuple[OrderResult, ...]:
                return (listed,)

            rig.exchange.open_orders = open_orders  # type: ignore[method-assign,assignment]
            rig.hide(order_id)

        rig.told[5] = appear
        if source == "open_orders":
            rig.told[7] = lambda: (rig.exchange.truth.clear(), setattr(rig.exchange, "order", filled_order(rig)))[0]
        trade = await rig.reconcile()

        assert (trade.status, trade.executed_quantity) == ("executed", D("0.5"))
        assert "trade.failed" not in rig.said()

    run(test)


def filled_order(rig: Rig) -> Any:
    result = rig.exchange._match(rig.exchange.requests[0])

    async def order(symbol: str, **_: str) -> OrderResult:
        return result

    return order


def test_an_error_is_no_answer() -> None:
    async def test(rig: Rig) -> None:
        async def down(*_: Any, **__: Any) -> OrderResult:
            raise VenueUnavailable("down")

        order = rig.exchange.order
        rig.told[2] = lambda: setattr(rig.exchange, "order", down)
        rig.told[8] = lambda: setattr(rig.exchange, "order", order)
        trade = await rig.reconcile()

        assert trade.status == "failed"
        assert rig.said() == [*["nowhere"] * 2, *["no_answer"] * 6, "trade.failed", "reconciliation.settled"]

    run(test)


def test_an_order_that_was_shown_and_is_gone_is_for_a_person() -> None:
    async def test(rig: Rig) -> None:
        rig.appear(OrderStatus.ACCEPTED)
        rig.told[2] = rig.exchange.truth.clear
        trade = await rig.reconcile()

        assert trade.status == "needs_reconciliation"
        assert rig.said() == ["open", "open", "contradiction", "reconciliation.handed_over"]
        assert rig.reserved() == D("50.25")

    run(test)


def test_what_the_exchange_may_have_forgotten_is_for_a_person_who_settles_it() -> None:
    async def test(rig: Rig) -> None:
        rig.exchange.now = rig.events()[0].ts + rig.exchange.capabilities.lookup_window + SECOND
        trade = await rig.reconcile()
        assert (trade.status, rig.pauses) == ("needs_reconciliation", [])
        (handed_over,) = [e for e in rig.events() if isinstance(e, ReconciliationHandedOverEvent)]
        assert "may have forgotten the order" in handed_over.reason

        command = SettleTradeCommand(account_id="a", trade_id=TRADE, reason="not in the order history")
        trade = await rig.settler.handle(command)
        assert (trade.status, trade.reason) == ("failed", "settled by a person: not in the order history")
        assert (rig.said()[-2:], rig.reserved()) == (["trade.failed", "reconciliation.settled"], 0)
        with pytest.raises(InvalidTransition, match="is failed; only one that needs reconciliation is settled"):
            await rig.settler.handle(command)

    run(test)


def test_too_many_readings_are_for_a_person_and_another_command_begins_again() -> None:
    async def test(rig: Rig) -> None:
        rig.appear(OrderStatus.ACCEPTED)
        assert (await rig.reconcile()).status == "needs_reconciliation"
        assert len(rig.pauses) == 59
        assert rig.said() == ["open"] * 60 + ["reconciliation.handed_over"]
        rig.appear()
        assert (await rig.reconcile()).status == "executed"

    run(test)


class Killed(BaseException):
    pass


answers = st.sampled_from(["nowhere", "open", "filled", "unfilled", "down"])


@given(st.lists(st.tuples(answers, st.booleans()), max_size=25))
@example([("nowhere", True)] * 8)
@example([("open", True), ("nowhere", True), ("filled", True)])
def test_killed_between_any_steps_it_ends_once_and_as_the_exchange_says(
    course: list[tuple[str, bool]],
) -> None:
    """``course``: what the exchange says at each reading, and whether the program is killed before the next one."""

    async def test(rig: Rig) -> None:
        order_id, request = rig.exchange.requests[0].client_order_id, rig.exchange.requests[0]
        held = dict(rig.exchange.held)
        number, truth = 0, ""

        async def order(symbol: str, **_: str) -> OrderResult:
            nonlocal number, truth
            what = course[number][0] if number < len(course) else truth or "nowhere"
            number += 1
            if truth in ("filled", "unfilled"):
                what = truth  # how it ended does not change any more
            if what == "down":
                raise VenueUnavailable("down")
            if what == "nowhere":
                raise UnknownOrder("no such order")
            rig.exchange.held = dict(held)
            result = rig.exchange._match(request)
            if what != "filled":
                rig.exchange.held = dict(held)
                result = open_order(result)
            if what == "unfilled":
                result = replace(result, status=OrderStatus.EXPIRED)
            truth = what if what != "open" else truth
            return result

        async def fills(symbol: str, **_: Any) -> tuple[()]:
            return ()

        rig.exchange.order, rig.exchange.fills = order, fills  # type: ignore[method-assign,assignment]
        rig.exchange.truth.pop(order_id, None)

        async def pause(seconds: float) -> None:
            await rig.sleep(seconds)
            if number <= len(course) and course[number - 1][1]:
                raise Killed

        for _ in range(200):
            rig.reconciler._sleep = pause
            try:
                trade = await rig.reconcile()
                break
            except Killed:
                await close_bus(rig.program.bus)
                rig.open()
        check(rig, trade)
        if trade.status == "failed" and trade.reason.startswith("the exchange never"):
            readings = [e for e in rig.events() if isinstance(e, ReconciliationReadEvent)]
            first = next(e.since for e in reversed(readings) if e.found == "nowhere")
            assert rig.exchange.now - first >= WAIT
            assert "open" not in [e.found for e in readings]
        assert len(rig.exchange.requests) == 1, "nothing is ever sent again"

    asyncio.run(with_file(test))


async def with_file(test: Callable[[Rig], Awaitable[None]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rig = Rig(Path(folder) / "trades.db")
        await rig.trade()
        await test(rig)
        await close_bus(rig.program.bus)


def check(rig: Rig, trade: Trade) -> None:
    """It ended at most once, the books are those of the exchange, and each step is one of the table."""
    events = rig.events()
    ends = [e for e in events if e.event_type in ("trade.executed", "trade.failed")]
    assert len(ends) == trade.status.is_final
    if trade.status.is_final:
        assert rig.reserved() == 0
        assert rig.program.balance("a", "USDT").total == rig.exchange.held["USDT"]
    else:
        assert rig.reserved() == D("50.25")
    saga = Reconciliation("a", TRADE)
    for event in events:
        if isinstance(event, ReconciliationEvent):
            before = saga.status
            saga.apply(event)
            assert saga.status in RECONCILIATION_TRANSITIONS[before]
    assert (not RECONCILIATION_TRANSITIONS[saga.status]) == trade.status.is_final
    assert [e.trade_id for e in events if isinstance(e, TwoPhaseTradeEvent)] == [TRADE] * (2 + len(ends))
