"""The position in one symbol, and the profit that it made.

A position stores a signed quantity and a signed cost (the sum of quantity x price of the open part). It does not store
an average price: an average such as 100/3 has infinitely many digits, and rounding it would create or lose money.

When a part is closed, its share of the cost is removed. This share is rounded to the 18th decimal of the quote
currency, and exactly the rounded amount is subtracted from the rest, so errors do not accumulate. Once the position is
flat, the realized profit is exactly the sum of all sales minus the sum of all purchases. A position that changes sides
is first closed completely, then opened on the other side at the price of the fill.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal, localcontext
from typing import Any, Self

import msgspec

from tickdeck.domain.aggregates import AggregateRoot
from tickdeck.domain.arguments import check_amount, check_name, check_side
from tickdeck.domain.events import (
    DomainEvent,
    PositionClosedEvent,
    PositionEvent,
    PositionOpenedEvent,
    PositionUpdatedEvent,
    position_stream,
)
from tickdeck.domain.trading.exact import EXACT, average_of, cut
from tickdeck.domain.trading.position_life_cycle import PositionStatus
from tickdeck.domain.values import ZERO, Money, Price, Quantity, Side
from tickdeck.errors import InvalidTransition, InvalidValue, format_value

__all__ = ["Position", "with_order"]

_MAX_ORDERS = 100
"""How many orders and trades of a round trip a position remembers: the newest. Otherwise a position that is never flat
would grow without limit."""


class _State(msgspec.Struct):
    """A snapshot."""

    user_id: str
    currency: str
    quantity: Quantity
    cost: Money
    realized_pnl: Money
    fees: Money
    opened_by: tuple[str, ...]
    closed_by: tuple[str, ...]
    opened_by_trades: tuple[str, ...]
    closed_by_trades: tuple[str, ...]


class Position(AggregateRoot):
    """A position in one symbol of one account, as an aggregate. Only ``fill`` and ``close`` change it, and both return
    the events to publish. Outside of a run, the position also keeps them until a unit of work saves them.

    - ``quantity``: in base, negative when short.
    - ``cost``: in quote, with the sign of ``quantity``.
    - ``realized_pnl``: in quote, before fees, since the position was created. ``fees`` (quote) are those of its fills.
    - ``opened_by``, ``closed_by``: the ids of the orders that made the position larger and smaller since it was last
      flat, oldest first, at most the newest 100 each. They remain while it is flat. ``opened_by_trades`` and
      ``closed_by_trades``: the same for trades.
    - ``currency``: the quote currency. ``user_id``: the owner of the account.
    """

    __slots__ = (
        "account_id",
        "closed_by",
        "closed_by_trades",
        "cost",
        "currency",
        "fees",
        "opened_by",
        "opened_by_trades",
        "quantity",
        "realized_pnl",
        "symbol",
        "user_id",
    )

    def __init__(
        self, symbol: str, account_id: str = "main", currency: str = "", user_id: str = "", *, in_run: bool = False
    ) -> None:
        super().__init__(in_run=in_run)
        check_name("Position: symbol", symbol)
        check_name("Position: account_id", account_id)
        self.symbol: str = symbol
        self.account_id: str = account_id
        self.currency: str = currency
        self.user_id: str = user_id
        self.quantity: Quantity = ZERO
        self.cost: Money = ZERO
        self.realized_pnl: Money = ZERO
        self.fees: Money = ZERO
        self.opened_by: tuple[str, ...] = ()
        self.closed_by: tuple[str, ...] = ()
        self.opened_by_trades: tuple[str, ...] = ()
        self.closed_by_trades: tuple[str, ...] = ()

    @classmethod
    def fold(cls, symbol: str, events: Iterable[DomainEvent], account_id: str = "main") -> Self:
        """The position in ``symbol`` after ``events``: all events of its account, in order. Events of other positions
        change nothing."""
        position = cls(symbol, account_id)
        for event in events:
            if isinstance(event, PositionEvent) and event.symbol == symbol:
                position.apply(event)
                position.version += 1
        return position

    # -- queries -----------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> tuple[str, str]:
        return self.account_id, self.symbol

    @property
    def stream(self) -> str:
        return position_stream(self.account_id, self.symbol)

    @property
    def status(self) -> PositionStatus:
        """Flat, long or short."""
        if not self.quantity:
            return PositionStatus.FLAT
        return PositionStatus.LONG if self.quantity > 0 else PositionStatus.SHORT

    @property
    def is_flat(self) -> bool:
        """Whether nothing is held."""
        return not self.quantity

    @property
    def average_price(self) -> Price:
        """The cost of one unit of the open part, quote per base, to 28 significant digits; 0 when flat. For display
        only: the books use ``cost``."""
        return average_of(self.cost, self.quantity)

    def unrealized_pnl(self, price: Price) -> Money:
        """The exact profit (quote, before fees) of closing the whole position at ``price``. Raises ``InvalidValue`` if
        that is no ``Decimal``."""
        try:
            return EXACT.subtract(EXACT.multiply(self.quantity, price), self.cost)
        except TypeError:
            raise InvalidValue(
                f"position {self.symbol}: the price is {format_value(price)}; give a decimal.Decimal"
            ) from None

    @property
    def net_realized_pnl(self) -> Money:
        """``realized_pnl`` after ``fees`` (quote)."""
        return EXACT.subtract(self.realized_pnl, self.fees)

    def net_pnl(self, price: Price, fee_rate: Decimal = ZERO) -> Money:
        """The profit (quote) since the position was created, after fees, if all of it were closed at ``price`` with a
        fee of ``fee_rate`` of the notional. Raises ``InvalidValue`` if one of them is no finite ``Decimal``."""
        check_amount(f"position {self.symbol}: the price", price)
        check_amount(f"position {self.symbol}: the fee rate", fee_rate)
        fee = EXACT.multiply(EXACT.multiply(abs(self.quantity), price), fee_rate)
        return EXACT.subtract(EXACT.add(self.net_realized_pnl, self.unrealized_pnl(price)), fee)

    # -- changes -----------------------------------------------------------------------------------------------------

    def fill(
        self,
        side: Side,
        price: Price,
        quantity: Quantity,
        order_id: str = "",
        *,
        trade_id: str = "",
        fee: Money = ZERO,
        ts: int = 0,
    ) -> list[PositionEvent]:
        """Book a fill of ``quantity`` (base, above 0) at ``price`` (quote) by an order, a trade, or both. Returns the
        position's event; if the position changes sides, ``position.closed`` and ``position.opened``.

        ``fee`` is in quote, and negative for a rebate. ``ts`` is the time of the fill, ns UTC. Raises ``InvalidValue``
        if ``quantity`` is not above 0, ``price`` is negative, or one of them is no finite ``Decimal``; nothing has
        changed then.
        """
        if not self._in_run:  # in a run, the fill is an event, which was checked
            self._check_fill(side, price=price, quantity=quantity, fee=fee)
        before, cost_before = self.quantity, self.cost
        orders, trades = (self.opened_by, self.closed_by), (self.opened_by_trades, self.closed_by_trades)
        realized = self._move(side, price, quantity, order_id, trade_id)
        if fee:
            self.fees = EXACT.add(self.fees, fee)
        if not before:
            return [self._event(PositionOpenedEvent, ts, **_named("opened", order_id, trade_id))]
        if before * self.quantity > 0:
            names = _named("opened" if before * side.sign > 0 else "closed", order_id, trade_id)
            return [self._event(PositionUpdatedEvent, ts, realized_pnl=realized, **names)]
        closed = self._event(
            PositionClosedEvent,
            ts,
            quantity=ZERO,
            cost=ZERO,
            average_price=average_of(cost_before, before),
            realized_pnl=realized,
            opened_by_orders=orders[0],
            closed_by_orders=with_order(orders[1], order_id),
            opened_by_trades=trades[0],
            closed_by_trades=with_order(trades[1], trade_id),
        )
        if self.is_flat:
            return [closed]
        return [closed, self._event(PositionOpenedEvent, ts, **_named("opened", order_id, trade_id))]

    def close(
        self, exit_price: Price, exit_trade_id: str, order_id: str = "", *, fee: Money = ZERO, ts: int = 0
    ) -> list[PositionEvent]:
        """Close all of it at ``exit_price`` (quote) by one trade, as ``fill`` does. Raises ``InvalidTransition`` if it
        is flat."""
        if self.is_flat:
            raise InvalidTransition(f"position {self.account_id}/{self.symbol} is flat; there is nothing to close")
        side = Side.SELL if self.quantity > 0 else Side.BUY
        return self.fill(side, exit_price, abs(self.quantity), order_id, trade_id=exit_trade_id, fee=fee, ts=ts)

    # -- state -------------------------------------------------------------------------------------------------------

    def apply(self, event: DomainEvent) -> None:
        """Apply a recorded event of the position. Other events change nothing."""
        if not isinstance(event, PositionEvent):
            return
        self.user_id, self.currency = event.user_id, event.currency
        self.quantity, self.cost = event.quantity, event.cost
        self.realized_pnl, self.fees = event.total_realized_pnl, event.total_fees
        if isinstance(event, PositionOpenedEvent | PositionClosedEvent):  # these name all of the round trip
            self.opened_by, self.closed_by = event.opened_by_orders, event.closed_by_orders
            self.opened_by_trades, self.closed_by_trades = event.opened_by_trades, event.closed_by_trades
            return
        for order_id in event.opened_by_orders:
            self.opened_by = with_order(self.opened_by, order_id)
        for order_id in event.closed_by_orders:
            self.closed_by = with_order(self.closed_by, order_id)
        for trade_id in event.opened_by_trades:
            self.opened_by_trades = with_order(self.opened_by_trades, trade_id)
        for trade_id in event.closed_by_trades:
            self.closed_by_trades = with_order(self.closed_by_trades, trade_id)

    def snapshot(self) -> bytes:
        return msgspec.json.encode(_State(*(getattr(self, name) for name in _State.__struct_fields__)))

    def restore(self, version: int, state: bytes) -> None:
        found = msgspec.json.decode(state, type=_State)
        self.version = version
        for name in _State.__struct_fields__:
            setattr(self, name, getattr(found, name))

    def _event(self, kind: type[PositionEvent], ts: int, **own: Any) -> PositionEvent:
        """An event with the current state of the position and the fields ``own``."""
        fields: dict[str, Any] = {
            "symbol": self.symbol,
            "account_id": self.account_id,
            "user_id": self.user_id,
            "quantity": self.quantity,
            "cost": self.cost,
            "total_realized_pnl": self.realized_pnl,
            "total_fees": self.fees,
            "currency": self.currency,
            "ts": ts,
        }
        fields.update(own)
        if "average_price" not in fields:
            fields["average_price"] = self.average_price
        event = kind(**fields)
        if not self._in_run:
            self._raised.append(event)
        return event

    def _check_fill(self, side: object, **amounts: object) -> None:
        check_side(f"position {self.symbol}: the side of a fill", side)
        for name, amount in amounts.items():
            check_amount(f"position {self.symbol}: the {name} of a fill", amount)

    def _move(self, side: Side, price: Price, quantity: Quantity, order_id: str, trade_id: str) -> Money:
        """The arithmetic of a fill. Returns the profit that it realized (quote, before fees), which is 0 if it closed
        nothing."""
        if not quantity > 0:
            raise InvalidValue(f"position {self.symbol}: the quantity of a fill is {quantity}; it must be above 0")
        if price < 0:
            raise InvalidValue(f"position {self.symbol}: the price of a fill is {price}; it must not be negative")
        with localcontext(EXACT):
            signed = quantity * side.sign
            held = self.quantity
            self.quantity = held + signed
            if held * signed >= 0:
                self.cost += signed * price
                if held:
                    self.opened_by = with_order(self.opened_by, order_id)
                    self.opened_by_trades = with_order(self.opened_by_trades, trade_id)
                else:
                    self._begin(order_id, trade_id)
                return ZERO
            self.closed_by = with_order(self.closed_by, order_id)
            self.closed_by_trades = with_order(self.closed_by_trades, trade_id)
            if quantity < abs(held):
                closed_quantity = -signed
                closed_cost = cut(self.cost * closed_quantity / held)
                self.cost -= closed_cost
            else:
                closed_quantity, closed_cost = held, self.cost
                self.cost = self.quantity * price if self.quantity else ZERO
                self.quantity = self.quantity or ZERO  # a plain 0, not 0E-8
                if self.quantity:
                    self._begin(order_id, trade_id)
            realized = (closed_quantity * price - closed_cost) or ZERO
            self.realized_pnl += realized
            return realized

    def _begin(self, order_id: str, trade_id: str) -> None:
        """A round trip begins with this order and this trade."""
        self.opened_by, self.closed_by = with_order((), order_id), ()
        self.opened_by_trades, self.closed_by_trades = with_order((), trade_id), ()


def _named(how: str, order_id: str, trade_id: str) -> dict[str, Any]:
    """The fields that name the order and the trade that ``opened`` or ``closed`` a part."""
    names: dict[str, Any] = {f"{how}_by_orders": (order_id,)} if order_id else {}
    if trade_id:
        names[f"{how}_by_trades"] = (trade_id,)
    return names


def with_order(orders: tuple[str, ...], order_id: str) -> tuple[str, ...]:
    """``orders`` with ``order_id`` added if it is new; at most the newest 100."""
    if not order_id or order_id in orders:
        return orders
    return (*orders, order_id)[-_MAX_ORDERS:]
