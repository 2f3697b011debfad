"""The recipe in docs/strategies.md does what it says."""

from __future__ import annotations

import re
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tickdeck.testing import run_candles

PAGE = Path(__file__).parents[2] / "docs" / "strategies.md"


@pytest.fixture
def rsi_stop(monkeypatch: pytest.MonkeyPatch) -> Any:
    code = next(code for code in re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.S) if "RsiStop" in code)
    module = ModuleType("recipe")
    monkeypatch.setitem(sys.modules, "recipe", module)  # its annotations are looked up there
    exec(compile(code, str(PAGE), "exec"), vars(module))
    return module.RsiStop


def test_the_recipe_buys_a_share_of_its_capital_after_the_warm_up_and_sells_when_the_rsi_is_high(rsi_stop: Any) -> None:
    done = run_candles(rsi_stop, [1000, 998, 996, 994, 998, 1002, 1006], period=3)

    assert [decision.reason[:3] for decision in done.decisions] == ["rsi", "rsi"]
    assert done.fills[0].quantity == Decimal("1.00603")  # 1000 / 994: the fourth close is the first with an RSI
    assert not done.summary.failures
    assert not done.summary.refused


def test_the_recipe_sells_at_the_stop(rsi_stop: Any) -> None:
    done = run_candles(rsi_stop, [1000, 998, 996, 994, 992, 900, 890], period=3)

    assert [decision.reason for decision in done.decisions][1] == "stop"
