"""Sample strategy: follow the trend when a fast average crosses a slow one."""

from __future__ import annotations

from decimal import Decimal

from tickdeck.application.strategies.inventory import own_position
from tickdeck.application.strategies.strategy import Strategy
from tickdeck.domain.events import CandleEvent
from tickdeck.errors import ConfigError

__all__ = ["EmaCross"]


class EmaCross(Strategy):
    """Holds ``quantity`` (base) while the EMA over ``fast`` candles is above the EMA over ``slow`` candles,
    otherwise nothing. Uses market orders. Never sells coins that it did not buy."""

    fast: int = 12
    slow: int = 26
    quantity: Decimal = Decimal("0.01")

    def check_parameters(self) -> None:
        if not 0 < self.fast < self.slow:
            raise ConfigError(f"fast is {self.fast} and slow is {self.slow}; fast must be above 0 and below slow")
        if self.quantity <= 0:
            raise ConfigError(f"quantity is {self.quantity}; give an amount above 0")

    def required_signals(self) -> tuple[str, ...]:
        return f"ema-{self.fast}", f"ema-{self.slow}"

    def on_candle(self, candle: CandleEvent) -> None:
        symbol = candle.symbol
        fast, slow = self.signal(f"ema-{self.fast}", symbol), self.signal(f"ema-{self.slow}", symbol)
        if fast is None or slow is None or self.open_orders(symbol):
            return
        position = own_position(self.position(symbol), self.desk.owned(symbol))
        if fast > slow and position.is_flat:
            self.buy(symbol, self.quantity, reason=f"fast {fast:.4f} above slow {slow:.4f}")
        elif fast < slow and position.quantity > 0 and not position.is_flat:
            self.sell(symbol, position.quantity, reason=f"fast {fast:.4f} below slow {slow:.4f}")
