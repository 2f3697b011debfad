"""The exchange as the gateway uses it: async calls that return the venue's answer or raise an ``ExchangeError``.

It is implemented by Binance (``infrastructure.exchanges.binance``), and by the paper venue through ``PaperExchange``.
``tickdeck.testing.ExchangeContract`` contains the tests that each implementation must pass.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

import msgspec

from tickdeck.domain.events import DomainEvent, TransferKind
from tickdeck.domain.market import Instrument
from tickdeck.domain.values import ZERO, Money, OrderStatus, Price, Quantity, Side, TimeInForce

__all__ = [
    "Amendment",
    "Balance",
    "ConversionExchange",
    "Exchange",
    "ExchangeCapabilities",
    "InstrumentStatus",
    "Liquidation",
    "ListedInstrument",
    "MarginExchange",
    "OrderFill",
    "OrderPair",
    "OrderPairResult",
    "OrderRequest",
    "OrderResult",
    "PairExchange",
    "Transfer",
]

_LARGEST = 30  # digits before the point of an amount: beyond that, it was damaged on its way


class InstrumentStatus(StrEnum):
    """Whether a venue trades an instrument. ``cancel_only``: open orders can be cancelled, new ones are refused.
    ``other``: the venue uses a status that this version does not know; treat it as a halt.
    """

    TRADING = "trading"
    HALT = "halt"
    CANCEL_ONLY = "cancel_only"
    DELISTED = "delisted"
    OTHER = "other"


class Amendment(StrEnum):
    """How an exchange can change an open order."""

    NONE = "none"
    REDUCE = "reduce"
    """To a smaller quantity at the same price; the order keeps its place in the queue."""
    FULL = "full"
    """To any quantity and price; the order may lose its place in the queue."""


class ExchangeCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange can do. The contract tests check it.

    ``client_order_id``: a regular expression that every client order id must match as a whole.
    ``private_stream``: orders, fills and balances are pushed. ``stop_orders``: it takes orders with a ``stop``.
    ``order_pairs``: it takes an ``OrderPair``, so it is a ``PairExchange``.

    When an order counts as never received (times in ns): ``in_flight`` is how long a request may still take effect
    after it was sent, and ``query_lag`` how old an answer to a query may be. For both together, "no such order" proves
    nothing. ``evidence`` names the sources that must all answer without the order: ``order`` (the query of the order,
    which always must), ``open_orders``, ``fills`` and ``stream``. Orders older than ``lookup_window`` may be forgotten
    by the venue, so about them its silence proves nothing.

    ``transfer_history``: it lists deposits and withdrawals (``Exchange.transfers``). ``conversion_history``: it lists
    conversions from one currency to another, so it is a ``ConversionExchange``.
    ``fee_currency``: the coin in which the venue may charge fees, whatever is traded; empty if there is none.
    ``margin``: positions may be leveraged, and the venue calls for margin and liquidates by itself, so it is a
    ``MarginExchange``.
    """

    time_in_force: tuple[TimeInForce, ...] = tuple(TimeInForce)
    market_orders: bool = True
    amendment: Amendment = Amendment.NONE
    client_order_id: str = "[A-Za-z0-9_-]{1,36}"
    private_stream: bool = True
    stop_orders: bool = False
    order_pairs: bool = False
    in_flight: int = 15_000_000_000
    query_lag: int = 60_000_000_000
    evidence: tuple[str, ...] = ("order", "open_orders", "fills", "stream")
    lookup_window: int = 90 * 86_400_000_000_000
    fee_currency: str = ""
    transfer_history: bool = False
    conversion_history: bool = False
    margin: bool = False


class ListedInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument as the venue currently lists it. ``raw_status`` is the venue's own word."""

    instrument: Instrument
    status: InstrumentStatus
    raw_status: str = ""

    @property
    def symbol(self) -> str:
        return self.instrument.symbol


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """The account's balance in ``currency``, in units of it. ``locked`` is what open orders reserve. Raises
    ``ValueError`` for an amount that is not finite."""

    currency: str
    free: Money
    locked: Money = Decimal(0)

    def __post_init__(self) -> None:
        _check(self.currency, free=self.free, locked=self.locked)

    @property
    def total(self) -> Money:
        """``free`` and ``locked`` together."""
        return self.free + self.locked


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """An order to place. ``quantity`` is in base, also for a market order; ``limit`` is in quote, ``None`` for a market
    order.

    ``client_order_id`` is ours. It is the only way to find the order if the answer is lost.

    ``stop`` (quote): the order waits until the last price reaches it, and becomes a market order. Raises
    ``NotSupported`` without ``capabilities.stop_orders``, and together with a ``limit``: that is an ``OrderPair``.
    """

    client_order_id: str
    symbol: str
    side: Side
    quantity: Quantity
    limit: Price | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    stop: Price | None = None


