"""A strategy's life: created, paused, activated, updated, deleted; and commands that cannot be executed."""

from __future__ import annotations

from decimal import Decimal

import pytest
from application_kit import BTC, SECOND, Core, D, instrument, tick, trade

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import (
    CandleEvent,
    CommandReceived,
    NotificationAlert,
    StateLeg,
    StateUpdated,
    StrategyCreated,
    StrategyUpdated,
    SystemWarning,
    TradeEvent,
)
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError


class Counter(Strategy):
    """Counts trades, and buys and fails at a price."""

    size: Decimal = Decimal(1)
    period: int = 2
    names: tuple[str, ...] = ("a", "b")

    def __init__(self, **parameters: object) -> None:
        super().__init__(**parameters)
        self.trades = 0
        self.activations = 0

    def required_signals(self) -> tuple[str, ...]:
        if self.period == 13:
            raise ValueError("unlucky")
        return (f"sma-{self.period}",)

    def on_activated(self) -> None:
        self.activations += 1

    def on_trade(self, trade: TradeEvent) -> None:
        self.trades += 1
        if trade.price == 7:
            self.buy(BTC, self.size, D(7))
        if trade.price == 13:
            raise ValueError("thirteen")


def started() -> tuple[Core, Counter]:
    counter = Counter()
    return Core({"counter": counter}, candles=SECOND).start(), counter


def command(core: Core, name: str, **arguments: str) -> Core:
    arguments = {"strategy_id": "counter"} | arguments
    return core.feed(CommandReceived(command=f"strategy-{name}", arguments=arguments, source="operator"))


def life(core: Core) -> list[str]:
    return [
        e.event_type.removeprefix("strategy.")
        for e in core.tape.events
        if e.event_type.startswith("strategy.") and e.event_type != "strategy.decision"
    ]


def warnings(core: Core) -> list[str]:
    return [e.message for e in core.tape.events if isinstance(e, SystemWarning)]


def test_a_strategy_is_created_and_activated_at_the_start() -> None:
    core, counter = started()

    assert life(core) == ["created", "activated"]
    (created,) = (e for e in core.tape.events if isinstance(e, StrategyCreated))
    assert created.parameters == {"size": "1", "period": "2", "names": '["a","b"]'}
    assert (created.strategy_id, created.strategy_type, created.created_by) == ("counter", "Counter", "configuration")
    assert created.stream == "strategy/counter"
    assert counter.activations == 1


def test_a_paused_strategy_receives_nothing_and_keeps_its_state_and_orders() -> None:
    core, counter = started()
    core.trades("7")
    command(core, "pause").trades("1", "1")
    core.report(core.orders[0], OrderStatus.ACCEPTED)

    assert counter.trades == 1
    assert core.strategies.paused == ["counter"]
    assert core.execution.open_orders("counter") == (core.orders[0].order_id,)

    command(core, "activate").trades("1")
    assert (counter.trades, counter.activations) == (2, 2)
    assert core.strategies.paused == []
    assert life(core) == ["created", "activated", "paused", "activated"]


def test_a_strategy_that_failed_is_paused_with_what_it_failed_on_and_can_be_activated_again() -> None:
    core, counter = started()
    core.trades("13", "1")
    assert (counter.trades, life(core)[2:]) == (1, ["paused"])
    (paused,) = core.of("strategy.paused")
    assert paused.payload["reason"].startswith("counter.on_trade failed on market.trade")

    command(core, "activate").trades("1", "13", "1")
    assert counter.trades == 3
    assert life(core)[3:] == ["activated", "paused"]


def test_an_update_sets_all_parameters_and_reports_the_given_ones() -> None:
    core, counter = started()
    command(core, "update", size="2.5")

    (updated,) = (e for e in core.tape.events if isinstance(e, StrategyUpdated))
    assert updated.parameters == {"size": "2.5"}
    core.trades("7")
    assert core.orders[0].quantity == D("2.5")
    assert counter.size == D("2.5")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"size": "2", "period": "many"}, "parameter period='many'"),
        ({"size": "2", "sise": "3"}, "no parameter 'sise'"),
        ({"size": "2", "period": "3"}, "signal 'sma-3' is not computed in this run"),
        ({"size": "2", "period": "13"}, "ValueError: unlucky"),
    ],
)
def test_an_update_with_one_invalid_parameter_changes_nothing_and_causes_a_warning(
    arguments: dict[str, str], says: str
) -> None:
    core, counter = started()
    command(core, "update", **arguments)

    assert (counter.size, counter.period) == (1, 2)
    assert says in warnings(core)[0]
    assert warnings(core)[0].startswith("strategy-update: ")
    assert "ConfigError" not in warnings(core)[0]
    assert "updated" not in life(core)


def test_a_deleted_strategy_receives_nothing_more_and_its_open_orders_are_cancelled() -> None:
    core, counter = started()
    core.trades("7")
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    command(core, "delete").trades("1")
    core.stop()

    assert counter.trades == 1
    assert [c.order_id for c in core.venue.cancelled] == [core.orders[0].order_id]
    assert life(core)[2:] == ["deleted"]
    assert "counter" not in core.strategies.strategies
    command(core, "activate")
    assert warnings(core) == ["strategy-activate: this run has no strategy 'counter'; it has: none"]


