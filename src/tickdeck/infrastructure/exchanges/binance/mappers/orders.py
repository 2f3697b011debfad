"""Orders and their fills: responses to requests, and the reports of the private stream."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from tickdeck.application.ports import OrderFill, OrderPairResult, OrderResult
from tickdeck.domain.events import DomainEvent, SystemWarning, VenueFillReported, VenueOrderReported
from tickdeck.domain.values import ZERO, OrderStatus, Side
from tickdeck.infrastructure.exchanges.binance.mappers.market import SPOT

__all__ = [
    "STATUSES",
    "AmendBody",
    "ExecutionReport",
    "OrderBody",
    "OrderListBody",
    "TradeBody",
    "amend_result",
    "fill_of",
    "order_result",
    "pair_result",
    "read_amend",
    "read_order",
    "read_pair",
    "report_events",
]

STATUSES = {
    "NEW": OrderStatus.ACCEPTED,
    "PENDING_NEW": OrderStatus.ACCEPTED,
    "PENDING_CANCEL": OrderStatus.ACCEPTED,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}

_MS = 1_000_000
_SIDES = {"BUY": Side.BUY, "SELL": Side.SELL}


class _Fill(msgspec.Struct):
    price: Decimal
    quantity: Decimal = msgspec.field(name="qty")
    fee: Decimal = msgspec.field(name="commission", default=ZERO)
    fee_currency: str = msgspec.field(name="commissionAsset", default="")
    trade_id: int = msgspec.field(name="tradeId", default=-1)


class OrderBody(msgspec.Struct, rename="camel"):
    """An order in the response to placing, cancelling or querying it."""

    symbol: str
    order_id: int
    client_order_id: str
    orig_client_order_id: str = ""
    status: str = ""
    side: str = ""
    price: Decimal = ZERO
    orig_qty: Decimal = ZERO
    executed_qty: Decimal = ZERO
    cummulative_quote_qty: Decimal = ZERO
    type: str = ""
    expiry_reason: str = ""
    transact_time: int = 0
    update_time: int = 0
    time: int = 0
    fills: tuple[_Fill, ...] = ()


class _Listed(msgspec.Struct, rename="camel"):
    order_id: int
    client_order_id: str


class OrderListBody(msgspec.Struct, rename="camel"):
    """An order list in the answer to placing, cancelling or querying it. ``order_reports`` is empty in a query."""

    order_list_id: int
    list_client_order_id: str
    list_order_status: str
    symbol: str
    orders: tuple[_Listed, ...]
    order_reports: tuple[OrderBody, ...] = ()
    transaction_time: int = 0


class _Amended(msgspec.Struct, rename="camel"):
    symbol: str
    order_id: int
    client_order_id: str
    price: Decimal
    qty: Decimal
    executed_qty: Decimal
    cumulative_quote_qty: Decimal
    status: str
    side: str


class AmendBody(msgspec.Struct, rename="camel"):
    """The response to an amend. ``amended_order`` is the order after it."""

    amended_order: _Amended
    transact_time: int = 0


class TradeBody(msgspec.Struct, rename="camel"):
    """One of our executions (``myTrades``)."""

    symbol: str
    id: int
    order_id: int
    price: Decimal
    qty: Decimal
    is_buyer: bool
    is_maker: bool
    time: int
    commission: Decimal = ZERO
    commission_asset: str = ""


class ExecutionReport(msgspec.Struct):
    """A report of the private stream, with the names that the documentation gives its keys."""

    symbol: str = msgspec.field(name="s")
    client_order_id: str = msgspec.field(name="c")
    side: str = msgspec.field(name="S")
    order_id: int = msgspec.field(name="i")
    execution: str = msgspec.field(name="x")
    status: str = msgspec.field(name="X")
    original_client_order_id: str | None = msgspec.field(name="C", default="")
    reject_reason: str = msgspec.field(name="r", default="NONE")
    expiry_reason: str | None = msgspec.field(name="eR", default="")
    last_quantity: Decimal = msgspec.field(name="l", default=ZERO)
    last_price: Decimal = msgspec.field(name="L", default=ZERO)
    filled: Decimal = msgspec.field(name="z", default=ZERO)
    fee: Decimal | None = msgspec.field(name="n", default=ZERO)
    fee_currency: str | None = msgspec.field(name="N", default=None)
    transaction_time: int = msgspec.field(name="T", default=0)
    trade_id: int = msgspec.field(name="t", default=-1)
    is_maker: bool = msgspec.field(name="m", default=False)


def order_result(body: OrderBody) -> OrderResult:
    """The state of an order. After a cancel, the venue's ``clientOrderId`` is that of the cancel, and the original one
    is ours.
    """
    ours = body.orig_client_order_id or body.client_order_id
    side = _SIDES.get(body.side)
    ts = (body.transact_time or body.update_time or body.time) * _MS
    fills = tuple(
        OrderFill(
            symbol=body.symbol,
            venue_order_id=str(body.order_id),
            venue_trade_id=str(fill.trade_id),
            side=side or Side.BUY,
            price=fill.price,
            quantity=fill.quantity,
            fee=fill.fee,
            fee_currency=fill.fee_currency,
            client_order_id=ours,
            ts=ts,
        )
        for fill in body.fills
    )
    return OrderResult(
        client_order_id=ours,
        symbol=body.symbol,
        venue_order_id=str(body.order_id),
        status=OrderStatus.from_exchange(body.status, STATUSES) if body.status else OrderStatus.ACCEPTED,
        raw_status=body.status or "ACK",
        side=side,
        quantity=body.orig_qty,
        limit=body.price if body.price and body.type != "MARKET" else None,
        filled=body.executed_qty,
        filled_quote=max(body.cummulative_quote_qty, ZERO),  # negative: unknown, for very old orders
        fills=fills,
        reason=body.expiry_reason,
        ts=ts,
    )


def pair_result(body: OrderListBody) -> OrderPairResult:
    """The pair in an answer."""
    return OrderPairResult(
        client_order_id=body.list_client_order_id,
        venue_list_id=str(body.order_list_id),
        symbol=body.symbol,
        done=body.list_order_status == "ALL_DONE",
        venue_order_ids=tuple(str(order.order_id) for order in body.orders),
        orders=tuple(order_result(report) for report in body.order_reports),
        ts=body.transaction_time * _MS,
    )


def amend_result(body: AmendBody) -> OrderResult:
    """An order's state after an amend."""
    order = body.amended_order
    return OrderResult(
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        venue_order_id=str(order.order_id),
        status=OrderStatus.from_exchange(order.status, STATUSES),
        raw_status=order.status,
        side=_SIDES.get(order.side),
        quantity=order.qty,
        limit=order.price,
        filled=order.executed_qty,
        filled_quote=order.cumulative_quote_qty,
        ts=body.transact_time * _MS,
    )


