"""Copy trading: sized, reserved, executed, and confirmed or rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from commands_kit import MINUTE, NOW, FillingExchange, Program
from hypothesis import given
from hypothesis import strategies as st

from tickdeck.application.commands import (
    CopyRule,
    CopyTrading,
    Follower,
    LeaderTrade,
    ReconcileTradeCommand,
)
from tickdeck.application.ports import OrderRequest, OrderResult
from tickdeck.bootstrap import close_bus
from tickdeck.domain.events import TradeEvent
from tickdeck.domain.values import Side
from tickdeck.errors import (
    AuthenticationFailed,
    ConfigError,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)

D = Decimal


def run(test: Callable[[Program, FillingExchange], Coroutine[Any, Any, None]], **held: Any) -> None:
    async def program() -> None:
        exchange = FillingExchange(100, **(held or {"USDT": 1000, "BTC": 1}))
        made = Program(a=exchange)
        await test(made, exchange)
        await close_bus(made.bus)

    asyncio.run(program())


def test_a_copy_is_reserved_executed_and_settled_as_the_exchange_says() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        trade = await program.copy(quantity=D("0.5"))

        assert (trade.status, trade.executed_quantity, trade.executed_price) == ("executed", D("0.5"), D(100))
        assert trade.fees == {"USDT": D("0.05")}
        assert program.types() == ["trade.reserved", "trade.executed"]
        for currency in ("USDT", "BTC"):
            balance = program.balance("a", currency)
            assert (balance.total, balance.reserved) == (exchange.held[currency], D(0))

    run(test)


def test_a_sale_reserves_the_coins_and_its_limit_is_below_the_leaders_price() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        trade = await program.copy(side=Side.SELL, rule=CopyRule(max_slippage=D("0.01")))

        assert (trade.reserved, trade.reserved_currency, trade.limit) == (D("0.5"), "BTC", D(99))
        assert program.balance("a", "BTC").total == exchange.held["BTC"] == D("0.5")

    run(test)


@pytest.mark.parametrize(
    ("rule", "quantity"),
    [
        (CopyRule(sizing="multiple", amount=D("0.1")), "0.05"),
        (CopyRule(sizing="fixed", amount=D(25)), "0.25"),
        (CopyRule(sizing="share", amount=D("0.5"), max_slippage=D(0)), "5"),
    ],
)
def test_each_follower_has_its_size(rule: CopyRule, quantity: str) -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        assert (await program.copy(rule=rule)).quantity == D(quantity)

    run(test)


@pytest.mark.parametrize(
    ("rule", "changes", "reason"),
    [
        (CopyRule(symbols=("ETHUSDT",)), {}, "BTCUSDT is not copied; allowed: ETHUSDT"),
        (CopyRule(), {"symbol": "NOPEUSDT"}, "does not list NOPEUSDT"),
        (CopyRule(min_notional=D(51)), {}, "less than the minimum 51"),
        (CopyRule(amount=D("0.01")), {}, "is below the minimum 5"),
        (CopyRule(amount=D(100)), {}, "USDT, but has 1000 free"),
        (CopyRule(), {"price": D(90)}, "nothing was filled at 90.45 or better"),
    ],
)
def test_what_cannot_be_copied_is_told_with_its_reason_and_leaves_nothing_reserved(rule, changes, reason) -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        trade = await program.copy(rule=rule, **changes)

        assert trade.status == "failed"
        assert reason in trade.reason
        assert program.types()[-1] == "trade.failed"
        assert exchange.held == {"USDT": D(1000), "BTC": D(1)}
        if trade.reserved:
            assert program.balance("a", "USDT").reserved == D(0)

    run(test)


def test_the_same_leaders_trade_is_copied_once() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        first, second = await program.copy(), await program.copy()

        assert first == second
        assert len(exchange.requests) == 1

    run(test)


def test_many_copies_at_once_never_reserve_more_than_there_is() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        trades = await asyncio.gather(*(program.copy(trade_id=f"L{n}", quantity=D(3)) for n in range(6)))

        executed = [trade for trade in trades if trade.status == "executed"]
        assert len(executed) == 3  # of 301.5 each, with 1,000
        assert {trade.status for trade in trades} == {"executed", "failed"}
        balance = program.balance("a", "USDT")
        assert (balance.total, balance.reserved) == (exchange.held["USDT"], D(0))

    run(test)


def test_an_unknown_outcome_stays_reserved_until_the_exchange_shows_the_order() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        def lost(request: object) -> None:
            raise OutcomeUnknown("timed out")

        exchange.after = lost
        trade = await program.copy()
        assert (trade.status, trade.reason) == ("needs_reconciliation", "timed out")
        assert program.balance("a", "USDT").reserved == D("50.25")

        trade = await program.dispatcher.dispatch(ReconcileTradeCommand(account_id="a", trade_id=trade.trade_id))
        assert (trade.status, trade.executed_quantity) == ("executed", D("0.5"))
        assert len(exchange.requests) == 1
        assert program.balance("a", "USDT").total == exchange.held["USDT"]

    run(test)


def test_no_such_order_proves_nothing_before_the_exchanges_wait_is_over() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        def lost(request: object) -> None:
            raise OutcomeUnknown("timed out")

        exchange.before = lost
        await program.copy()
        [(account, trade_id)] = program.open_trades.all()
        reserved_at = program.bus.store.last(1)[0].ts
        exchange.now = reserved_at + 29 * 1_000_000_000
        command = ReconcileTradeCommand(account_id=account, trade_id=trade_id)

        assert (await program.dispatcher.dispatch(command)).status == "needs_reconciliation"
        exchange.now = reserved_at + MINUTE
        trade = await program.dispatcher.dispatch(command)

        assert (trade.status, trade.reason) == ("failed", "the exchange never received the order")
        assert program.balance("a", "USDT").reserved == D(0)

    run(test)


def test_only_a_request_without_effect_is_sent_again() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        failures: list[Exception] = [VenueUnavailable("down"), RateLimited("too many", wait=2.0)]

        def fail(request: object) -> None:
            if failures:
                raise failures.pop(0)

        exchange.before = fail
        assert (await program.copy()).status == "executed"
        assert len({request.client_order_id for request in exchange.requests}) == 1
        assert len(exchange.requests) == 3

        failures += [VenueUnavailable("down")] * 3
        trade = await program.copy(trade_id="L2", quantity=D("0.1"))
        assert (trade.status, trade.reason) == ("failed", "down")

        failures += [AuthenticationFailed("wrong key")]
        trade = await program.copy(trade_id="L3", quantity=D("0.1"))
        assert (trade.status, trade.reason) == ("failed", "wrong key")

    run(test)


def test_one_followers_failure_never_touches_another() -> None:
    async def program() -> None:
        broken, good = FillingExchange(100), FillingExchange(100, USDT=1000)

        async def down() -> None:
            raise VenueUnavailable("down")

        broken.balances = down  # type: ignore[method-assign,assignment]
        made = Program(a=broken, b=good, c=FillingExchange(100, USDT=1))
        followers = [Follower(account_id=name, rule=CopyRule()) for name in "abc"]
        copying = CopyTrading(made.dispatcher, followers, leader_of, made.open_trades)

        with pytest.raises(VenueUnavailable):
            await copying.on_event(public_trade())

        assert sorted(made.types()) == ["trade.executed", "trade.failed", "trade.reserved"]
        assert len(good.requests) == 1
        with pytest.raises(VenueUnavailable):  # sent again, as an async handler is: nobody trades twice
            await copying.on_event(public_trade())
        assert len(good.requests) == 1
        await close_bus(made.bus)

    asyncio.run(program())


def test_a_leaders_events_on_the_bus_are_copied_and_a_restart_finds_out_about_the_rest() -> None:
    async def program() -> None:
        exchange = FillingExchange(100, USDT=1000)

        def lost(request: object) -> None:
            raise OutcomeUnknown("timed out")

        exchange.after = lost
        made = Program(a=exchange)
        copying = CopyTrading(made.dispatcher, [Follower(account_id="a")], leader_of, made.open_trades)
        copying.follow(made.bus, TradeEvent)
        made.bus.publish(public_trade())
        await made.bus.drain()

        assert await copying.reconcile() == []
        assert made.types() == ["trade.reserved", "trade.needs_reconciliation", "trade.executed"]
        await close_bus(made.bus)

    asyncio.run(program())


def test_wrong_rules_are_refused() -> None:
    with pytest.raises(ConfigError, match="amount is 0"):
        CopyRule(amount=D(0))
    with pytest.raises(ConfigError, match="max_slippage is 1"):
        CopyRule(max_slippage=D(1))
    with pytest.raises(ConfigError, match="sizing is 'double'; give one of fixed, multiple, share"):
        CopyRule(sizing="double")
    made = Program()
    with pytest.raises(ConfigError, match="follows twice"):
        CopyTrading(made.dispatcher, [Follower(account_id="a")] * 2, leader_of, made.open_trades)


steps = st.lists(
    st.tuples(st.sampled_from(Side), st.decimals("0.1", "6", places=2), st.sampled_from(["fill", "lost", "refused"])),
    max_size=8,
)


@given(steps)
def test_whatever_the_exchange_does_the_books_end_as_it_says(made: list[tuple[Side, Decimal, str]]) -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        for number, (side, quantity, what) in enumerate(made):

            def before(request: object, what: str = what) -> None:
                if what == "refused":
                    raise AuthenticationFailed("no")

            def after(request: object, what: str = what) -> None:
                if what == "lost":
                    raise OutcomeUnknown("lost")

            exchange.before, exchange.after = before, after
            await program.copy(trade_id=f"L{number}", side=side, quantity=quantity)
        exchange.now = NOW + 10_000_000 * MINUTE
        assert await CopyTrading(program.dispatcher, (), leader_of, program.open_trades).reconcile() == []
        for currency in ("USDT", "BTC"):
            balances = program.bus.store.stream_version(f"balance/a/{currency}")
            if balances:
                balance = program.balance("a", currency)
                assert (balance.total, balance.reserved) == (exchange.held[currency], D(0))

    run(test)


def leader_of(event: object) -> LeaderTrade | None:
    if not isinstance(event, TradeEvent):
        return None
    return LeaderTrade(
        trade_id=str(event.trade_id), symbol=event.symbol, side=event.side, quantity=event.quantity, price=event.price
    )


def public_trade() -> TradeEvent:
    return TradeEvent(symbol="BTCUSDT", price=D(100), quantity=D("0.5"), side=Side.BUY, trade_id=7, ts=NOW)


@pytest.mark.parametrize("error", [TimeoutError("key=secret"), KeyError("status")])
def test_an_adapter_that_fails_with_an_error_of_another_kind_leaves_the_trade_in_doubt(error: Exception) -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        def fail(request: OrderRequest) -> None:
            raise error

        exchange.after = fail
        trade = await program.copy()
        assert (trade.status, len(exchange.requests)) == ("needs_reconciliation", 1)
        assert type(error).__name__ in trade.reason
        assert "secret" not in trade.reason

        exchange.now += MINUTE
        trade = await program.dispatcher.dispatch(ReconcileTradeCommand(account_id="a", trade_id="copy-L1"))
        assert (trade.status, trade.executed_quantity, len(exchange.requests)) == ("executed", D("0.5"), 1)

    run(test)


def test_fees_in_the_coin_of_the_exchange_are_paid_from_the_balance_of_that_coin() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        def in_coins(order: OrderRequest) -> OrderResult:
            result = match(order)
            (fill,) = result.fills
            exchange.held["USDT"] += fill.fee
            exchange.held["BNB"] -= D("0.01")
            fill = msgspec.structs.replace(fill, fee=D("0.01"), fee_currency="BNB")
            return msgspec.structs.replace(result, fills=(fill,))

        match = exchange._match
        exchange._match = in_coins  # type: ignore[method-assign]
        exchange.capabilities = msgspec.structs.replace(exchange.capabilities, fee_currency="BNB")
        trade = await program.copy()

        assert trade.fees == {"BNB": D("0.01")}
        for currency in ("USDT", "BTC", "BNB"):
            assert program.balance("a", currency).total == exchange.held[currency]

    run(test, USDT=1000, BTC=1, BNB=2)


def test_an_account_without_an_exchange_is_told() -> None:
    async def test(program: Program, exchange: FillingExchange) -> None:
        with pytest.raises(ConfigError, match="there is no exchange of account 'nobody'"):
            await program.copy(account="nobody")

    run(test)
