"""Matches our orders against the public record of one symbol: what fills, at which price, and how much.

The record cannot react to our orders. In case of doubt the rules fill less, and never at a price that the record did
not offer at that time:

- *Taking from a displayed book*: level by level up to the limit. What we took is not offered again until the record
  changes that level. The rest of a market or ``ioc`` order expires.
- *Taking without a book*: the order waits for the next trades whose aggressor is on its side, and fills at their
  prices, within their quantities. If there are only candles, it waits for the next open, and fills within a share of
  the last candle's volume.
- *Resting*: an order queues behind the quantity displayed at its price on arrival, or behind an unknown quantity. Only
  trades advance it. A trade at its price first reduces the queue ahead, then fills the order; a trade through its price
  fills it at its limit. Cancels of others never advance it. If there are only candles, it fills if the price went
  through its limit.
- *Amending*: a new price or a larger quantity goes to the back of the queue like a new order, and may take. A smaller
  quantity at the same price keeps its place.
- *Stops*: an order with a stop waits until a trade (without trades: the best price that it could take) reaches it, and
  then takes like a market order. If there are only candles, it fills at the stop if the range reaches it, or at the
  open if that is beyond the stop. An order with a stop and a limit rests at the limit meanwhile. A fill there ends the
  stop, and the stop ends the limit, as with a pair of orders at a venue. If a candle reaches both, the stop counts.
- All our orders share the quantity of one trade, by price, then time. They never trade with each other.

The matcher has no I/O, no latency, no schedule and no money. The venue around it decides when an order arrives and
whether the account can pay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from tickdeck.domain.events import (
    CandleEvent,
    OrderBookDeltaEvent,
    OrderBookEvent,
    TickEvent,
    TradeEvent,
)
from tickdeck.domain.market.candle_opens import CandleOpen, MarketRecord
from tickdeck.domain.market.instrument import Instrument
from tickdeck.domain.market.liquidity import Liquidity, Offer
from tickdeck.domain.market.resting import RestingOrders
from tickdeck.domain.market.working_order import Ended, Fill, Outcome, WorkingOrder, expired, would_take
from tickdeck.domain.values import ZERO, OrderStatus, Price, Quantity, Side, TimeInForce

__all__ = ["Matcher"]

_BUY = Side.BUY
_IMMEDIATE = (TimeInForce.IOC, TimeInForce.FOK)


_NOTHING: tuple[Outcome, ...] = ()


class Matcher:
    """The record of one symbol and our orders in it. The module's docstring gives the rules.

    Pass the symbol's market data in receive order to the ``on_*`` methods or to ``handlers[type(event)]``. Each call
    returns what the event led to, in order. ``participation`` is the share of a candle's volume that all our orders may
    fill together. ``candle_grace_ns``: a candle that opened up to this long before an order's arrival still counts as
    opening after it.
    """

    def __init__(
        self, instrument: Instrument, *, participation: Decimal = Decimal("0.1"), candle_grace_ns: int = 0
    ) -> None:
        self.liquidity = Liquidity(instrument.symbol)
        self._lot = instrument.lot_size
        self._participation = participation
        self._candle_grace_ns = candle_grace_ns
        self._orders: dict[str, WorkingOrder] = {}
        self._waiting: dict[str, WorkingOrder] = {}  # takers for which nothing was displayed, by arrival
        self._bids: RestingOrders[WorkingOrder] = RestingOrders(Side.BUY)
        self._asks: RestingOrders[WorkingOrder] = RestingOrders(Side.SELL)
        self._stops: dict[str, WorkingOrder] = {}  # those that wait for their stop, by arrival
        self._open_left = ZERO  # what takers may still have at the open of the candle that is open now
        self.handlers: dict[type[MarketRecord], Callable[[Any], Sequence[Outcome]]] = {
            TradeEvent: self.on_trade,
            TickEvent: self.on_tick,
            OrderBookEvent: self.on_book,
            OrderBookDeltaEvent: self.on_delta,
            CandleEvent: self.on_candle,
            CandleOpen: self.on_open,
        }

    # -- orders -------------------------------------------------------------------------------------------------

    def submit(self, order: WorkingOrder, *, again: bool = False) -> list[Outcome]:
        """An order arrives. Returns what it takes at once and how it ended, if it did; otherwise it keeps working.

        The caller makes sure that ``order_id`` is new and that the instrument's filters pass. ``again``: it worked here
        before, so a stop that the price has reached is no reason to reject it.
        """
        if order.stop is not None:
            return self._submit_stop(order, again=again)
        offers = self.liquidity.offers(order.side, order.worst)
        if offers is not None:
            return self._take_displayed(order, offers)
        if order.time_in_force is TimeInForce.POST_ONLY:
            shown = self.liquidity.shown_offer(order.side)
            if shown is not None and order.reaches(shown):
                return [would_take(order)]
        elif order.limit is None or order.time_in_force in _IMMEDIATE or self._may_take(order):
            self._orders[order.order_id] = order
            self._waiting[order.order_id] = order
            opened = self.liquidity.opened
            if opened is None or not self.liquidity.only_candles:
                return []
            return self._fill_at_open(opened, (order,))
        self._rest(order)
        return []

    def _submit_stop(self, order: WorkingOrder, *, again: bool) -> list[Outcome]:
        """An order with a stop arrives. As at most venues, it is rejected if the stop or its limit is reached already.
        If there are only candles, it counts from the open of the candle that is open now."""
        price = self._stop_price(order.side)
        if price is not None and order.is_stopped(price):
            if not again and not self.liquidity.only_candles:
                return [Ended(order, OrderStatus.REJECTED, f"the stop {order.stop} is reached already, at {price}")]
            self._orders[order.order_id] = order
            return self._activate(order)
        if order.limit is not None:
            if not again and not self.liquidity.only_candles and self.takes(order.side, order.limit):
                return [would_take(order)]
            self._rest(order)
        self._orders[order.order_id] = order
        self._stops[order.order_id] = order
        return []

    def _stop_price(self, side: Side) -> Price | None:
        """The price that stops of ``side`` look at."""
        liquidity = self.liquidity
        trade = liquidity.last_trade
        return trade.price if trade is not None else liquidity.reference(side)

    def _reach_stops(self, price: Price) -> list[Outcome]:
        """Work the orders whose stop ``price`` reaches."""
        out: list[Outcome] = []
        for order in [order for order in self._stops.values() if order.is_stopped(price)]:
            out += self._activate(order)
        return out

    def _activate(self, order: WorkingOrder) -> list[Outcome]:
        """The stop is reached: the order becomes a market order."""
        self._to_market(order)
        offers = self.liquidity.offers(order.side, None)
        if offers is not None:
            self._orders.pop(order.order_id, None)  # it takes as if it arrived now
            return self._take_displayed(order, offers)
        self._waiting[order.order_id] = order
        opened = self.liquidity.opened
        if opened is None or not self.liquidity.only_candles:
            return []
        return self._fill_at_open(opened, (order,))

    def _to_market(self, order: WorkingOrder) -> None:
        if self._stops.pop(order.order_id, None) is not None and order.limit is not None:
            (self._bids if order.side is _BUY else self._asks).remove(order)
        order.stop = order.limit = order.worst = order.ahead = None

    def takes(self, side: Side, limit: Price) -> bool:
        """True if an order of ``side`` with ``limit`` would trade at once, as far as the record shows."""
        offers = self.liquidity.offers(side, limit)
        if offers is not None:
            return next(offers, None) is not None
        shown = self.liquidity.shown_offer(side)
        return shown is not None and (limit >= shown if side is _BUY else limit <= shown)

    def amend(self, order_id: str, quantity: Quantity, limit: Price, arrival: int) -> list[Outcome]:
        """Change the order to ``quantity`` in total (base, above what is filled) at ``limit`` (quote), from ``arrival``
        (ns) on. Returns what that led to.

        The caller makes sure that the order is working, that it is a ``gtc`` or ``post_only`` limit order, and that a
        ``post_only`` order would not take.
        """
        order = self._orders[order_id]
        keeps_place = limit == order.limit and quantity <= order.quantity
        if keeps_place:
            order.quantity = quantity
            return []
        self._remove(order)
        order.quantity, order.limit, order.worst, order.arrival, order.ahead = quantity, limit, limit, arrival, None
        return self.submit(order)

    def cancel(self, order_id: str) -> WorkingOrder | None:
        """Remove the order. Returns ``None`` if no such order is working."""
        order = self._orders.get(order_id)
        if order is not None:
            self._remove(order)
        return order

    def worst_price(self, side: Side, quantity: Quantity) -> Price | None:
        """The last price (quote) that a market order would pay now, as far as the displayed book reaches; ``None``
        if nothing is offered."""
        worst, left = None, quantity
        for offer in self.liquidity.offers(side, None) or ():
            if offer.available:
                worst = offer.price
                left -= offer.available
                if left <= 0:
                    break
        return worst

    # -- the record ---------------------------------------------------------------------------------------------

    def on_trade(self, trade: TradeEvent) -> Sequence[Outcome]:
        """A trade fills orders that wait on its aggressor's side, then resting orders on the other side, within its
        quantity."""
        self.liquidity.on_trade(trade)
        if not self._orders:
            return _NOTHING
        out: list[Outcome] = []
        left = self._lots(trade.quantity)
        if self._waiting:
            takers = [order for order in self._waiting.values() if order.side is trade.side]
            left = self._fill_waiting(takers, trade.price, left, out)
        self._fill_resting(trade, left, out)
        if self._stops:
            out += self._reach_stops(trade.price)
        return out

    def on_tick(self, tick: TickEvent) -> Sequence[Outcome]:
        self.liquidity.on_tick(tick)
        return self._display_changed() if self._waiting or self._stops else _NOTHING

    def on_book(self, snapshot: OrderBookEvent) -> Sequence[Outcome]:
        self.liquidity.on_book(snapshot)
        return self._display_changed() if self._waiting or self._stops else _NOTHING

    def on_delta(self, delta: OrderBookDeltaEvent) -> Sequence[Outcome]:
        self.liquidity.on_delta(delta)
        return self._display_changed() if self._waiting or self._stops else _NOTHING

    def on_open(self, opened: CandleOpen) -> Sequence[Outcome]:
        """If there are only candles, waiting orders fill at the open. The volume of the new candle is not known yet, so
        they share what the volume of the last candle allows."""
        self.liquidity.on_open(opened)
        last = self.liquidity.last_candle
        if last is None or not self.liquidity.only_candles:
            return _NOTHING
        self._open_left = self._lots(last.volume * self._participation)
        self._wake_stops(opened.price, opened.open_ts + self._candle_grace_ns)
        if not self._waiting:
            return _NOTHING
        return self._fill_at_open(opened, tuple(self._waiting.values()))

    def _wake_stops(self, price: Price, latest: int) -> list[WorkingOrder]:
        """Let orders that arrived by ``latest`` and whose stop ``price`` reaches wait for a fill. Returns them."""
        reached = [o for o in self._stops.values() if o.arrival <= latest and o.is_stopped(price)]
        for order in reached:
            self._to_market(order)
            self._waiting[order.order_id] = order
        return reached

    def _fill_at_open(self, opened: CandleOpen, orders: Iterable[WorkingOrder]) -> list[Outcome]:
        out: list[Outcome] = []
        latest = opened.open_ts + self._candle_grace_ns
        self._open_left = self._fill_waiting(orders, opened.price, self._open_left, out, latest)
        return out

    def on_candle(self, candle: CandleEvent) -> Sequence[Outcome]:
        """If there are only candles, resting orders fill if the range goes through their limit, and never better than
        at the limit. The assumed path is the open, then for each order the worse extreme, then the other one.

        If the open was not received before, it fills waiting orders first.
        """
        opened = self.liquidity.opened
        has_open = opened is not None and opened.open_ts == candle.open_ts
        taken = ZERO
        if has_open:
            last = self.liquidity.last_candle
            assert last is not None
            taken = self._lots(last.volume * self._participation) - self._open_left
        self.liquidity.on_candle(candle)
        if not self._orders or not self.liquidity.only_candles:
            return _NOTHING
        out: list[Outcome] = []
        left = max(self._lots(candle.volume * self._participation) - taken, ZERO)
        latest = candle.open_ts + self._candle_grace_ns
        if not has_open:
            self._wake_stops(candle.open, latest)
            left = self._fill_waiting(tuple(self._waiting.values()), candle.open, left, out, latest)
        if self._stops:
            left = self._fill_stops(candle, left, latest, out)
        for order in (*self._bids.better_than(candle.low), *self._asks.better_than(candle.high)):
            limit = order.limit
            assert limit is not None
            if left and order.arrival <= latest:
                left -= self._fill(order, limit, min(order.remaining, left), "maker", out)
        return out

    def _fill_stops(self, candle: CandleEvent, left: Quantity, latest: int, out: list[Outcome]) -> Quantity:
        """Fill the orders whose stop the candle reached after its open, at their stop. Returns the rest of ``left``."""
        for order in list(self._stops.values()):
            stop = order.stop
            assert stop is not None
            if order.arrival <= latest and order.is_stopped(candle.high if order.side is _BUY else candle.low):
                self._to_market(order)
                self._waiting[order.order_id] = order
                left -= self._fill(order, stop, min(order.remaining, left), "taker", out)
        return left

    # -- taking -------------------------------------------------------------------------------------------------

    def _may_take(self, order: WorkingOrder) -> bool:
        """Whether a limit order that arrives while nothing is displayed reaches the last known offer."""
        if self.liquidity.only_candles:
            return True  # the next open decides
        shown = self.liquidity.shown_offer(order.side)
        return shown is not None and order.reaches(shown)

    def _take_displayed(self, order: WorkingOrder, offers: Iterator[Offer]) -> list[Outcome]:
        out: list[Outcome] = []
        if order.time_in_force is TimeInForce.POST_ONLY and next(offers, None) is not None:
            return [would_take(order)]
        taken: list[tuple[Offer, Quantity]] = []
        left = order.remaining
        for offer in offers:
            quantity = self._lots(min(left, offer.available))
            if quantity:
                taken.append((offer, quantity))
                left -= quantity
                if not left:
                    break
        if left and order.time_in_force is TimeInForce.FOK:
            return [expired(order, f"fill or kill: only {order.remaining - left} of {order.remaining} is offered")]
        for offer, quantity in taken:
            self.liquidity.take(order.side, offer, quantity)
            self._fill(order, offer.price, quantity, "taker", out)
        if left and order.limit is None:
            out.append(expired(order, "market order: nothing more is offered"))
        elif left and order.time_in_force is TimeInForce.IOC:
            out.append(expired(order, "immediate or cancel: nothing more is offered at the limit"))
        elif left:
            self._rest(order)
        return out

    def _display_changed(self) -> Sequence[Outcome]:
        """As soon as a book is displayed, waiting orders take from it as if they arrived now. Without trades, stops
        look at the best price that they could take."""
        out: list[Outcome] = []
        if self._stops and self.liquidity.last_trade is None and self.liquidity.displayed:
            for order in list(self._stops.values()):
                price = self.liquidity.reference(order.side)
                if price is not None and order.is_stopped(price):
                    out += self._activate(order)
        if self.liquidity.displayed:
            for order in list(self._waiting.values()):
                self._remove(order)
                offers = self.liquidity.offers(order.side, order.worst)
                assert offers is not None
                out += self._take_displayed(order, offers)
        return out

    def _fill_waiting(
        self,
        orders: Iterable[WorkingOrder],
        price: Price,
        left: Quantity,
        out: list[Outcome],
        latest: int | None = None,
    ) -> Quantity:
        """Offer ``left`` at ``price`` to those of the waiting ``orders`` that arrived by ``latest``. Returns the
        rest."""
        for order in orders:
            if latest is not None and order.arrival > latest:
                continue
            at_once = order.time_in_force in _IMMEDIATE
            if not order.reaches(price):
                if order.limit is not None and not at_once:
                    self._remove(order)
                    self._rest(order)
                    continue
                self._end(order, f"the offer at {price} is worse than {order.worst}", out)
                continue
            if order.time_in_force is TimeInForce.FOK and left < order.remaining:
                self._end(order, f"fill or kill: only {left} of {order.remaining} is offered", out)
                continue
            left -= self._fill(order, price, min(order.remaining, left), "taker", out)
            if at_once and order.remaining:
                self._end(order, "immediate or cancel: nothing more is offered", out)
        return left

    # -- resting ------------------------------------------------------------------------------------------------

    def _rest(self, order: WorkingOrder) -> None:
        assert order.limit is not None
        order.ahead = self.liquidity.ahead_at(order.side, order.limit)
        self._orders[order.order_id] = order
        (self._bids if order.side is _BUY else self._asks).add(order)

    def _fill_resting(self, trade: TradeEvent, left: Quantity, out: list[Outcome]) -> None:
        price = trade.price
        resting = self._asks if trade.side is _BUY else self._bids
        for order in resting.better_than(price):
            limit = order.limit
            assert limit is not None
            order.ahead = ZERO  # the whole level was passed: nothing is ahead of us any more
            left -= self._fill(order, limit, min(order.remaining, left), "maker", out)
        taken = ZERO  # taken by our orders earlier in the queue
        for order in resting.at(price):
            if order.ahead is None:
                continue
            reached = self._lots(max(left - order.ahead - taken, ZERO))
            order.ahead = max(order.ahead - left, ZERO)
            taken += self._fill(order, price, min(order.remaining, reached), "maker", out)

    # -- bookkeeping --------------------------------------------------------------------------------------------

    def _lots(self, quantity: Quantity) -> Quantity:
        """``quantity`` rounded down to the lot size. A quantity on the grid keeps its digits."""
        rest = quantity % self._lot
        return quantity - rest if rest else quantity

    def _fill(
        self, order: WorkingOrder, price: Price, quantity: Quantity, liquidity: str, out: list[Outcome]
    ) -> Quantity:
        """Execute ``quantity`` unless it is 0. Returns it."""
        if quantity:
            order.filled += quantity
            if order.stop is not None:  # the fill of a target ends the stop
                del self._stops[order.order_id]
                order.stop = None
            out.append(Fill(order, price, quantity, liquidity))
            if not order.remaining:
                self._remove(order)
        return quantity

    def _end(self, order: WorkingOrder, reason: str, out: list[Outcome]) -> None:
        self._remove(order)
        out.append(expired(order, reason))

    def _remove(self, order: WorkingOrder) -> None:
        if self._orders.pop(order.order_id, None) is None:
            return  # it never got to work
        waited_for_stop = self._stops.pop(order.order_id, None) is not None
        if self._waiting.pop(order.order_id, None) is None and not (waited_for_stop and order.limit is None):
            (self._bids if order.side is _BUY else self._asks).remove(order)
