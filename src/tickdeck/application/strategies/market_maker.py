"""Sample strategy: quote both sides around the mid price and earn the spread."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from tickdeck.application.strategies.strategy import Strategy
from tickdeck.domain.events import (
    OrderAmendedEvent,
    OrderAmendRejectedEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    OrderEvent,
    TickEvent,
)
from tickdeck.domain.values import ZERO, Price, Quantity, Side, TimeInForce
from tickdeck.errors import ConfigError, NotSupported

__all__ = ["MarketMaker"]

_MS = 1_000_000
_BUY, _SELL = Side.BUY, Side.SELL


class MarketMaker(Strategy):
    """Keeps a ``post_only`` bid and a ``post_only`` ask of ``size`` (base), each ``half_spread`` ticks of ``tick``
    (quote) away from the middle of the best bid and ask.

    Each ``size`` that is held shifts both quotes by ``skew`` ticks: down when long, so that the ask is hit sooner.
    Inventory is what it holds itself; coins that the account held before do not count. It stays between
    ``min_inventory`` and ``max_inventory`` (base). A side that could leave these bounds is not quoted. If that is true
    of both, as after a fee in base currency if ``size`` is all that may be held, each is quoted with what is left.

    A resting quote has a place in the queue, and trades move it forward. An amend to another price loses that place. A
    quote therefore stays until its ideal price is ``threshold`` ticks away. At least ``pause_ms`` (of the run's clock)
    pass between two requests on one side, whether they are granted or not.

    Some venues, such as Binance, cannot move an order to another price. After their first refusal, a quote is moved by
    cancelling it and placing another once the cancel is confirmed.
    """

    tick: Decimal = Decimal("0.01")
    half_spread: int = 1
    size: Decimal = Decimal("0.01")
    min_inventory: Decimal = Decimal(0)
    max_inventory: Decimal = Decimal("0.05")
    skew: Decimal = Decimal(1)
    threshold: int = 5
    pause_ms: int = 500

    def check_parameters(self) -> None:
        for name in ("tick", "size"):
            if getattr(self, name) <= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; give an amount above 0")
        for name in ("half_spread", "skew", "threshold", "pause_ms"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; give a number that is not negative")
        if self.min_inventory >= self.max_inventory:
            raise ConfigError(
                f"min_inventory is {self.min_inventory} and max_inventory is {self.max_inventory}; the first must be "
                "the smaller"
            )
        if self.size > self.max_inventory - self.min_inventory:
            raise ConfigError(
                f"size is {self.size}; give at most the difference between max_inventory and min_inventory"
            )

    def on_start(self) -> None:
        self._quotes: dict[tuple[str, Side], _Quote] = {}
        self._can_amend = True

    def on_tick(self, tick: TickEvent) -> None:
        self._requote(tick.symbol)

    def on_book(self, book: OrderBookEvent | OrderBookDeltaEvent) -> None:
        self._requote(book.symbol)

    def on_order(self, order: OrderEvent) -> None:
        if isinstance(order, OrderAmendedEvent):
            for quote in self._quotes.values():
                if quote.order_id == order.order_id:
                    quote.price = order.limit
        elif isinstance(order, OrderAmendRejectedEvent) and order.reason.startswith(NotSupported.__name__):
            self._can_amend = False

    def _requote(self, symbol: str) -> None:
        bid, ask = self.best_bid(symbol), self.best_ask(symbol)
        if bid is None or ask is None:
            return
        held = self.desk.owned(symbol).counted(long_only=self.min_inventory >= 0)
        middle = (bid[0] + ask[0]) / 2 - self.skew * self.tick * held / self.size
        distance = self.half_spread * self.tick
        to_buy, to_sell = self.max_inventory - held, held - self.min_inventory
        is_stuck = to_buy < self.size and to_sell < self.size
        # Never at or beyond the other side's best price: it would take there, and a post-only order is refused.
        self._quote(symbol, _BUY, min(middle - distance, ask[0] - self.tick), to_buy, is_stuck)
        self._quote(symbol, _SELL, max(middle + distance, bid[0] + self.tick), to_sell, is_stuck)

    def _quote(self, symbol: str, side: Side, price: Price, room: Quantity, is_stuck: bool) -> None:
        """Keep the quote of one side near ``price``. ``room`` (base) is how much it may still trade; if ``is_stuck``,
        less than ``size`` will do."""
        price = self.tick * (price / self.tick).to_integral_value(ROUND_FLOOR if side is _BUY else ROUND_CEILING)
        now = self.clock.now()
        quote = self._quotes.get((symbol, side))
        if quote is not None and now - quote.asked < self.pause_ms * _MS:
            return
        if quote is not None and quote.order_id in self.open_orders(symbol):
            if abs(price - quote.price) >= self.threshold * self.tick and not quote.cancelled:
                self._move(quote, price)
                quote.asked = now
        else:
            quantity = self._rest(symbol, price, room) if is_stuck else self.size
            if ZERO < quantity <= room and price > ZERO:
                place = self.buy if side is _BUY else self.sell
                order_id = place(symbol, quantity, price, time_in_force=TimeInForce.POST_ONLY, reason="quote")
                self._quotes[symbol, side] = _Quote(order_id, price, now)

    def _rest(self, symbol: str, price: Price, room: Quantity) -> Quantity:
        """What an order may have of ``room`` (base), on the grid of the venue; 0 if that is too little for an order."""
        instrument = self.position(symbol).instrument
        if instrument is None or room <= ZERO or instrument.is_dust(room, price):
            return ZERO
        return instrument.quantise_quantity(room)

    def _move(self, quote: _Quote, price: Price) -> None:
        reason = f"the market moved from {quote.price}"
        if self._can_amend:
            self.amend(quote.order_id, limit=price, reason=reason)
        else:
            self.cancel(quote.order_id, reason=reason)
            quote.cancelled = True


class _Quote:
    """The order of one side, its price (quote) as the venue confirmed it, the time (ns) of the last request, and
    whether its cancel was requested."""

    __slots__ = ("asked", "cancelled", "order_id", "price")

    def __init__(self, order_id: str, price: Price, asked: int) -> None:
        self.order_id = order_id
        self.price = price
        self.asked = asked
        self.cancelled = False
