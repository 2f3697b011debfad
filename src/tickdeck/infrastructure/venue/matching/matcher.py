"""What happens when an order meets the book: trades, fees, self-trade prevention, and the end of orders."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

import msgspec

from tickdeck.infrastructure.venue.matching.balances import Holding
from tickdeck.infrastructure.venue.matching.book import Side
from tickdeck.infrastructure.venue.matching.desk import Desk, Seat
from tickdeck.infrastructure.venue.matching.fees import FeeAssets
from tickdeck.infrastructure.venue.matching.lists import OrderLists
from tickdeck.infrastructure.venue.matching.orders import (
    Execution,
    ExecutionKind,
    Order,
    SelfTrade,
    Status,
    Tif,
)
from tickdeck.infrastructure.venue.matching.register import OrderRegister

__all__ = ["Matcher", "release"]

ZERO = Decimal(0)
_CENT = Decimal("0.00000001")  # balances have eight decimals, as on most spot venues
# A member looked up in its enum costs several times as much as a global.
_PARTIALLY_FILLED, _FILLED = Status.PARTIALLY_FILLED, Status.FILLED
_TRADE, _FOK, _NO_PREVENTION = ExecutionKind.TRADE, Tif.FOK, SelfTrade.NONE


class Matcher:
    """Trades orders and settles them. ``executions`` collects what happened, in order."""

    def __init__(self, register: OrderRegister, fee_assets: FeeAssets) -> None:
        self._fee_assets = fee_assets
        self._register = register
        self.executions: list[Execution] = []
        self.executed = 0
        self.lists = OrderLists(register.by_number, self.finish, release)

    def take(self, desk: Desk, taker: Order, opposite: Side, pays: Holding, now: int) -> None:
        limit, is_buy = taker.price, taker.is_buy
        if taker.tif is _FOK and limit is not None and self._available(taker, opposite) < taker.remaining:
            return
        by_quote = taker.quote_quantity
        prevent = taker.self_trade is not _NO_PREVENTION
        while taker.remaining or by_quote is not None:
            level = opposite.best
            if level is None or (limit is not None and (level.price > limit if is_buy else level.price < limit)):
                return
            maker = level.first()
            if prevent and maker.account == taker.account:
                if self._prevent(desk, taker, maker, now):
                    return
                continue
            if maker.list_number >= 0:
                self.lists.activate(desk, maker, now)
            price = level.price
            if by_quote is not None:
                step = desk.market.step_size
                most = ((by_quote - taker.spent) / price / step).to_integral_value(ROUND_FLOOR) * step
                if not is_buy:
                    most = min(most, pays.free // step * step)
                if not most:
                    self._fill_by_quote(taker, now)
                    return
                quantity = min(most, maker.remaining)
                taker.quantity += quantity
                taker.remaining = quantity
                if not is_buy:
                    pays.free -= quantity
                    pays.locked += quantity
            else:
                remaining = maker.remaining
                quantity = taker.remaining if taker.remaining < remaining else remaining
            self._trade(desk, taker, maker, opposite, price, quantity, now)

    def finish(self, desk: Desk, order: Order, status: Status, kind: ExecutionKind, now: int) -> None:
        """End an order that is not filled: remove it from the book and unlock what it locks."""
        seat = desk.seats[order.account]
        if order.resting:
            assert order.price is not None
            (desk.book.bids if order.is_buy else desk.book.asks).remove(order, order.price)
        if order.working:
            order.working = False
            del seat.working[order.number]
        if order.is_waiting:
            del desk.stops[order.number]
        release(seat, order, order.remaining)
        order.status = status
        order.updated = now
        self._register.finish(order)
        self.record(kind, order, now)
        if order.list_number >= 0:
            self.lists.on_finish(desk, order, now)

    def record(self, kind: ExecutionKind, order: Order, now: int) -> None:
        """Record what happened to an order, other than a trade."""
        self.executed += 1
        self.executions.append(Execution(self.executed, kind, order, now, order.status, order.filled, order.spent))

    def _fill_by_quote(self, taker: Order, now: int) -> None:
        """End an order sized in quote whose rest is too small for another step: its last trade was the final one."""
        if not taker.filled:
            return
        taker.status, taker.updated = Status.FILLED, now
        self._register.finish(taker)
        for at in range(len(self.executions) - 1, -1, -1):
            last = self.executions[at]
            if last.order is taker:
                self.executions[at] = msgspec.structs.replace(last, status=Status.FILLED)
                return

    def _available(self, taker: Order, opposite: Side) -> Decimal:
        """How much the taker could fill within its limit."""
        limit, found = taker.price, ZERO
        assert limit is not None
        for level in opposite.from_best():
            if level.price > limit if taker.is_buy else level.price < limit:
                break
            found += level.quantity
            if taker.self_trade is not _NO_PREVENTION:
                found -= sum(order.remaining for order in level.resting() if order.account == taker.account)
            if found >= taker.remaining:
                break
        return found

    def _trade(
        self, desk: Desk, taker: Order, maker: Order, side: Side, price: Decimal, quantity: Decimal, now: int
    ) -> None:
        market, seats = desk.market, desk.seats
        notional = price * quantity
        taker_seat, maker_seat = seats[taker.account], seats[maker.account]
        taker_buys = taker.is_buy
        if taker_buys:
            buyer, buyer_seat, buyer_rate = taker, taker_seat, market.taker_fee
            seller_seat, seller_rate = maker_seat, market.maker_fee
        else:
            buyer, buyer_seat, buyer_rate = maker, maker_seat, market.maker_fee
            seller_seat, seller_rate = taker_seat, market.taker_fee
        paid = buyer_seat.quote
        if buyer.price is None:
            paid.free -= notional
        else:  # a buyer who pays less than the limit gets the difference back
            held = buyer.price * quantity
            paid.locked -= held
            paid.free += held - notional
        seller_seat.base.locked -= quantity
        buyer_fee = (quantity * buyer_rate).quantize(_CENT, ROUND_DOWN)
        seller_fee = (notional * seller_rate).quantize(_CENT, ROUND_DOWN)
        buyer_seat.base.free += quantity
        seller_seat.quote.free += notional
        desk.trades += 1
        desk.last_price = price
        buyer_asset, seller_asset = market.base, market.quote
        paid_by_buyer = paid_by_seller = None
        if self._fee_assets.by_account:
            seller = maker if taker_buys else taker
            paid_by_buyer = self._fee_assets.pay(buyer.account, notional * buyer_rate, market.quote)
            paid_by_seller = self._fee_assets.pay(seller.account, notional * seller_rate, market.quote)
        if paid_by_buyer is not None:
            buyer_fee, buyer_asset = paid_by_buyer
        else:
            buyer_seat.base.free -= buyer_fee
            desk.fees.base.free += buyer_fee
        if paid_by_seller is not None:
            seller_fee, seller_asset = paid_by_seller
        else:
            seller_seat.quote.free -= seller_fee
            desk.fees.quote.free += seller_fee
        if quantity == maker.remaining:
            side.remove(maker, price)
        else:
            side.reduce(price, quantity)
        for order, seat, counter in ((taker, taker_seat, maker), (maker, maker_seat, taker)):
            order.filled += quantity
            order.spent += notional
            order.remaining -= quantity
            order.updated = now
            if order.remaining or order.quote_quantity is not None:
                order.status = _PARTIALLY_FILLED
            else:
                order.status = _FILLED
                if order.working:
                    order.working = False
                    del seat.working[order.number]
                self._register.finish(order)
                if order.list_number >= 0:
                    self.lists.on_finish(desk, order, now)
            self.executed += 1
            buys = order.is_buy
            self.executions.append(
                Execution(
                    self.executed,
                    _TRADE,
                    order,
                    now,
                    order.status,
                    order.filled,
                    order.spent,
                    price,
                    quantity,
                    desk.trades,
                    order is maker,
                    buyer_fee if buys else seller_fee,
                    buyer_asset if buys else seller_asset,
                    counter,
                )
            )

    def _prevent(self, desk: Desk, taker: Order, maker: Order, now: int) -> bool:
        """Prevent a trade between two orders of one account, by the taker's mode. Returns whether the taker is done."""
        mode = taker.self_trade
        price = maker.price
        assert price is not None
        by_quote = taker.quote_quantity is not None
        prevented = maker.remaining if by_quote else min(taker.remaining, maker.remaining)
        for order, counter in ((taker, maker), (maker, taker)):
            self.executed += 1
            self.executions.append(
                Execution(
                    self.executed,
                    ExecutionKind.TRADE_PREVENTION,
                    order,
                    now,
                    order.status,
                    order.filled,
                    order.spent,
                    price,
                    prevented,
                    is_maker=order is maker,
                    counter=counter,
                )
            )
        if mode is SelfTrade.DECREMENT and not by_quote:
            if maker.list_number >= 0:
                self.lists.activate(desk, maker, now)  # from here on its quantity is its own
            side = desk.book.bids if maker.is_buy else desk.book.asks
            for order in (taker, maker):
                order.prevented += prevented
                if order.remaining == prevented:
                    self.finish(desk, order, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
                    continue
                release(desk.seats[order.account], order, prevented)
                order.remaining -= prevented
                order.updated = now
                if order is maker:
                    side.reduce(price, prevented)
            return taker.status is Status.EXPIRED_IN_MATCH
        if mode in (SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH):
            maker.prevented += prevented
            self.finish(desk, maker, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
        if mode is not SelfTrade.EXPIRE_MAKER:
            taker.prevented += prevented
            self.finish(desk, taker, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
            return True
        return False


def release(seat: Seat, order: Order, quantity: Decimal) -> None:
    """Unlock what ``quantity`` (base) of the order holds; a negative quantity locks it."""
    if not order.holds:
        return
    if not order.is_buy:
        holding = seat.base
    elif order.price is not None:
        holding, quantity = seat.quote, order.price * quantity
    elif order.stop_price is not None and not order.triggered:
        holding, quantity = seat.quote, order.stop_price * quantity
    else:
        return  # a market buy holds nothing
    holding.locked -= quantity
    holding.free += quantity