def test_a_paused_strategy_can_be_deleted() -> None:
    core, _ = started()
    command(command(core, "pause"), "delete")
    assert core.strategies.paused == []
    assert life(core)[2:] == ["paused", "deleted"]


@pytest.mark.parametrize(
    ("commands", "says"),
    [
        (["pause", "pause"], "strategy 'counter' is already paused"),
        (["activate"], "strategy 'counter' is not paused"),
    ],
)
def test_a_command_that_changes_nothing_is_reported(commands: list[str], says: str) -> None:
    core, _ = started()
    for name in commands:
        command(core, name)
    assert says in warnings(core)[0]
    assert core.kernel.statistics().failures == 0


@pytest.mark.parametrize("arguments", [{"strategy_id": "other"}, {"strategy_id": ""}])
def test_a_command_for_an_unknown_strategy_causes_a_warning_and_no_error(arguments: dict[str, str]) -> None:
    core, _ = started()
    command(core, "pause", **arguments)
    assert "; it has: counter" in warnings(core)[0]
    assert core.kernel.statistics().failures == 0


def test_a_command_for_another_component_is_ignored() -> None:
    core, _ = started()
    core.feed(CommandReceived(command="water-the-plants"))
    assert warnings(core) == []


# -- its events ---------------------------------------------------------------------------------------------------


class Teller(Strategy):
    def on_trade(self, trade: TradeEvent) -> None:
        leg = StateLeg(symbol=BTC, quantity=D(1), average_price=trade.price)
        self.update_state({"mood": "calm", "n": 3, "size": D("1E+2"), "ready": True}, (leg,))
        self.notify("look here", "warning", ["ops"])  # type: ignore[arg-type]

    def on_candle(self, candle: CandleEvent) -> None:
        self.update_state({"self": self})


def test_a_strategys_state_and_alerts_are_on_the_tape_under_its_name() -> None:
    core = Core({"teller": Teller()}).start().feed(trade("5"))

    (state,) = (e for e in core.tape.events if isinstance(e, StateUpdated))
    assert (state.owner, state.kind, state.stream) == ("teller", "strategy", "state/strategy/teller")
    assert state.values == {"mood": "calm", "n": "3", "size": "100", "ready": "True"}
    assert state.legs == (StateLeg(symbol=BTC, quantity=D(1), average_price=D(5)),)
    (alert,) = (e for e in core.tape.events if isinstance(e, NotificationAlert))
    assert (alert.text, alert.severity, alert.recipients, alert.source) == ("look here", "warning", ("ops",), "teller")


def test_a_state_that_would_differ_from_run_to_run_is_refused() -> None:
    core = Core({"teller": Teller()}, candles=SECOND).start().trades("5", "6", step=2 * SECOND)
    (failed,) = core.of("system.handler_failed")
    assert "give text, a number or a boolean" in failed.payload["message"]


def test_the_portfolio_publishes_its_state_after_each_fill() -> None:
    core, _ = started()
    core.trades("7").fill(core.orders[0], "7", "0.5", fee="0.1").trades("9")
    core.fill(core.orders[0], "7", "0.5")

    first, second = (e for e in core.tape.events if isinstance(e, StateUpdated))
    assert (first.owner, first.kind) == ("main", "portfolio")
    assert {name: D(value) for name, value in first.values.items()} == {
        "cash": D("99996.4"),
        "equity": D("99999.9"),
        "realized_pnl": 0,
        "unrealized_pnl": 0,
        "fees": D("0.1"),
    }
    assert D(second.values["unrealized_pnl"]) == 2
    assert [(leg.symbol, leg.quantity) for leg in second.legs] == [(BTC, 1)]


@pytest.mark.parametrize("value", [1.5, "1", Decimal("NaN"), None])
def test_a_leg_without_an_exact_quantity_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="state leg: quantity is "):
        StateLeg(symbol=BTC, quantity=value)  # type: ignore[arg-type]


def test_alerts_and_states_of_kinds_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="severity is 'loud'; it must be 'info' or 'warning' or 'critical'"):
        NotificationAlert(text="x", severity="loud")
    with pytest.raises(ValueError, match="kind is 'mood'"):
        StateUpdated(owner="x", kind="mood")


def test_best_prices_are_known_to_a_strategy() -> None:
    core, counter = started()
    assert (counter.best_bid(BTC), counter.best_ask(BTC)) == (None, None)
    core.feed(tick("9", "11"))
    assert (counter.best_bid(BTC), counter.best_ask(BTC)) == ((9, 1), (11, 1))
    with pytest.raises(ConfigError, match="is not running"):
        Counter().best_bid(BTC)


def test_a_decisions_quantity_is_on_the_instruments_grid_and_one_below_a_step_is_refused() -> None:
    class Part(Strategy):
        def on_trade(self, trade: TradeEvent) -> None:
            self.buy(BTC, D(1000) / 3 / trade.price)

    core = Core({"part": Part()}).start()
    core.feed(trade("7"))
    core.feed(trade("70000000000000"))

    first, second = (intent.quantity for decision in core.of("strategy.decision") for intent in decision.intents)
    assert first == instrument(BTC).quantise_quantity(D(1000) / 21)
    assert len(first.as_tuple().digits) < 10
    assert instrument(BTC).quantise_quantity(second) == 0
    assert [breach.limit for breach in core.of("risk.limit_breached")][-1] == "instrument"
