"""Other traders: they turn recorded or simulated market data into orders at the exchange.

Makers keep the order book as the data shows it. Takers trade when the data shows a trade. Clients trade with both:
takers, and makers that cross them, fill their resting orders, and their own orders take what makers offer.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tickdeck.domain.events import CandleEvent, MarketEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.domain.values import Side
from tickdeck.infrastructure.venue.exchange import Exchange
from tickdeck.infrastructure.venue.matching import (
    HOUSE,
    MarketStatus,
    NewOrder,
    Order,
    OrderRefused,
    SelfTrade,
    Tif,
    Type,
)

__all__ = ["MAKERS", "TAKERS", "Traders"]

MAKERS = f"{HOUSE}makers"
TAKERS = f"{HOUSE}takers"
_WEALTH = Decimal(10) ** 12
_KEY = tuple[str, bool, Decimal]


class Traders:
    """Plays market data into an exchange. Events of symbols that the exchange does not have are ignored."""

    def __init__(self, exchange: Exchange, now: int) -> None:
        self._exchange = exchange
        self._resting: dict[_KEY, Order] = {}
        self._has_book: dict[str, bool] = {}
        self._count = 0
        self.played = 0
        self._settle(now)

    def _settle(self, now: int) -> None:
        """Fund the traders, and cancel the orders that they left in the book before a restart."""
        exchange = self._exchange
        for account in (MAKERS, TAKERS):
            balances = exchange.engine.balances.of(account)
            for market in exchange.engine.markets.values():
                for asset in (market.base, market.quote):
                    if asset not in balances:
                        exchange.move(account, asset, _WEALTH, now)
                        balances = exchange.engine.balances.of(account)
        for order in exchange.engine.open_orders(MAKERS):
            if exchange.engine.markets[order.symbol].status not in (MarketStatus.HALT, MarketStatus.BREAK):
                exchange.cancel(order, now)

    def play(self, event: MarketEvent, now: int) -> None:
        """Act on one event at ``now`` (ns UTC). The event's own time is ignored."""
        market = self._exchange.engine.markets.get(event.symbol)
        if market is None or market.status is not MarketStatus.TRADING:
            return
        self.played += 1
        symbol = event.symbol
        if isinstance(event, TradeEvent):
            self._trade(symbol, event.side is Side.BUY, event.price, event.quantity, now)
        elif isinstance(event, OrderBookEvent):
            self._has_book[symbol] = True
            bids = dict(event.bids)
            asks = dict(event.asks)
            gone = [key for key in self._resting if key[0] == symbol and key[2] not in (bids if key[1] else asks)]
            for _, is_bid, price in gone:
                self.quote(symbol, is_bid, price, Decimal(0), now)
            self._quote_all(symbol, bids.items(), asks.items(), now)
        elif isinstance(event, OrderBookDeltaEvent):
            self._has_book[symbol] = True
            self._quote_all(symbol, event.bids, event.asks, now)
        elif isinstance(event, TickEvent):
            if symbol not in self._has_book:
                self._quote_best(symbol, event, now)
        elif isinstance(event, CandleEvent):
            for price in (event.open, event.high, event.low, event.close):
                self._trade(symbol, price >= event.open, price, max(event.volume / 4, market.step_size), now)

    def quote(self, symbol: str, is_bid: bool, price: Decimal, quantity: Decimal, now: int) -> None:
        """Set the makers' quantity at a price; 0 removes their order."""
        key = (symbol, is_bid, price)
        order = self._resting.get(key)
        if order is not None and order.working:
            if order.remaining == quantity:
                return
            self._exchange.cancel(order, now)
        if not quantity:
            self._resting.pop(key, None)
            return
        order = self._order(MAKERS, symbol, is_bid, price, quantity, Tif.GTC, now)
        if order is not None and order.working:
            self._resting[key] = order
        else:
            self._resting.pop(key, None)

    def take(self, symbol: str, is_buy: bool, quantity: Decimal, price: Decimal, now: int) -> Decimal:
        """Let a taker trade at ``price`` or better. Returns the quantity that was filled."""
        order = self._order(TAKERS, symbol, is_buy, price, quantity, Tif.IOC, now)
        return order.filled if order is not None else Decimal(0)

    def _quote_all(
        self,
        symbol: str,
        bids: Iterable[tuple[Decimal, Decimal]],
        asks: Iterable[tuple[Decimal, Decimal]],
        now: int,
    ) -> None:
        """Remove levels first, so that new orders do not trade with orders that are about to go."""
        changes = [(True, *level) for level in bids] + [(False, *level) for level in asks]
        for is_bid, price, quantity in sorted(changes, key=lambda change: bool(change[2])):
            self.quote(symbol, is_bid, price, quantity, now)

    def _quote_best(self, symbol: str, tick: TickEvent, now: int) -> None:
        best = {(True, tick.bid_price): tick.bid_quantity, (False, tick.ask_price): tick.ask_quantity}
        for _, is_bid, price in [key for key in self._resting if key[0] == symbol]:
            if (is_bid, price) not in best:
                self.quote(symbol, is_bid, price, Decimal(0), now)
        for (is_bid, price), quantity in best.items():
            if price:
                self.quote(symbol, is_bid, price, quantity, now)

    def _trade(self, symbol: str, is_buy: bool, price: Decimal, quantity: Decimal, now: int) -> None:
        """Repeat a trade of the data. If the book does not have enough, a maker offers the rest first."""
        left = quantity - self.take(symbol, is_buy, quantity, price, now)
        if left > 0:
            before = self._resting.get((symbol, not is_buy, price))
            self._order(MAKERS, symbol, not is_buy, price, left, Tif.GTC, now)
            self.take(symbol, is_buy, left, price, now)
            if before is not None and not before.working:
                self._resting.pop((symbol, not is_buy, price), None)

    def _order(
        self, account: str, symbol: str, is_buy: bool, price: Decimal, quantity: Decimal, tif: Tif, now: int
    ) -> Order | None:
        self._count += 1
        try:
            return self._exchange.place(
                NewOrder(
                    account=account,
                    symbol=symbol,
                    is_buy=is_buy,
                    type=Type.LIMIT,
                    quantity=quantity,
                    price=price,
                    tif=tif,
                    client_id=f"{account[1]}{self._count}",
                    self_trade=SelfTrade.EXPIRE_MAKER,
                ),
                now,
            )
        except OrderRefused:
            return None