def read_order(body: bytes) -> OrderResult:
    """The order in the answer to placing or cancelling it."""
    return order_result(msgspec.json.decode(body, type=OrderBody, strict=False))


def read_amend(body: bytes) -> OrderResult:
    """The order in the answer to an amend."""
    return amend_result(msgspec.json.decode(body, type=AmendBody, strict=False))


def read_pair(body: bytes) -> OrderPairResult:
    """The pair in the answer to placing or cancelling it."""
    return pair_result(msgspec.json.decode(body, type=OrderListBody, strict=False))


def fill_of(body: TradeBody) -> OrderFill:
    """One of our executions."""
    return OrderFill(
        symbol=body.symbol,
        venue_order_id=str(body.order_id),
        venue_trade_id=str(body.id),
        side=Side.BUY if body.is_buyer else Side.SELL,
        price=body.price,
        quantity=body.qty,
        fee=body.commission,
        fee_currency=body.commission_asset,
        liquidity="maker" if body.is_maker else "taker",
        ts=body.time * _MS,
    )


def report_events(report: ExecutionReport, received: int, account_id: str = "main") -> tuple[DomainEvent, ...]:
    """The events of a report: the fill, if it has one, then the state of the order.

    The state is in ``X``; the fill is in ``l``, ``L``, ``n``, ``N``, ``t`` and ``m``. A trade with quantity 0 and a
    prevented self-trade are not fills. An unknown status changes nothing: it becomes a ``system.warning`` that says to
    query the order.
    """
    ours = report.original_client_order_id or report.client_order_id
    ts = report.transaction_time * _MS or received
    events: list[DomainEvent] = []
    if report.execution == "TRADE" and report.last_quantity > 0:
        events.append(
            VenueFillReported(
                order_id=ours,
                symbol=report.symbol,
                account_id=account_id,
                side=_SIDES[report.side],
                price=report.last_price,
                quantity=report.last_quantity,
                venue_trade_id=str(report.trade_id),
                fee=report.fee or ZERO,
                fee_currency=report.fee_currency or "",
                liquidity="maker" if report.is_maker else "taker",
                venue_order_id=str(report.order_id),
                ts=ts,
                ts_ingress=received,
                source=SPOT,
            )
        )
    status = OrderStatus.from_exchange(report.status, STATUSES)
    if status is None:
        message = (
            f"order {ours} ({report.symbol}): the venue's status {report.status!r} is unknown; the order is left as "
            "it is, query it"
        )
        events.append(SystemWarning(component=SPOT, message=message, ts=ts, ts_ingress=received, source=SPOT))
        return tuple(events)
    reasons = (report.reject_reason if report.reject_reason != "NONE" else "", report.expiry_reason or "")
    events.append(
        VenueOrderReported(
            order_id=ours,
            symbol=report.symbol,
            account_id=account_id,
            status=status,
            filled=report.filled,
            venue_order_id=str(report.order_id),
            reason=" ".join(filter(None, reasons)),
            ts=ts,
            ts_ingress=received,
            source=SPOT,
        )
    )
    return tuple(events)
