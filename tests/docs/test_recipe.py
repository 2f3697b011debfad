"""The strategies in docs/strategies.md and docs/coming-from.md do what the pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from application_kit import BTC, Core

from tickdeck.domain.values import Side
from tickdeck.testing import run_candles

DOCS = Path(__file__).parents[2] / "docs"


def code_of(page: str, name: str, language: str = "python") -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text("utf-8"), re.S)
    return next(code for code in blocks if name in code)


def run_code(code: str, module: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = ModuleType(module)
    monkeypatch.setitem(sys.modules, module, made)  # its annotations are looked up there
    exec(compile(code, module, "exec"), vars(made))
    return made


@pytest.fixture
def rsi_stop(monkeypatch: pytest.MonkeyPatch) -> Any:
    return run_code(code_of("strategies.md", "class RsiStop"), "recipe", monkeypatch).RsiStop


def test_the_recipe_buys_a_share_of_the_equity_after_the_warm_up_and_sells_when_the_rsi_is_high(rsi_stop: Any) -> None:
    done = run_candles(rsi_stop, [1000, 998, 996, 994, 998, 1002, 1006], period=3)

    assert [decision.reason[:3] for decision in done.decisions] == ["rsi", "rsi"]
    assert done.fills[0].quantity == Decimal("5.03018")  # 5,000 / 994: the fourth close is the first with an RSI
    assert not done.summary.failures
    assert not done.summary.refused


def test_the_recipe_sells_at_the_stop(rsi_stop: Any) -> None:
    done = run_candles(rsi_stop, [1000, 998, 996, 994, 992, 900, 890], period=3)

    assert [decision.reason for decision in done.decisions][1] == "stop"


def test_the_ladder_sells_what_is_left_after_a_fee_in_the_coins_that_it_bought(monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = run_code(code_of("strategies.md", "class Ladder"), "ladder", monkeypatch).Ladder
    core = Core({"ladder": ladder(quantity="10")}).start().trades(*["100"] * 7)
    bid = core.orders[-1]

    core.fill(bid, "100", "4", fee="0.004", fee_currency="BTC").fill(bid, "100", "6", fee="0.006", fee_currency="BTC")

    sold = [order.quantity for order in core.orders if order.side is Side.SELL]
    assert sold == [Decimal("3.996"), Decimal("5.994")]
    assert core.portfolio.view(BTC).quantity == sum(sold)


def test_the_strategy_for_newcomers_trades_and_its_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    sma_cross = run_code(code_of("coming-from.md", "class SmaCross"), "sma_cross", monkeypatch).SmaCross
    run_code(code_of("coming-from.md", "run_candles", "py"), "test_sma_cross", monkeypatch).test_it_buys_after_a_rise()

    done = run_candles(sma_cross, [100, 99, 98, 97, 98, 101, 105, 104, 96, 90, 89], fast=2, slow=3, share="0.05")
    assert [fill.side for fill in done.fills] == ["buy", "sell"]
    assert done.fills[0].quantity == Decimal("49.50495")  # a twentieth of 100,000 at 101
    assert not done.summary.position["BTCUSDT"]


def test_strategies_can_be_tested_without_pytest(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from tickdeck import Strategy\n"
        "from tickdeck.testing import run_candles\n"
        "print(run_candles(Strategy, [1, 2, 3]).summary.ticks)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert done.stdout == "3\n"
