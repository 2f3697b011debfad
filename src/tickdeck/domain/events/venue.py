"""Reports from the venue, as received. They are inputs; our own conclusions are in ``orders`` and ``portfolio``.

A report about an order or a balance belongs to its stream. What can change at a venue while a run trades there is
reported too: instruments, fee rates, and whether calls go through.
"""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.streams import OfBalance, OfOrder, OfPosition
from tickdeck.domain.events.upcast import upcast
from tickdeck.domain.values import Money, OrderStatus, Price, Quantity, Side

__all__ = [
    "VenueBalanceReported",
    "VenueCancelRefused",
    "VenueCircuitChanged",
    "VenueFeesReported",
    "VenueFillReported",
    "VenueInstrumentReported",
    "VenueLiquidationReported",
    "VenueMarginCallReported",
    "VenueOrderNotFound",
    "VenueOrderReported",
    "VenueRateReported",
]


class VenueOrderReported(OfOrder, frozen=True, kw_only=True, gc=False):
    """The state of an order, reported by the venue. The gateway itself reports ``unknown`` if sending failed without a
    clear result, and ``rejected`` if it did not send the order because trading is halted. An input of gateways.

    ``order_id`` is our client order id. ``filled`` (base) is the venue's count.

    The answer to an amend has its ``revision``. ``quantity`` (base) and ``limit`` (quote) are then the new values of
    the order; both are ``None`` if the amend was refused, with a ``reason``. If the ``status`` is ``unknown``, the
    report is only about the amend.
    """

    event_type: ClassVar[str] = "venue.order_reported"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 2
    status: OrderStatus
    filled: Quantity = Decimal(0)
    venue_order_id: str = ""
    reason: str = ""
    revision: int = 0
    quantity: Quantity | None = None
    limit: Price | None = None


class VenueCancelRefused(OfOrder, frozen=True, kw_only=True, gc=False):
    """A cancel failed: the venue refused it, or it could not be sent. An input of gateways.

    It says nothing about the order, which may still be open, filled or unknown to the venue. A venue that knows the
    state of the order reports it with ``venue.order_reported`` instead.
    """

    event_type: ClassVar[str] = "venue.cancel_refused"
    reason: str = ""


class VenueOrderNotFound(OfOrder, frozen=True, kw_only=True, gc=False):
    """No source at the venue knows an order in doubt, after the wait that the venue's profile states. An input of
    gateways.

    ``sources`` are those that were asked and answered, such as ``order``, ``open_orders``, ``fills`` and ``stream``.
    ``waited`` is the time since the search began, in ns on the venue's clock.
    """

    event_type: ClassVar[str] = "venue.order_not_found"
    priority: ClassVar[Priority] = Priority.P1
    sources: tuple[str, ...]
    waited: int


class VenueFillReported(OfOrder, frozen=True, kw_only=True, gc=False):
    """The venue filled a part of an order. An input of gateways.

    ``quantity`` is in base, ``price`` in quote, ``fee`` in ``fee_currency``. ``venue_trade_id`` is unique per symbol; a
    repeated report of the same trade is ignored. ``liquidity`` is ``maker`` or ``taker``.
    """

    event_type: ClassVar[str] = "venue.fill_reported"
    priority: ClassVar[Priority] = Priority.P0
    version: ClassVar[int] = 2
    side: Side
    price: Price
    quantity: Quantity
    venue_trade_id: str
    fee: Money = Decimal(0)
    fee_currency: str = ""
    liquidity: str = "taker"
    venue_order_id: str = ""

    def __post_init__(self) -> None:
        if self.price <= 0:
            raise invalid(self, "price", "above 0")
        if self.quantity <= 0:
            raise invalid(self, "quantity", "above 0")
        if self.liquidity not in ("maker", "taker"):
            raise invalid(self, "liquidity", "'maker' or 'taker'")


class VenueBalanceReported(OfBalance, frozen=True, kw_only=True, gc=False):
    """The balance of an account in one currency, reported by the venue. An input of gateways; the paper venue reports
    at the start.

    ``total`` includes ``locked``, which is in open orders. Both are in units of ``currency``.
    """

    event_type: ClassVar[str] = "venue.balance_reported"
    priority: ClassVar[Priority] = Priority.P1
    version: ClassVar[int] = 2
    total: Money
    locked: Money = Decimal(0)


