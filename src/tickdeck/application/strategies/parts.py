"""Ready parts of a strategy: the size of a position by its risk, a pause after a loss, the number of trades a day.

They are plain objects that only know what they are given, so any strategy can keep them in its attributes.
"""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from tickdeck.application.arguments import check_whole
from tickdeck.domain.events import PositionClosedEvent, PositionEvent, PositionOpenedEvent
from tickdeck.domain.values import ZERO, Money, Price, Quantity
from tickdeck.errors import ConfigError, format_value

__all__ = ["Cooldown", "TradesADay", "position_size"]

_DAY = 86_400_000_000_000  # ns


def position_size(
    equity: Money,
    share: Decimal,
    price: Price,
    stop: Price,
    *,
    lot_size: Quantity | None = None,
    fee: Decimal = ZERO,
) -> Quantity:
    """The quantity (base) that loses ``share`` of ``equity`` (quote) if it is bought or sold at ``price`` and closed at
    ``stop`` (both quote), after a ``fee`` on both (a share of the notional).

    It is rounded down to ``lot_size`` (base); ``buy`` and ``sell`` round to the instrument's by themselves. It may be
    0, and it may cost more than the account has: the limits of the run still count. Raises ``ConfigError`` for a number
    that is not a ``Decimal`` above 0, and for a stop at the price.
    """
    given = {"equity": equity, "share": share, "price": price, "stop": stop}
    if lot_size is not None:
        given["lot_size"] = lot_size
    for name, value in given.items():
        if type(value) is not Decimal or not value.is_finite() or (value <= 0 and name != "equity"):
            raise ConfigError(f"position_size: {name} is {format_value(value)}; give a decimal.Decimal above 0")
    if type(fee) is not Decimal or not 0 <= fee < 1:
        raise ConfigError(f"position_size: fee is {format_value(fee)}; give a decimal.Decimal of at least 0, below 1")
    if price == stop:
        raise ConfigError(f"position_size: the stop is at the price, {price}; give one at a distance")
    loss = abs(price - stop) + fee * (price + stop)  # of one unit
    quantity = max(equity, ZERO) * share / loss
    return quantity if lot_size is None else (quantity / lot_size).quantize(Decimal(1), ROUND_DOWN) * lot_size


class Cooldown:
    """A pause after a loss, by symbol. Pass it each position in ``on_position``."""

    def __init__(self, pause: int) -> None:
        """``pause`` is in ns. Raises ``ConfigError`` if it is no whole number of at least 0."""
        check_whole("Cooldown", "pause", pause, least=0)
        self.pause = pause
        self._until: dict[str, int] = {}  # by symbol, ns UTC
        self._before: dict[str, Money] = {}  # the profit after fees when the symbol was flat, by symbol

    def take(self, position: PositionEvent) -> None:
        """Look at a position: one that is closed with a loss after fees begins the pause."""
        if not isinstance(position, PositionClosedEvent):
            return
        profit = position.total_realized_pnl - position.total_fees
        if profit < self._before.get(position.symbol, ZERO):
            self._until[position.symbol] = position.ts_ingress + self.pause
        self._before[position.symbol] = profit

    def is_over(self, symbol: str, now: int) -> bool:
        """Whether there is no pause in ``symbol`` at ``now`` (ns UTC)."""
        return now >= self._until.get(symbol, 0)


class TradesADay:
    """Counts the positions that were opened since midnight (UTC). Pass it each position in ``on_position``."""

    def __init__(self, most: int) -> None:
        """Raises ``ConfigError`` if ``most`` is no whole number of at least 0."""
        check_whole("TradesADay", "most", most, least=0)
        self.most = most
        self._day = 0
        self._opened = 0

    def take(self, position: PositionEvent) -> None:
        """Count a position if it is opened."""
        if isinstance(position, PositionOpenedEvent):
            self._opened = self.opened(position.ts_ingress) + 1
            self._day = position.ts_ingress // _DAY

    def opened(self, now: int) -> int:
        """How many were opened on the day of ``now`` (ns UTC)."""
        return self._opened if now // _DAY == self._day else 0

    def allows(self, now: int) -> bool:
        """Whether one more may be opened at ``now`` (ns UTC)."""
        return self.opened(now) < self.most
