"""Sample strategy: buy after a fast fall and sell after the recovery, with limit orders."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.strategies.inventory import own_position
from tickdeck.application.strategies.strategy import Strategy
from tickdeck.domain.events import CandleEvent
from tickdeck.errors import ConfigError

__all__ = ["RsiReversion"]


class RsiReversion(Strategy):
    """Buys ``quantity`` (base) at the last close when the RSI over ``period`` candles is below ``low``, and sells it
    at the last close when the RSI is above ``high``. Cancels an order that is not filled within ``patience``
    candles. Never sells coins that it did not buy."""

    period: int = 14
    low: float = 30.0
    high: float = 70.0
    quantity: Decimal = Decimal("0.01")
    patience: int = 5

    def check_parameters(self) -> None:
        for name in ("period", "quantity", "patience"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; give a number above 0")
        if not 0 <= self.low < self.high <= 100:
            raise ConfigError(f"low is {self.low} and high is {self.high}; give low below high, both from 0 to 100")

    def required_signals(self) -> tuple[str, ...]:
        return (f"rsi-{self.period}",)

    def on_start(self) -> None:
        self._waited: dict[str, int] = {}

    def on_candle(self, candle: CandleEvent) -> None:
        symbol = candle.symbol
        working = self.open_orders(symbol)
        if working:
            self._waited[symbol] = waited = self._waited.get(symbol, 0) + 1
            if waited == self.patience:
                self.cancel(working[0], reason=f"not filled within {waited} candles")
            return
        self._waited[symbol] = 0
        rsi = self.signal(f"rsi-{self.period}", symbol)
        if rsi is None:
            return
        position = own_position(self.position(symbol), self.desk.owned(symbol))
        if rsi < self.low and position.is_flat:
            self.buy(symbol, self.quantity, limit=candle.close, reason=f"rsi {rsi:.2f} below {self.low}")
        elif rsi > self.high and position.quantity > 0 and not position.is_flat:
            self.sell(symbol, position.quantity, limit=candle.close, reason=f"rsi {rsi:.2f} above {self.high}")
