"""The position of a strategy itself, apart from that of the account, whatever others do to it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tickdeck.application.strategies import PositionView
from tickdeck.application.strategies.inventory import own_position
from tickdeck.domain.accounts import Account, OwnedPositions
from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    PositionLiquidatedEvent,
    VenueLiquidationReported,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.trading import StrategyTrades
from tickdeck.domain.values import Side

D = Decimal
BTC = instrument_for("BTCUSDT")


class Shared:
    """An account in which several trade. ``held``: coins at the start."""

    def __init__(self, held: str | Decimal = "0") -> None:
        self.account = Account(homes={"BTC": "BTCUSDT"})
        self.owned = OwnedPositions()
        self.trades = StrategyTrades(instrument_for)
        self.number = 0
        if D(held):
            self.pay(D(held))

    @property
    def position(self) -> Decimal:
        return self.account.position("BTCUSDT").quantity

    def own(self, who: str = "me", *, long_only: bool = False) -> Decimal:
        held = self.account.position("BTCUSDT")
        view = PositionView("BTCUSDT", held.quantity, held.average_price, D(0), D(0), None, BTC)
        return own_position(view, self.owned.of(who, "BTCUSDT"), long_only=long_only).quantity

    def trade(self, who: str, change: str | Decimal, fee: str = "0", currency: str = "BTC", price: str = "100") -> None:
        """A fill of an order of ``who``; its ``change`` is negative for a sale."""
        self.number += 1
        quantity = abs(D(change))
        fill = OrderFilledEvent(
            order_id=f"order-{self.number}",
            strategy_id=who,
            symbol="BTCUSDT",
            side=Side.BUY if D(change) > 0 else Side.SELL,
            price=D(price),
            quantity=quantity,
            filled=quantity,
            remaining=D(0),
            average_price=D(price),
            venue_trade_id="1",
            fee=D(fee),
            fee_currency=currency,
        )
        self.owned.take(fill, "BTC")
        self._journal(fill, *self.account.apply_fill(fill, BTC))

    def pay(self, amount: Decimal) -> None:
        before = self.position
        self.account.transfer("BTC", amount, 1)
        moved = self.account.open_holding(BTC, D(100), 1)
        self.owned.pay(moved, before)
        self._journal(*moved)

    def liquidate(self, quantity: Decimal) -> None:
        """The venue closes so much of the position."""
        self.number += 1
        fields = {
            "symbol": "BTCUSDT",
            "side": Side.SELL if self.position > 0 else Side.BUY,
            "quantity": quantity,
            "price": D(100),
            "order_id": f"liquidation-{self.number}",
        }
        report = VenueLiquidationReported(venue_trade_id=str(self.number), **fields)
        self.owned.liquidate(report)
        booked = self.account.apply_fill(report, BTC)
        self._journal(*booked, PositionLiquidatedEvent(average_price=D(100), realized_pnl=D(0), **fields))

    def _journal(self, *events: DomainEvent) -> None:
        for event in events:
            self.trades.apply(event)


def test_it_is_the_sum_of_the_fills_after_fees_in_base_currency() -> None:
    shared = Shared("3")
    shared.trade("me", "1", "0.001")
    shared.trade("me", "-0.5", "0.05", "USDT")

    assert shared.own() == D("0.499")


@pytest.mark.parametrize(("long_only", "left"), [(True, "0.5"), (False, "-1.5")])
def test_a_sale_of_other_coins_counts_only_if_the_strategy_may_be_short(long_only: bool, left: str) -> None:
    shared = Shared("3")
    shared.trade("me", "-2")
    assert shared.own(long_only=long_only) == (0 if long_only else -2)
    shared.trade("me", "0.5")

    assert shared.own(long_only=long_only) == D(left)


@pytest.mark.parametrize(
    ("before", "changes", "left"),
    [
        ("0", [("me", "-2"), ("risk", "2")], "0"),  # a short that an operator flattened
        ("0", [("me", "-2"), ("", "2")], "0"),  # that the venue liquidated
        ("0", [("me", "-2"), ("operator", "0.5")], "-1.5"),
        ("0", [("me", "-2"), ("other", "2")], "-2"),  # the long position of another strategy
        ("0", [("me", "2"), ("other", "-2")], "2"),  # and a short one, though the account is flat
        ("0", [("me", "-2"), ("operator", "-1")], "-2"),
        ("0", [("me", "2"), ("risk", "-2"), ("operator", "2")], "0"),
        ("0", [("me", "-2"), ("risk", "2"), ("operator", "-2")], "0"),
        ("3", [("me", "-2"), ("operator", "1")], "-2"),  # coins of others were sold; nothing is owed
        ("3", [("me", "-2"), ("risk", "-1")], "0"),  # all is flat
        ("3", [("me", "2"), ("operator", "-1")], "1"),  # as in the journal: trades before coins that nobody bought
        ("0", [("other", "1"), ("me", "1"), ("operator", "-1")], "1"),  # who began first is closed first
        ("0", [("me", "1"), ("other", "1"), ("operator", "-1")], "0"),
        ("0", [("operator", "1"), ("me", "1"), ("operator", "-1")], "1"),
    ],
)
def test_whatever_closes_the_position_counts(before: str, changes: list[tuple[str, str]], left: str) -> None:
    shared = Shared(before)
    for who, change in changes:
        if who:
            shared.trade(who, change)
        else:
            shared.liquidate(D(change))

    assert shared.own() == D(left)


def test_its_entry_price_and_profit_are_its_own() -> None:
    shared = Shared()
    shared.trade("me", "1", price="100")
    shared.trade("other", "-1", price="120")
    view = PositionView("BTCUSDT", D(0), D(0), D(0), D(0), D(130), BTC)

    own = own_position(view, shared.owned.of("me", "BTCUSDT"))

    assert (own.quantity, own.average_price, own.unrealized_pnl) == (D(1), D(100), D(30))


AMOUNTS = st.integers(-30, 30).filter(bool).map(lambda tenths: D(tenths) / 10)
WHO = ["me", "other", "third", "operator", "risk", "pay", "venue"]
STEPS = st.lists(st.tuples(st.sampled_from(WHO), AMOUNTS), max_size=30)


def take(shared: Shared, who: str, change: Decimal) -> None:
    if who == "pay":
        shared.pay(change)
    elif who == "venue":
        if shared.position:
            shared.liquidate(min(abs(change), abs(shared.position)))
    else:
        shared.trade(who, change)


@given(STEPS, st.integers(-20, 20))
@example([("me", D("0.3")), ("venue", D("0.1")), ("pay", D("-0.1"))], -1)  # a payment right after a liquidation
def test_it_is_the_open_trade_of_the_journal_and_all_of_them_are_the_position(
    steps: list[tuple[str, Decimal]], tenths: int
) -> None:
    shared = Shared(D(tenths) / 10)
    for who, change in steps:
        take(shared, who, change)

        trips = shared.trades.open(lambda _: None)
        total = shared.owned.unowned("BTCUSDT")
        for one in ("me", "other", "third", "operator", "risk", ""):
            owned = shared.owned.of(one, "BTCUSDT")
            mine = [trip for trip in trips if trip.strategy_id == one and trip.entry_reason == ""]
            assert owned.quantity == sum((trip.held * trip.side.sign for trip in mine), D(0))
            assert [owned.entered] == [trip.quantity for trip in mine] or not (owned.entered or mine)
            total += owned.quantity
        assert total == shared.position


@given(STEPS, st.integers(-20, 20), st.booleans())
def test_others_never_enlarge_it_and_never_turn_it_around(
    steps: list[tuple[str, Decimal]], tenths: int, long_only: bool
) -> None:
    shared = Shared(D(tenths) / 10)
    for who, change in steps:
        before, borrowed = shared.own(long_only=long_only), shared.owned.of("me", "BTCUSDT").borrowed
        take(shared, who, change)

        own = shared.own(long_only=long_only)
        if who in ("other", "third"):
            assert own == before
        elif who != "me" and not borrowed:
            assert own * before >= 0
            assert abs(own) <= abs(before)
