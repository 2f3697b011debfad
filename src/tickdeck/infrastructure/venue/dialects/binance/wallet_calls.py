"""What an account may ask of its wallet: deposits, withdrawals and conversions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tickdeck.infrastructure.venue.dialects.binance import messages
from tickdeck.infrastructure.venue.dialects.binance.errors import ApiError
from tickdeck.infrastructure.venue.dialects.binance.venue import MS, Call, Operation, Security
from tickdeck.infrastructure.venue.exchange import Conversion, Transfer

__all__ = ["WALLET_OPERATIONS"]

Json = dict[str, Any]
_LONGEST = 90 * 86_400_000_000_000  # between the first and the last row that one request may ask for (ns)
_LONGEST_CONVERTED = 30 * 86_400_000_000_000  # the same of conversions
_DUST_ROWS = 100
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
    _check_interval(start, end, _LONGEST)
    coin = params.get("coin")
    found = [
        transfer
        for transfer in reversed(call.venue.exchange.transfers.get(call.owner, ()))
        if transfer.amount * sign > 0 and start <= transfer.at <= end and coin in ("", transfer.asset)
    ]
    return found[offset : offset + limit]


def converted(call: Call) -> Json:
    """Both times are mandatory. The newest first, ``limit`` of them."""
    params = call.params
    for name in ("startTime", "endTime"):
        params.text(name)
    start, end = params.time("startTime") or 0, params.time("endTime") or 0
    _check_interval(start, end, _LONGEST_CONVERTED)
    limit = params.limit(100, 1_000)
    found = _conversions(call, start, end, dust=False)
    return {
        "list": [
            {
                "quoteId": f"{conversion.number:032x}",
                "orderId": conversion.number,
                "orderStatus": "SUCCESS",
                "fromAsset": conversion.of.asset,
                "fromAmount": messages.decimal_text(conversion.of.spent),
                "toAsset": conversion.of.into,
                "toAmount": messages.decimal_text(conversion.of.received),
                "createTime": conversion.at // MS,
            }
            for conversion in found[:limit]
        ],
        "startTime": start // MS,
        "endTime": end // MS,
        "limit": limit,
        "moreData": len(found) > limit,
    }


def dust(call: Call) -> Json:
    """Here each row has one asset, and costs no fee."""
    end = call.params.time("endTime") or call.now
    found = _conversions(call, call.params.time("startTime") or 0, end, dust=True)[:_DUST_ROWS]
    return {"total": len(found), "userAssetDribblets": [_dust_row(conversion) for conversion in found]}


def _dust_row(conversion: Conversion) -> Json:
    number, at, received = conversion.number, conversion.at // MS, messages.decimal_text(conversion.of.received)
    detail = {
        "transId": number,
        "serviceChargeAmount": "0",
        "amount": messages.decimal_text(conversion.of.spent),
        "operateTime": at,
        "transferedAmount": received,
        "fromAsset": conversion.of.asset,
    }
    return {
        "operateTime": at,
        "totalTransferedAmount": received,
        "totalServiceChargeAmount": "0",
        "transId": number,
        "userAssetDribbletDetails": [detail],
    }


def _conversions(call: Call, start: int, end: int, *, dust: bool) -> list[Conversion]:
    kept = reversed(call.venue.exchange.conversions.get(call.owner, ()))
    return [conversion for conversion in kept if conversion.of.dust is dust and start <= conversion.at <= end]


def _check_interval(start: int, end: int, longest: int) -> None:
    if end - start > longest:
        hours = longest // 3_600_000_000_000
        raise ApiError(-1127, f"Lookup interval is too big. More than {hours} hours between startTime and endTime.")


def _text(at: int) -> str:
    return datetime.fromtimestamp(at // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S")


WALLET_OPERATIONS: dict[str, Operation] = {
    "GET /sapi/v1/capital/deposit/hisrec": Operation(deposits, 1, Security.SIGNED),
    "GET /sapi/v1/capital/withdraw/history": Operation(withdrawals, 1, Security.SIGNED),
    "GET /sapi/v1/convert/tradeFlow": Operation(converted, 1, Security.SIGNED),
    "GET /sapi/v1/asset/dribblet": Operation(dust, 1, Security.SIGNED),
}
"""By the method and the path."""