class OrderPair(msgspec.Struct, frozen=True, kw_only=True):
    """A target and a stop where a fill of one cancels the other (OCO), to close a position of ``quantity`` (base).

    ``target`` (quote) is the limit of an order that rests and never takes. ``stop`` (quote) is the price at which the
    other one becomes a market order, or a limit order at ``stop_limit``. The last price must be between ``target`` and
    ``stop``. Each order has a client order id of its own, and so has the pair; all three are ours.
    """

    client_order_id: str
    target_id: str
    stop_id: str
    symbol: str
    side: Side
    quantity: Quantity
    target: Price
    stop: Price
    stop_limit: Price | None = None


class OrderFill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an order. ``quantity`` is in base, ``price`` in quote, ``fee`` in ``fee_currency``, ``ts`` in ns
    UTC. ``venue_trade_id`` is unique per symbol. ``client_order_id`` is empty if the venue does not send it.

    Raises ``ValueError`` for a number that no venue can mean: not finite, a price or a quantity that is not above 0, or
    a time before 1970.
    """

    symbol: str
    venue_order_id: str
    venue_trade_id: str
    side: Side
    price: Price
    quantity: Quantity
    fee: Money = Decimal(0)
    fee_currency: str = ""
    liquidity: str = "taker"
    client_order_id: str = ""
    ts: int = 0

    def __post_init__(self) -> None:
        _check(self.venue_order_id, self.ts, price=self.price, quantity=self.quantity, fee=self.fee)
        if not (self.price > 0 < self.quantity):
            raise ValueError(f"a fill of order {self.venue_order_id} has price {self.price}, quantity {self.quantity}")


class Liquidation(msgspec.Struct, frozen=True, kw_only=True):
    """A trade by which the venue closed a leveraged position by itself, in full or in part. ``side`` is that of the
    closing trade, ``quantity`` is in base (above 0), ``price`` in quote, ``fee`` in ``fee_currency``, ``ts`` in ns UTC.
    ``venue_trade_id`` is unique per symbol, and no trade of an order has the same. ``venue_order_id`` is empty if the
    venue names no order.

    Raises ``ValueError`` for the numbers for which ``OrderFill`` does.
    """

    symbol: str
    venue_trade_id: str
    side: Side
    price: Price
    quantity: Quantity
    fee: Money = Decimal(0)
    fee_currency: str = ""
    venue_order_id: str = ""
    ts: int = 0

    def __post_init__(self) -> None:
        what = f"liquidation {self.venue_trade_id}"
        _check(what, self.ts, price=self.price, quantity=self.quantity, fee=self.fee)
        if not (self.price > 0 < self.quantity):
            raise ValueError(f"{what} has price {self.price}, quantity {self.quantity}")


class OrderResult(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the venue sees it. Quantities are in base, prices in quote, ``ts`` (ns UTC) is the venue's time.

    ``status`` is ``None`` if the venue's word (``raw_status``) is unknown: leave the order unchanged, report it, and
    query it again. ``filled_quote`` is what was paid or received so far. ``fills`` are those in the answer; an answer
    to a query contains none. ``reason`` says why the order ended, if the venue sends it.

    Raises ``ValueError`` for a number that no venue can mean: not finite, below 0, or a time before 1970.
    """

    client_order_id: str
    symbol: str
    venue_order_id: str
    status: OrderStatus | None
    raw_status: str
    side: Side | None = None
    quantity: Quantity = Decimal(0)
    limit: Price | None = None
    filled: Quantity = Decimal(0)
    filled_quote: Money = Decimal(0)
    fills: tuple[OrderFill, ...] = ()
    reason: str = ""
    ts: int = 0

    def __post_init__(self) -> None:
        limit = ZERO if self.limit is None else self.limit
        amounts = {"quantity": self.quantity, "filled": self.filled, "filled_quote": self.filled_quote}
        _check(self.venue_order_id, self.ts, limit=limit, **amounts)
        if min(limit, self.quantity, self.filled, self.filled_quote) < 0:
            raise ValueError(f"order {self.venue_order_id} has a number below 0: {limit=!s}, {amounts}")

    @property
    def average_price(self) -> Price | None:
        """In quote; ``None`` if nothing is filled or the venue does not send it."""
        return self.filled_quote / self.filled if self.filled and self.filled_quote else None


class OrderPairResult(msgspec.Struct, frozen=True, kw_only=True):
    """A pair as the venue sees it. ``done``: neither order is open any more. ``venue_order_ids`` are those of both
    orders. ``orders`` are their states, as far as the answer tells them. ``ts`` (ns UTC) is the venue's time."""

    client_order_id: str
    venue_list_id: str
    symbol: str
    done: bool
    venue_order_ids: tuple[str, ...]
    orders: tuple[OrderResult, ...] = ()
    ts: int = 0


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """A payment into the account or out of it. ``amount`` is in ``currency``, negative if it was paid out. ``fee`` (0
    or more) is what the venue names beside it; whether ``amount`` contains it differs. ``transfer_id`` is unique at the
    venue. ``ts`` (ns UTC) is when the payment was completed, as far as the venue tells.

    Raises ``ValueError`` for an amount that is 0 or not finite, a fee below 0, or a time before 1970.
    """

    transfer_id: str
    currency: str
    amount: Money
    kind: TransferKind
    fee: Money = Decimal(0)
    ts: int = 0

    def __post_init__(self) -> None:
        _check(self.transfer_id, self.ts, amount=self.amount, fee=self.fee)
        if not self.amount or self.fee < 0:
            raise ValueError(f"transfer {self.transfer_id} has amount {self.amount}, fee {self.fee}")


