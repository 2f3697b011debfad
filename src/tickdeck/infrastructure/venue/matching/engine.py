"""The matching engine of the venue: price-time priority, exact balances, deterministic.

Equal calls in an equal order lead to equal results: the engine has no clock (each call gives the time) and no chance.
Every call either changes all that it has to change, or raises ``OrderRefused`` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import ROUND_DOWN, ROUND_FLOOR, Decimal

import msgspec

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.matching.balances import Balances, Holding
from tickdeck.infrastructure.venue.matching.book import Book, Side
from tickdeck.infrastructure.venue.matching.market import Market, MarketStatus
from tickdeck.infrastructure.venue.matching.orders import (
    Execution,
    ExecutionKind,
    NewOrder,
    Order,
    OrderRefused,
    Refusal,
    SelfTrade,
    Status,
    Tif,
    Type,
)

__all__ = ["FEE_ACCOUNT", "HOUSE", "MatchingEngine"]

ZERO = Decimal(0)
HOUSE = "#"
"""The first character of the venue's own accounts, such as those of other traders. Filters do not bind them."""
_CENT = Decimal("0.00000001")  # balances have eight decimals, as on most spot venues
FEE_ACCOUNT = f"{HOUSE}fees"
"""The account that receives every commission, so that each asset's total never changes by trading."""


class _Desk:
    """A market with its book and counters."""

    __slots__ = ("book", "market", "touched", "trades", "working")

    def __init__(self, market: Market) -> None:
        self.market = market
        self.book = Book()
        self.working: dict[str, dict[int, Order]] = {}  # by account and number
        self.trades = 0
        self.touched: dict[tuple[bool, Decimal], None] = {}  # (is a bid, price) of levels since the last look


