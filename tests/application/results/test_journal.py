"""The trade journal: what it makes of decisions, fills and positions."""

from __future__ import annotations

from decimal import Decimal

from application_kit import BTC
from hypothesis import given
from hypothesis import strategies as st
from risk_kit import buy, command, core_of, do, sell

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.results import TradeJournal, trade_statistics
from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    OrderFilledEvent,
    PositionOpenedEvent,
    StrategyDecisionEvent,
    VenueLiquidationReported,
)
from tickdeck.domain.market import instrument_for
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus, Side

D = Decimal

DAY = 86_400_000_000_000


def filled(order_id: str, side: Side, price: object, *, ts: int = 0, quantity: object = 1, **more: object):
    fields = {"symbol": "BTCUSDT", "strategy_id": "s", "venue_trade_id": order_id} | more
    return OrderFilledEvent(
        order_id=order_id,
        side=side,
        price=D(str(price)),
        quantity=D(str(quantity)),
        filled=D(str(quantity)),
        remaining=D(0),
        average_price=D(str(price)),
        ts=ts or 1,
        ts_ingress=ts or 1,
        event_id=f"f-{order_id}",
        **fields,
    )


def decided(order_id: str, reason: str) -> StrategyDecisionEvent:
    intent = ActionIntent(action="order", symbol="BTCUSDT", side=Side.BUY, quantity=D(1), order_id=order_id)
    return StrategyDecisionEvent(strategy_id="s", intents=(intent,), reason=reason)


def journal_of(*events: object) -> TradeJournal:
    journal = TradeJournal(instrument_for)
    for event in events:
        journal.apply(event)
    return journal


def test_a_trade_has_the_reasons_of_the_decisions_and_the_ids_to_trace() -> None:
    journal = journal_of(
        decided("a", "cross up"),
        filled("a", Side.BUY, 100),
        decided("b", "cross down"),
        filled("b", Side.SELL, 110, ts=2),
    )

    [trade] = journal.closed
    assert (trade.entry_reason, trade.exit_reason) == ("cross up", "cross down")
    assert (trade.entry_event, trade.exit_event) == ("f-a", "f-b")
    assert (trade.pnl, trade.currency) == (D(10), "USDT")


def test_a_position_that_the_operator_closed_has_the_command_and_its_reason() -> None:
    core, puppet = core_of(RiskLimits())
    do(core, puppet, buy("10"))
    core.fill(core.orders[-1], "100")
    do(core, puppet, sell("1", "200"))
    resting = core.orders[-1]
    command(core, "flatten", "news")
    core.fill(core.orders[-1], "100").report(resting, OrderStatus.CANCELLED)
    core.fill(core.orders[-1], "100")  # the rest, which waited for the cancel
    do(core, puppet, buy("1"))
    core.fill(core.orders[-1], "100")
    core.feed(CommandReceived(command="close", arguments={"symbol": BTC}))
    core.fill(core.orders[-1], "100")

    trades = journal_of(*core.tape.events).closed

    assert [trade.exit_reason for trade in trades] == ["flatten: news", "close"]


def test_a_liquidation_for_which_the_venue_names_no_order_ends_the_trade_once() -> None:
    core, puppet = core_of(RiskLimits())
    do(core, puppet, buy("2"))
    core.fill(core.orders[-1], "100")
    core.feed(
        VenueLiquidationReported(symbol=BTC, side=Side.SELL, price=D(80), quantity=D(2), venue_trade_id="9", ts=1)
    )

    journal = journal_of(*core.tape.events)

    assert [(trade.exit_reason, trade.pnl) for trade in journal.closed] == [("liquidated", D(-40))]
    assert journal.open() == []


def test_accounts_and_symbols_have_trades_of_their_own() -> None:
    journal = journal_of(
        filled("a", Side.BUY, 100),
        filled("b", Side.SELL, 100, account_id="other", user_id="eve"),
        filled("c", Side.SELL, 10, symbol="ETHUSDT"),
    )

    assert journal.closed == []
    assert [(t.account_id, t.user_id, t.symbol, t.side) for t in journal.open()] == [
        ("main", "", "BTCUSDT", Side.BUY),
        ("other", "eve", "BTCUSDT", Side.SELL),
        ("main", "", "ETHUSDT", Side.SELL),
    ]


def test_a_fee_in_base_reduces_the_position_and_one_in_a_third_currency_is_kept_apart() -> None:
    journal = journal_of(
        filled("a", Side.BUY, 100, fee=D("0.01"), fee_currency="BTC"),
        filled("b", Side.SELL, 110, quantity="0.99", fee=D("0.5"), fee_currency="BNB"),
    )

    [trade] = journal.closed
    assert (trade.quantity, trade.fees, trade.other_fees) == (D("0.99"), D(1), {"BNB": D("0.5")})
    assert trade.pnl == D("8.9")


