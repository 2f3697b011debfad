"""Exchange rates between currencies, from the prices of the symbols of a run and from reports of the venue."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TypeAlias

from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import Price

__all__ = ["MONEY", "PriceOf", "Rates", "reporting_currency"]

MONEY = (
    *("USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "DAI"),
    *("EUR", "GBP", "JPY", "TRY", "BRL", "AUD", "CAD", "CHF", "KRW", "MXN", "PLN", "UAH", "ZAR", "ARS", "IDR", "INR"),
)
"""Dollars, the common dollar coins and other fiat currencies."""

PriceOf: TypeAlias = Callable[[str], Price | None]
"""The last price of a symbol; ``None`` if there is none yet."""

_ONE = Decimal(1)
_INVERSE = Context(prec=28, rounding=ROUND_HALF_EVEN)
_Step: TypeAlias = tuple[str, bool]  # a symbol, and whether its price is inverted


def reporting_currency(instruments: Iterable[Instrument]) -> str:
    """The currency of the figures of an account: the first dollar or fiat quote currency among ``instruments`` (at
    least one), otherwise the first quote currency."""
    quotes = [instrument.quote for instrument in instruments]
    return next((quote for quote in quotes if quote in MONEY), quotes[0])


class Rates:
    """Exchange rates through at most two symbols: direct (BTCUSDT), inverted, or through one other currency (ETHBTC and
    BTCUSDT).

    A currency that no symbol leads to has the rate that was reported last (``report``).

    If several routes have a price, a direct route is preferred, then a pair to a contract on it (BTCUSDT to
    BTCUSDT_250328), then the order of ``symbols``. Inverted prices have 28 significant digits; everything else is
    exact.
    """

    def __init__(self, symbols: Iterable[str] = (), instrument: Callable[[str], Instrument] | None = None) -> None:
        """``symbols`` are those whose prices may be used. ``instrument(symbol)`` describes each of them."""
        self._instruments: dict[str, Instrument] = {}
        self._routes: dict[tuple[str, str], tuple[tuple[_Step, ...], ...]] = {}
        self._reported: dict[str, tuple[str, Price]] = {}  # by currency: another one, and the rate to it
        if instrument is not None:
            known = {symbol: instrument(symbol) for symbol in symbols}
            self._instruments = dict(sorted(known.items(), key=lambda item: not _is_pair(item[1])))

    def homes(self, quote: str) -> dict[str, str]:
        """Maps each base currency to the symbol in which its coins are a position: the first symbol quoted in
        ``quote``, otherwise the first symbol; pairs before contracts. ``quote`` itself is not included."""
        homes: dict[str, str] = {}
        for symbol, instrument in self._instruments.items():
            home = homes.get(instrument.base)
            if home is None or (instrument.quote == quote and self._instruments[home].quote != quote):
                homes[instrument.base] = symbol
        homes.pop(quote, None)
        return homes

    def report(self, currency: str, into: str, rate: Price) -> None:
        """The venue reported that one unit of ``currency`` is worth ``rate`` of ``into``."""
        self._reported[currency] = (into, rate)

    def rate(self, currency: str, into: str, price: PriceOf) -> Decimal | None:
        """The value of one unit of ``currency`` in ``into``; ``None`` if the prices for it are missing."""
        if currency == into:
            return _ONE
        for route in self._routes_between(currency, into):
            rate = _ONE
            for symbol, inverted in route:
                last = price(symbol)
                if not last:
                    break
                rate = EXACT.multiply(rate, _INVERSE.divide(_ONE, last) if inverted else last)
            else:
                return rate
        if currency not in self._reported:
            return None
        between, reported = self._reported[currency]
        beyond = _ONE if between == into else self.rate(between, into, price) if between not in self._reported else None
        return None if beyond is None else EXACT.multiply(reported, beyond)

    def symbols(self, currency: str, into: str) -> tuple[str, ...]:
        """The symbols whose prices ``rate`` may use; empty if there is no route."""
        return tuple(dict.fromkeys(symbol for route in self._routes_between(currency, into) for symbol, _ in route))

    def _routes_between(self, currency: str, into: str) -> tuple[tuple[_Step, ...], ...]:
        routes = self._routes.get((currency, into))
        if routes is None:
            direct = [(step,) for step, end in self._steps(currency) if end == into]
            crosses = [
                (first, second)
                for first, between in self._steps(currency)
                if between != into
                for second, end in self._steps(between)
                if end == into
            ]
            routes = self._routes[currency, into] = (*direct, *crosses)
        return routes

    def _steps(self, currency: str) -> list[tuple[_Step, str]]:
        """Each symbol that leads from ``currency`` to another currency, and that currency. Inverted prices come
        last."""
        instruments = self._instruments.items()
        sold = [((symbol, False), i.quote) for symbol, i in instruments if i.base == currency]
        return sold + [((symbol, True), i.base) for symbol, i in instruments if i.quote == currency]


def _is_pair(instrument: Instrument) -> bool:
    """Whether the symbol names two currencies and nothing else."""
    return "".join(filter(str.isalnum, instrument.symbol)).upper() == f"{instrument.base}{instrument.quote}".upper()
