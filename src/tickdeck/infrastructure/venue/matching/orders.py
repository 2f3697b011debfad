"""The orders of the matching engine, their events, and the reasons for refusals."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

import msgspec

__all__ = [
    "FEE_ACCOUNT",
    "HOUSE",
    "Execution",
    "ExecutionKind",
    "NewOrder",
    "Order",
    "OrderList",
    "OrderRefused",
    "Refusal",
    "SelfTrade",
    "Status",
    "Tif",
    "Type",
]

ZERO = Decimal(0)
HOUSE = "#"
"""The first character of the venue's own accounts, such as those of other traders. Filters do not bind them."""
FEE_ACCOUNT = f"{HOUSE}fees"
"""The account that receives every commission, so that each asset's total never changes by trading."""


class Type(StrEnum):
    """How an order trades. ``LIMIT_MAKER`` is a limit order that is refused if it would take.

    The others are stop orders. They wait outside the book until the last trade reaches their stop price, and then act
    as a market or limit order. ``STOP_LOSS*`` sells after a fall and buys after a rise, ``TAKE_PROFIT*`` the reverse.
    """

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def is_stop(self) -> bool:
        """Whether such an order waits for its stop price."""
        return self in _STOPS

    @property
    def has_price(self) -> bool:
        """Whether such an order has a limit price."""
        return self not in _WITHOUT_PRICE


_STOPS = (Type.STOP_LOSS, Type.STOP_LOSS_LIMIT, Type.TAKE_PROFIT, Type.TAKE_PROFIT_LIMIT)
_WITHOUT_PRICE = (Type.MARKET, Type.STOP_LOSS, Type.TAKE_PROFIT)


class Tif(StrEnum):
    """Time in force of a limit order: rest; take and expire; or fill completely at once, otherwise not at all."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Status(StrEnum):
    """The status of an order. All except ``NEW`` and ``PARTIALLY_FILLED`` are final."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"


class SelfTrade(StrEnum):
    """What happens when an order meets another one of the same account. The taker's mode decides.

    ``DECREMENT`` subtracts the smaller quantity from both orders without a trade.
    """

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"
    DECREMENT = "DECREMENT"


class ExecutionKind(StrEnum):
    """What happened to an order. ``TRIGGERED``: a stop order stopped waiting."""

    NEW = "NEW"
    TRIGGERED = "TRIGGERED"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    REPLACED = "REPLACED"
    TRADE_PREVENTION = "TRADE_PREVENTION"


class Refusal(StrEnum):
    """Why the engine refuses a request. A refused request changes nothing."""

    UNKNOWN_SYMBOL = "unknown symbol"
    MARKET_CLOSED = "market is closed"
    INSUFFICIENT_BALANCE = "insufficient balance"
    DUPLICATE_CLIENT_ID = "duplicate client order id"
    WOULD_TAKE = "post-only order would take"
    UNKNOWN_ORDER = "unknown order"
    PRICE_FILTER = "PRICE_FILTER"
    LOT_SIZE = "LOT_SIZE"
    NOTIONAL = "NOTIONAL"
    MAX_NUM_ORDERS = "MAX_NUM_ORDERS"
    MAX_NUM_ALGO_ORDERS = "MAX_NUM_ALGO_ORDERS"
    WOULD_TRIGGER = "stop price would trigger immediately"
    NO_LIQUIDITY = "no liquidity"
    MAX_NUM_ORDER_LISTS = "MAX_NUM_ORDER_LISTS"
    PRICE_RELATION = "the prices of an order list are in the wrong order"
    BAD_AMEND = "amend must reduce the quantity"


class OrderRefused(Exception):
    """A request was refused for ``reason``; nothing has changed."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class NewOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request to place an order.

    ``quantity`` is in base. A market order may give ``quote_quantity`` (quote) instead: how much to spend or to
    receive. ``price`` (quote) belongs to limit orders, ``stop_price`` (quote) to stop orders.
    """

    account: str
    symbol: str
    is_buy: bool
    type: Type = Type.LIMIT
    quantity: Decimal | None = None
    quote_quantity: Decimal | None = None
    price: Decimal | None = None
    tif: Tif = Tif.GTC
    client_id: str
    self_trade: SelfTrade = SelfTrade.NONE
    stop_price: Decimal | None = None


class Order(msgspec.Struct, eq=False, gc=False):
    """A working or finished order. ``filled`` is in base, ``spent`` in quote; times are ns UTC.

    ``prevented`` (base) was taken off by self-trade prevention. ``amends`` counts how often the order was reduced.
    ``working`` is true while the order is open, ``resting`` while it is in the book.
    ``triggered`` is when a stop order stopped waiting, else 0. ``list_number`` is the number of its order list, or -1.
    ``holds`` is false for the order of a list for which the other one locks the balance. ``ended_by_list`` is true if
    it expired because of the other one.
    """

    # No field refers to another order: orders need no garbage collector, which would take a fifth of the time.
    number: int
    account: str
    symbol: str
    is_buy: bool
    type: Type
    tif: Tif
    price: Decimal | None
    quantity: Decimal
    quote_quantity: Decimal | None
    client_id: str
    self_trade: SelfTrade
    created: int
    updated: int
    remaining: Decimal
    status: Status = Status.NEW
    filled: Decimal = ZERO
    spent: Decimal = ZERO
    prevented: Decimal = ZERO
    amends: int = 0
    working: bool = False
    resting: bool = False
    stop_price: Decimal | None = None
    triggered: int = 0
    list_number: int = -1
    holds: bool = True
    ended_by_list: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether it is a stop order whose stop price was not reached."""
        return self.stop_price is not None and not self.triggered

    @property
    def working_since(self) -> int:
        """Since when it has been able to trade (ns UTC); 0 while it waits."""
        return self.created if self.stop_price is None else self.triggered

    def is_triggered_by(self, price: Decimal) -> bool:
        """Whether a trade at ``price`` reaches the stop price."""
        assert self.stop_price is not None
        if self.is_buy == (self.type in (Type.STOP_LOSS, Type.STOP_LOSS_LIMIT)):
            return price >= self.stop_price
        return price <= self.stop_price


class OrderList(msgspec.Struct, eq=False):
    """Two orders where a fill of one cancels the other (OCO). ``orders`` are their numbers; times are ns UTC.

    ``paired`` is true until one of them starts to trade, or ends. ``done`` is true when neither is open any more.
    """

    number: int
    account: str
    symbol: str
    client_id: str
    orders: tuple[int, int]
    created: int
    updated: int
    paired: bool = True
    done: bool = False


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One event of ``order``, with the order's figures right after it.

    ``price`` (quote) and ``quantity`` (base) are those of a trade, or of a prevented one. ``commission`` is in
    ``commission_asset``. ``counter`` is the other order of a trade. ``number`` counts executions; ``trade_id`` counts
    the trades of a symbol and is 0 for everything else.
    """

    number: int
    kind: ExecutionKind
    order: Order
    at: int
    status: Status
    filled: Decimal
    spent: Decimal
    price: Decimal = ZERO
    quantity: Decimal = ZERO
    trade_id: int = 0
    is_maker: bool = False
    commission: Decimal = ZERO
    commission_asset: str = ""
    counter: Order | None = None
