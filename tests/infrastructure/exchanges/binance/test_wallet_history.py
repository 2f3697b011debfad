"""Payments and conversions in the history of an account at Binance."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from scripted_binance import EPOCH, Venue
from virtual_time import run

from tickdeck.domain.events import TransferKind
from tickdeck.errors import ProtocolError

D = Decimal


def test_deposits_and_withdrawals_of_the_spot_wallet_are_read() -> None:
    deposit = {"id": "769", "amount": "0.5", "coin": "BTC", "status": 1, "insertTime": 1_790_000_000_000}
    withdrawal = {"id": "b6ae", "amount": "8.91", "transactionFee": "0.004", "coin": "USDT", "status": 6}
    withdrawal |= {"applyTime": "2026-09-21 12:00:05", "walletType": 0}
    venue = Venue(
        [
            {**deposit, "completeTime": 1_790_000_060_000, "walletType": 0},
            {**deposit, "id": "770", "status": 0},  # pending
            {**deposit, "id": "771", "walletType": 1},  # of another wallet
        ],
        [withdrawal, {**withdrawal, "id": "c", "status": 3}],
    )
    paid_in, paid_out = sorted(run(venue.exchange.transfers(EPOCH - 10**15)), key=lambda transfer: -transfer.amount)

    assert (paid_in.transfer_id, paid_in.currency, paid_in.amount) == ("deposit/769", "BTC", D("0.5"))
    assert paid_in.ts == 1_790_000_060_000_000_000
    assert (paid_out.transfer_id, paid_out.amount, paid_out.fee) == ("withdrawal/b6ae", D("-8.91"), D("0.004"))
    assert paid_out.ts == 1_789_992_005_000_000_000
    assert [request.target.partition("?")[0] for request in venue.sent] == [
        "/sapi/v1/capital/deposit/hisrec",
        "/sapi/v1/capital/withdraw/history",
    ]


def converted(number: int, spent: str, received: str, at: int, status: str = "SUCCESS") -> dict[str, Any]:
    row = {"quoteId": "f3", "orderId": number, "orderStatus": status, "createTime": at, "ratio": "1"}
    return row | {"fromAsset": "USDT", "fromAmount": spent, "toAsset": "BTC", "toAmount": received}


def flow(*rows: dict[str, Any], more: bool = False) -> dict[str, Any]:
    return {"list": list(rows), "startTime": 1, "endTime": 2, "limit": 1000, "moreData": more}


NO_DUST: dict[str, Any] = {"total": 0, "userAssetDribblets": []}


def test_conversions_and_dust_are_read_as_what_each_currency_moved() -> None:
    details = [
        {"transId": 5, "serviceChargeAmount": "0.01", "amount": "0.03", "transferedAmount": "0.5", "fromAsset": "ETH"},
        {"transId": 5, "serviceChargeAmount": "0.02", "amount": "7", "transferedAmount": "1", "fromAsset": "TRX"},
    ]
    dust = {"operateTime": 1_790_000_000_000, "totalTransferedAmount": "1.5", "totalServiceChargeAmount": "0.03"}
    dust |= {"transId": 5, "userAssetDribbletDetails": details}
    rows = (converted(9, "600", "0.01", 1_790_000_060_000), converted(8, "1", "2", 1, status="FAIL"))
    venue = Venue(flow(*rows), {"total": 1, "userAssetDribblets": [dust]})
    found = run(venue.exchange.conversions(EPOCH - 10**15))

    assert [(one.transfer_id, one.amount) for one in found] == [
        ("dust/5/BNB", D("1.5")),
        ("dust/5/ETH", D("-0.03")),
        ("dust/5/TRX", D("-7")),
        ("convert/9/BTC", D("0.01")),
        ("convert/9/USDT", D("-600")),
    ]
    assert found[0].fee == D("0.03")
    assert {one.kind for one in found} == {TransferKind.CONVERSION}
    assert found[-1].ts == 1_790_000_060_000_000_000
    assert [request.target.partition("?")[0] for request in venue.sent] == [
        "/sapi/v1/convert/tradeFlow",
        "/sapi/v1/asset/dribblet",
    ]


def test_a_long_history_of_conversions_is_read_in_parts_without_gaps() -> None:
    newest, older = converted(3, "3", "1", 2_000), converted(2, "2", "1", 1_000)
    venue = Venue(flow(newest, older, more=True), flow(older, converted(1, "1", "1", 500)), NO_DUST)
    found = run(venue.exchange.conversions(EPOCH - 10**15))

    assert [one.transfer_id for one in found if one.currency == "USDT"] == [f"convert/{n}/USDT" for n in (1, 2, 3)]
    assert venue.params(1)["endTime"] == "1000"

    day = 86_400_000_000_000
    venue = Venue(flow(), flow(), NO_DUST)
    run(venue.exchange.conversions(EPOCH - 40 * day))
    parts = [venue.params(number) for number in range(2)]
    assert int(parts[1]["endTime"]) + 1 == int(parts[0]["startTime"])
    assert all(int(part["endTime"]) - int(part["startTime"]) < 30 * day // 10**6 for part in parts)
    assert int(parts[1]["startTime"]) == (EPOCH - 40 * day) // 10**6


def test_the_history_of_conversions_is_asked_for_as_often_as_its_weight_allows() -> None:
    venue = Venue(*[flow(), NO_DUST] * 60, flow(), NO_DUST)

    async def ask() -> list[int]:
        times = []
        for _ in range(61):
            await venue.exchange.conversions(venue.clock.time_ns() - 1)
            times.append(venue.clock.time_ns() - EPOCH)
        return times

    times = run(ask())
    assert times[59] == 0  # 60 times 3,000
    assert times[60] > 0


@pytest.mark.parametrize("answer", [flow(converted(1, "NaN", "1", 1)), flow({"orderId": 1}), {"rows": []}])
def test_a_damaged_history_of_conversions_is_a_protocol_error(answer: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        run(Venue(answer, NO_DUST).exchange.conversions(EPOCH - 10**15))


@pytest.mark.parametrize("row", [{"id": "1"}, {"id": "1", "amount": "NaN", "coin": "X", "status": 1, "insertTime": 1}])
def test_a_damaged_history_is_a_protocol_error(row: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError):
        run(Venue([row]).exchange.transfers(0))
