"""Events of the private stream: reports on orders, and balances."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from tickdeck.infrastructure.venue.dialects.binance.messages.orders import expiry_reason, time_in_force, working_time
from tickdeck.infrastructure.venue.dialects.binance.messages.text import ZERO_TEXT, Json
from tickdeck.infrastructure.venue.dialects.binance.messages.text import decimal_text as d
from tickdeck.infrastructure.venue.matching import Balance, Execution, ExecutionKind, Status

__all__ = ["account_position", "balance_update", "execution_report"]

ZERO = Decimal(0)
_OPEN = (Status.NEW, Status.PARTIALLY_FILLED)


def execution_report(execution: Execution, cancel_id: str, unit: int) -> Json:
    """``executionReport``. On a cancellation ``c`` is the id of the cancellation and ``C`` the order's."""
    order, kind = execution.order, execution.kind
    is_trade, is_cancel = kind is ExecutionKind.TRADE, kind is ExecutionKind.CANCELED
    at = execution.at // unit
    waits = order.stop_price is not None and (not order.triggered or kind is ExecutionKind.NEW)
    report: Json = {
        "e": "executionReport",
        "E": at,
        "s": order.symbol,
        "c": cancel_id if is_cancel and cancel_id else order.client_id,
        "S": "BUY" if order.is_buy else "SELL",
        "o": order.type.value,
        "f": time_in_force(order),
        "q": d(order.quantity),
        "p": d(order.price),
        "P": d(order.stop_price),
        "F": ZERO_TEXT,
        "g": order.list_number,
        "C": order.client_id if is_cancel else "",
        "x": ExecutionKind.NEW.value if kind is ExecutionKind.TRIGGERED else kind.value,
        "X": execution.status.value,
        "r": "NONE",
        "i": order.number,
        "l": d(execution.quantity) if is_trade else ZERO_TEXT,
        "z": d(execution.filled),
        "L": d(execution.price) if is_trade else ZERO_TEXT,
        "n": d(execution.commission) if is_trade else "0",
        "N": execution.commission_asset if is_trade else None,
        "T": at,
        "t": execution.trade_id if is_trade else -1,
        "I": execution.number,
        "w": execution.status in _OPEN and not waits,
        "m": execution.is_maker,
        "M": is_trade,
        "O": order.created // unit,
        "Z": d(execution.spent),
        "Y": d(execution.price * execution.quantity) if is_trade else ZERO_TEXT,
        "Q": d(order.quote_quantity),
        "V": order.self_trade.value,
    }
    if not waits:
        report["W"] = working_time(order, unit)
    if kind is ExecutionKind.TRADE_PREVENTION and execution.counter is not None:
        counter = execution.counter
        report |= {
            "v": execution.number,
            "A": d(order.prevented),
            "B": d(execution.quantity),
            "u": 1,
            "U": counter.number,
            "Cs": counter.symbol,
            "pl": d(execution.quantity),
            "pL": d(execution.price),
            "pY": d(execution.price * execution.quantity),
        }
    if kind is ExecutionKind.EXPIRED and execution.status is Status.EXPIRED:
        report["eR"] = expiry_reason(order)
    return report


def account_position(balances: dict[str, Balance], assets: Iterable[str], at: int, unit: int) -> Json:
    """``outboundAccountPosition`` with the balances of ``assets``."""
    nothing = Balance(ZERO, ZERO)
    rows = [(asset, balances.get(asset, nothing)) for asset in assets]
    return {
        "e": "outboundAccountPosition",
        "E": at // unit,
        "u": at // unit,
        "B": [{"a": asset, "f": d(balance.free), "l": d(balance.locked)} for asset, balance in rows],
    }


def balance_update(asset: str, change: Decimal, at: int, unit: int) -> Json:
    """``balanceUpdate``: a deposit, a withdrawal, or one side of a conversion."""
    return {"e": "balanceUpdate", "E": at // unit, "a": asset, "d": d(change), "T": at // unit}
