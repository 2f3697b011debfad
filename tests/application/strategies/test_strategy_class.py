"""The class that users subclass: parameters, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

import pytest
from application_kit import BTC

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import TradeEvent
from tickdeck.errors import ConfigError, TopicWarning


class Sample(Strategy):
    family: ClassVar[str] = "samples"
    period: int = 12
    threshold: float = 0.5
    quantity: Decimal = Decimal("0.01")
    loud: bool = False
    symbols_wanted: list[str] = []
    seen: int  # state, which on_start sets
    _hidden: int = 3


class Child(Sample):
    extra: str = "x"


def test_parameters_are_the_public_annotated_names_with_a_default() -> None:
    assert Sample().parameters() == {
        "period": 12,
        "threshold": 0.5,
        "quantity": Decimal("0.01"),
        "loud": False,
        "symbols_wanted": [],
    }
    assert set(Child().parameters()) == {*Sample().parameters(), "extra"}
    assert Strategy().parameters() == {}


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("period", "7", 7),
        ("threshold", "0.25", 0.25),
        ("threshold", 1, 1.0),
        ("threshold", Decimal("1.5"), 1.5),
        ("quantity", "0.5", Decimal("0.5")),
        ("quantity", 2, Decimal(2)),
        ("loud", "true", True),
        ("symbols_wanted", ["a"], ["a"]),
    ],
)
def test_parameters_are_read_from_text_too(name: str, given: Any, value: Any) -> None:
    strategy = Sample(**{name: given})
    assert getattr(strategy, name) == value
    assert type(getattr(strategy, name)) is type(value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"perod": 7}, "has no parameter 'perod'; it has: loud, period, quantity, symbols_wanted, threshold"),
        ({"seen": 7}, "has no parameter 'seen'"),
        ({"_hidden": 7}, "has no parameter '_hidden'"),
        ({"family": "x"}, "has no parameter 'family'"),
        ({"period": "many"}, "parameter period='many': give a whole number"),
        ({"period": 1.5}, "parameter period=1.5: give a whole number"),
        ({"quantity": 0.1}, "a float is not exact"),
        ({"quantity": "NaN"}, "give a finite number"),
        ({"loud": "perhaps"}, "parameter loud='perhaps'"),
    ],
)
def test_a_wrong_parameter_is_refused_in_one_line(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Sample(**parameters)
    assert str(caught.value).startswith("strategy Sample")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_strategy_without_parameters_says_so() -> None:
    with pytest.raises(ConfigError, match="it has: none"):
        Strategy(period=1)


def test_a_default_that_can_be_changed_is_not_shared() -> None:
    one, other = Sample(), Sample()
    one.symbols_wanted.append(BTC)

    assert other.symbols_wanted == []
    assert Sample.symbols_wanted == []


def test_async_methods_are_refused_when_the_class_is_made() -> None:
    with pytest.raises(
        ConfigError, match="strategy Async: on_trade is async; a strategy's methods are plain functions"
    ):

        class Async(Strategy):
            async def on_trade(self, trade: object) -> None:  # type: ignore[override]
                """Never called."""

    with pytest.raises(ConfigError, match="on_timer is async"):

        class AsyncGenerator(Strategy):
            async def on_timer(self, timer: object) -> Any:
                yield timer


def test_an_invalid_annotation_is_reported() -> None:
    with pytest.raises(ConfigError, match="strategy Typo: name 'Decimall' is not defined"):

        class Typo(Strategy):
            quantity: Decimall = Decimal(1)  # type: ignore[name-defined]  # noqa: F821


def test_a_strategy_that_does_not_run_says_so() -> None:
    class Own(Strategy):
        def __init__(self) -> None:
            """Does not call the base class."""

    for strategy in (Sample(), Own()):
        with pytest.raises(ConfigError, match="is not running; only a run gives it a market, a clock and orders"):
            strategy.buy(BTC, Decimal(1))


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        (
            "buy",
            {"stop_loss": 95.0},
            r'stop_loss is 95.0.*; give a decimal.Decimal above 0, or a percentage such as "2%"',
        ),
        ("buy", {"trailing": "2"}, "trailing is '2'; give a decimal.Decimal above 0, or a percentage"),
        ("buy", {"take_profit": "-2%"}, "take_profit is '-2%'; give a number above 0, or a percentage"),
        (
            "buy",
            {"stop_loss": Decimal(2), "take_profit": Decimal(1)},
            "buy: stop_loss is 2 and take_profit 1",
        ),
        ("sell", {"stop_loss": Decimal(1), "take_profit": Decimal(2)}, "sell: stop_loss is 1 and .* above the target"),
        ("buy", {"limit": Decimal(1), "stop_loss": Decimal(1)}, "it must be below the limit of the order, 1"),
        ("buy", {"trailing": "100%"}, "buy: trailing is 100%; give less than 100%"),
    ],
)
def test_a_stop_or_a_target_that_cannot_be_is_refused(method: str, given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        getattr(Sample(), method)(BTC, Decimal(1), **given)


def test_what_is_not_overridden_does_nothing() -> None:
    strategy, nothing = Strategy(), object()
    assert strategy.required_signals() == ()
    strategy.on_start()
    strategy.on_stop()
    for name in ("trade", "tick", "book", "candle", "signal", "order", "fill", "position", "timer"):
        getattr(strategy, f"on_{name}")(nothing)


def test_a_method_with_a_yield_is_refused_and_a_misspelled_one_gives_a_warning() -> None:
    with pytest.raises(ConfigError, match="strategy Lazy: on_trade contains a yield"):

        class Lazy(Strategy):
            def on_trade(self, trade: TradeEvent) -> Any:
                yield

    with pytest.warns(TopicWarning, match=r"strategy Deaf: nothing calls on_trades; did you mean on_trade\?") as warned:

        class Deaf(Strategy):
            def on_trades(self, trade: TradeEvent) -> None: ...

    assert warned[0].filename == __file__


def test_a_helper_beside_the_method_it_helps_gives_no_warning() -> None:
    class Good(Strategy):
        def on_trade(self, trade: TradeEvent) -> None: ...

        def on_trades(self, trades: list[TradeEvent]) -> None: ...

        def on_entry(self) -> None: ...