def test_coins_held_at_the_start_are_an_entry_without_an_order() -> None:
    held = PositionOpenedEvent(
        symbol="BTCUSDT", quantity=D(2), cost=D(200), average_price=D(100), currency="USDT", ts=1, ts_ingress=1
    )

    [trade] = journal_of(held, filled("b", Side.SELL, 110, quantity=2)).closed

    assert (trade.entry_reason, trade.entry_orders, trade.pnl) == ("held at the start", (), D(20))


def holding(quantity: object, price: object) -> PositionOpenedEvent:
    amount, each = D(str(quantity)), D(str(price))
    return PositionOpenedEvent(
        symbol="BTCUSDT", quantity=amount, cost=amount * each, average_price=each, currency="USDT", ts=1, ts_ingress=1
    )


def test_a_strategy_has_trades_of_its_own_beside_coins_held_at_the_start() -> None:
    journal = journal_of(
        holding(2, 50),
        filled("a", Side.BUY, 100, ts=2),
        filled("b", Side.SELL, 110, ts=3),
        filled("c", Side.BUY, 100, ts=4, quantity=3),
    )

    [trade] = journal.closed
    assert (trade.strategy_id, trade.quantity, trade.pnl) == ("s", D(1), D(10))
    assert [(t.strategy_id, t.held, t.entry_reason) for t in journal.open()] == [
        ("", D(2), "held at the start"),
        ("s", D(3), ""),
    ]


def test_a_sale_beyond_what_was_bought_sells_what_was_held_and_then_opens_a_short_with_its_share_of_the_fees() -> None:
    journal = journal_of(
        holding(2, 50),
        filled("a", Side.BUY, 100, ts=2),
        filled("b", Side.SELL, 110, ts=3, quantity=4, fee=D("0.4"), fee_currency="USDT"),
    )

    assert [(t.strategy_id, t.quantity, t.pnl, t.fees) for t in journal.closed] == [
        ("s", D(1), D("9.9"), D("0.1")),
        ("", D(2), D("119.8"), D("0.2")),
    ]
    [short] = journal.open()
    assert (short.side, short.held, short.fees) == (Side.SELL, D(1), D("0.1"))


amounts = st.decimals("0.001", "5", places=3)
prices = st.decimals("1", "200", places=2)
moves = st.lists(st.tuples(st.sampled_from(Side), amounts, prices, st.decimals("0", "1", places=3)), max_size=20)


@given(st.decimals("-5", "5", places=3).filter(bool), prices, moves, prices)
def test_with_coins_held_all_trades_together_have_the_pnl_and_the_quantity_of_the_fills(held, cost, made, last) -> None:
    fills = [
        filled(f"{n}", side, price, ts=n + 2, quantity=amount, fee=fee, fee_currency="USDT")
        for n, (side, amount, price, fee) in enumerate(made)
    ]
    journal = journal_of(holding(held, cost), *fills)

    trades = [*journal.closed, *journal.open(lambda _: last)]
    signed = [(side.sign * amount, price) for side, amount, price, _ in made]
    quantity = held + sum((each for each, _ in signed), D(0))
    earned = quantity * last - held * cost - sum((each * price for each, price in signed), D(0))
    paid = sum((fee for *_, fee in made), D(0))
    assert sum((trip.held * trip.side.sign for trip in trades), D(0)) == quantity
    assert abs(sum((trip.fees for trip in trades), D(0)) - paid) < D("1E-15")
    assert abs(sum((trip.pnl for trip in trades), D(0)) - (earned - paid)) < D("1E-12")
    assert sum(not trip.strategy_id for trip in trades) == 1


def test_a_journal_that_follows_a_bus_equals_one_made_from_its_events() -> None:
    bus, ended = InMemoryEventBus(stamp=False), []
    following = TradeJournal(instrument_for, ended.append)
    following.follow(bus)
    events = [decided("a", "up"), filled("a", Side.BUY, 100), filled("b", Side.SELL, 90, ts=2)]

    for event in events:
        bus.publish(event)

    assert following.closed == ended == journal_of(*events).closed
    assert len(ended) == 1


def test_statistics_by_any_key_leave_open_trades_out() -> None:
    journal = journal_of(
        filled("a", Side.BUY, 100, ts=1),
        filled("b", Side.SELL, 110, ts=2),
        filled("c", Side.BUY, 100, ts=DAY + 1, strategy_id="t"),
        filled("d", Side.SELL, 96, ts=DAY + 2, strategy_id="t"),
        filled("e", Side.BUY, 100, ts=DAY + 3),
    )
    trips = [*journal.closed, *journal.open()]

    [total] = trade_statistics(trips, "symbol")
    assert (total.key, total.trades, total.volume, total.pnl) == ("BTCUSDT", 2, D(406), D(6))
    assert (total.win_rate, total.profit_factor, total.expectancy) == (0.5, 2.5, D(3))
    assert [(s.key, s.pnl) for s in trade_statistics(trips, "strategy")] == [("s", D(10)), ("t", D(-4))]
    assert [(s.key, s.trades) for s in trade_statistics(trips, "day")] == [("1970-01-01", 1), ("1970-01-02", 1)]
    assert trade_statistics(journal.open(), "symbol") == []
