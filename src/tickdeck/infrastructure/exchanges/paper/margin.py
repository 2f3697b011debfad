"""The leveraged positions of the paper venue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tickdeck.domain.accounts import MarginTerms
from tickdeck.domain.events import CandleEvent, DomainEvent
from tickdeck.domain.market import CandleOpen, Instrument, Liquidity
from tickdeck.domain.trading import EXACT, Position
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig

__all__ = ["PaperMargin", "check_balances", "prices_to_close"]


class PaperMargin:
    """The positions by symbol, each with its own margin. They agree with the totals of the paper account: a purchase
    takes its whole cost from the quote currency, of which ``credit`` gives back all but the margin.

    ``owner``: the account. It is a margin account with ``terms``.
    """

    def __init__(self, owner: PaperConfig, terms: MarginTerms, instruments: Mapping[str, Instrument]) -> None:
        self.owner = owner
        self.terms = terms
        self._instruments = instruments
        self.positions: dict[str, Position] = {}
        self._credit: dict[str, Money] = {}  # by quote currency
        self._called: dict[str, None] = {}  # symbols with a margin call since they were last flat
        self._closing: dict[str, dict[str, Quantity]] = {}  # what open orders close, by symbol and order id

    def take_up(self, positions: Mapping[str, Position], called: Mapping[str, None]) -> None:
        """Continue with these positions. ``called``: the symbols that had a margin call since they were last flat."""
        for symbol, known in positions.items():
            if not known.is_flat:
                position = self.positions[symbol] = Position(symbol, in_run=True)
                position.quantity, position.cost = known.quantity, known.cost
                self._count(symbol)
        self._called = dict(called)

    def position(self, symbol: str) -> Position:
        return self.positions.get(symbol) or Position(symbol)

    def credit(self, currency: str) -> Money:
        """What the venue lends in ``currency``: the cost of all positions without their margin. Negative for the
        proceeds of shorts, which are not free."""
        return self._credit.get(currency, ZERO)

    def fill(self, symbol: str, side: Side, price: Price, quantity: Quantity) -> None:
        """Book a fill, or a liquidation."""
        if symbol not in self.positions:
            self.positions[symbol] = Position(symbol, in_run=True)
        position = self.positions[symbol]
        before = position.quantity
        position.fill(side, price, quantity)
        if position.quantity * before <= 0:  # it is flat, or has changed sides
            self._called.pop(symbol, None)
        self._count(symbol)

    def calls(self, symbol: str, price: Price) -> bool:
        """Whether ``price`` is the first at which the position gets a margin call. From now on it had one."""
        if symbol in self._called or not self.terms.calls(self.position(symbol), price):
            return False
        self._called[symbol] = None
        return True

    # -- orders ------------------------------------------------------------------------------------------------------

    def reserve_closing(self, symbol: str, order_id: str, side: Side, quantity: Quantity) -> Quantity:
        """What an order of ``quantity`` closes of the position and no other open order does (base). It needs no
        margin for that."""
        orders = self._closing.setdefault(symbol, {})
        orders.pop(order_id, None)
        held = max(EXACT.multiply(self.position(symbol).quantity, -side.sign), ZERO)
        room = max(EXACT.subtract(held, sum(orders.values(), ZERO)), ZERO)
        orders[order_id] = min(quantity, room)
        return orders[order_id]

    def open_orders(self, symbol: str) -> list[str]:
        """The ids of the open orders."""
        return list(self._closing.get(symbol, ()))

    def release(self, symbol: str, order_id: str) -> None:
        """An order has ended."""
        self._closing.get(symbol, {}).pop(order_id, None)

    def _count(self, symbol: str) -> None:
        quote = self._instruments[symbol].quote
        lent = ZERO
        for name, position in self.positions.items():
            if self._instruments[name].quote == quote:
                lent = EXACT.add(lent, EXACT.subtract(position.cost, self.terms.initial(position.cost)))
        self._credit[quote] = lent


def prices_to_close(
    position: Position, event: DomainEvent | CandleOpen, liquidity: Liquidity
) -> tuple[Price, Price] | None:
    """The worst price that ``event`` shows for closing a position, and the one at which it could be closed then.
    ``None`` while no price is known."""
    long = position.quantity > 0
    if isinstance(event, CandleEvent) and (liquidity.only_candles or not liquidity.last_candle):
        # It went through every price of its range.
        return event.low if long else event.high, event.open
    shown = event.price if isinstance(event, CandleOpen) else liquidity.reference(Side.SELL if long else Side.BUY)
    return None if shown is None else (shown, shown)


def check_balances(instruments: Iterable[Instrument], config: PaperConfig) -> None:
    """Raise ``ConfigError`` if a margin account begins with coins."""
    coins = {instrument.base: instrument for instrument in instruments if config.balances.get(instrument.base)}
    for coin, instrument in coins.items():
        raise ConfigError(
            f"paper venue: a margin account begins with {instrument.quote} alone, but balances has {coin}; remove it, "
            "or remove leverage"
        )
