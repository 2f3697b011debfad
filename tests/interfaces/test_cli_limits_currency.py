"""The currency of the limits if the symbols are not quoted in dollars."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

BUY = """
from decimal import Decimal
from tickdeck import Strategy

class Buy(Strategy):
    def on_start(self):
        self.done = False

    def on_trade(self, trade):
        if not self.done:
            self.done = True
            self.buy(trade.symbol, Decimal("0.1"))
"""


@pytest.fixture
def trades_of(tmp_path: Path) -> Callable[[str], Path]:
    """A file of trades of a symbol at 1, whose name contains the symbol."""
    (tmp_path / "buy.py").write_text(BUY)

    def write(symbol: str) -> Path:
        path = tmp_path / f"{symbol}-trades.csv"
        rows = (f"{n},1,{100 + len(symbol)},100,{1_723_161_600_000 + n * 100},{n % 2 == 0},True" for n in range(1, 21))
        path.write_text("\n".join(rows) + "\n")
        return path

    return write


def backtest(tickdeck, *words):
    result = tickdeck("backtest", "--strategy", "buy.py:Buy", "--json", *words)
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    risk = json.loads(Path(figures["tape"]).with_name("manifest.json").read_text())["config"]["risk"]
    return result.stderr, figures, risk


@pytest.mark.parametrize(
    ("symbol", "currency", "most"), [("XRPEUR", "EUR", "10000"), ("LTCBTC", "BTC", "0.1"), ("LTCUSDC", "USDT", "10000")]
)
def test_default_limits_are_in_the_only_quote_currency(tickdeck, trades_of, symbol, currency, most):
    said, figures, risk = backtest(tickdeck, "--tape", trades_of(symbol))

    assert (risk["currency"], risk["max_order_notional"]) == (currency, most)
    assert figures["fills"] == 1
    assert (f"the limits are in {currency}, because nothing else is quoted: {most} an order" in said) == (
        currency != "USDT"
    )
    assert "will be refused" not in said


def test_stated_limits_keep_their_currency_and_a_line_gives_advice(tickdeck, trades_of, tmp_path):
    (tmp_path / "run.toml").write_text("[risk]\nmax_order_notional = 500\n")

    words = "--tape", trades_of("XRPEUR"), "--config", "run.toml"
    said, figures, risk = backtest(tickdeck, *words)
    assert (risk["currency"], figures["fills"]) == ("USDT", 0)
    assert (
        "orders in EUR will be refused: the limits are in USDT, and there is no rate between them; give "
        "--limits-currency EUR" in said
    )

    said, figures, risk = backtest(tickdeck, *words, "--limits-currency", "EUR")
    assert (risk["currency"], risk["max_order_notional"], figures["fills"]) == ("EUR", "500", 1)
    assert "refused" not in said


def test_several_quote_currencies_are_not_guessed(tickdeck, trades_of):
    files = "--tape", trades_of("XRPEUR"), "--tape", trades_of("LTCUSDT")
    said, _, risk = backtest(tickdeck, *files)

    assert risk["currency"] == "USDT"
    assert "orders in EUR will be refused" in said
    assert "orders in USDT" not in said


def test_a_price_in_the_run_is_a_rate(tickdeck, trades_of):
    said, _, risk = backtest(tickdeck, "--tape", trades_of("XRPEUR"), "--tape", trades_of("EURUSDT"))

    assert risk["currency"] == "USDT"
    assert "will be refused" not in said
