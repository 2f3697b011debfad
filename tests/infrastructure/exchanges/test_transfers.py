"""Payments that the private stream did not report: only those that explain a balance to the last digit are booked."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from application_kit import Core
from exchange_kit import CONNECTED, SECOND, START, Scripted, of, play, reconciled, usdt
from hypothesis import given
from hypothesis import strategies as st
from kernel_kit import kernel_with
from virtual_time import VirtualWall

from tickdeck.application.ports import ExchangeCapabilities, Transfer
from tickdeck.bootstrap.live_trading import LiveTrading
from tickdeck.bootstrap.venue_record import VenueRecord
from tickdeck.domain.events import TransferKind, VenueBalanceReported, VenueTransferReported
from tickdeck.errors import RequestRefused
from tickdeck.infrastructure.exchanges.exchange_venue import ExchangeVenue
from tickdeck.infrastructure.exchanges.transfers import explaining, not_heard


def paid(amount: str, number: str = "1", **changes: Any) -> Transfer:
    kind = TransferKind.WITHDRAWAL if amount.startswith("-") else TransferKind.DEPOSIT
    fields = {"transfer_id": number, "currency": "USDT", "amount": Decimal(amount), "kind": kind, "ts": START}
    return Transfer(**(fields | changes))


@given(st.lists(st.tuples(st.integers(-50, 50).filter(bool), st.booleans()), max_size=7))
def test_what_was_paid_is_found(payments: list[tuple[int, bool]]) -> None:
    transfers = [paid(str(amount), str(number)) for number, (amount, _) in enumerate(payments)]
    difference = sum((Decimal(amount) for amount, is_new in payments if is_new), Decimal(0))
    found = explaining(difference, transfers)

    assert sum((moved for _, moved in found), Decimal(0)) == difference
    assert len({transfer.transfer_id for transfer, _ in found}) == len(found)


@pytest.mark.parametrize(
    ("difference", "moved"),
    [("-10", ["-10"]), ("-10.5", ["-10.5"]), ("-7.5", ["3", "-10.5"]), ("-7", ["3", "-10"]), ("3.01", []), ("0", [])],
)
def test_a_withdrawal_counts_with_or_without_its_fee(difference: str, moved: list[str]) -> None:
    history = [paid("3", "1"), paid("-10", "2", fee=Decimal("0.5"))]

    assert [amount for _, amount in explaining(Decimal(difference), history)] == [Decimal(text) for text in moved]


def test_the_newest_payments_are_preferred() -> None:
    history = [paid("3", str(number)) for number in range(20)]

    assert [transfer.transfer_id for transfer, _ in explaining(Decimal(6), history)] == ["18", "19"]
    assert explaining(Decimal(27), history) == ()  # more than are tried


def history(*answers: Any) -> Scripted:
    return Scripted(transfers=list(answers), balances=[usdt(130)])


def test_a_payment_of_the_history_comes_before_the_balance() -> None:
    events = reconciled(history((paid("30"), paid("5", "2"))))

    kinds = [type(event) for event in events if isinstance(event, VenueTransferReported | VenueBalanceReported)]
    assert kinds == [VenueTransferReported, VenueBalanceReported]
    (event,) = of(events, VenueTransferReported)
    assert (event.currency, event.amount, event.transfer_id) == ("USDT", Decimal(30), "1")


@pytest.mark.parametrize(
    ("answer", "booked"),
    [
        ((paid("29"),), ()),
        ((paid("30", currency="BTC"),), ()),
        ((paid("30"),), ("1",)),
        (RequestRefused("binance: no such path"), ()),
    ],
    ids=["another amount", "another currency", "booked before", "no history"],
)
def test_a_difference_that_no_payment_explains_is_read_and_nothing_is_booked(
    answer: Any, booked: tuple[str, ...]
) -> None:
    events = reconciled(history(answer), is_booked=booked.__contains__)

    assert not of(events, VenueTransferReported)
    assert [event.total for event in of(events, VenueBalanceReported)] == [Decimal(130)]


def converted(amount: str, number: str = "7", **changes: Any) -> Transfer:
    return paid(amount, number, kind=TransferKind.CONVERSION, **changes)


@pytest.mark.parametrize(
    ("transfers", "conversions", "booked"),
    [
        ((), (converted("30"),), ["7"]),
        ((paid("10"),), (converted("20"),), ["1", "7"]),
        ((paid("30"),), (converted("30"),), ["1"]),
        (RequestRefused("binance: no such path"), (converted("30"),), ["7"]),
        ((paid("10"),), RequestRefused("binance: no such path"), []),
        ((paid("10"),), (converted("20", currency="BTC"),), []),
    ],
    ids=["alone", "with a deposit", "a deposit first", "one history", "the other", "of another currency"],
)
def test_conversions_explain_what_payments_do_not(transfers: Any, conversions: Any, booked: list[str]) -> None:
    exchange = Scripted(transfers=[transfers], conversions=[conversions], balances=[usdt(130)])
    events = reconciled(exchange)

    assert [event.transfer_id for event in of(events, VenueTransferReported)] == booked
    assert exchange.asked.count("conversions") == (booked != ["1"])


def test_without_a_difference_nobody_asks_for_the_history() -> None:
    exchange = history(())
    reconciled(exchange, books={"USDT": Decimal(130)})

    assert "transfers" not in exchange.asked


@pytest.mark.parametrize(("amount", "late"), [("30", 5), ("30", 7200), ("31", 5)])
def test_a_payment_that_the_stream_reports_after_the_history_is_booked_once(amount: str, late: int) -> None:
    told = VenueTransferReported(
        currency="USDT",
        amount=Decimal(amount),
        transfer_kind=TransferKind.DEPOSIT,
        transfer_id=f"USDT/1/{amount}",
        ts=START + late * SECOND,
    )
    events = reconciled(history((paid("30"),)), (1, told), (1, told))

    same = amount == "30" and late < 3600
    assert len(of(events, VenueTransferReported)) == (2 if same else 3)  # the second one is another payment


# -- a payment explains once --------------------------------------------------------------------------------------

HOUR = 3_600 * SECOND


def heard(amount: Decimal, number: str, ts: int, currency: str = "USDT") -> VenueTransferReported:
    kind = TransferKind.WITHDRAWAL if amount < 0 else TransferKind.DEPOSIT
    return VenueTransferReported(currency=currency, amount=amount, transfer_id=number, transfer_kind=kind, ts=ts)


@given(
    st.lists(
        st.tuples(st.sampled_from(["1", "1", "2", "-3"]), st.integers(0, 90 * 60), st.booleans(), st.booleans()),
        max_size=8,
    )
)
def test_each_payment_that_was_heard_is_used_up_and_no_other_is(payments: list[tuple[str, int, bool, bool]]) -> None:
    """``payments``: the amount, its second, whether the stream told of it, and whether it did so with its fee."""
    history, stream = [], []
    for number, (amount, second, was_heard, with_fee) in enumerate(payments):
        at = START + second * SECOND
        history.append(paid(amount, str(number), ts=at, fee=Decimal("0.25") if amount.startswith("-") else Decimal(0)))
        if was_heard:
            moved = history[-1].amount - (history[-1].fee if with_fee else 0)
            stream.append(heard(moved, f"stream-{number}", at))
    left = not_heard(history, stream)

    def counts(transfers: list[Transfer]) -> Counter[Decimal]:
        return Counter(transfer.amount for transfer in transfers)

    missed = [one for one, (_, _, was_heard, _) in zip(history, payments, strict=True) if not was_heard]
    assert counts(left) == counts(missed)
    assert not_heard(history, [heard(one.amount, one.transfer_id, one.ts) for one in history]) == sorted(
        history, key=lambda one: one.ts
    )  # those of the history itself are told apart by their ids


def test_what_is_more_than_an_hour_apart_or_of_another_currency_is_another_payment() -> None:
    history = [paid("5", "1", ts=START)]

    assert not_heard(history, [heard(Decimal(5), "s", START + HOUR)]) == []
    assert not_heard(history, [heard(Decimal(5), "s", START + HOUR + 1)]) == history
    assert not_heard(history, [heard(Decimal(5), "s", START, "BTC")]) == history


def test_a_payment_of_the_stream_does_not_explain_a_later_difference_of_the_same_amount() -> None:
    told = heard(Decimal(30), "stream-1", START + SECOND)
    answers = [usdt(100), usdt(100), usdt(130)]
    exchange = Scripted(transfers=[(paid("30", "history-1", ts=START + SECOND),)], balances=answers)
    events = reconciled(exchange, (1, told), (5, CONNECTED), seconds=120)

    assert [event.transfer_id for event in of(events, VenueTransferReported)] == ["stream-1"]
    assert [event.total for event in of(events, VenueBalanceReported)][:1] == [Decimal(130)]  # not explained


@pytest.mark.parametrize("recorded", [True, False])
def test_neither_does_one_on_the_record_of_an_earlier_process(recorded: bool) -> None:
    """A payment that the stream reported before the run was resumed is in the balance with which it goes on."""
    exchange = history((paid("30", "history-1", ts=START + SECOND),))
    exchange.capabilities = ExchangeCapabilities(in_flight=0, query_lag=60 * SECOND, transfer_history=True)
    told = heard(Decimal(30), "stream-1", START + SECOND)

    async def work(venue: ExchangeVenue) -> None:
        core = Core()
        trading = LiveTrading(
            core.kernel, core.execution, core.portfolio.differences, core.risk.protections.book, venue,
            clock=VirtualWall(START), cancel_at_end=True, remarks=[], is_past=lambda: False,
        )  # fmt: skip
        if recorded:
            core.feed(told)
        await trading.connect(resumed=True)
        trading.recover({"USDT"})
        exchange.stream.put_nowait(CONNECTED)

    events = play(exchange, work, seconds=1, symbols=("BTCUSDT",), books={"USDT": Decimal(100)})

    booked = [event.transfer_id for event in of(events, VenueTransferReported)]
    assert booked == ([] if recorded else ["history-1"])
    assert [event.total for event in of(events, VenueBalanceReported)] == [Decimal(130)]


def test_a_resumed_run_knows_the_newest_payments_of_its_record() -> None:
    kernel, _ = kernel_with()
    record = VenueRecord(kernel)
    for number in range(1_002):
        kernel.feed(heard(Decimal(number), f"stream-{number}", START))

    assert [event.transfer_id for event in record.transfers][:2] == ["stream-2", "stream-3"]
