"""What happens when an order meets the book: trades, fees, self-trade prevention, and how orders end."""

from __future__ import annotations

from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

import msgspec

from tickdeck.infrastructure.venue.matching.balances import Balances, Holding
from tickdeck.infrastructure.venue.matching.book import Side
from tickdeck.infrastructure.venue.matching.desk import Desk
from tickdeck.infrastructure.venue.matching.orders import (
    FEE_ACCOUNT,
    Execution,
    ExecutionKind,
    Order,
    SelfTrade,
    Status,
    Tif,
)
from tickdeck.infrastructure.venue.matching.register import OrderRegister

__all__ = ["Matcher"]

ZERO = Decimal(0)
_CENT = Decimal("0.00000001")  # balances have eight decimals, as on most spot venues


class Matcher:
    """Trades orders and settles them. ``executions`` collects what happened, in order."""

    def __init__(self, balances: Balances, register: OrderRegister) -> None:
        self._balances = balances
        self._register = register
        self.executions: list[Execution] = []
        self._executed = 0

    def take(self, desk: Desk, taker: Order, opposite: Side, pays: Holding, now: int) -> None:
        limit, is_buy = taker.price, taker.is_buy
        if taker.tif is Tif.FOK and limit is not None and self._available(taker, opposite) < taker.remaining:
            return
        by_quote = taker.quote_quantity
        prevent = taker.self_trade is not SelfTrade.NONE
        while taker.remaining or by_quote is not None:
            level = opposite.best
            if level is None or (limit is not None and (level.price > limit if is_buy else level.price < limit)):
                return
            maker = level.first
            assert maker is not None
            if prevent and maker.account == taker.account:
                if self._prevent(desk, taker, maker, now):
                    return
                continue
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
        """End an order that is not filled: take it off the book and unlock what it holds."""
        if order.working:
            assert order.price is not None
            (desk.book.bids if order.is_buy else desk.book.asks).remove(order, order.price)
            order.working = False
            del desk.working[order.account][order.number]
            desk.touched[order.is_buy, order.price] = None
        self.release(desk, order, order.remaining)
        order.status = status
        order.updated = now
        self._register.finish(order)
        self.record(kind, order, now)

    def release(self, desk: Desk, order: Order, quantity: Decimal) -> None:
        """Unlock what ``quantity`` (base) of the order holds."""
        market = desk.market
        if order.is_buy:
            if order.price is None:
                return
            holding, amount = self._balances.holding(order.account, market.quote), order.price * quantity
        else:
            holding, amount = self._balances.holding(order.account, market.base), quantity
        holding.locked -= amount
        holding.free += amount

    def record(
        self,
        kind: ExecutionKind,
        order: Order,
        now: int,
        *,
        price: Decimal = ZERO,
        quantity: Decimal = ZERO,
        trade_id: int = 0,
        is_maker: bool = False,
        commission: Decimal = ZERO,
        commission_asset: str = "",
        counter: Order | None = None,
    ) -> None:
        self._executed += 1
        self.executions.append(
            Execution(
                number=self._executed,
                kind=kind,
                order=order,
                at=now,
                status=order.status,
                filled=order.filled,
                spent=order.spent,
                price=price,
                quantity=quantity,
                trade_id=trade_id,
                is_maker=is_maker,
                commission=commission,
                commission_asset=commission_asset,
                counter=counter,
            )
        )

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
            if taker.self_trade is not SelfTrade.NONE:
                order = level.first
                while order is not None:
                    if order.account == taker.account:
                        found -= order.remaining
                    order = order.next
            if found >= taker.remaining:
                break
        return found

    def _trade(
        self, desk: Desk, taker: Order, maker: Order, side: Side, price: Decimal, quantity: Decimal, now: int
    ) -> None:
        market, balances = desk.market, self._balances
        notional = price * quantity
        buyer, seller = (taker, maker) if taker.is_buy else (maker, taker)
        paid = balances.holding(buyer.account, market.quote)
        if buyer.price is None:
            paid.free -= notional
        else:  # a buyer who pays less than the limit gets the difference back
            held = buyer.price * quantity
            paid.locked -= held
            paid.free += held - notional
        balances.holding(seller.account, market.base).locked -= quantity
        buyer_fee = (quantity * (market.taker_fee if buyer is taker else market.maker_fee)).quantize(_CENT, ROUND_DOWN)
        seller_fee = (notional * (market.taker_fee if seller is taker else market.maker_fee)).quantize(
            _CENT, ROUND_DOWN
        )
        balances.holding(buyer.account, market.base).free += quantity - buyer_fee
        balances.holding(seller.account, market.quote).free += notional - seller_fee
        balances.holding(FEE_ACCOUNT, market.base).free += buyer_fee
        balances.holding(FEE_ACCOUNT, market.quote).free += seller_fee
        desk.trades += 1
        if quantity == maker.remaining:
            side.remove(maker, price)
        else:
            side.levels[price].quantity -= quantity
        desk.touched[maker.is_buy, price] = None
        for order, counter in ((taker, maker), (maker, taker)):
            order.filled += quantity
            order.spent += notional
            order.remaining -= quantity
            order.updated = now
            done = not order.remaining and (order.quote_quantity is None)
            order.status = Status.FILLED if done else Status.PARTIALLY_FILLED
            if done and order.working:
                order.working = False
                del desk.working[order.account][order.number]
            if done:
                self._register.finish(order)
            is_buyer = order is buyer
            self.record(
                ExecutionKind.TRADE,
                order,
                now,
                price=price,
                quantity=quantity,
                trade_id=desk.trades,
                is_maker=order is maker,
                commission=buyer_fee if is_buyer else seller_fee,
                commission_asset=market.base if is_buyer else market.quote,
                counter=counter,
            )

    def _prevent(self, desk: Desk, taker: Order, maker: Order, now: int) -> bool:
        """Keep two orders of one account from trading, by the taker's mode. Returns whether the taker is done."""
        mode = taker.self_trade
        price = maker.price
        assert price is not None
        by_quote = taker.quote_quantity is not None
        prevented = maker.remaining if by_quote else min(taker.remaining, maker.remaining)
        for order, counter in ((taker, maker), (maker, taker)):
            self.record(
                ExecutionKind.TRADE_PREVENTION,
                order,
                now,
                price=price,
                quantity=prevented,
                is_maker=order is maker,
                counter=counter,
            )
        if mode is SelfTrade.DECREMENT and not by_quote:
            side = desk.book.bids if maker.is_buy else desk.book.asks
            for order in (taker, maker):
                order.prevented += prevented
                if order.remaining == prevented:
                    self.finish(desk, order, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
                    continue
                self.release(desk, order, prevented)
                order.remaining -= prevented
                order.updated = now
                if order is maker:
                    side.levels[price].quantity -= prevented
                    desk.touched[maker.is_buy, price] = None
            return taker.status is Status.EXPIRED_IN_MATCH
        if mode in (SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH):
            maker.prevented += prevented
            self.finish(desk, maker, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
        if mode is not SelfTrade.EXPIRE_MAKER:
            taker.prevented += prevented
            self.finish(desk, taker, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
            return True
        return False
