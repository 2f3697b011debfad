"""Whose trade a fill is, where several strategies share an account and a symbol."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tickdeck.domain.accounts import Account
from tickdeck.domain.events import (
    DomainEvent,
    OrderFilledEvent,
    PositionLiquidatedEvent,
    PositionOpenedEvent,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.trading import RoundTrip, StrategyTrades
from tickdeck.domain.values import Side

D = Decimal
BTC = "BTCUSDT"


def filled(who: str, side: Side, quantity: object, price: object, **more: object) -> OrderFilledEvent:
    amount, each = D(str(quantity)), D(str(price))
    fields = {"order_id": f"{who}-1", "venue_trade_id": "1", "ts": 1, "ts_ingress": 1} | more
    return OrderFilledEvent(
        symbol=BTC,
        strategy_id=who,
        side=side,
        price=each,
        quantity=amount,
        filled=amount,
        remaining=D(0),
        average_price=each,
        **fields,
    )


def bought(who: str, quantity: object, price: object = 100, **more: object) -> OrderFilledEvent:
    return filled(who, Side.BUY, quantity, price, **more)


def sold(who: str, quantity: object, price: object = 100, **more: object) -> OrderFilledEvent:
    return filled(who, Side.SELL, quantity, price, **more)


def liquidated(quantity: object, price: object) -> PositionLiquidatedEvent:
    return PositionLiquidatedEvent(
        symbol=BTC,
        side=Side.SELL,
        quantity=D(str(quantity)),
        price=D(str(price)),
        average_price=D(100),
        realized_pnl=D(0),
        order_id="liquidation-1",
    )


def held(quantity: object, price: object) -> PositionOpenedEvent:
    amount, each = D(str(quantity)), D(str(price))
    return PositionOpenedEvent(symbol=BTC, quantity=amount, cost=amount * each, average_price=each, currency="USDT")


def trades_of(*events: DomainEvent) -> tuple[list[tuple[str, D]], list[tuple[str, D]]]:
    """The owner and the result of each trade that ended, and what each open one holds."""
    trades = StrategyTrades(instrument_for)
    ended = [trip for event in events for trip in trades.apply(event)]
    open_trips = trades.open(lambda _: None)
    return [(t.strategy_id, t.pnl) for t in ended], [(t.strategy_id, t.held * t.side.sign) for t in open_trips]


def test_a_strategy_closes_its_own_trade_and_nobody_elses() -> None:
    ended, still_open = trades_of(bought("a", 1, 100), bought("b", 2, 110), sold("b", 2, 120), sold("a", 1, 90))

    assert ended == [("b", D(20)), ("a", D(-10))]
    assert still_open == []


def test_strategies_on_opposite_sides_have_a_trade_each_although_the_account_is_flat() -> None:
    assert trades_of(bought("a", 1), sold("b", 1)) == ([], [("a", D(1)), ("b", D(-1))])


def test_a_flatten_closes_the_trades_of_all_and_the_first_that_began_first() -> None:
    ended, still_open = trades_of(bought("b", 1, 100), bought("a", 2, 110), bought("b", 1, 120), sold("risk", 3, 130))

    assert ended == [("b", D(40))]
    assert still_open == [("a", D(1))]


def test_an_order_of_the_operator_closes_the_operators_trade_before_those_of_strategies() -> None:
    ended, still_open = trades_of(bought("a", 1), bought("operator", 1, 105), sold("operator", 3, 110))

    assert ended == [("operator", D(5)), ("a", D(10))]
    assert still_open == [("operator", D(-1))]


def test_a_trade_that_was_reversed_is_the_last_that_a_flatten_closes() -> None:
    events = [sold("a", 1), bought("b", 1), bought("a", 2), sold("risk", 1)]

    assert trades_of(*events) == ([("a", D(0)), ("b", D(0))], [("a", D(1))])


def test_a_liquidation_closes_what_holds_the_position_and_nothing_of_the_other_side() -> None:
    ended, still_open = trades_of(bought("a", 2), sold("b", 1), liquidated(1, 60))

    assert ended == []
    assert still_open == [("a", D(1)), ("b", D(-1))]


def test_coins_that_no_order_bought_are_sold_after_those_of_the_strategy_and_before_those_of_others() -> None:
    ended, still_open = trades_of(held(1, 50), bought("a", 1), bought("b", 1), sold("a", 3, 110))

    assert ended == [("a", D(10)), ("", D(60))]
    assert sorted(still_open) == [("a", D(-1)), ("b", D(1))]


amounts = st.decimals("0.001", "5", places=3)
prices = st.decimals("1", "200", places=2)
fees = st.sampled_from(["USDT", "BTC"])
fills = st.tuples(
    st.sampled_from(["a", "b", "copy", "operator", "risk"]),
    st.sampled_from(Side),
    amounts,
    prices,
    st.decimals("0", "0.0005", places=4),
    fees,
)
payments = st.tuples(st.just("pay"), st.decimals("-3", "3", places=3).filter(bool), prices)
liquidations = st.tuples(st.just("liquidate"), prices)


@given(st.lists(st.one_of(fills, fills, payments, liquidations), max_size=25), prices)
def test_all_trades_together_hold_and_earn_what_the_account_does(moves: list, last: D) -> None:
    account, trades, ended = Account(homes={"BTC": BTC}), StrategyTrades(instrument_for), list[RoundTrip]()
    instrument = instrument_for(BTC)
    for number, move in enumerate(moves):
        events: list[DomainEvent]
        if move[0] == "pay":
            account.transfer("BTC", move[1], 1)
            events = list(account.open_holding(instrument, move[2], 1))
        elif move[0] == "liquidate":
            position = account.position(BTC)
            if not position.quantity:
                continue
            side = Side.SELL if position.quantity > 0 else Side.BUY
            liquidation = PositionLiquidatedEvent(
                symbol=BTC,
                side=side,
                quantity=abs(position.quantity),
                price=move[1],
                average_price=position.average_price,
                realized_pnl=D(0),
                order_id=f"liquidation-{number}",
            )
            events = [*account.apply_fill(liquidation, instrument), liquidation]
        else:
            who, side, quantity, price, fee, currency = move
            order_id = f"{who}-{number}"
            fill = filled(who, side, quantity, price, order_id=order_id, fee=fee, fee_currency=currency)
            events = [fill, *account.apply_fill(fill, instrument)]
        for event in events:
            ended += trades.apply(event)

    still_open = trades.open(lambda _: last)
    assert sum((t.held * t.side.sign for t in still_open), D(0)) == account.position(BTC).quantity
    earned = account.realized_pnl() + account.unrealized_pnl(lambda _: last) - account.fees()
    assert abs(sum((t.pnl for t in [*ended, *still_open]), D(0)) - earned) < D("1E-12")
    owners = dict.fromkeys(t.strategy_id for t in [*ended, *still_open])
    for owner in owners:  # a strategy's total is that of its trades
        if owner:
            mine = sum((t.pnl for t in [*ended, *still_open] if t.strategy_id == owner), D(0))
            assert trades.pnl(owner, lambda _: last) == {"USDT": mine}
