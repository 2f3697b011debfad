"""The matching engine of the venue: price-time priority, exact balances, deterministic.

Equal calls in equal order lead to equal results: the engine has no clock (each call passes the time) and no randomness.
Every call either makes all of its changes, or raises ``OrderRefused`` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal

import msgspec

from tickdeck.errors import ConfigError
from tickdeck.infrastructure.venue.matching.balances import Balances
from tickdeck.infrastructure.venue.matching.book import Side
from tickdeck.infrastructure.venue.matching.desk import Desk, Seat
from tickdeck.infrastructure.venue.matching.fees import FeeAssets
from tickdeck.infrastructure.venue.matching.filters import amount_to_lock, check_filters, cost_of
from tickdeck.infrastructure.venue.matching.lists import ListChange, check_pair
from tickdeck.infrastructure.venue.matching.market import Market, MarketStatus
from tickdeck.infrastructure.venue.matching.matcher import Matcher, release
from tickdeck.infrastructure.venue.matching.orders import (
    Execution,
    ExecutionKind,
    NewOrder,
    Order,
    OrderList,
    OrderRefused,
    Refusal,
    Status,
    Tif,
    Type,
)
from tickdeck.infrastructure.venue.matching.register import OrderRegister

__all__ = ["MatchingEngine"]

ZERO = Decimal(0)
# A member looked up in its enum costs several times as much as a global.
_TRADING, _LIMIT_MAKER, _GTC = MarketStatus.TRADING, Type.LIMIT_MAKER, Tif.GTC
_NEW, _PARTIALLY_FILLED, _CANCELED = Status.NEW, Status.PARTIALLY_FILLED, Status.CANCELED
_EXECUTED_NEW, _EXECUTED_CANCEL = ExecutionKind.NEW, ExecutionKind.CANCELED
_NO_CANCELS = (MarketStatus.HALT, MarketStatus.BREAK)


class MatchingEngine:
    """The venue's markets, orders and balances.

    ``keep`` finished orders stay available to queries; older ones are forgotten. ``drain()`` returns what happened
    since it was last called; call it regularly, so that memory does not grow.
    """

    def __init__(self, markets: Iterable[Market], *, keep: int = 100_000) -> None:
        self.balances = Balances()
        self._desks = {market.symbol: Desk(market, self.balances) for market in markets}
        if not self._desks:
            raise ConfigError("matching engine: give at least one market")
        self._register = OrderRegister(self._desks, keep)
        self._fee_assets = FeeAssets(self._desks, self.balances)
        self._matcher = Matcher(self._register, self._fee_assets)
        self.lists = self._matcher.lists
        """The order lists."""
        self._register.on_forgotten = self.lists.on_forgotten
        self._number = 0

    # -- money ------------------------------------------------------------------------------------------------

    def deposit(self, account: str, asset: str, amount: Decimal) -> None:
        """Add ``amount`` to the account's free balance; a negative amount withdraws. Raises ``OrderRefused`` if the
        free balance does not cover a withdrawal."""
        holding = self.balances.holding(account, asset)
        if holding.free + amount < 0:
            raise OrderRefused(Refusal.INSUFFICIENT_BALANCE)
        holding.free += amount

    def pay_fees_in(self, account: str, asset: str) -> None:
        """Let an account pay its fees in ``asset`` at a discount, as long as it owns enough; "" ends that."""
        if asset:
            self._fee_assets.by_account[account] = asset
        else:
            self._fee_assets.by_account.pop(account, None)

    # -- orders -----------------------------------------------------------------------------------------------

    def check(self, request: NewOrder) -> None:
        """Raises ``OrderRefused`` if the request violates a filter, or its market does not trade. Places nothing."""
        desk = self._desks.get(request.symbol)
        if desk is None:
            raise OrderRefused(Refusal.UNKNOWN_SYMBOL)
        if desk.market.status is not MarketStatus.TRADING:
            raise OrderRefused(Refusal.MARKET_CLOSED)
        seat = desk.seats.get(request.account)
        check_filters(desk, request, len(seat.working) if seat is not None else 0)

    def place(self, request: NewOrder, now: int) -> Order:
        """Place an order at ``now`` (ns UTC). Returns it after everything that its arrival caused: it rests, is filled,
        or has expired. Raises ``OrderRefused``.
        """
        desk = self._desks.get(request.symbol)
        if desk is None:
            raise OrderRefused(Refusal.UNKNOWN_SYMBOL)
        if desk.market.status is not _TRADING:
            raise OrderRefused(Refusal.MARKET_CLOSED)
        order = self._place(desk, request, now)
        if desk.stops:
            self._trigger_stops(desk, now)
        return order

    def _place(self, desk: Desk, request: NewOrder, now: int) -> Order:
        seat = desk.seat(request.account)
        check_filters(desk, request, len(seat.working))
        known = seat.by_client.get(request.client_id)
        if known is not None and (known.status is _NEW or known.status is _PARTIALLY_FILLED):
            raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
        if request.stop_price is not None:
            return self._place_stop(desk, seat, request, now)
        book = desk.book
        is_buy, price = request.is_buy, request.price
        opposite = book.asks if is_buy else book.bids
        best = opposite.best
        takes = best is not None and (price is None or (best.price <= price if is_buy else best.price >= price))
        if takes and request.type is _LIMIT_MAKER:
            raise OrderRefused(Refusal.WOULD_TAKE)
        pays = seat.quote if is_buy else seat.base
        locked = amount_to_lock(request, opposite)
        if pays.free < locked:
            raise OrderRefused(Refusal.INSUFFICIENT_BALANCE)

        order = self._new_order(seat, request, now)
        if price is not None or not is_buy:  # a market buy pays as it trades
            pays.free -= locked
            pays.locked += locked
        self._matcher.record(_EXECUTED_NEW, order, now)
        self._enter(desk, seat, order, takes, now)
        return order

    def place_list(self, requests: tuple[NewOrder, NewOrder], client_id: str, now: int) -> OrderList:
        """Place two orders where a fill of one cancels the other. ``client_id`` is that of the list.
        Raises ``OrderRefused``; then neither is placed.
        """
        desk = self._desks.get(requests[0].symbol)
        if desk is None:
            raise OrderRefused(Refusal.UNKNOWN_SYMBOL)
        if desk.market.status is not _TRADING:
            raise OrderRefused(Refusal.MARKET_CLOSED)
        seat = desk.seat(requests[0].account)
        check_pair(desk, seat, self.lists, requests, client_id)
        costs = []
        for more, request in enumerate(requests):
            check_filters(desk, request, len(seat.working) + more)
            known = seat.by_client.get(request.client_id)
            if known is not None and known.working:
                raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
            opposite = desk.book.asks if request.is_buy else desk.book.bids
            if request.type is _LIMIT_MAKER and _reaches(request.price, request.is_buy, opposite):
                raise OrderRefused(Refusal.WOULD_TAKE)
            costs.append(amount_to_lock(request, opposite))
        pays = seat.quote if requests[0].is_buy else seat.base
        if pays.free < max(costs):
            raise OrderRefused(Refusal.INSUFFICIENT_BALANCE)
        pays.free -= max(costs)
        pays.locked += max(costs)
        first, second = (self._new_order(seat, request, now) for request in requests)
        (second if costs[0] >= costs[1] else first).holds = False
        found = self.lists.open(first, second, client_id, now)
        for order in (first, second):
            order.working = True
            seat.working[order.number] = order
            self._matcher.record(_EXECUTED_NEW, order, now)
            if order.is_waiting:
                desk.stops[order.number] = order
            else:
                assert order.price is not None
                (desk.book.bids if order.is_buy else desk.book.asks).add(order, order.price)
        return found

    def _enter(self, desk: Desk, seat: Seat, order: Order, takes: bool, now: int) -> None:
        """Let an order trade: it takes, then it rests or expires."""
        is_buy, price = order.is_buy, order.price
        if takes:
            opposite, pays = (desk.book.asks, seat.quote) if is_buy else (desk.book.bids, seat.base)
            self._matcher.take(desk, order, opposite, pays, now)
            if order.status is not _NEW and order.status is not _PARTIALLY_FILLED:
                return
        if price is None or order.tif is not _GTC:
            self._matcher.finish(desk, order, Status.EXPIRED, ExecutionKind.EXPIRED, now)
        else:
            order.working = True
            seat.working[order.number] = order
            (desk.book.bids if is_buy else desk.book.asks).add(order, price)

    def _place_stop(self, desk: Desk, seat: Seat, request: NewOrder, now: int) -> Order:
        """Let a stop order wait. It locks its quantity, or its cost at its limit or otherwise at its stop price."""
        pays = seat.quote if request.is_buy else seat.base
        locked = amount_to_lock(request, desk.book.asks)
        if pays.free < locked:
            raise OrderRefused(Refusal.INSUFFICIENT_BALANCE)
        order = _order_of(request, self._number + 1, now)
        if desk.last_price is not None and order.is_triggered_by(desk.last_price):
            raise OrderRefused(Refusal.WOULD_TRIGGER)
        order = self._new_order(seat, request, now)
        pays.free -= locked
        pays.locked += locked
        order.working = True
        seat.working[order.number] = desk.stops[order.number] = order
        self._matcher.record(_EXECUTED_NEW, order, now)
        return order

    def _trigger_stops(self, desk: Desk, now: int) -> None:
        """Activate the stop orders that the last trade reached, oldest first. Their trades may reach more of them."""
        while (last := desk.last_price) is not None:
            reached = [order for order in desk.stops.values() if order.is_triggered_by(last)]
            if not reached:
                return
            for order in reached:
                if order.is_waiting and order.working:  # an earlier one may have ended it by self-trade prevention
                    self._activate(desk, order, now)

    def _activate(self, desk: Desk, order: Order, now: int) -> None:
        seat = desk.seats[order.account]
        if order.list_number >= 0:
            self.lists.activate(desk, order, now)
        opposite = desk.book.asks if order.is_buy else desk.book.bids
        is_market_buy = order.is_buy and order.price is None
        if is_market_buy:
            release(seat, order, order.remaining)  # it pays as it trades
        del desk.stops[order.number]
        order.triggered = order.updated = now
        self._matcher.record(ExecutionKind.TRIGGERED, order, now)
        takes = _reaches(order.price, order.is_buy, opposite)
        if is_market_buy and seat.quote.free < cost_of(order.remaining, opposite):
            takes = False  # the price has risen beyond the account's balance
        self._enter(desk, seat, order, takes, now)

    def _new_order(self, seat: Seat, request: NewOrder, now: int) -> Order:
        """Create the order of a request, and remember it."""
        self._number = number = self._number + 1
        order = _order_of(request, number, now)
        self._register.by_number[number] = order
        seat.by_client[request.client_id] = order
        return order

    def cancel(self, account: str, symbol: str, now: int, *, number: int = 0, client_id: str = "") -> Order:
        """Cancel a working order, found by ``number`` or otherwise by ``client_id``. Raises ``OrderRefused``."""
        order = self.find(account, symbol, number=number, client_id=client_id)
        if order is None or not order.working:
            raise OrderRefused(Refusal.UNKNOWN_ORDER)
        desk = self._desks[symbol]
        if desk.market.status in _NO_CANCELS:
            raise OrderRefused(Refusal.MARKET_CLOSED)
        self._matcher.finish(desk, order, _CANCELED, _EXECUTED_CANCEL, now)
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
            other = self._register.find(account, symbol, client_id)
            if other is not None and other.working:
                raise OrderRefused(Refusal.DUPLICATE_CLIENT_ID)
        renamed = bool(client_id) and client_id != order.client_id
        if renamed:
            self._register.rename(order, client_id)
        other = self.lists.pair_of(order) if order.list_number >= 0 else None
        for one in (order, other) if other is not None else (order,):  # both orders of a list have one quantity
            release(desk.seats[account], one, less)
            if one.resting:
                assert one.price is not None
                (desk.book.bids if one.is_buy else desk.book.asks).reduce(one.price, less)
            one.quantity = quantity
            one.remaining -= less
            one.updated = now
            one.amends += 1
            self._matcher.record(ExecutionKind.REPLACED, one, now)
        if renamed and order.list_number >= 0:
            self.lists.rename(order, now)
        return order

    def expire(self, order: Order, now: int) -> None:
        """Remove a working order, as a venue does during maintenance."""
        self._matcher.finish(self._desks[order.symbol], order, Status.EXPIRED, ExecutionKind.EXPIRED, now)

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
        """Change a market's filters or fees, or add a market. Resting orders stay, even off a new grid. Raises
        ``ConfigError`` if the market's assets would change."""
        desk = self._desks.get(market.symbol)
        if desk is None:
            self._desks[market.symbol] = Desk(market, self.balances)
        elif (market.base, market.quote) != (desk.market.base, desk.market.quote):
            raise ConfigError(f"market {market.symbol}: its assets cannot change; add a market with another symbol")
        else:
            desk.market = market

    def find(self, account: str, symbol: str, *, number: int = 0, client_id: str = "") -> Order | None:
        """An order by its number, or otherwise the newest with the client id; ``None`` if the account has no such
        order.
        """
        order = self._register.by_number.get(number) if number else self._register.find(account, symbol, client_id)
        if order is None or order.account != account or order.symbol != symbol:
            return None
        return order

    def open_orders(self, account: str, symbol: str | None = None) -> list[Order]:
        """The account's working orders, oldest first."""
        desks = self._desks.values() if symbol is None else [self._desks[symbol]]
        seats = [desk.seats[account] for desk in desks if account in desk.seats]
        found = [order for seat in seats for order in seat.working.values()]
        return found if symbol is not None else sorted(found, key=lambda order: order.number)

    def orders(self, account: str, symbol: str) -> list[Order]:
        """All remembered orders of the account in a market, oldest first."""
        return [o for o in self._register.by_number.values() if o.account == account and o.symbol == symbol]

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
        return self._desks[symbol].book.take_changed()

    def drain_lists(self) -> list[ListChange]:
        """What happened to order lists since the last call, in order."""
        changes, self.lists.changes = self.lists.changes, []
        return changes

    def drain(self) -> list[Execution]:
        """What happened since the last call, in order."""
        executions, self._matcher.executions = self._matcher.executions, []
        return executions


def _reaches(price: Decimal | None, is_buy: bool, opposite: Side) -> bool:
    """Whether an order at ``price`` would trade immediately; ``None`` is any price."""
    best = opposite.best
    return best is not None and (price is None or (best.price <= price if is_buy else best.price >= price))


def _levels(side: Side, limit: int) -> list[tuple[Decimal, Decimal]]:
    levels: Iterator[tuple[Decimal, Decimal]] = ((level.price, level.quantity) for level in side.from_best())
    return [pair for pair, _ in zip(levels, range(limit), strict=False)]


def _order_of(request: NewOrder, number: int, now: int) -> Order:
    quantity = request.quantity
    if quantity is None:  # sized in quote: the base quantity is known only when it has traded
        quantity = ZERO
    return Order(
        number,
        request.account,
        request.symbol,
        request.is_buy,
        request.type,
        request.tif,
        request.price,
        quantity,
        request.quote_quantity,
        request.client_id,
        request.self_trade,
        now,
        now,
        quantity,
        stop_price=request.stop_price,
    )
