"""A position that the market carries over its limit: orders that would enlarge it are withdrawn, without a decision."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import BTC, SECOND, Core, D, trade
from hypothesis import given, settings
from hypothesis import strategies as st

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import OrderCancelRequestedEvent, SystemWarning
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import Side

ETH = "ETHUSDT"


class Wishes(Strategy):
    """Orders on the next trade what the test wants: symbol, signed quantity, limit."""

    def on_start(self) -> None:
        self.wishes: list[tuple[str, str, str | None]] = []

    def on_trade(self, trade: Any) -> None:
        wishes, self.wishes = self.wishes, []
        for symbol, quantity, limit in wishes:
            price = D(limit) if limit else None
            if quantity.startswith("-"):
                self.sell(symbol, D(quantity[1:]), price)
            else:
                self.buy(symbol, D(quantity), price)


def core_of(**limits: Any) -> tuple[Core, Wishes]:
    wishes = Wishes()
    chosen = RiskLimits(**{name: D(value) for name, value in limits.items()})
    return Core({"s": wishes}, limits=chosen).start().trades("100"), wishes


def at(core: Core, price: str, symbol: str = BTC) -> None:
    core.feed(trade(price, ts=core.now + SECOND, symbol=symbol))


def hold(core: Core, wishes: Wishes, quantity: str, symbol: str = BTC) -> None:
    at(core, "100", symbol)
    wishes.wishes = [(symbol, quantity, None)]
    at(core, "100", symbol)
    core.fill(core.orders[-1], "100")


def rest(core: Core, wishes: Wishes, quantity: str, limit: str, symbol: str = BTC) -> str:
    wishes.wishes = [(symbol, quantity, limit)]
    at(core, "100", symbol)
    return core.orders[-1].order_id


def withdrawn(core: Core) -> list[str]:
    return [event.order_id for event in core.tape.events if isinstance(event, OrderCancelRequestedEvent)]


def said(core: Core) -> list[str]:
    return [event.message for event in core.tape.events if isinstance(event, SystemWarning)]


def test_what_would_enlarge_it_is_withdrawn_at_the_price_that_passes_the_limit() -> None:
    core, wishes = core_of(max_position_notional="1000")
    hold(core, wishes, "9")
    enlarges = rest(core, wishes, "0.5", "90")
    rest(core, wishes, "-2", "130")  # it only reduces the position
    at(core, "111")
    assert withdrawn(core) == []

    at(core, "112")
    assert withdrawn(core) == [enlarges]
    (event,) = core.of("market.trade")[-1:]
    assert said(core) == [
        "max_position_notional: the position in BTCUSDT is worth 1008 USDT, at most 1000; passed at market.trade "
        f"{event.event_id}: 1 open order that could enlarge a position is cancelled"
    ]
    at(core, "113")
    assert len(said(core)) == 1


def test_a_short_position_is_watched_too() -> None:
    core, wishes = core_of(max_position_notional="1000")
    hold(core, wishes, "-9")
    enlarges = rest(core, wishes, "-0.5", "105")
    at(core, "112")

    assert withdrawn(core) == [enlarges]


def test_all_positions_together_are_watched() -> None:
    core, wishes = core_of(max_total_notional="1000")
    hold(core, wishes, "4")
    hold(core, wishes, "4", ETH)
    both = [rest(core, wishes, "0.1", "90"), rest(core, wishes, "0.1", "90", ETH)]
    at(core, "130", ETH)
    assert withdrawn(core) == []

    at(core, "125")
    assert withdrawn(core) == both
    assert "max_total_notional: the positions together are worth 1020 USDT, at most 1000" in said(core)[0]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(60, 160), min_size=1, max_size=12), st.sampled_from(["9", "-9", "5"]))
def test_it_is_noticed_at_the_first_price_that_passes_the_limit_and_at_no_other(prices: list[int], held: str) -> None:
    core, wishes = core_of(max_position_notional="1000", max_daily_loss="100000")
    hold(core, wishes, held)
    buys = not held.startswith("-")
    rest(core, wishes, "0.1" if buys else "-0.1", "50" if buys else "101")
    for price in prices:
        before = len(said(core))
        at(core, str(price))
        passed = abs(int(held)) * price > 1000 and not before
        assert len(said(core)) == before + passed, price
    assert {order.side for order in core.orders} == {Side.BUY if buys else Side.SELL}


@pytest.mark.parametrize("limits", [{}, {"max_order_notional": "5000"}])
def test_without_a_limit_on_positions_nothing_is_watched(limits: dict[str, str]) -> None:
    core, wishes = core_of(**limits)
    hold(core, wishes, "9")
    rest(core, wishes, "0.5", "90")
    at(core, "1000")

    assert withdrawn(core) == []
    assert core.risk.losses._watching == {}
