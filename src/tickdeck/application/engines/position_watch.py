"""Watches the value of positions: the market can carry one over its limit without any decision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

    Each of ``books`` is the exposure of an account, and how to cancel orders there, ``withdraw(orders, why)``. What one
    account holds long and another short is added, not netted. ``rate(quote)`` is the value of one unit of a quote
    currency in the currency of the limits, ``None`` if there is none. ``of`` follows the name of a limit in messages.
    """

    def __init__(
        self,
        limits: RiskLimits,
        books: Sequence[tuple[Exposure, Callable[[list[CountedOrder], str], None]]],
        *,
        price: Callable[[str], Price | None],
        instrument: Callable[[str], Instrument],
        rate: Callable[[str], Decimal | None],
        of: str = "",
    ) -> None:
        self._single, self._total = limits.max_position_notional, limits.max_total_notional
        self._currency = limits.currency
        self.is_needed = self._single is not None or self._total is not None
        """Whether anything is limited."""
        self._books, self._price, self._instrument = books, price, instrument
        self._rate, self._of = rate, of

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

    def passed_at(self, symbol: str, price: Price, quantity: Quantity, count: int, rate: Decimal | None) -> Price:
        """The price above ``price`` at which a position of ``quantity`` (base) in ``symbol`` passes a limit at the
        earliest. ``rate`` is that of its quote currency. Each of ``count`` positions may use an equal part of what is
        left of ``max_total_notional``. A limit that is passed already counts no more: nothing that enlarges the
        position is approved."""
        if not rate:
            return price.next_plus()
        if len(self._books) > 1:  # the quantity is a net one, and limits add longs and shorts
            quantity = sum((abs(exposure.position(symbol)) for exposure, _ in self._books), ZERO) or quantity
        unit, rise = quantity * rate, _NO_END
        if self._single is not None and (alone := _DOWN.divide(self._single, unit) - price) >= 0:
            rise = alone
        if self._total is not None and (left := self._total - sum(self._worth().values(), ZERO)) >= 0:
            rise = min(rise, _DOWN.divide(left, unit * count))
        return rise if rise is _NO_END else (price + rise).next_plus()

    def _worth(self) -> dict[str, Money]:
        """The value of each position, by symbol. One without a price or a rate is left out."""
        worth: dict[str, Money] = {}
        for exposure, _ in self._books:
            for symbol, held in exposure.positions.items():
                price, rate = self._price(symbol), self._rate(self._instrument(symbol).quote)
                if held and price is not None and rate is not None:
                    value = EXACT.multiply(abs(held), EXACT.multiply(price, rate))
                    worth[symbol] = EXACT.add(worth[symbol], value) if symbol in worth else value
        return worth

    def _act(self, limit: str, what: str, value: Money, most: Money, event: DomainEvent, symbol: str = "") -> None:
        for exposure, withdraw in self._books:
            orders = [
                order
                for order in exposure.open_orders(symbol)
                if not order.reduce_only
                and not order.is_leaving
                and exposure.position(order.symbol) * order.side.sign > 0
            ]
            if orders:
                worth = f"{what} worth {plain(value)} {self._currency}, at most {plain(most)}"
                withdraw(orders, f"{limit}{self._of}: {worth}; passed at {event.event_type} {event.event_id}")
