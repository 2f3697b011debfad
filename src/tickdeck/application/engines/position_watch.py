"""Watches the value of positions: the market can carry one over its limit without any decision."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_DOWN, Context, Decimal

from tickdeck.domain.events import DomainEvent
from tickdeck.domain.market import Instrument
from tickdeck.domain.risk import CountedOrder, Exposure, RiskLimits
from tickdeck.domain.trading import EXACT
from tickdeck.domain.values import ZERO, Money, Price, Quantity, plain

__all__ = ["PositionWatch"]

_DOWN = Context(prec=28, rounding=ROUND_DOWN)
_NO_END = Decimal("Infinity")


class PositionWatch:
    """Withdraws open orders that would enlarge a position which is worth more than ``max_position_notional``, or all
    such orders if the positions together are worth more than ``max_total_notional``. The position itself stays: nothing
    is sold here.

    ``rate(quote)`` is the value of one unit of a quote currency in the currency of the limits, ``None`` if there is
    none. ``withdraw(orders, why)`` cancels orders.
    """

    def __init__(
        self,
        limits: RiskLimits,
        exposure: Exposure,
        *,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        rate: Callable[[str], Decimal | None],
        withdraw: Callable[[list[CountedOrder], str], None],
    ) -> None:
        self._single, self._total = limits.max_position_notional, limits.max_total_notional
        self._currency = limits.currency
        self.is_needed = self._single is not None or self._total is not None
        """Whether anything is limited."""
        self._exposure, self._price, self._instrument = exposure, price, instrument
        self._rate, self._withdraw = rate, withdraw

    def look(self, event: DomainEvent) -> None:
        """Compare the positions with the limits; ``event`` is why."""
        worth = self._worth()
        if self._single is not None:
            for symbol, value in worth.items():
                if value > self._single:
                    self._act(
                        "max_position_notional", f"the position in {symbol} is", value, self._single, event, symbol
                    )
        together = sum(worth.values(), ZERO)
        if self._total is not None and together > self._total:
            self._act("max_total_notional", "the positions together are", together, self._total, event)

    def passed_at(self, price: Price, quantity: Quantity, count: int, rate: Decimal | None) -> Price:
        """The price above ``price`` at which a position of ``quantity`` (base) passes a limit at the earliest. ``rate``
        is that of its quote currency. Each of ``count`` positions may use an equal part of what is left of
        ``max_total_notional``. A limit that is passed already counts no more: nothing that enlarges the position is
        approved."""
        if not rate:
            return price.next_plus()
        unit, rise = quantity * rate, _NO_END
        if self._single is not None and (alone := _DOWN.divide(self._single, unit) - price) >= 0:
            rise = alone
        if self._total is not None and (left := self._total - sum(self._worth().values(), ZERO)) >= 0:
            rise = min(rise, _DOWN.divide(left, unit * count))
        return rise if rise is _NO_END else (price + rise).next_plus()

    def _worth(self) -> dict[str, Money]:
        """The value of each position, by symbol. One without a price or a rate is left out."""
        worth: dict[str, Money] = {}
        for symbol, held in self._exposure.positions.items():
            price, rate = self._price(symbol), self._rate(self._instrument(symbol).quote)
            if held and price is not None and rate is not None:
                worth[symbol] = EXACT.multiply(abs(held), EXACT.multiply(price, rate))
        return worth

    def _act(self, limit: str, what: str, value: Money, most: Money, event: DomainEvent, symbol: str = "") -> None:
        orders = [
            order
            for order in self._exposure.open_orders(symbol)
            if not order.reduce_only
            and not order.withdrawn
            and self._exposure.position(order.symbol) * order.side.sign > 0
        ]
        if orders:
            worth = f"{what} worth {plain(value)} {self._currency}, at most {plain(most)}"
            self._withdraw(orders, f"{limit}: {worth}; passed at {event.event_type} {event.event_id}")
