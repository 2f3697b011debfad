"""What others do on the account: orders that the run did not send, deposits and withdrawals. They are inputs."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import ClassVar

from tickdeck.domain.events.base import DomainEvent, invalid
from tickdeck.domain.events.priority import Priority
from tickdeck.domain.events.streams import balance_stream
from tickdeck.domain.values import Money, OrderStatus, Price, Quantity, Side

__all__ = ["TransferKind", "VenueExternalFillReported", "VenueExternalOrderReported", "VenueTransferReported"]


class TransferKind(StrEnum):
    """What a payment is. ``conversion``: one currency was exchanged for another outside the order book."""

    DEPOSIT = "deposit"
    WITHDRAWAL = "withdrawal"
    CONVERSION = "conversion"


class VenueExternalOrderReported(DomainEvent, frozen=True, kw_only=True, gc=False):
    """The state of an order on the account that the run did not send. An input of gateways.

    The run shows such orders and never touches them. ``order_id`` is the client order id that its owner chose.
    ``side``, ``quantity`` (base) and ``limit`` (quote) are ``None`` if the report does not contain them; the limit of a
    market order is ``None`` too. ``filled`` (base) is the venue's count.
    """

    event_type: ClassVar[str] = "venue.external_order_reported"
    priority: ClassVar[Priority] = Priority.P1
    account_id: str = "main"
    user_id: str = ""
    symbol: str
    order_id: str
    venue_order_id: str = ""
    status: OrderStatus
    side: Side | None = None
    quantity: Quantity | None = None
    limit: Price | None = None
    filled: Quantity = Decimal(0)

    @property
    def aggregate_id(self) -> str:
        return self.order_id

    @property
    def stream(self) -> str:
        return _stream(self.account_id, self.order_id)


class VenueExternalFillReported(DomainEvent, frozen=True, kw_only=True, gc=False):
    """An order that the run did not send was filled. An input of gateways.

    It moves the balances of ``base`` and ``quote`` like a payment in and a payment out, so it is no result of the run.
    ``quantity`` is in base, ``price`` in quote, ``fee`` in ``fee_currency``. ``venue_trade_id`` is unique per symbol; a
    repeated report of the same trade is ignored.
    """

    event_type: ClassVar[str] = "venue.external_fill_reported"
    priority: ClassVar[Priority] = Priority.P0
    account_id: str = "main"
    user_id: str = ""
    symbol: str
    base: str
    quote: str
    order_id: str = ""
    venue_order_id: str = ""
    venue_trade_id: str
    side: Side
    price: Price
    quantity: Quantity
    fee: Money = Decimal(0)
    fee_currency: str = ""

    def __post_init__(self) -> None:
        if self.price <= 0:
            raise invalid(self, "price", "above 0")
        if self.quantity <= 0:
            raise invalid(self, "quantity", "above 0")

    @property
    def aggregate_id(self) -> str:
        return self.order_id or self.venue_order_id

    @property
    def stream(self) -> str:
        return _stream(self.account_id, self.aggregate_id)


class VenueTransferReported(DomainEvent, frozen=True, kw_only=True, gc=False):
    """Money was paid into the account or out of it. An input of gateways.

    ``amount`` is in ``currency``, negative if it was paid out. A repeated report with the same
    ``transfer_id`` is ignored.
    """

    event_type: ClassVar[str] = "venue.transfer_reported"
    priority: ClassVar[Priority] = Priority.P1
    account_id: str = "main"
    user_id: str = ""
    currency: str
    amount: Money
    transfer_kind: TransferKind
    transfer_id: str

    @property
    def aggregate_id(self) -> str:
        return f"{self.account_id}/{self.currency}"

    @property
    def stream(self) -> str:
        return balance_stream(self.account_id, self.currency)


def _stream(account_id: str, order_id: str) -> str:
    return f"external/{account_id}/{order_id}"
