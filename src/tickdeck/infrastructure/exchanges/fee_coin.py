"""Reports what the coin in which an exchange charges its fees is worth, so that these fees can be valued."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from tickdeck.application.clock import LiveClock
from tickdeck.application.log import bound_logger
from tickdeck.application.ports import Exchange
from tickdeck.domain.events import DomainEvent, VenueRateReported
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import Money
from tickdeck.errors import ExchangeError
from tickdeck.infrastructure.exchanges.doubt import said

__all__ = ["FeeCoin"]

_EVERY, _RETRY = 60.0, 5.0  # seconds


class FeeCoin:
    """Reports the rate of the exchange's fee coin to the currency ``into``, each minute while the account holds it.

    ``books`` are the balances by currency. A coin of ``currencies``, those of the run's symbols, is not reported: the
    market data contains its price.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        clock: LiveClock,
        publish: Callable[[DomainEvent], object],
        into: str,
        currencies: Iterable[str],
        books: Mapping[str, Money],
    ) -> None:
        self._exchange, self._clock, self._publish = exchange, clock, publish
        coin = exchange.capabilities.fee_currency
        self.coin = "" if coin in currencies else coin
        """Its name; empty if there is none to report."""
        self._into, self._books = into, books
        self._symbol = ""

    def find(self, instruments: Iterable[Instrument]) -> None:
        """Find the symbol whose price is the rate."""
        for instrument in instruments:
            if self.coin and (instrument.base, instrument.quote) == (self.coin, self._into):
                self._symbol = instrument.symbol

    async def run(self) -> None:
        """Report the rate until cancelled."""
        while self._symbol:
            known = not self._books.get(self.coin) or await self._report()
            await self._clock.sleep(_EVERY if known else _RETRY)

    async def _report(self) -> bool:
        """Publish the rate. Returns False if there is none."""
        try:
            rate = await self._exchange.price(self._symbol)
        except ExchangeError as error:
            bound_logger("tickdeck.gateway").warning("the fee coin has no new rate", error=said(error))
            return False
        if rate <= 0:  # it was never traded
            return False
        name = self._exchange.name
        self._publish(VenueRateReported(currency=self.coin, into=self._into, rate=rate, source=name))
        return True
