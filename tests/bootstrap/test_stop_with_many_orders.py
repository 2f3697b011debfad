"""A run with real orders that is stopped while it has more open orders than it can cancel in its last seconds."""

from __future__ import annotations

import asyncio

import pytest
from application_kit import BTC, START, Core, D, ScriptedVenue

from tickdeck.application.strategies import Strategy
from tickdeck.bootstrap.live_trading import LiveTrading
from tickdeck.domain.events import OrderCancelRequestedEvent, TradeEvent
from tickdeck.domain.values import OrderStatus

S = 1_000_000_000


class Ladder(Strategy):
    """Has many orders in the book."""

    orders: int = 0

    def on_trade(self, trade: TradeEvent) -> None:
        for _ in range(self.orders):
            self.buy(BTC, D("0.001"), limit=D(90))


class HandClock:
    """A clock that only moves when something takes its time."""

    def __init__(self) -> None:
        self.passed = 0

    def monotonic_ns(self) -> int:
        return self.passed

    def time_ns(self) -> int:
        return START + self.passed

    async def sleep(self, seconds: float) -> None:
        self.passed += round(seconds * S)


class SlowVenue(ScriptedVenue):
    """Each cancel takes 10 ms. The first ``answered`` orders end."""

    longest_doubt = 90.0
    closing = False

    def __init__(self, clock: HandClock, answered: int) -> None:
        super().__init__()
        self.clock, self.left = clock, answered
        self.core: Core

    def cancel(self, request: OrderCancelRequestedEvent) -> None:
        super().cancel(request)
        self.clock.passed += S // 100
        if self.left:
            self.left -= 1
            self.core.report(self.core.execution.orders[request.order_id], OrderStatus.CANCELLED)

    async def compare(self) -> None:
        """The balances are as they should be."""


@pytest.mark.parametrize(("orders", "answered", "named"), [(400, 0, 400), (400, 250, 150), (400, 298, 102)])
def test_it_stops_cancelling_at_its_deadline_and_says_how_many_may_be_open(
    orders: int, answered: int, named: int
) -> None:
    clock = HandClock()
    venue = SlowVenue(clock, answered)
    core = venue.core = Core({"ladder": Ladder(orders=orders)}, venue=venue).start().trades("100")
    remarks: list[str] = []
    trading = LiveTrading(
        core.kernel,
        core.execution,
        core.portfolio.differences,
        core.risk.protections.book,
        venue,  # type: ignore[arg-type]
        clock=clock,
        cancel_at_end=True,
        remarks=remarks,
        is_past=lambda: False,
    )

    ended = asyncio.run(trading.wind_up(at_once=True))

    assert not ended
    assert venue.closing
    assert len(venue.cancelled) == 300  # three seconds
    (remark,) = remarks
    assert remark.startswith("not settled at scripted when the run ended: ")
    assert remark.endswith(f" and {named - 5} more")
    assert clock.passed < 5 * S  # then the process is ended


def test_it_ends_at_once_when_every_order_has_ended() -> None:
    clock = HandClock()
    venue = SlowVenue(clock, 20)
    core = venue.core = Core({"ladder": Ladder(orders=20)}, venue=venue).start().trades("100")
    remarks: list[str] = []
    trading = LiveTrading(
        core.kernel, core.execution, core.portfolio.differences, core.risk.protections.book,
        venue,  # type: ignore[arg-type]
        clock=clock, cancel_at_end=True, remarks=remarks, is_past=lambda: False,
    )  # fmt: skip

    assert asyncio.run(trading.wind_up(at_once=True))
    assert (len(venue.cancelled), remarks) == (20, [])
    assert clock.passed < S
