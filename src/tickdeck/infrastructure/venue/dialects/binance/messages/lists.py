"""Order lists: answers to requests, and the event of the private stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tickdeck.infrastructure.venue.dialects.binance.messages.orders import cancelled, order_answer
from tickdeck.infrastructure.venue.dialects.binance.messages.text import Json
from tickdeck.infrastructure.venue.matching import Execution, ListChange, ListStatus, Order, OrderList

__all__ = ["cancelled_list", "list_answer", "list_state", "list_status"]


def list_state(found: OrderList, legs: Sequence[Order], unit: int) -> Json:
    """An order list as queries show it."""
    return {
        "orderListId": found.number,
        "contingencyType": "OCO",
        "listStatusType": (ListStatus.DONE if found.done else ListStatus.STARTED).value,
        "listOrderStatus": "ALL_DONE" if found.done else "EXECUTING",
        "listClientOrderId": found.client_id,
        "transactionTime": found.updated // unit,
        "symbol": found.symbol,
        "orders": [{"symbol": leg.symbol, "orderId": leg.number, "clientOrderId": leg.client_id} for leg in legs],
    }


def list_answer(found: OrderList, legs: Sequence[Order], executions: Iterable[Execution], kind: str, unit: int) -> Json:
    """The answer to a placement: ``kind`` is ACK, RESULT or FULL."""
    executions = list(executions)
    reports = [order_answer(leg, executions, kind, unit) for leg in legs]
    return list_state(found, legs, unit) | {"orderReports": reports}


def cancelled_list(found: OrderList, legs: Sequence[Order], cancel_id: str, unit: int) -> Json:
    """The answer to a cancellation."""
    return list_state(found, legs, unit) | {"orderReports": [cancelled(leg, cancel_id, unit) for leg in legs]}


def list_status(change: ListChange, legs: Sequence[Order], at: int, unit: int) -> Json:
    """``listStatus``."""
    found, status = change
    return {
        "e": "listStatus",
        "E": at // unit,
        "s": found.symbol,
        "g": found.number,
        "c": "OCO",
        "l": status.value,
        "L": "ALL_DONE" if status is ListStatus.DONE else "EXECUTING",
        "r": "NONE",
        "C": found.client_id,
        "T": at // unit,
        "O": [{"s": leg.symbol, "i": leg.number, "c": leg.client_id} for leg in legs],
    }
