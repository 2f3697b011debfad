"""What a strategy bought itself, apart from the position of the account, whatever others do to that."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.strategies.inventory import Inventory
from tickdeck.application.strategies.strategy import PositionView
from tickdeck.domain.accounts import TradedQuantities
from tickdeck.domain.events import OrderFilledEvent
from tickdeck.domain.market import instrument_for
from tickdeck.domain.values import Side

D = Decimal
BTC = instrument_for("BTCUSDT")


class Account:
    """The position of an account in which several trade. ``own`` is what of it belongs to the strategy ``me``."""

    def __init__(self, held: str = "0", *, long_only: bool = False) -> None:
        self.held = D(held)
        self.traded = TradedQuantities()
        self.inventory = Inventory(long_only=long_only)
        self.look()

    @property
    def own(self) -> Decimal:
        return self.look()

    def look(self) -> Decimal:
        position = PositionView("BTCUSDT", self.held, D(0), D(0), D(0), None, BTC)
        return self.inventory.view(position, self.traded.of("me", "BTCUSDT")).quantity

    def trade(self, who: str, change: str | Decimal, fee: str = "0", currency: str = "BTC") -> None:
        """A fill of an order of ``who``; its ``change`` is negative for a sale."""
        quantity = abs(D(change))
        fill = OrderFilledEvent(
            order_id="a",
            strategy_id=who,
            symbol="BTCUSDT",
            side=Side.BUY if D(change) > 0 else Side.SELL,
            price=D(100),
            quantity=quantity,
            filled=quantity,
            remaining=D(0),
            average_price=D(100),
            venue_trade_id="1",
            fee=D(fee),
            fee_currency=currency,
        )
        self.traded.take(fill, "BTC")
        self.held += D(change) - (D(fee) if currency == "BTC" else 0)


def test_it_is_the_sum_of_the_fills_after_fees_in_base_currency() -> None:
    account = Account("3")
    account.trade("me", "1", "0.001")
    account.trade("me", "-0.5", "0.05", "USDT")

    assert account.own == D("0.499")


def test_it_is_no_more_than_the_account_holds_and_stays_so() -> None:
    account = Account("3", long_only=True)
    account.trade("me", "1")
    assert account.own == D(1)

    account.held = D("0.4")
    assert account.own == D("0.4")
    account.held = D(3)
    assert account.own == D("0.4")


@pytest.mark.parametrize(("long_only", "left"), [(True, "0.5"), (False, "-1.5")])
def test_a_sale_of_other_coins_counts_only_if_the_strategy_may_be_short(long_only: bool, left: str) -> None:
    account = Account("3", long_only=long_only)
    account.trade("me", "-2")
    assert account.own == (0 if long_only else -2)
    account.trade("me", "0.5")

    assert account.own == D(left)


@pytest.mark.parametrize(
    ("before", "changes", "left"),
    [
        ("0", [("me", "-2"), ("risk", "2")], "0"),  # a short that an operator flattened
        ("0", [("me", "-2"), ("", "2")], "0"),  # that the venue liquidated
        ("0", [("me", "-2"), ("operator", "0.5")], "-1.5"),
        ("-1", [("me", "-2"), ("operator", "0.5")], "-2"),  # the short of others is closed first
        ("-1", [("me", "-2"), ("operator", "1.5")], "-1.5"),
        ("0", [("me", "-2"), ("other", "2")], "-2"),  # the long position of another strategy
        ("0", [("me", "-2"), ("operator", "-1")], "-2"),
        ("0", [("me", "2"), ("risk", "-2"), ("operator", "2")], "0"),
        ("0", [("me", "-2"), ("risk", "2"), ("operator", "-2")], "0"),
        ("3", [("me", "-2"), ("operator", "1")], "-2"),  # coins of others were sold; nothing is owed
        ("3", [("me", "-2"), ("risk", "-1")], "0"),  # all is flat
        ("3", [("me", "2"), ("operator", "-3")], "2"),
        ("3", [("me", "2"), ("operator", "-4")], "1"),
    ],
)
def test_whatever_closes_the_position_counts(before: str, changes: list[tuple[str, str]], left: str) -> None:
    account = Account(before)
    for who, change in changes:
        if who:
            account.trade(who, change)
        else:
            account.held += D(change)
        account.look()

    assert account.own == D(left)


def test_what_happens_between_two_looks_counts_as_if_it_had_happened_at_once() -> None:
    account = Account()
    account.trade("me", "-2")
    account.trade("risk", "2")

    assert account.own == 0


def test_a_strategy_of_the_same_name_begins_anew() -> None:
    account = Account()
    account.trade("me", "2")
    again = Inventory()
    position = PositionView("BTCUSDT", D(2), D(0), D(0), D(0), None, BTC)
    again.begin(position, account.traded.of("me", "BTCUSDT"))

    assert again.view(position, account.traded.of("me", "BTCUSDT")).quantity == 0


AMOUNTS = st.integers(-30, 30).filter(bool).map(lambda tenths: D(tenths) / 10)
STEPS = st.lists(st.tuples(st.sampled_from(["me", "operator", "risk", ""]), AMOUNTS), max_size=30)


@given(STEPS, st.booleans())
def test_an_exit_never_trades_what_is_not_held(steps: list[tuple[str, Decimal]], long_only: bool) -> None:
    """In an account without other coins: where others only close, what the strategy owns is the position."""
    account = Account(long_only=long_only)
    own = D(0)
    for who, change in steps:
        if long_only and account.held + change < 0:
            change = -account.held
        if who != "me" and (account.held * change >= 0 or abs(change) > abs(account.held)):
            change = -account.held
        if not change:
            continue
        if who:
            account.trade(who, change)
        else:
            account.held += change
        own = account.own

        assert own == account.held


@given(STEPS, st.integers(-20, 20))
def test_others_never_enlarge_it_and_never_turn_it_around(steps: list[tuple[str, Decimal]], tenths: int) -> None:
    account = Account(str(D(tenths) / 10))
    for who, change in steps:
        before = account.own
        if who:
            account.trade(who, change)
        else:
            account.held += change

        own = account.own
        if who == "me":
            continue
        assert own * before >= 0
        assert abs(own) <= abs(before)
        if own != before:
            assert before * change < 0 or not account.held  # it was closed, or everything is
        if not account.held:
            assert own == 0