def _check(what: str, ts: int = 0, **numbers: Decimal) -> None:
    """Raise ``ValueError`` unless the numbers are finite and not absurd, and ``ts`` (ns UTC) is a time."""
    for name, number in numbers.items():
        if not number.is_finite() or number.adjusted() > _LARGEST:
            raise ValueError(f"{what}: {name} is {number}")
    if not 0 <= ts < 1 << 63:
        raise ValueError(f"{what}: ts is {ts}")


class Exchange(Protocol):
    """A venue that takes orders. Every call raises a subclass of ``ExchangeError``.

    ``OutcomeUnknown`` means that the venue may have acted: never repeat the call, query instead. Every other error of
    ``place`` means that there is no order. An order is identified by our client order id or by the venue's id; if both
    are given, they must belong together.
    """

    name: str

    @property
    def capabilities(self) -> ExchangeCapabilities:
        """What this exchange can do."""

    async def instruments(self) -> tuple[ListedInstrument, ...]:
        """All listed instruments, in the venue's order."""

    async def server_time(self) -> int:
        """The venue's clock, ns UTC."""

    async def price(self, symbol: str) -> Price:
        """The last price of ``symbol``, quote per base."""

    async def balances(self) -> tuple[Balance, ...]:
        """The balances of the account. Currencies with a zero balance may be left out."""

    async def place(self, order: OrderRequest) -> OrderResult:
        """Place an order once."""

    async def cancel(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        """Cancel an order. Raises ``UnknownOrder`` if it is not open."""

    async def amend(
        self, symbol: str, *, quantity: Quantity, limit: Price, client_order_id: str = "", venue_order_id: str = ""
    ) -> OrderResult:
        """Change an order to ``quantity`` (base, including what is filled) at ``limit``, as far as
        ``capabilities.amendment`` allows. Raises ``NotSupported`` beyond that.
        """

    async def order(self, symbol: str, *, client_order_id: str = "", venue_order_id: str = "") -> OrderResult:
        """The state of an order. Raises ``UnknownOrder`` if the venue has none; this may be outdated, because queries
        need not read the matching engine.
        """

    async def open_orders(self, symbol: str | None = None) -> tuple[OrderResult, ...]:
        """The open orders of one symbol, or of all."""

    async def fills(
        self, symbol: str, *, since: int = 0, after: str = "", venue_order_id: str = ""
    ) -> tuple[OrderFill, ...]:
        """Our executions in ``symbol``, oldest first: from ``since`` (ns UTC) on, those after the venue's trade id
        ``after``, or those of the order ``venue_order_id``. Give one of the three."""

    async def transfers(self, since: int) -> tuple[Transfer, ...]:
        """Deposits and withdrawals from ``since`` (ns UTC) on, oldest first; none without
        ``capabilities.transfer_history``. Those of the last minutes may be missing."""

    def private_events(self) -> AsyncIterator[DomainEvent]:
        """The private stream: ``venue.order_reported``, ``venue.fill_reported`` and ``venue.balance_reported`` as the
        venue pushes them, without end; with ``capabilities.margin`` also ``venue.margin_call_reported`` and
        ``venue.liquidation_reported``. ``feed.connected`` means that everything from now on is pushed. It comes first,
        and after each ``feed.disconnected``; query what happened in between.
        """

    async def close(self) -> None:
        """Close all connections. You may call this twice."""


class PairExchange(Exchange, Protocol):
    """An exchange with pairs of orders of which one cancels the other (``capabilities.order_pairs``)."""

    async def place_pair(self, pair: OrderPair) -> OrderPairResult:
        """Place both orders once, or neither. A fill of one ends the other."""

    async def cancel_pair(self, symbol: str, client_order_id: str) -> OrderPairResult:
        """Cancel what is open of a pair. Raises ``UnknownOrder`` if nothing is."""


class ConversionExchange(Exchange, Protocol):
    """An exchange that lists what was converted outside its order books (``capabilities.conversion_history``)."""

    async def conversions(self, since: int) -> tuple[Transfer, ...]:
        """Conversions from ``since`` (ns UTC) on, oldest first: a transfer of the kind ``conversion`` for each currency
        that moved. Those of the last minutes may be missing."""


class MarginExchange(Exchange, Protocol):
    """An exchange that closes leveraged positions by itself (``capabilities.margin``)."""

    async def liquidations(self, symbol: str, since: int) -> tuple[Liquidation, ...]:
        """What the venue closed by itself in ``symbol`` from ``since`` (ns UTC) on, oldest first. Each is also pushed
        once on the private stream, as ``venue.liquidation_reported`` with the same ``venue_trade_id``; ``fills`` does
        not list it."""