class MatchingEngine:
    """The venue's markets, orders and balances.

    ``keep`` finished orders stay available to queries; older ones are forgotten. ``drain()`` hands out what happened
    since it was last called: draining after each call keeps memory flat.
    """

    def __init__(self, markets: Iterable[Market], *, keep: int = 100_000) -> None:
        self._desks = {market.symbol: _Desk(market) for market in markets}
        if not self._desks:
            raise ConfigError("matching engine: give at least one market")
        self.balances = Balances()
        self._orders: dict[int, Order] = {}
        self._by_client: dict[tuple[str, str, str], Order] = {}
        self._finished: list[int] = []
        self._keep = keep
        self._number = 0
        self._executed = 0
        self._executions: list[Execution] = []

    # -- money ------------------------------------------------------------------------------------------------

    def deposit(self, account: str, asset: str, amount: Decimal) -> None:
        """Add ``amount`` to the account's free balance; a negative amount withdraws. Raises ``OrderRefused`` if the
        free balance does not cover a withdrawal."""
        holding = self.balances.holding(account, asset)
        if holding.free + amount < 0:
            raise OrderRefused(Refusal.INSUFFICIENT_BALANCE)
        holding.free += amount

    # -- orders -----------------------------------------------------------------------------------------------

    def check(self, request: NewOrder) -> None:
        """Raises ``OrderRefused`` if the request breaks a filter, or its market does not trade. Places nothing."""
        desk = self._desks.get(request.symbol)
        if desk is None:
            raise OrderRefused(Refusal.UNKNOWN_SYMBOL)
        if desk.market.status is not MarketStatus.TRADING:
            raise OrderRefused(Refusal.MARKET_CLOSED)
        self._check_filters(desk, request)

    def place(self, request: NewOrder, now: int) -> Order:
        """Place an order at ``now`` (ns UTC). Returns it with everything that its arrival led to: it rests, is filled,
        or has expired. Raises ``OrderRefused``."""
        desk = self._desks.get(request.symbol)
        if desk is None:
            raise OrderRefused(Refusal.UNKNOWN_SYMBOL)
        market = desk.market
        if market.status is not MarketStatus.TRADING:
            raise OrderRefused(Refusal.MARKET_CLOSED)
        self._check_filters(desk, request)
        account = request.account
        key = (account, market.symbol, request.client_id)
        known = self._by_client.get(key)
        if known is not None and (known.status is Status.NEW or known.status is Status.PARTIALLY_FILLED):
            raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
        book = desk.book
        is_buy, price = request.is_buy, request.price
        opposite = book.asks if is_buy else book.bids
        best = opposite.best
        takes = best is not None and (price is None or (best.price <= price if is_buy else best.price >= price))
        if takes and request.type is Type.LIMIT_MAKER:
            raise OrderRefused(Refusal.WOULD_TAKE)
        pays = self.balances.holding(account, market.quote if is_buy else market.base)
        locked = self._amount_to_lock(request, opposite)
        if pays.free < locked:
            raise OrderRefused(Refusal.INSUFFICIENT_BALANCE)

        self._number += 1
        order = Order(self._number, request, now)
        if request.quantity is None:  # sized in quote: the base quantity is known only when it has traded
            order.remaining = order.quantity = ZERO
        self._orders[order.number] = order
        self._by_client[key] = order
        if is_buy and price is None:
            locked = ZERO  # a market buy pays as it trades
        pays.free -= locked
        pays.locked += locked
        self._tell(ExecutionKind.NEW, order, now)
        if takes:
            self._take(desk, order, opposite, pays, now)
        if order.status is Status.NEW or order.status is Status.PARTIALLY_FILLED:
            if price is None or request.tif is not Tif.GTC:
                self._finish(desk, order, Status.EXPIRED, ExecutionKind.EXPIRED, now)
            else:
                order.working = True
                desk.working.setdefault(account, {})[order.number] = order
                (book.bids if is_buy else book.asks).add(order, price)
                desk.touched[is_buy, price] = None
        return order

    def cancel(self, account: str, symbol: str, now: int, *, number: int = 0, client_id: str = "") -> Order:
        """Cancel a working order, found by ``number`` or else by ``client_id``. Raises ``OrderRefused``."""
        order = self.find(account, symbol, number=number, client_id=client_id)
        if order is None or not order.working:
            raise OrderRefused(Refusal.UNKNOWN_ORDER)
        desk = self._desks[symbol]
        if desk.market.status in (MarketStatus.HALT, MarketStatus.BREAK):
            raise OrderRefused(Refusal.MARKET_CLOSED)
        self._finish(desk, order, Status.CANCELED, ExecutionKind.CANCELED, now)
        return order

    def reduce(
        self, account: str, symbol: str, number: int, quantity: Decimal, now: int, *, client_id: str = ""
    ) -> Order:
        """Reduce a working order to ``quantity`` in total (base, including what is filled). It keeps its place in the
        queue, and takes the new ``client_id`` if one is given. Raises ``OrderRefused``."""
        order = self.find(account, symbol, number=number)
        if order is None or not order.working:
            raise OrderRefused(Refusal.UNKNOWN_ORDER)
        desk = self._desks[symbol]
        less = order.quantity - quantity
        if less <= 0 or order.remaining - less <= 0:
            raise OrderRefused(Refusal.BAD_AMEND)
        if quantity % desk.market.step_size or quantity < desk.market.min_quantity:
            raise OrderRefused(Refusal.LOT_SIZE)
        if client_id and client_id != order.client_id:
            other = self._by_client.get((account, symbol, client_id))
            if other is not None and other.working:
                raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
        assert order.price is not None
        self._release(desk, order, less)
        side = desk.book.bids if order.is_buy else desk.book.asks
        side.levels[order.price].quantity -= less
        order.quantity = quantity
        order.remaining -= less
        order.updated = now
        order.amends += 1
        if client_id and client_id != order.client_id:
            if self._by_client.get((account, symbol, order.client_id)) is order:
                del self._by_client[account, symbol, order.client_id]
            order.client_id = client_id
            self._by_client[account, symbol, client_id] = order
        desk.touched[order.is_buy, order.price] = None
        self._tell(ExecutionKind.REPLACED, order, now)
        return order

    def expire(self, order: Order, now: int) -> None:
        """Take a working order away, as a venue does in maintenance."""
        self._finish(self._desks[order.symbol], order, Status.EXPIRED, ExecutionKind.EXPIRED, now)

    # -- questions --------------------------------------------------------------------------------------------

    @property
    def markets(self) -> dict[str, Market]:
        """The markets by symbol."""
        return {symbol: desk.market for symbol, desk in self._desks.items()}

    def set_status(self, symbol: str, status: MarketStatus) -> None:
        """Open, halt or close a market. Orders stay where they are."""
        desk = self._desks[symbol]
        desk.market = msgspec.structs.replace(desk.market, status=status)

    def set_market(self, market: Market) -> None:
        """Change a market's filters or fees, or add a market. Resting orders stay, even off a new grid."""
        desk = self._desks.get(market.symbol)
        if desk is None:
            self._desks[market.symbol] = _Desk(market)
        else:
            desk.market = market

    def find(self, account: str, symbol: str, *, number: int = 0, client_id: str = "") -> Order | None:
        """An order by its number, or else the newest with the client id; ``None`` if the account has no such order."""
        order = self._orders.get(number) if number else self._by_client.get((account, symbol, client_id))
        if order is None or order.account != account or order.symbol != symbol:
            return None
        return order

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """The account's working orders, oldest first."""
        desks = self._desks.values() if symbol is None else [self._desks[symbol]]
        found = [order for desk in desks for order in desk.working.get(account, {}).values()]
        return found if symbol is not None else sorted(found, key=lambda order: order.number)

    def orders(self, account: str, symbol: str) -> list[Order]:
        """All remembered orders of the account in a market, oldest first."""
        return [o for o in self._orders.values() if o.account == account and o.symbol == symbol]

    def depth(self, symbol: str, limit: int) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
        """The best ``limit`` bids and asks as (price, quantity), best first."""
        book = self._desks[symbol].book
        return _levels(book.bids, limit), _levels(book.asks, limit)

    def best(self, symbol: str) -> tuple[tuple[Decimal, Decimal] | None, tuple[Decimal, Decimal] | None]:
        """The best bid and ask as (price, quantity)."""
        book = self._desks[symbol].book
        bid, ask = book.bids.best, book.asks.best
        return (bid and (bid.price, bid.quantity)) or None, (ask and (ask.price, ask.quantity)) or None

    def take_changed_levels(self, symbol: str) -> list[tuple[bool, Decimal, Decimal]]:
        """The levels that changed since the last call as (is a bid, price, quantity now); quantity 0 is an empty
        level."""
        desk = self._desks[symbol]
        changed = []
        for is_bid, price in desk.touched:
            level = (desk.book.bids if is_bid else desk.book.asks).levels.get(price)
            changed.append((is_bid, price, level.quantity if level is not None else ZERO))
        desk.touched.clear()
        return changed

    def drain(self) -> list[Execution]:
        """What happened since the last call, in order."""
        executions, self._executions = self._executions, []
        return executions

    # -- filters and locks ------------------------------------------------------------------------------------

    def _check_filters(self, desk: _Desk, request: NewOrder) -> None:
        market = desk.market
        price, quantity = request.price, request.quantity
        if (price is None) != (request.type is Type.MARKET) or (quantity is None) == (request.quote_quantity is None):
            raise OrderRefused(Refusal.PRICE_FILTER)
        if price is not None and quantity is None:
            raise OrderRefused(Refusal.LOT_SIZE)
        if request.account[:1] == HOUSE:
            return
        if quantity is not None and (
            quantity < market.min_quantity or quantity > market.max_quantity or quantity % market.step_size
        ):
            raise OrderRefused(Refusal.LOT_SIZE)
        if price is not None:
            assert quantity is not None
            if price < market.min_price or price > market.max_price or price % market.tick_size:
                raise OrderRefused(Refusal.PRICE_FILTER)
            if price * quantity < market.min_notional:
                raise OrderRefused(Refusal.NOTIONAL)
            if len(desk.working.get(request.account, ())) >= market.max_orders:
                raise OrderRefused(Refusal.MAX_NUM_ORDERS)
        elif request.quote_quantity is not None:
            if request.quote_quantity < market.min_notional:
                raise OrderRefused(Refusal.NOTIONAL)
        else:
            book = desk.book
            best = book.asks.best if request.is_buy else book.bids.best
            assert quantity is not None
            if best is not None and best.price * quantity < market.min_notional:
                raise OrderRefused(Refusal.NOTIONAL)

    def _amount_to_lock(self, request: NewOrder, opposite: Side) -> Decimal:
        """What the account must have free: the cost of a buy in quote, the quantity of a sell in base."""
        if request.quantity is None:
            assert request.quote_quantity is not None
            if request.is_buy:
                return request.quote_quantity
            return ZERO  # a sell sized in quote locks as it trades, and never more than is free
        if not request.is_buy:
            return request.quantity
        if request.price is not None:
            return request.price * request.quantity
        left, cost = request.quantity, ZERO
        for level in opposite.from_best():
            part = min(left, level.quantity)
            cost += part * level.price
            left -= part
            if not left:
                break
        return cost

    def _release(self, desk: _Desk, order: Order, quantity: Decimal) -> None:
        """Unlock what ``quantity`` (base) of the order holds."""
        market = desk.market
        if order.is_buy:
            if order.price is None:
                return
            holding, amount = self.balances.holding(order.account, market.quote), order.price * quantity
        else:
            holding, amount = self.balances.holding(order.account, market.base), quantity
        holding.locked -= amount
        holding.free += amount

    # -- matching ---------------------------------------------------------------------------------------------

    def _take(self, desk: _Desk, taker: Order, opposite: Side, pays: Holding, now: int) -> None:
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

    def _fill_by_quote(self, taker: Order, now: int) -> None:
        """End an order sized in quote whose rest is too small for another step: its last trade was the final one."""
        if not taker.filled:
            return
        taker.status, taker.updated = Status.FILLED, now
        self._remember(taker)
        for at in range(len(self._executions) - 1, -1, -1):
            last = self._executions[at]
            if last.order is taker:
                self._executions[at] = msgspec.structs.replace(last, status=Status.FILLED)
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
        self, desk: _Desk, taker: Order, maker: Order, side: Side, price: Decimal, quantity: Decimal, now: int
    ) -> None:
        market, balances = desk.market, self.balances
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
                self._remember(order)
            is_buyer = order is buyer
            self._tell(
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

    def _prevent(self, desk: _Desk, taker: Order, maker: Order, now: int) -> bool:
        """Keep two orders of one account from trading, by the taker's mode. Returns whether the taker is done."""
        mode = taker.self_trade
        price = maker.price
        assert price is not None
        by_quote = taker.quote_quantity is not None
        prevented = maker.remaining if by_quote else min(taker.remaining, maker.remaining)
        for order, counter in ((taker, maker), (maker, taker)):
            self._tell(
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
                    self._finish(desk, order, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
                    continue
                self._release(desk, order, prevented)
                order.remaining -= prevented
                order.updated = now
                if order is maker:
                    side.levels[price].quantity -= prevented
                    desk.touched[maker.is_buy, price] = None
            return taker.status is Status.EXPIRED_IN_MATCH
        if mode in (SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH):
            maker.prevented += prevented
            self._finish(desk, maker, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
        if mode is not SelfTrade.EXPIRE_MAKER:
            taker.prevented += prevented
            self._finish(desk, taker, Status.EXPIRED_IN_MATCH, ExecutionKind.EXPIRED, now)
            return True
        return False

    def _finish(self, desk: _Desk, order: Order, status: Status, kind: ExecutionKind, now: int) -> None:
        """End an order that is not filled: take it off the book and unlock what it holds."""
        if order.working:
            assert order.price is not None
            (desk.book.bids if order.is_buy else desk.book.asks).remove(order, order.price)
            order.working = False
            del desk.working[order.account][order.number]
            desk.touched[order.is_buy, order.price] = None
        self._release(desk, order, order.remaining)
        order.status = status
        order.updated = now
        self._remember(order)
        self._tell(kind, order, now)

    def _remember(self, order: Order) -> None:
        """Keep the newest finished orders of clients for queries; nobody asks for those of other traders."""
        if order.account[:1] == HOUSE:
            self._forget(order.number)
            return
        self._finished.append(order.number)
        if len(self._finished) > self._keep + 1_000:
            for number in self._finished[:1_000]:
                self._forget(number)
            del self._finished[:1_000]

    def _forget(self, number: int) -> None:
        gone = self._orders.pop(number)
        key = (gone.account, gone.symbol, gone.client_id)
        if self._by_client.get(key) is gone:
            del self._by_client[key]

    def _tell(
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
        self._executions.append(
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


def _levels(side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
    levels: Iterator[tuple[Decimal, Decimal]] = ((level.price, level.quantity) for level in side.from_best())
    return [pair for pair, _ in zip(levels, range(limit), strict=False)]
