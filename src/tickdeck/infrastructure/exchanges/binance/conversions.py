"""Conversions of a Binance account: of Binance Convert, and of remainders to BNB.

Sources, read in November 2026: developers.binance.com/docs/convert/trade/Get-Convert-Trade-History (30 days in one
request, 3,000 of the 180,000 a minute that a user may spend) and "DustLog" of developers.binance.com/docs/wallet/asset
(the last 100 only).
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from tickdeck.application.ports import Transfer
from tickdeck.domain.events import TransferKind
from tickdeck.infrastructure.exchanges.binance.transfers import LOOKBACK, MS, Ask

__all__ = ["WEIGHTS_BY_ACCOUNT", "conversion_history"]

WEIGHTS_BY_ACCOUNT = {"/sapi/v1/convert/tradeFlow": 3_000}
"""What the venue counts by account instead of by address."""

_WINDOW = 30 * 86_400_000 - 1  # ms in one request
_PAGE, _PAGES = 1_000, 5
_DUST_BECOMES = "BNB"


class Converted(msgspec.Struct, rename="camel"):
    """A row of ``GET /sapi/v1/convert/tradeFlow``. Times are in ms."""

    order_id: int | str
    order_status: str
    from_asset: str
    from_amount: Decimal
    to_asset: str
    to_amount: Decimal
    create_time: int


class TradeFlow(msgspec.Struct, rename="camel"):
    """The whole answer."""

    list: tuple[Converted, ...]
    more_data: bool = False


class DustOf(msgspec.Struct, rename="camel"):
    """One currency of a ``Dust``."""

    from_asset: str
    amount: Decimal


class Dust(msgspec.Struct, rename="camel"):
    """A row of ``GET /sapi/v1/asset/dribblet``, in the venue's spelling. Times are in ms."""

    trans_id: int | str
    operate_time: int
    total_transfered_amount: Decimal
    user_asset_dribblet_details: tuple[DustOf, ...]
    total_service_charge_amount: Decimal = Decimal(0)


class DustLog(msgspec.Struct, rename="camel"):
    """The whole answer."""

    user_asset_dribblets: tuple[Dust, ...] = ()


async def conversion_history(ask: Ask, since: int, now: int) -> tuple[Transfer, ...]:
    """The account's conversions from ``since`` to ``now`` (ns UTC), at most 89 days, oldest first: one transfer for
    each currency that moved. ``ask``: see ``transfer_history``. Raises ``ExchangeError``."""
    first, last = max(since, now - LOOKBACK) // MS, now // MS
    found: list[Transfer] = []
    end = last
    while end >= first:
        start = max(first, end - _WINDOW)
        found += await _converted(ask, start, end)
        end = start - 1
    times = {"startTime": first, "endTime": last}
    found += await ask(DustLog, "/sapi/v1/asset/dribblet", times, _of_dust)
    once = {transfer.transfer_id: transfer for transfer in found}
    return tuple(sorted(once.values(), key=lambda transfer: (transfer.ts, transfer.transfer_id)))


async def _converted(ask: Ask, start: int, end: int) -> list[Transfer]:
    """The rows of one request may be a part of those between ``start`` and ``end`` (ms); then older ones follow."""
    found: list[Transfer] = []
    for _ in range(_PAGES):
        times = {"startTime": start, "endTime": end, "limit": _PAGE}
        oldest, more, page = await ask(TradeFlow, "/sapi/v1/convert/tradeFlow", times, _of_flow)
        found += page
        if not more or oldest is None or oldest >= end:
            break
        end = oldest  # again with that ms, whose rows may have been cut off
    return found


def _of_flow(flow: TradeFlow) -> tuple[int | None, bool, list[Transfer]]:
    """The time of the oldest row (ms), whether there are more, and the transfers."""
    oldest = min((row.create_time for row in flow.list), default=None)
    found = []
    for row in flow.list:
        if row.order_status == "SUCCESS":
            name = f"convert/{row.order_id}"
            found += [
                _moved(name, row.from_asset, -row.from_amount, row.create_time),
                _moved(name, row.to_asset, row.to_amount, row.create_time),
            ]
    return oldest, flow.more_data, found


def _of_dust(log: DustLog) -> list[Transfer]:
    """The documentation does not say whether the total that became BNB contains the charge."""
    found = []
    for row in log.user_asset_dribblets:
        name, at, charge = f"dust/{row.trans_id}", row.operate_time, row.total_service_charge_amount
        found += [_moved(name, asset, -amount, at) for asset, amount in _sums(row.user_asset_dribblet_details)]
        found.append(_moved(name, _DUST_BECOMES, row.total_transfered_amount, at, charge))
    return found


def _sums(details: Iterable[DustOf]) -> Iterable[tuple[str, Decimal]]:
    sums: dict[str, Decimal] = {}
    for detail in details:
        sums[detail.from_asset] = sums.get(detail.from_asset, Decimal(0)) + detail.amount
    return sums.items()


def _moved(name: str, currency: str, amount: Decimal, at: int, fee: Decimal = Decimal(0)) -> Transfer:
    return Transfer(
        transfer_id=f"{name}/{currency}",
        currency=currency,
        amount=amount,
        kind=TransferKind.CONVERSION,
        fee=fee,
        ts=at * MS,
    )
