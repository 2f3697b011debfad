"""Isolated margin: what a leveraged position needs, and the price at which it is liquidated.

A position in a linear contract (quoted and settled in the same currency) is backed by its own margin alone, the share
``1 / leverage`` of what it cost. With the signed quantity Q, the signed cost C, the margin M = |C| / leverage and the
maintenance rate m, at a price P:

- equity of the position: M + Q P - C
- maintenance requirement: m |Q| P
- liquidation, where both are equal: P = (C - M) / (Q - m |Q|)

For a long position with the average entry E this is E (1 - 1/leverage) / (1 - m), for a short one
E (1 + 1/leverage) / (1 + m). It is the formula that Binance publishes for one isolated position in USDT-margined
contracts, (WB + cum - side Q E) / (Q m - side Q), with the wallet balance WB = M and one maintenance tier (cum = 0).
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tickdeck.domain.aggregates import ValueObject
from tickdeck.domain.trading import EXACT, Position
from tickdeck.domain.values import ZERO, Money, Price

__all__ = ["MarginTerms"]


class MarginTerms(ValueObject, frozen=True, kw_only=True):
    """The terms of a margin account. ``leverage``: cost over margin, 1 or more. ``maintenance``: the requirement as a
    share of the position's value. ``margin_call``: the equity at which the venue warns, as a multiple of the
    requirement, above 1. All amounts are in quote."""

    leverage: Decimal
    maintenance: Decimal
    margin_call: Decimal

    def initial(self, cost: Money) -> Money:
        """The margin of a position that cost ``cost``, of either sign."""
        return EXACT.divide(abs(cost), self.leverage)

    def equity(self, position: Position, price: Price) -> Money:
        """What is left of the position's margin at ``price``."""
        return EXACT.add(self.initial(position.cost), position.unrealized_pnl(price))

    def requirement(self, position: Position, price: Price) -> Money:
        """What has to be left of it."""
        return EXACT.multiply(EXACT.multiply(abs(position.quantity), price), self.maintenance)

    def calls(self, position: Position, price: Price) -> bool:
        """Whether the equity is below ``margin_call`` times the requirement."""
        wanted = EXACT.multiply(self.requirement(position, price), self.margin_call)
        return not position.is_flat and self.equity(position, price) < wanted

    def liquidates(self, position: Position, price: Price) -> bool:
        """Whether the equity is not above the requirement."""
        return not position.is_flat and self.equity(position, price) <= self.requirement(position, price)

    def liquidation_price(self, position: Position, tick: Price) -> Price:
        """The first price, in steps of ``tick``, at which the position is liquidated; 0 if there is none."""
        return self._price(position, self.maintenance, tick)

    def bankruptcy_price(self, position: Position, tick: Price) -> Price:
        """The first price at which nothing is left of the margin; 0 if there is none."""
        return self._price(position, ZERO, tick)

    def exit_price(self, position: Position, price: Price, tick: Price) -> Price:
        """The price at which the position is closed if it is liquidated when the market is at ``price``: the
        liquidation price, or after a jump beyond it the worse price of the market, but no worse than bankruptcy."""
        first, last = self.liquidation_price(position, tick), self.bankruptcy_price(position, tick)
        if position.quantity > 0:
            return max(min(first, price), last, tick)
        return min(max(first, price), last)

    def _price(self, position: Position, share: Decimal, tick: Price) -> Price:
        quantity = position.quantity
        if not quantity:
            return ZERO
        owed = EXACT.subtract(position.cost, self.initial(position.cost))
        price = EXACT.divide(owed, EXACT.subtract(quantity, EXACT.multiply(share, abs(quantity))))
        steps = EXACT.divide(price, tick)
        rounding = ROUND_FLOOR if quantity > 0 else ROUND_CEILING  # against the position
        return EXACT.multiply(steps.to_integral_value(rounding, context=EXACT), tick)
