"""What an account may ask of its wallet: deposits and withdrawals."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, Call, Operation, Security
from tickdeck.infrastructure.venue.exchange import Transfer

__all__ = ["WALLET_OPERATIONS"]

Json = dict[str, Any]
_LONGEST = 90 * 86_400_000_000_000  # between the first and the last row that one request may ask for (ns)
_SUCCESS, _COMPLETED = 1, 6


def deposits(call: Call) -> list[Json]:
    return [
        {
            "id": str(transfer.number),
            "amount": messages.decimal_text(transfer.amount),
            "coin": transfer.asset,
            "status": _SUCCESS,
            "insertTime": transfer.at // MS,
            "completeTime": transfer.at // MS,
            "walletType": 0,
        }
        for transfer in _selected(call, sign=1)
    ]


def withdrawals(call: Call) -> list[Json]:
    """Here they cost no fee."""
    return [
        {
            "id": str(transfer.number),
            "amount": messages.decimal_text(-transfer.amount),
            "transactionFee": "0",
            "coin": transfer.asset,
            "status": _COMPLETED,
            "applyTime": _text(transfer.at),
            "completeTime": _text(transfer.at),
            "walletType": 0,
        }
        for transfer in _selected(call, sign=-1)
    ]


def _selected(call: Call, sign: int) -> list[Transfer]:
    """The newest first, by time, ``limit`` of them after the first ``offset``."""
    params = call.params
    limit, offset = params.limit(1_000, 1_000), params.integer("offset") or 0
    end = params.time("endTime") or call.now
    start = params.time("startTime")
    start = end - _LONGEST if start is None else start
    if end - start > _LONGEST:
        hours = _LONGEST // 3_600_000_000_000
        raise ApiError(-1127, f"Lookup interval is too big. More than {hours} hours between startTime and endTime.")
    coin = params.get("coin")
    found = [
        transfer
        for transfer in reversed(call.venue.exchange.transfers.get(call.owner, ()))
        if transfer.amount * sign > 0 and start <= transfer.at <= end and coin in ("", transfer.asset)
    ]
    return found[offset : offset + limit]


def _text(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


WALLET_OPERATIONS: dict[str, Operation] = {
    "GET /sapi/v1/capital/deposit/hisrec": Operation(deposits, 1, Security.SIGNED),
    "GET /sapi/v1/capital/withdraw/history": Operation(withdrawals, 1, Security.SIGNED),
}
"""By the method and the path."""
