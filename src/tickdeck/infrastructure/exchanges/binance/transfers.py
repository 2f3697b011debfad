"""Deposits and withdrawals of a Binance account, as the wallet's history lists them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tickdeck.application.ports import Transfer
from tickdeck.domain.events import TransferKind

__all__ = ["LOOKBACK", "MS", "Ask", "transfer_history"]

MS = 1_000_000
LOOKBACK = 89 * 86_400_000_000_000  # one request may ask for less than 90 days
_PAGE, _PAGES = 1_000, 5
_SPOT = 0
_CREDITED = (1, 6)  # success, and credited but not to be withdrawn yet
_LEFT = (0, 2, 4, 6)  # not cancelled (1), rejected (3) or failed (5)


class Deposit(msgspec.Struct, rename="camel"):
    """A row of ``GET /sapi/v1/capital/deposit/hisrec``. Times are in ms."""

    id: str
    amount: Decimal
    coin: str
    status: int
    insert_time: int
    complete_time: int | None = None
    wallet_type: int = _SPOT


class Withdrawal(msgspec.Struct, rename="camel"):
    """A row of ``GET /sapi/v1/capital/withdraw/history``. Times are text, in UTC."""

    id: str
    amount: Decimal
    coin: str
    status: int
    apply_time: str
    transaction_fee: Decimal = Decimal(0)
    wallet_type: int = _SPOT


Ask = Callable[[Any, str, dict[str, Any], Callable[[Any], Any]], Awaitable[Any]]


async def transfer_history(ask: Ask, since: int, now: int) -> tuple[Transfer, ...]:
    """The spot wallet's deposits that were credited and its withdrawals, from ``since`` to ``now`` (ns UTC), at most 89
    days, oldest first. ``ask(type, path, parameters, read)`` sends a request and returns what ``read`` makes of its
    answer. Raises ``ExchangeError``."""
    times = {"startTime": max(since, now - LOOKBACK) // MS, "endTime": now // MS}
    found = await _all(ask, list[Deposit], "/sapi/v1/capital/deposit/hisrec", times, _deposits)
    found += await _all(ask, list[Withdrawal], "/sapi/v1/capital/withdraw/history", times, _withdrawals)
    return tuple(sorted(found, key=lambda transfer: (transfer.ts, transfer.transfer_id)))


async def _all(
    ask: Ask, kind: Any, path: str, times: dict[str, int], read: Callable[[Any], tuple[int, list[Transfer]]]
) -> list[Transfer]:
    found: list[Transfer] = []
    for page in range(_PAGES):
        rows, transfers = await ask(kind, path, times | {"limit": _PAGE, "offset": page * _PAGE}, read)
        found += transfers
        if rows < _PAGE:
            break
    return found


def _deposits(rows: list[Deposit]) -> tuple[int, list[Transfer]]:
    """How many rows there are, and the transfers among them."""
    return len(rows), [
        Transfer(
            transfer_id=f"deposit/{row.id}",
            currency=row.coin,
            amount=row.amount,
            kind=TransferKind.DEPOSIT,
            ts=(row.complete_time or row.insert_time) * MS,
        )
        for row in rows
        if row.status in _CREDITED and row.wallet_type == _SPOT and row.amount
    ]


def _withdrawals(rows: list[Withdrawal]) -> tuple[int, list[Transfer]]:
    return len(rows), [
        Transfer(
            transfer_id=f"withdrawal/{row.id}",
            currency=row.coin,
            amount=-row.amount,
            kind=TransferKind.WITHDRAWAL,
            fee=row.transaction_fee,
            ts=_time(row.apply_time),
        )
        for row in rows
        if row.status in _LEFT and row.wallet_type == _SPOT and row.amount
    ]


def _time(text: str) -> int:
    """Raises ``ValueError``."""
    return int(datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1_000_000_000
