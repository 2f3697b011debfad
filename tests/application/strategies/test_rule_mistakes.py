"""What the strategy without code refuses before a run."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC

from tickdeck.application.strategies import Rules
from tickdeck.errors import ConfigError


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"quantity": "1"}, "enter is missing; give the condition for an entry"),
        ({"enter": "price > ", "quantity": "1"}, "enter: condition 'price > ', column 9: the condition ends"),
        ({"enter": "price > 1"}, "the size of an entry is one of quantity, share and risk; give one of them, above 0"),
        ({"enter": "price > 1", "quantity": "0"}, "quantity, share and risk; give one of them, above 0"),
        ({"enter": "price > 1", "quantity": "1", "share": "5%"}, "quantity and share is given"),
        ({"enter": "price > 1", "quantity": "-1"}, "quantity is -1; give a number above 0"),
        ({"enter": "price > 1", "quantity": "1", "side": "long"}, "side is 'long'; give 'buy' or 'sell'"),
        ({"enter": "price > 1", "quantity": "1", "cooldown": "10"}, "cooldown: '10' is not a duration"),
        ({"enter": "price > 1", "quantity": "1", "trades_a_day": -1}, "trades_a_day is -1"),
        ({"enter": "price > 1", "quantity": "1", "stop_loss": "x"}, "stop_loss is 'x'; give a number above 0"),
        ({"enter": "price > 1", "quantity": "1", "trailing": "-1%"}, "trailing is '-1%'; give a"),
        ({"enter": "price > 1", "quantity": "1", "stop_loss": "9", "take_profit": "8"}, "the stop must be below the"),
        (
            {"enter": "price > 1", "risk": "1%"},
            "risk is the share of the equity that the stop may lose; give stop_loss",
        ),
    ],
)
def test_a_mistake_is_told_before_the_run(parameters: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match="strategy Rules: ") as caught:
        Rules(**parameters)

    assert told in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        Rules(enter="rsy(1) > 1", exit="price", cooldown="x")

    assert len(caught.value.mistakes) == 4


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"quantity": "nan", "enter": "time >= 25:00 UTC", "trades_a_day": -1}, ["quantity", "enter", "trades_a_day"]),
        ({"quantity": "1", "enter": "price > 1", "stop_loss": "0%", "take_profit": "-3%"}, ["stop_loss", "take_pro"]),
        ({"quantity": "1", "enter": "price > 1", "stop_loss": "-5", "trailing": "101%"}, ["stop_loss", "trailing"]),
        (
            {"quantity": "1", "enter": "price > 1", "stop_loss": "2 atr", "trailing": "atr(1) 2", "offset": "x"},
            ["stop_loss: condition 'atr > 0'", "trailing is", "offset belongs", "offset is 'x'"],
        ),
        ({"quantity": "1", "enter": "price > 1", "stop_loss": "2 atr(14) > 3", "order": "x"}, ["stop_loss", "order"]),
        (
            {"quantity": "1", "enter": "price > 1", "order": "limit", "offset": "100%", "expiry": "0s", "role": "x"},
            ["role", "expiry: '0s' is too short", "offset is"],
        ),
        ({"quantity": "x", "enter": 5, "cooldown": "y", "qty": "1"}, ["quantity", "enter", "qty", "cooldown"]),
    ],
)
def test_a_mistake_hides_no_other_and_causes_no_other(parameters: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Rules(**parameters)

    assert len(caught.value.mistakes) == len(told)
    assert all(name in mistake for name, mistake in zip(told, caught.value.mistakes, strict=True))
    assert "decimal.Decimal" not in str(caught.value)


def test_all_symbols_and_strategies_that_the_run_does_not_have_are_told() -> None:
    rules = Rules(symbol="X", enter="price(Y) > 1 and pnl(dop) > 0", exit="price(Y) < 1", quantity="1")

    with pytest.raises(ConfigError) as caught:
        rules.check_names([BTC], ["dip"])

    assert [mistake[:8] for mistake in caught.value.mistakes] == ["'X' is n", "'Y' is n", "pnl(dop)"]


def test_a_symbol_that_the_run_does_not_have_is_refused() -> None:
    rules = Rules(enter="price(ETHUSDTT) > 1", quantity="1")

    with pytest.raises(ConfigError, match="'ETHUSDTT' is not a symbol of this run; did you mean 'ETHUSDT'"):
        rules.check_names([BTC, "ETHUSDT"], ["dip"])


def test_a_strategy_that_the_run_does_not_have_is_refused() -> None:
    rules = Rules(enter="pnl_pct(strategy) > -2 and pnl(dop) > 0", quantity="1")

    with pytest.raises(ConfigError, match=r"pnl\(dop\): this run has no strategy 'dop'; it has: dip"):
        rules.check_names([BTC], ["dip"])


def test_amounts_are_decimals() -> None:
    assert Rules(enter="price > 1", share="5%").share == Decimal("0.05")


@pytest.mark.parametrize("role", ["boss", "Exit", ""])
def test_an_unknown_role_is_told_with_those_there_are(role: str) -> None:
    with pytest.raises(ConfigError, match=f"parameter role={role!r}: give entry or exit or management"):
        Rules(enter="price > 1", quantity="0.01", role=role)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"enter": "1 > 0"}, "enter: condition '1 > 0', column 1: nothing in 1 > 0 ever changes"),
        ({"exit": "rsi(14) > 200"}, "exit: condition 'rsi(14) > 200', column 1: rsi(14) > 200 never holds"),
        ({"stop_loss": "58000"}, "stop_loss is the amount 58000, and the strategy trades 2 symbols; give a percentage"),
    ],
)
def test_what_cannot_mean_what_it_says_is_refused(given: dict[str, str], told: str) -> None:
    rules = Rules(**{"enter": "price > 1", "quantity": "1"} | given)

    with pytest.raises(ConfigError, match=re.escape(told)):
        rules.check_meaning((BTC, "ETHUSDT"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2 ATR(14,1h)", "names are written in small letters: 2 atr(14,1h)"),
        (
            "2 rsi(14, 1h)",
            "write a multiple of an average true range as 2 atr(14, 1h), or give a percentage such as 2%",
        ),
        ("two", "write a multiple of an average true range as 2 atr(14, 1h), or give a percentage such as 2%"),
    ],
)
def test_a_distance_with_a_name_is_told_how_a_range_is_written(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"stop_loss is {text!r}; {told}")):
        Rules(enter="price > 1", quantity="1", stop_loss=text)
