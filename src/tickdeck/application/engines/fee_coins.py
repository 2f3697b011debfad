"""Warns when a coin that is only held for fees runs low."""

from __future__ import annotations

from collections.abc import Callable

from tickdeck.application.engines.account_bus import CoreBus
from tickdeck.domain.accounts import Account
from tickdeck.domain.events import NotificationAlert, OrderFilledEvent, OrderPartiallyFilledEvent
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import ZERO

__all__ = ["FeeCoins"]

_FEW = 20  # a coin is running low if it lasts for fewer fees than this


class FeeCoins:
    """Follows the currencies in which an account pays fees, and which it does not trade in the same symbol."""

    def __init__(self, bus: CoreBus, account: Account, instrument: Callable[[str], Instrument]) -> None:
        self._bus = bus
        self._account = account
        self._instrument = instrument
        self._low: dict[str, None] = {}  # currencies that are running low

    def runs_low(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> bool:
        """Whether ``fill``, which is booked, paid a fee in a third currency, and too little of it is left since
        then."""
        if not fill.fee or not fill.fee_currency:
            return False
        currency, instrument = fill.fee_currency, self._instrument(fill.symbol)
        if currency in (instrument.base, instrument.quote):
            return False
        left, was_low = self._account.balances.get(currency, ZERO), currency in self._low
        if left < _FEW * fill.fee:
            self._low[currency] = None
        elif left >= 2 * _FEW * fill.fee:
            self._low.pop(currency, None)
        return currency in self._low and not was_low

    def warn(self, fill: OrderPartiallyFilledEvent | OrderFilledEvent) -> None:
        currency = fill.fee_currency
        text = (
            f"{currency} is running low: {self._account.balances[currency]} are left, and the last fee was {fill.fee}. "
            "Without it, the venue takes its fees from what is traded"
        )
        self._bus.publish(NotificationAlert(text=text, severity="warning"))
