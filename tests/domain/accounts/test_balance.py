"""The balance of an account in one currency: nothing is reserved twice, and nothing leaks."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.accounts import BalanceAggregate
from tickdeck.errors import DomainError, InsufficientBalance

D = Decimal


def balance(total: object = 100, locked: object = 0) -> BalanceAggregate:
    made = BalanceAggregate("a", "USDT")
    made.observe(D(str(total)), D(str(locked)), "eve")
    return made


def test_free_is_the_total_without_what_is_locked_and_reserved() -> None:
    held = balance(100, 10)

    held.reserve(D(60))

    assert held.free == D(30)
    event = held.get_domain_events()[-1]
    assert (event.total, event.locked, event.reserved, event.free) == (D(100), D(10), D(60), D(30))
    assert (event.user_id, event.change) == ("eve", D(0))


def test_more_than_is_free_is_never_reserved() -> None:
    held = balance(100, 10)
    held.reserve(D(60))

    with pytest.raises(InsufficientBalance, match="needs 31 USDT, but has 30 free"):
        held.reserve(D(31))


@pytest.mark.parametrize("amount", [D(0), D(-1), D("NaN"), D("Infinity"), 1.5, True])
def test_only_an_amount_above_0_is_reserved_or_released(amount: Any) -> None:
    held = balance()
    held.reserve(D(1))

    with pytest.raises(DomainError):
        held.reserve(amount)
    with pytest.raises(DomainError):
        held.settle(change=D(0), released=D(2))


def test_a_difference_to_the_exchanges_report_counts_as_paid_in_or_out() -> None:
    held = balance(100)

    held.observe(D(145), D(5))
    held.observe(D(145), D(5))

    assert [(event.total, event.deposit) for event in held.get_domain_events()] == [(D(100), D(100)), (D(145), D(45))]


amounts = st.decimals("0.01", "80", places=2)


@given(st.lists(st.tuples(st.sampled_from(["reserve", "fill", "release"]), amounts), max_size=20))
def test_whatever_happens_reservations_are_covered_and_a_fold_and_a_snapshot_give_the_same(steps) -> None:
    held, open_trades, total = balance(100), [], D(100)
    for what, amount in steps:
        if what == "reserve":
            try:
                held.reserve(amount)
            except InsufficientBalance:
                assert amount > total - sum(open_trades)
            else:
                open_trades.append(amount)
        elif open_trades:
            reserved = open_trades.pop(0)
            spent = min(amount, reserved) if what == "fill" else D(0)
            held.settle(change=-spent, released=reserved)
            total -= spent
        assert held.reserved == sum(open_trades, D(0))
        assert (held.total, held.free) == (total, total - sum(open_trades))
        assert held.free >= 0

    folded = BalanceAggregate("a", "USDT").load(held.get_domain_events())
    restored = BalanceAggregate("a", "USDT")
    restored.restore(folded.version, held.snapshot())
    held.clear_domain_events()
    assert vars(folded) == vars(held) == vars(restored)
