"""An account equals the fold of its events, after any history."""

from __future__ import annotations

from decimal import Decimal

import pytest
from folding import state_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from many_examples import MANY

from tickdeck.domain.accounts import Account
from tickdeck.domain.events import DomainEvent, OrderAcceptedEvent, OrderEvent, OrderFilledEvent, VenueBalanceReported
from tickdeck.domain.market import Instrument
from tickdeck.domain.trading import Position
from tickdeck.domain.values import Side

D = Decimal
INSTRUMENTS = {
    symbol: Instrument(symbol=symbol, base=base, quote=quote)
    for symbol, base, quote in (("BTCUSDT", "BTC", "USDT"), ("ETHBTC", "ETH", "BTC"), ("PEPEUSDT", "PEPE", "USDT"))
}
AMOUNTS = st.sampled_from([D("0.0001"), D("0.5"), D(1), D(3), D("33.33")])
ORDER_IDS = st.sampled_from([f"o-{n}" for n in range(4)])
reserved = {
    "order_id": ORDER_IDS,
    "reserved": st.one_of(st.just(D(0)), AMOUNTS),
    "reserved_currency": st.sampled_from(["USDT", "BTC"]),
}
fills = st.builds(
    OrderFilledEvent,
    symbol=st.sampled_from(list(INSTRUMENTS)),
    side=st.sampled_from(Side),
    price=st.sampled_from([D("0.00001234567"), D(7), D(60000)]),
    quantity=AMOUNTS,
    filled=st.just(D(1)),
    remaining=st.just(D(0)),
    average_price=st.just(D(1)),
    fee=st.sampled_from([D(0), D("0.0001"), D("0.5"), D("-0.01"), D(7)]),
    fee_currency=st.sampled_from(["", "USDT", "BTC", "BNB"]),
    ts=st.just(1),
    **reserved,
)
others = st.builds(OrderAcceptedEvent, symbol=st.just("BTCUSDT"), **reserved)
balances = st.builds(
    VenueBalanceReported,
    currency=st.sampled_from(["USDT", "BTC", "BNB"]),
    total=st.sampled_from([D(0), D(100), D("0.5")]),
    locked=st.sampled_from([D(0), D("0.1")]),
)
histories = st.lists(st.one_of(fills, fills, others, balances), max_size=12)


def folds_like_the_live_account(history: list[DomainEvent]) -> None:
    account = Account("main", "USDT", "ann")
    tape: list[DomainEvent] = []
    for step in history:
        tape.append(step)
        if isinstance(step, VenueBalanceReported):
            tape += account.set_balance(step)
            continue
        assert isinstance(step, OrderEvent)
        account.reserve(step)
        if isinstance(step, OrderFilledEvent):
            tape += account.apply_fill(step, INSTRUMENTS[step.symbol])
    folded = Account.fold(tape, "main", "USDT", "ann")
    assert state_of(folded) == state_of(account)
    for symbol, position in account.positions.items():
        assert state_of(Position.fold(symbol, tape)) == state_of(position)
    for event in tape:
        assert not hasattr(event, "free") or event.free == event.total - event.locked - event.reserved


@pytest.mark.long
@settings(max_examples=300)
@given(histories)
def test_an_account_and_its_positions_fold_from_their_events_after_any_history(history: list[DomainEvent]) -> None:
    folds_like_the_live_account(history)


@pytest.mark.slow
@settings(max_examples=MANY, deadline=None, suppress_health_check=list(HealthCheck))
@given(histories)
def test_an_account_folds_from_its_events_after_very_many_histories(history: list[DomainEvent]) -> None:
    folds_like_the_live_account(history)


def test_a_closed_position_names_the_orders_of_the_whole_round_trip() -> None:
    account = Account()
    events: list[DomainEvent] = []
    for n, (side, quantity) in enumerate(((Side.BUY, 1), (Side.BUY, 2), (Side.SELL, 1), (Side.SELL, 5)), 1):
        fill = OrderFilledEvent(
            order_id=f"o-{n}",
            symbol="BTCUSDT",
            side=side,
            price=D(100),
            quantity=D(quantity),
            filled=D(quantity),
            remaining=D(0),
            average_price=D(100),
        )
        events += account.apply_fill(fill, INSTRUMENTS["BTCUSDT"])
    named = [
        (e.event_type, e.opened_by_orders, e.closed_by_orders)  # type: ignore[attr-defined]
        for e in events
        if e.event_type.startswith("position.")
    ]
    assert named == [
        ("position.opened", ("o-1",), ()),
        ("position.updated", ("o-2",), ()),
        ("position.updated", (), ("o-3",)),
        ("position.closed", ("o-1", "o-2"), ("o-3", "o-4")),
        ("position.opened", ("o-4",), ()),
    ]
