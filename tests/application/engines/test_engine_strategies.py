"""The strategy engine: what a strategy receives, orders and knows, and its timers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from application_kit import BTC, MS, SECOND, START, Core, D, MemoryTape, instrument, tick, trade
from diary_kit import Diary, buy_one

from tickdeck.application.engines.strategies import strategy_ids
from tickdeck.application.strategies import PositionView, Strategy
from tickdeck.domain.events import (
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderSubmittedEvent,
    StrategyDecisionEvent,
    TimerFired,
)
from tickdeck.domain.values import OrderStatus, OrderType, Side, TimeInForce
from tickdeck.errors import ConfigError


def test_a_strategy_receives_the_market_its_orders_positions_timers_start_and_end() -> None:
    diary = Diary({2: lambda s: (buy_one(s), s.set_timer("later", SECOND))})
    other = Diary({2: buy_one})
    core = Core({"diary": diary, "other": other}, candles=SECOND, signals=("sma-1",)).start()
    core.feed(
        tick("99", "101"),
        OrderBookEvent(symbol=BTC, last_update_id=1, bids=(), asks=(), ts_ingress=START),
        OrderBookDeltaEvent(symbol=BTC, first_update_id=2, last_update_id=2, ts_ingress=START),
        trade("100"),
        trade("101", ts=START + SECOND),
    )
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    core.fill(core.orders[0], "101", "0.4")
    core.feed(trade("103", ts=START + 2 * SECOND)).stop()

    assert diary.heard[:6] == ["start", "tick", "book market.book", "book market.book_delta", "trade 100", "trade 101"]
    assert diary.heard[6:] == [
        "candle",
        "signal",
        "order.submitted",
        "order.accepted",
        "order.partially_filled",
        "fill 0.4 at 101",
        "position.opened",
        "timer later",
        "trade 103",
        "candle",
        "signal",
        "stop",
    ]
    assert [h for h in other.heard if h.startswith(("order", "fill"))] == ["order.submitted"]
    assert "timer later" not in other.heard
    assert other.heard.count("position.opened") == 1  # positions are the account's


def test_the_last_fill_ends_the_order_for_its_strategy() -> None:
    diary = Diary({1: buy_one})
    core = Core({"diary": diary}).start().trades("100")
    core.fill(core.orders[0], "100", "0.4").fill(core.orders[0], "102", "0.6")

    assert diary.heard[2:] == [
        "order.submitted",
        "order.partially_filled",
        "fill 0.4 at 100",
        "position.opened",
        "order.filled",
        "fill 0.6 at 102",
        "position.updated",
    ]


def test_only_what_a_strategy_overrides_is_called() -> None:
    class Quiet(Strategy):
        def on_timer(self, timer: TimerFired) -> None:
            """Wait."""

    core = Core({"quiet": Quiet()})
    assert [s.name for s in core.kernel.statistics().handlers if s.component == "strategy:quiet"] == ["quiet.on_timer"]


# -- orders -----------------------------------------------------------------------------------------------------


def test_buy_and_sell_become_orders_with_all_their_arguments() -> None:
    diary = Diary(
        {
            1: lambda s: s.buy(BTC, D(1), reason="cheap"),
            2: lambda s: s.sell(BTC, D(2), D("99.5"), time_in_force=TimeInForce.POST_ONLY),
        }
    )
    core = Core({"diary": diary}).start().trades("100", "100")

    first, second = core.orders
    assert (first.side, first.quantity, first.limit, first.order_type) == (Side.BUY, 1, None, OrderType.MARKET)
    assert (second.side, second.quantity, second.limit) == (Side.SELL, 2, D("99.5"))
    assert second.time_in_force is TimeInForce.POST_ONLY
    assert {o.strategy_id for o in core.orders} == {"diary"}
    decisions = [e for e in core.tape.events if isinstance(e, StrategyDecisionEvent)]
    assert [(d.reason, d.source, d.strategy_id) for d in decisions] == [
        ("cheap", "diary", "diary"),
        ("", "diary", "diary"),
    ]


def test_buy_returns_the_id_of_the_order() -> None:
    diary = Diary({1: lambda s: [buy_one(s), s.sell(BTC, D(1)), buy_one(s)]})
    core = Core({"other": Diary({1: buy_one}), "diary": diary}, candles=SECOND, signals=("vwap-1",)).start()
    core.trades("100")

    (returned,) = diary.results
    assert isinstance(returned, list)
    assert [o.order_id for o in core.orders if o.strategy_id == "diary"] == returned
    assert len({o.order_id for o in core.orders}) == 4


def test_order_ids_are_the_same_in_every_run_and_differ_between_runs_with_another_nonce() -> None:
    def ids() -> list[str]:
        return [o.order_id for o in Core({"d": Diary({1: buy_one, 2: buy_one})}).start().trades("1", "1").orders]

    assert ids() == ids()
    assert all(len(i) == 30 and i.isalnum() for i in ids())


def test_a_strategy_cancels_its_own_orders_and_sees_which_are_open() -> None:
    open_orders: list[tuple[str, ...]] = []

    def look(s: Strategy) -> None:
        open_orders.append(s.open_orders())
        s.cancel(s.open_orders(BTC)[0], reason="too late")

    core = Core({"diary": Diary({1: lambda s: s.buy(BTC, D(1), D(90)), 2: look})}).start().trades("100", "100")

    order = core.orders[0]
    assert open_orders == [(order.order_id,)]
    assert [c.order_id for c in core.venue.cancelled] == [order.order_id]
    core.report(order, OrderStatus.CANCELLED)
    assert core.execution.open_orders("diary") == ()


@pytest.mark.parametrize("quantity", [0.1, "1", D(0), D(-1), D("NaN"), None])
def test_an_invalid_quantity_pauses_the_strategy_with_a_clear_error(quantity: Any) -> None:
    core = Core({"diary": Diary({1: lambda s: s.buy(BTC, quantity)})}).start().trades("100")

    (failure,) = core.of("system.handler_failed")
    assert failure.payload["handler"] == "diary.on_trade"
    assert failure.payload["error"] in ("EventValidationError", "ConfigError")
    assert core.orders == []


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda s: s.buy(None, D(1)), "symbol is None; give text"),
        (lambda s: s.buy(BTC, D(1), reason=7), "reason is 7; it must be a str"),
        (lambda s: s.buy(BTC, D(1), time_in_force="never"), "'never' is not a valid TimeInForce"),
        (lambda s: s.buy(BTC, D(1), limit="100"), "limit is '100'"),
        (lambda s: s.cancel(7), "order_id is 7; give text"),
        (lambda s: s.cancel(""), "cancel intents with an order_id"),
        (lambda s: s.set_timer(7, SECOND), "name is 7; it must be a str"),
    ],
)
def test_a_strategys_mistake_pauses_it_and_never_reaches_risk(mistake: Callable[[Any], object], message: str) -> None:
    core = Core({"diary": Diary({1: mistake})}).start().trades("100")

    (failure,) = core.of("system.handler_failed")
    assert failure.payload["handler"] == "diary.on_trade"
    assert message in failure.payload["message"]
    assert not core.kernel.halted


def test_a_time_in_force_may_be_given_by_its_name() -> None:
    core = Core({"diary": Diary({1: lambda s: s.buy(BTC, D(1), time_in_force="ioc")})}).start().trades("100")
    assert core.orders[0].time_in_force is TimeInForce.IOC


# -- state ------------------------------------------------------------------------------------------------------


def test_a_strategy_knows_time_prices_positions_signals_and_symbols() -> None:
    class Knowing(Diary):
        def required_signals(self) -> tuple[str, ...]:
            return ("vwap-1",)

    def know(s: Strategy) -> tuple[object, ...]:
        return s.clock.now(), s.price(BTC), s.signal("vwap-1", BTC), s.symbols, s.position(BTC)

    diary = Knowing({1: buy_one, 2: know})
    core = Core({"diary": diary}).start().trades("100")
    core.fill(core.orders[0], "100").trades("110")

    assert diary.results[1] == (
        START + 2 * SECOND,
        110,
        110.0,
        (BTC,),
        PositionView(BTC, D(1), D(100), D(0), D(10), D(110), instrument(BTC)),
    )


@pytest.mark.parametrize("call", ["position", "price", "best_bid", "best_ask", "open_orders", "signal"])
@pytest.mark.parametrize(
    ("symbol", "why"),
    [
        ("btcusdt", "'btcusdt' is not a symbol of this run; did you mean 'BTCUSDT'?"),
        ("BTCUSD", "'BTCUSD' is not a symbol of this run; did you mean 'BTCUSDT'?"),
        ("", "'' is not a symbol of this run; its symbols are BTCUSDT"),
        (5, "symbol is 5; give text"),
    ],
)
def test_a_misspelled_symbol_does_not_look_like_one_without_a_position(call: str, symbol: Any, why: str) -> None:
    arguments = ("vwap-1", symbol) if call == "signal" else (symbol,)
    core = Core({"diary": Diary({1: lambda s: getattr(s, call)(*arguments)})}).start().trades("100")
    assert why in core.of("system.handler_failed")[0].payload["message"]


def test_a_fill_finds_the_position_that_it_made() -> None:
    class Looking(Diary):
        def on_fill(self, fill: Any) -> None:
            self.results.append(self.position(BTC).quantity)

    looking = Looking({1: buy_one})
    core = Core({"looking": looking}).start().trades("100")
    core.fill(core.orders[0], "100", "0.3").fill(core.orders[0], "100", "0.7")

    assert looking.results[1:] == [D("0.3"), 1]


def test_a_signal_that_was_not_required_is_an_error_that_says_how() -> None:
    core = Core({"diary": Diary({1: lambda s: s.signal("ema-5", BTC)})}).start().trades("100")
    assert "name it in the strategy's required_signals()" in core.of("system.handler_failed")[0].payload["message"]


def test_random_numbers_are_seeded_by_the_run_and_the_strategys_id() -> None:
    def drawn(seed: int, name: str) -> object:
        diary = Diary({1: lambda s: s.rng.random()})
        Core({name: diary}, seed=seed).start().trades("1")
        return diary.results[0]

    assert drawn(1, "a") == drawn(1, "a")
    assert len({drawn(1, "a"), drawn(2, "a"), drawn(1, "b")}) == 3


# -- timers -----------------------------------------------------------------------------------------------------


def test_timers_fire_on_time_before_the_market_and_can_be_cancelled() -> None:
    def set_timers(s: Strategy) -> None:
        s.set_timer("second", 20 * MS)
        s.set_timer("first", 10 * MS)
        s.cancel_timer(s.set_timer("never", 15 * MS))
        s.set_timer("at once", -5)

    diary = Diary({1: set_timers})
    core = Core({"diary": diary}).start()
    core.feed(trade("100"), trade("101", ts=START + 20 * MS))

    assert diary.heard == ["start", "trade 100", "timer at once", "timer first", "timer second", "trade 101"]
    fired = [e for e in core.tape.events if isinstance(e, TimerFired)]
    assert [(e.owner, e.due - START, e.is_input) for e in fired] == [
        ("diary", 0, True),
        ("diary", 10 * MS, True),
        ("diary", 20 * MS, True),
    ]
    trade_id = core.of("market.trade")[0].event_id
    assert {e.causation_id for e in fired} == {trade_id}


def test_a_timer_with_a_fraction_of_a_nanosecond_is_refused() -> None:
    core = Core({"diary": Diary({1: lambda s: s.set_timer("x", 1e9)})}).start().trades("100")  # type: ignore[arg-type]
    assert (
        "set_timer: delay is 1000000000.0; give a whole number"
        in core.of("system.handler_failed")[0].payload["message"]
    )


# -- ids --------------------------------------------------------------------------------------------------------


def test_two_strategies_of_one_class_are_distinguished() -> None:
    core = Core({"diary": Diary({1: buy_one}), "diary-2": Diary({1: buy_one})}).start().trades("100")
    first, second = core.orders
    core.fill(second, "100")

    assert (first.strategy_id, second.strategy_id) == ("diary", "diary-2")
    assert first.order_id != second.order_id
    assert core.execution.open_orders("diary") == (first.order_id,)
    one, two = core.strategies.strategies.values()
    assert isinstance(one, Diary)
    assert isinstance(two, Diary)
    assert not [h for h in one.heard if h.startswith("fill")]
    assert [h for h in two.heard if h.startswith("fill")] == ["fill 1.000 at 100"]


def test_an_id_that_is_taken_is_refused() -> None:
    core = Core({"diary": Diary()})
    with pytest.raises(ConfigError, match="two strategies are called 'diary'; rename one of them"):
        core.strategies.add("diary", Diary())


def test_repeated_names_are_numbered() -> None:
    assert strategy_ids(["a", "b", "a", "a"]) == ["a", "b", "a-2", "a-3"]


def test_the_same_inputs_lead_to_the_same_bytes() -> None:
    def run() -> list[bytes]:
        tape = MemoryTape()
        core = Core({"d": Diary({1: buy_one, 3: lambda s: s.sell(BTC, D(1))})}, candles=SECOND, tape=tape).start()
        core.trades("100", "101", "102", "103")
        for order in list(core.orders):
            core.fill(order, "100")
        return [event.to_json() for event in tape.events]

    assert run() == run()
    assert sum(b'"order.filled"' in line for line in run()) == 2


def test_an_order_reaches_the_venue_after_the_strategies_have_finished() -> None:
    seen: list[int] = []
    core = Core({"a": Diary({1: buy_one}), "b": Diary({1: lambda s: seen.append(len(core.orders))})})
    core.start().trades("100")

    assert seen == [0]
    assert isinstance(core.orders[0], OrderSubmittedEvent)


def test_the_equity_is_cash_and_positions_at_the_newest_price() -> None:
    diary = Diary({1: buy_one, 2: lambda s: s.equity(), 3: lambda s: s.equity() / 3})
    core = Core({"diary": diary}).start().trades("100")
    (order,) = [event for event in core.tape.events if isinstance(event, OrderSubmittedEvent)]
    core.fill(order, "100", fee="2").trades("110", "90")

    assert diary.results[1] == 100_008
    assert diary.results[2] == D(99_988) / 3
