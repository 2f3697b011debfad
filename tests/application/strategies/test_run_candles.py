"""The helper that runs a strategy over a few closes."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import CandleEvent
from tickdeck.testing import run_candles


class BuyDips(Strategy):
    """Buys for a share of 1,000 when the close falls, sells when it rises."""

    share: Decimal = Decimal("0.5")

    def on_start(self) -> None:
        self.last = Decimal(0)

    def on_candle(self, candle: CandleEvent) -> None:
        held = self.position(candle.symbol).quantity
        if candle.close < self.last and not held:
            self.buy(candle.symbol, 1000 * self.share / candle.close)
        elif candle.close > self.last and held > 0:
            self.sell(candle.symbol, held)
        self.last = candle.close


def test_decisions_at_a_close_are_filled_at_the_next_open() -> None:
    done = run_candles(BuyDips, [100, 90, 95, 95])

    bought = Decimal("5.55555")
    assert [(fill.side, fill.quantity) for fill in done.fills] == [("buy", bought), ("sell", bought)]
    assert [fill.price.quantize(Decimal(1)) for fill in done.fills] == [90, 95]
    assert done.summary.position == {"BTCUSDT": 0}
    assert done.summary.pnl > 0
    assert not done.summary.failures
    assert done.strategy.last == 95


def test_parameters_reach_the_strategy_and_a_decision_at_the_last_close_is_not_filled() -> None:
    done = run_candles(BuyDips, ["100", Decimal(90)], share="0.25")

    assert [intent.quantity for decision in done.decisions for intent in decision.intents] == [Decimal("2.77777")]
    assert done.fills == ()