class VenueMarginCallReported(OfPosition, frozen=True, kw_only=True, gc=False):
    """The venue warns that a leveraged position is close to its liquidation. An input of gateways.

    ``quantity`` is that of the position (base, negative when short), ``price`` the market's. ``equity`` is what is left
    of the position's margin, ``requirement`` what has to be left; both are in ``currency``, the quote currency.
    """

    event_type: ClassVar[str] = "venue.margin_call_reported"
    priority: ClassVar[Priority] = Priority.P0
    quantity: Quantity
    price: Price
    equity: Money
    requirement: Money
    liquidation_price: Price
    currency: str = ""


class VenueLiquidationReported(OfPosition, frozen=True, kw_only=True, gc=False):
    """The venue closed a leveraged position by itself. An input of gateways.

    ``side`` is that of the closing trade, ``quantity`` (base, above 0) and ``price`` (quote) are what it traded.
    ``order_id`` and ``venue_trade_id`` are the venue's. A repeated ``venue_trade_id`` counts once.
    """

    event_type: ClassVar[str] = "venue.liquidation_reported"
    priority: ClassVar[Priority] = Priority.P0
    side: Side
    price: Price
    quantity: Quantity
    fee: Money = Decimal(0)
    fee_currency: str = ""
    order_id: str = ""
    venue_trade_id: str

    def __post_init__(self) -> None:
        for name in ("price", "quantity"):
            if getattr(self, name) <= 0:
                raise invalid(self, name, "above 0")


class VenueInstrumentReported(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An instrument as the venue lists it now. An input of gateways.

    ``status`` is ``trading``, ``halt``, ``cancel_only``, ``delisted`` or ``other``; ``raw_status`` is the venue's own
    word. The steps and limits are those of ``Instrument``: ``tick_size`` and ``min_notional`` in quote, the others in
    base; a ``max_quantity`` of 0 means none.
    """

    event_type: ClassVar[str] = "venue.instrument_reported"
    priority: ClassVar[Priority] = Priority.P1
    symbol: str
    base: str
    quote: str
    status: str
    raw_status: str = ""
    tick_size: Price
    lot_size: Quantity
    min_quantity: Quantity = Decimal(0)
    max_quantity: Quantity = Decimal(0)
    min_notional: Money = Decimal(0)

    @property
    def aggregate_id(self) -> str:
        return self.symbol


class VenueFeesReported(DomainEvent, frozen=True, kw_only=True, gc=False):
    """What the venue charges an account now. An input of gateways.

    ``maker`` and ``taker`` are shares of the notional. ``symbol`` is empty if the rates hold for all symbols.
    """

    event_type: ClassVar[str] = "venue.fees_reported"
    priority: ClassVar[Priority] = Priority.P1
    account_id: str = "main"
    user_id: str = ""
    symbol: str = ""
    maker: Decimal
    taker: Decimal

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.symbol}" if self.symbol else self.account_id


class VenueRateReported(DomainEvent, frozen=True, kw_only=True, gc=False):
    """One unit of ``currency`` is worth ``rate`` of the currency ``into``. An input of gateways, for a currency that is
    not in the run's symbols, such as the coin in which a venue charges its fees.
    """

    event_type: ClassVar[str] = "venue.rate_reported"
    priority: ClassVar[Priority] = Priority.P1
    currency: str
    into: str
    rate: Price

    def __post_init__(self) -> None:
        if self.rate <= 0:
            raise invalid(self, "rate", "above 0")

    @property
    def aggregate_id(self) -> str:
        return self.currency


class VenueCircuitChanged(DomainEvent, frozen=True, kw_only=True, gc=False):
    """A circuit breaker changed its state. An input of gateways.

    ``name`` is the venue and the group of calls, such as ``binance/orders``. ``before`` and ``after`` are ``closed``,
    ``open`` (calls fail at once) or ``half_open`` (one call is a probe). ``reason`` is the class of the error that led
    to it, empty for a success.
    """

    event_type: ClassVar[str] = "venue.circuit_changed"
    priority: ClassVar[Priority] = Priority.P1
    name: str
    before: str
    after: str
    reason: str = ""

    @property
    def aggregate_id(self) -> str:
        return self.name


for _cls in (VenueOrderReported, VenueFillReported, VenueBalanceReported):
    upcast(_cls.event_type, 1, lambda fields: fields, keeps_stream=True)  # new fields have defaults
