"""What the public record of one symbol offers now, and how much of it we have already taken.

There are three kinds of record, from best to poorest: a displayed book (order book, best bid and ask, or both), trades
alone, candles alone. ``offers`` answers for the first kind. For the other two, only later events show what was on
offer, so it returns ``None`` and the matcher waits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tickdeck.domain.events import CandleEvent, OrderBookDeltaEvent, OrderBookEvent, TickEvent, TradeEvent
from tickdeck.domain.market.book import OrderBook
from tickdeck.domain.market.candle_opens import CandleOpen
from tickdeck.domain.values import ZERO, Level, Price, Quantity, Side

__all__ = ["Liquidity", "Offer"]

_BUY = Side.BUY
_FIRST_DEPTH = 16  # levels to read from the book at first; most orders need one or two
_MAX_UNFOLDED = 1_024  # trades to keep one by one before they are summed by price
_MAX_TAKEN = 256  # remembered levels to keep before those that the record no longer shows are dropped


class Offer(NamedTuple):
    """A displayed level as a taker finds it: ``available`` of ``displayed`` (base) at ``price`` (quote)."""

    price: Price
    available: Quantity
    displayed: Quantity


_LOST_AFTER = 10_000_000_000
"""In ns. Every trade changes the book. If trades continue for this long after the record last showed the book, the
record has lost it, for example because one of two files ended."""


class Liquidity:
    """The record of one symbol, fed in receive order.

    ``taker`` is the side of the order that takes: a buy takes asks, a sell takes bids.
    """

    def __init__(self, symbol: str) -> None:
        self.book = OrderBook(symbol)
        self.last_bought: TradeEvent | None = None
        """The last trade with a buying aggressor; it shows what the ask offered."""
        self.last_sold: TradeEvent | None = None
        self.last_trade: TradeEvent | None = None
        self.last_candle: CandleEvent | None = None
        self.opened: CandleOpen | None = None  # the candle that is open now, where only candles are known
        self._tick: TickEvent | None = None
        self._displays = False  # a book or a tick was seen, so trades may take from what is displayed
        self._shown_at = 0  # when it last was
        # Trades since the record last showed the book: first one by one, then summed by price.
        self._hidden = False  # there is any
        self._prints: list[TradeEvent] = []
        self._printed: dict[tuple[Side, Price], Quantity] = {}
        self._taken: dict[tuple[Side, Price], Level] = {}  # (displayed when we took, taken by us since)

    # -- the record ---------------------------------------------------------------------------------------------

    def on_trade(self, trade: TradeEvent) -> None:
        """Take a public trade. Until the record shows the book again, the trade's quantity is gone from the
        displayed levels."""
        if trade.side is _BUY:
            self.last_bought = trade
        else:
            self.last_sold = trade
        self.last_trade = trade
        if self._displays:
            if trade.ts_ingress - self._shown_at > _LOST_AFTER:
                self._displays = False
                self._tick = None
                self._forget_prints()
                return
            self._hidden = True
            self._prints.append(trade)
            if len(self._prints) > _MAX_UNFOLDED:
                self._fold()

    def on_tick(self, tick: TickEvent) -> None:
        """Take the current best bid and ask. Crossed ones are an error of the record: then none are known."""
        if tick.bid_price >= tick.ask_price > 0:
            self._tick = None
            return
        self._tick = tick
        self._displays = True
        self._shown_at = tick.ts_ingress
        if self._hidden and self._tick_counts(tick):
            self._forget_prints()

    def on_book(self, snapshot: OrderBookEvent) -> None:
        """Take a whole book. It counts from the moment it joins the deltas, unless it is crossed."""
        self.book.apply_snapshot(snapshot)
        self.book.empty_if_crossed()
        self._book_changed(snapshot.ts_ingress)

    def on_delta(self, delta: OrderBookDeltaEvent) -> None:
        """Take changed levels. After a gap, or once they crossed it, the book is unusable until a later snapshot."""
        self.book.apply_delta(delta)
        self.book.empty_if_crossed()
        self._book_changed(delta.ts_ingress)

    def on_candle(self, candle: CandleEvent) -> None:
        """Take a closed candle."""
        self.last_candle = candle
        if self.opened is not None and self.opened.open_ts < candle.close_ts:
            self.opened = None

    def on_open(self, opened: CandleOpen) -> None:
        """A candle opens."""
        self.opened = opened

    @property
    def candle_price(self) -> Price | None:
        """The open of the candle that is open now, else the close of the last one."""
        if self.opened is not None:
            return self.opened.price
        return self.last_candle.close if self.last_candle is not None else None

    def _book_changed(self, ts: int) -> None:
        book, tick = self.book, self._tick
        if not book.usable:
            return
        self._displays = True
        self._shown_at = ts
        if (
            tick is None or tick.update_id <= book.last_update_id
        ):  # 0 means undated: the later arrival is then the fresher one
            self._tick = None
            self._forget_prints()

    def _forget_prints(self) -> None:
        self._hidden = False
        self._prints.clear()
        if self._printed:
            self._printed.clear()

    def _fold(self) -> None:
        for trade in self._prints:
            key = (trade.side, trade.price)
            self._printed[key] = self._printed.get(key, ZERO) + trade.quantity
        self._prints.clear()

    # -- questions ----------------------------------------------------------------------------------------------

    @property
    def only_candles(self) -> bool:
        """True if only candles were seen."""
        return self.last_candle is not None and not (self._displays or self.last_bought or self.last_sold)

    @property
    def displayed(self) -> bool:
        """True if a book or a best bid and ask is known now."""
        return self._tick is not None or self._book_counts()

    def _book_counts(self) -> bool:
        return self._displays and self.book.usable

    def _tick_counts(self, tick: TickEvent) -> bool:
        """True if the tick is fresher than the book, or there is no book."""
        return not tick.update_id or tick.update_id > self.book.last_update_id or not self._book_counts()

    def reference(self, taker: Side) -> Price | None:
        """The last known price at which a taker could trade: the displayed best price, else the last trade with an
        aggressor on its side, else the last trade, else the last close; ``None`` if there is none."""
        best = next(self._levels(taker), None)
        if best is not None:
            return best[0]
        own, other = self.last_bought, self.last_sold
        if taker is not _BUY:
            own, other = other, own
        trade = own or other
        if trade is not None:
            return trade.price
        return self.candle_price

    def shown_offer(self, taker: Side) -> Price | None:
        """Without a displayed book: the price that the last trade on the taker's side shows as offered, or the last
        close if there are only candles; ``None`` if there is none."""
        trade = self.last_bought if taker is _BUY else self.last_sold
        if trade is not None:
            return trade.price
        return self.candle_price if self.only_candles else None

    def offers(self, taker: Side, limit: Price | None) -> Iterator[Offer] | None:
        """The displayed levels that an order of ``taker`` with ``limit`` reaches, best first. Each has what is left
        after our own takes and after trades that the display does not show yet.

        ``None`` if nothing is displayed.
        """
        return self._offers(taker, limit) if self.displayed else None

    def _offers(self, taker: Side, limit: Price | None) -> Iterator[Offer]:
        buying = taker is _BUY
        self._fold()
        printed = [price for side, price in self._printed if side is taker]
        furthest = (max if buying else min)(printed) if printed else None
        for price, quantity in self._levels(taker):
            if limit is not None and (price > limit if buying else price < limit):
                return
            available = quantity
            if furthest is not None:
                swept = price < furthest if buying else price > furthest
                available = ZERO if swept else quantity - self._printed.get((taker, price), ZERO)
            taken = self._taken.get((taker, price))
            if taken is not None:
                if taken[0] == quantity:
                    available -= taken[1]
                else:
                    del self._taken[taker, price]  # the record changed this level, so all of it is offered again
            yield Offer(price, max(available, ZERO), quantity)

    def take(self, taker: Side, offer: Offer, quantity: Quantity) -> None:
        """Remember that we took ``quantity`` of ``offer``; the record cannot know."""
        before = self._taken.get((taker, offer.price), (offer.displayed, ZERO))[1]
        self._taken[taker, offer.price] = (offer.displayed, before + quantity)
        if len(self._taken) > _MAX_TAKEN:
            shown = {(side, level[0]) for side in Side for level in self._levels(side)}
            self._taken = {key: taken for key, taken in self._taken.items() if key in shown}

    def ahead_at(self, side: Side, price: Price) -> Quantity | None:
        """The displayed quantity (base) ahead of a new order of ``side`` that rests at ``price`` (quote).

        0 if the price is better than the best one; ``None`` if the record does not show it.
        """
        if not self.displayed:
            return None
        best = True
        for shown, quantity in self._levels(side.opposite):
            if shown == price:
                return quantity
            if price > shown if side is _BUY else price < shown:
                return ZERO if best else None
            best = False
        return ZERO if best else None

    def _levels(self, taker: Side) -> Iterator[Level]:
        """The displayed levels on the side that ``taker`` takes from, best first.

        This is the book, corrected by a fresher tick: better levels are gone, and the best has the tick's quantity.
        Without a book, it is the tick's level alone.
        """
        buying = taker is _BUY
        tick = self._tick
        book = self._book_counts()
        if tick is not None and self._tick_counts(tick):
            price, quantity = (tick.ask_price, tick.ask_quantity) if buying else (tick.bid_price, tick.bid_quantity)
            if not price or not quantity:
                return  # there are no offers on this side
            yield price, quantity
            if book:
                for level in self._book_levels(buying):
                    if level[0] > price if buying else level[0] < price:
                        yield level
        elif book:
            yield from self._book_levels(buying)

    def _book_levels(self, buying: bool) -> Iterator[Level]:
        side = self.book.asks if buying else self.book.bids
        done, depth = 0, _FIRST_DEPTH
        while True:
            levels = side(depth)
            yield from levels[done:]
            if len(levels) < depth:
                return
            done, depth = depth, depth * 4
