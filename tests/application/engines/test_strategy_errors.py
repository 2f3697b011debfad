"""A strategy that raises is paused; the other strategies go on."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, Core
from diary_kit import Diary, buy_one

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CommandReceived, DomainEvent, HandlerFailed, TickEvent


def boom(_: Strategy) -> None:
    raise ZeroDivisionError("boom")


def test_a_strategy_that_raises_is_paused_and_the_others_continue() -> None:
    bad, good = Diary({1: lambda s: (buy_one(s), boom(s))}), Diary({2: buy_one})
    core = Core({"bad": bad, "good": good}, candles=MS).start().trades("100", "101", "102").stop()

    assert bad.heard == ["start", "trade 100"]
    assert [h for h in good.heard if h.startswith("trade")] == ["trade 100", "trade 101", "trade 102"]
    assert core.strategies.paused == ["bad"]
    assert [o.strategy_id for o in core.orders] == ["good"]
    (failure,) = [e for e in core.tape.events if isinstance(e, HandlerFailed)]
    assert (failure.handler, failure.component, failure.error, failure.message) == (
        "bad.on_trade",
        "strategy:bad",
        "ZeroDivisionError",
        "boom",
    )
    assert not core.kernel.halted


def test_a_strategy_that_raised_receives_nothing_more_of_that_cascade() -> None:
    bad = Diary({2: boom})
    core = Core({"bad": bad}, candles=SECOND, signals=("sma-1",)).start().trades("100", "101")

    assert bad.heard == ["start", "trade 100", "trade 101"]  # not the candle that this trade closed
    assert core.types()[-3:] == ["system.handler_failed", "signal.snapshot", "strategy.paused"]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_strategy_that_raised_on_a_fill_does_not_decide_on_that_fill_any_more(reverse: bool) -> None:
    class TwoMinds(Diary):
        def on_order(self, order: DomainEvent) -> None:
            if order.event_type == "order.filled":
                (buy_one if reverse else boom)(self)

        def on_fill(self, fill: Any) -> None:
            (boom if reverse else buy_one)(self)

    core = Core({"mad": TwoMinds({1: buy_one})}, shuffle=list.reverse if reverse else None).start().trades("100")
    before = len(core.of("strategy.decision"))
    core.fill(core.orders[0], "100")

    assert core.strategies.paused == ["mad"]
    assert len(core.of("strategy.decision")) == before


def test_the_open_orders_of_a_paused_strategy_stay_and_are_still_accounted_for() -> None:
    core = Core({"bad": Diary({1: buy_one, 2: boom})}).start().trades("100", "101")
    core.fill(core.orders[0], "100")

    assert core.types()[-4:] == ["position.opened", "balance.updated", "balance.updated", "state.updated"]
    assert core.portfolio.view(BTC).quantity == 1


def test_a_strategy_that_fails_at_its_start_is_paused_from_the_start() -> None:
    class Stillborn(Diary):
        def on_start(self) -> None:
            boom(self)

    stillborn = Stillborn()
    core = Core({"stillborn": stillborn}).start().trades("100")

    assert stillborn.heard == []
    assert core.of("system.handler_failed")[0].payload["handler"] == "stillborn.on_start"


def test_a_strategy_that_failed_receives_nothing_after_an_update_that_changes_what_it_needs() -> None:
    class Eager(Diary):
        quotes: bool = False

        def required_events(self) -> tuple[type[DomainEvent], ...]:
            return (TickEvent,) if self.quotes else ()

        def on_event(self, event: DomainEvent) -> None:
            self.heard.append(event.event_type)

    eager = Eager({1: boom})
    core = Core({"eager": eager}).start().trades("100")
    core.feed(CommandReceived(command="strategy-update", arguments={"strategy_id": "eager", "quotes": "true"}))
    core.trades("101")

    assert eager.quotes
    assert eager.heard == ["start", "trade 100"]
