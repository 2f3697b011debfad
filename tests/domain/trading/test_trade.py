"""The life cycle of a trade in two phases."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.trading import TRADE_TRANSITIONS, Trade, TradeStatus
from tickdeck.domain.values import Side
from tickdeck.errors import DomainError, InvalidTransition

D = Decimal

STEPS = {
    TradeStatus.RESERVED: lambda trade: trade.reserve(D(50), "USDT"),
    TradeStatus.EXECUTED: lambda trade: trade.confirm(D(99), D("0.5"), {"USDT": D("0.1")}),
    TradeStatus.FAILED: lambda trade: trade.roll_back("refused"),
    TradeStatus.NEEDS_RECONCILIATION: lambda trade: trade.doubt("timed out"),
}


def new_trade() -> Trade:
    return Trade.create_copy_trade(
        "a", "t1", copied_from="L1", symbol="BTCUSDT", side=Side.BUY, quantity=D("0.5"), limit=D(100), order_id="o1"
    )


def test_a_trade_is_reserved_and_then_confirmed_with_what_was_filled() -> None:
    trade = new_trade()

    trade.reserve(D(50), "USDT")
    trade.confirm(D(99), D("0.4"), {"USDT": D("0.1")})

    reserved, executed = trade.get_domain_events()
    assert (reserved.event_type, reserved.reserved, reserved.copied_from) == ("trade.reserved", D(50), "L1")
    assert (executed.executed_price, executed.executed_quantity, executed.fee) == (D(99), D("0.4"), D("0.1"))
    assert (executed.account_id, executed.symbol, executed.side, executed.order_id) == ("a", "BTCUSDT", Side.BUY, "o1")
    assert trade.status.is_final


def test_fees_in_several_currencies_are_all_kept() -> None:
    trade = new_trade()
    trade.reserve(D(50), "USDT")

    trade.confirm(D(99), D("0.5"), {"USDT": D("0.1"), "BNB": D("0.2")})

    executed = trade.get_domain_events()[-1]
    assert (executed.fee, executed.fee_currency, dict(executed.fees)) == (D(0), "", {"USDT": D("0.1"), "BNB": D("0.2")})


@given(st.lists(st.sampled_from(list(STEPS)), max_size=6))
def test_only_the_steps_of_the_table_are_possible_and_a_fold_gives_the_same_trade(steps: list[TradeStatus]) -> None:
    trade = new_trade()
    for status in steps:
        before = trade.status
        if status in TRADE_TRANSITIONS[before] or (before is status is TradeStatus.NEEDS_RECONCILIATION):
            STEPS[status](trade)
            assert trade.status is status
        else:
            with pytest.raises(InvalidTransition, match="t1"):
                STEPS[status](trade)
            assert trade.status is before

    folded = Trade("a", "t1").load(trade.get_domain_events())
    trade.clear_domain_events()
    if folded.version:
        assert vars(folded) == vars(trade)


def test_every_status_can_be_reached_and_final_ones_have_no_way_out() -> None:
    reached = {TradeStatus.NEW} | {after for steps in TRADE_TRANSITIONS.values() for after in steps}

    assert reached == set(TradeStatus) == set(TRADE_TRANSITIONS)
    assert [status for status in TradeStatus if status.is_final] == [TradeStatus.EXECUTED, TradeStatus.FAILED]


def test_a_trade_has_a_limit_above_0_and_names_what_it_reserves() -> None:
    with pytest.raises(DomainError, match="its limit is -5; it must be above 0"):
        Trade("a", "t").create(symbol="BTCUSDT", side=Side.BUY, quantity=D(1), limit=D(-5), order_id="o")
    trade = Trade("a", "t").create(symbol="BTCUSDT", side=Side.BUY, quantity=D(1), limit=D(5), order_id="o")
    with pytest.raises(DomainError, match="the currency that is reserved is"):
        trade.reserve(D(5), "")
    assert trade.get_domain_events() == ()
