"""The trade journal: what it makes of decisions, fills and positions."""

from __future__ import annotations

from decimal import Decimal

from application_kit import BTC
from risk_kit import buy, command, core_of, do, sell

from tickdeck.application.bus import InMemoryEventBus
from tickdeck.application.results import TradeJournal, trade_statistics
from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    OrderFilledEvent,
    PositionOpenedEvent,
    StrategyDecisionEvent,
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
