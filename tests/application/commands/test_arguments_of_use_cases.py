"""What a program gives wrongly is refused in the call that gives it, in one line that says what to give."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from tickdeck import InMemoryEventBus, InMemoryEventStore
from tickdeck.application.commands import (
    Command,
    CopyRule,
    CopyTrading,
    Dispatcher,
    ExecuteCopyTradeHandler,
    Follower,
    LeaderTrade,
    OpenTrades,
    Query,
    ReconcileTradeHandler,
    Repository,
    UnitOfWork,
    retry_on_conflict,
    time_commands,
)
from tickdeck.application.commands.dispatcher import Next
from tickdeck.bootstrap import open_bus
from tickdeck.domain.trading import Trade
from tickdeck.domain.values import Side
from tickdeck.errors import ConfigError


class Buy(Command, frozen=True, kw_only=True):
    count: int = 1


class Shop:
    async def handle(self, command: Buy) -> int:
        return command.count


class PlainShop:
    def handle(self, command: Buy) -> int:
        return command.count


def leader(**changes: Any) -> LeaderTrade:
    fields = {"trade_id": "L1", "symbol": "BTCUSDT", "side": Side.BUY, "quantity": Decimal(1), "price": Decimal(100)}
    return LeaderTrade(**cast(Any, fields | changes))


def copying(**changes: Any) -> CopyTrading:
    fields = {"dispatcher": Dispatcher(), "followers": [], "leader": print}
    fields["open_trades"] = OpenTrades(open_bus("memory://"))
    return CopyTrading(**cast(Any, fields | changes))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Dispatcher(cast(Any, 3)), r"Dispatcher: 3 is no middleware"),
        (lambda: Dispatcher(cast(Any, retry_on_conflict)), r"if it makes a middleware, call it: retry_on_conflict\(\)"),
        (lambda: Dispatcher().register(Buy, Shop), "register: handler is the class Shop; give an object of it"),
        (lambda: CopyRule(symbols=cast(Any, "BTCUSDT")), r"symbols is 'BTCUSDT'; give a tuple"),
        (lambda: CopyRule(symbols=("BTCUSDT", "")), r"symbols is .*; give a tuple"),
        (lambda: Follower(account_id=""), "Follower: account_id is ''"),
        (lambda: leader(trade_id=""), "LeaderTrade: trade_id is ''"),
        (lambda: leader(symbol=""), "LeaderTrade: symbol is ''"),
        (lambda: leader(side="buy"), "LeaderTrade: side is 'buy'; give Side.BUY or Side.SELL"),
        (
            lambda: leader(quantity=Decimal(0)),
            r"LeaderTrade: quantity is Decimal\('0'\); give a finite Decimal above 0",
        ),
        (lambda: leader(quantity=1.5), "LeaderTrade: quantity is 1.5"),
        (lambda: leader(price=Decimal("nan")), "LeaderTrade: price is"),
        (lambda: leader(stop=Decimal(-1)), "LeaderTrade: stop is"),
        (lambda: time_commands(cast(Any, 3), {}), "time_commands: monotonic_ns is 3; give a function"),
        (lambda: time_commands(lambda: 1, cast(Any, [])), r"time_commands: into is \[\]; give a dict"),
        (lambda: UnitOfWork(open_bus("memory://"), cast(Any, 3)), "UnitOfWork: 3 is no repository"),
        (lambda: Repository(cast(Any, 3), Trade), "Repository: store is 3, which has no method read"),
        (lambda: Repository(InMemoryEventStore(), cast(Any, 3)), "Repository: make is 3; give a function"),
        (lambda: OpenTrades(cast(Any, InMemoryEventBus())), "OpenTrades: this bus has no store"),
        (lambda: ReconcileTradeHandler(*cast(Any, [1, 2, 3])), "ReconcileTradeHandler: unit_of_work is 1"),
        (lambda: ExecuteCopyTradeHandler(print, print, cast(Any, 3)), "open_trades is 3, which has no method of"),
        (lambda: copying(dispatcher=3), "CopyTrading: dispatcher is 3, which has no method dispatch"),
        (lambda: copying(followers=3), "CopyTrading: followers is 3; give a list"),
        (lambda: copying(followers=["ada"]), "CopyTrading: followers has 'ada'; give objects of Follower"),
        (lambda: copying(leader=3), "CopyTrading: leader is 3; give a function"),
    ],
)
def test_a_wrong_argument_is_told_at_once(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_a_class_is_no_command() -> None:
    dispatcher = Dispatcher()
    dispatcher.register(Buy, Shop())

    with pytest.raises(ConfigError, match="this is the class Buy; give an object of it"):
        asyncio.run(dispatcher.dispatch(cast(Any, Buy)))


def test_a_handler_that_is_not_async_is_told() -> None:
    dispatcher = Dispatcher()
    dispatcher.register(Buy, PlainShop())

    with pytest.raises(ConfigError, match=r"PlainShop\.handle returned 1 at once; write it as `async def`"):
        asyncio.run(dispatcher.dispatch(Buy()))


def test_a_middleware_that_is_not_async_is_told() -> None:
    def plain(message: Any, call: Next) -> Any:
        return 3

    dispatcher = Dispatcher(plain)
    dispatcher.register(Buy, Shop())

    with pytest.raises(ConfigError, match=r"plain returned 3 at once"):
        asyncio.run(dispatcher.dispatch(Buy()))


def test_a_middleware_may_return_what_the_next_one_returns() -> None:
    def passes(message: Any, call: Next) -> Any:
        return call(message)

    dispatcher = Dispatcher(passes)
    dispatcher.register(Buy, Shop())

    assert asyncio.run(dispatcher.dispatch(Buy(count=3))) == 3


def test_a_repository_says_which_key_it_needs() -> None:
    work = UnitOfWork(open_bus("memory://"))

    with pytest.raises(ConfigError, match="PositionRepository: 'BTCUSDT' is given; give account_id, symbol"):
        work.positions.get("BTCUSDT")
    with pytest.raises(ConfigError, match="TradeRepository: nothing is given; give account_id, trade_id"):
        work.trades.get_or_new()
    with pytest.raises(ConfigError, match="TradeRepository: the key None is given; give texts that are not empty"):
        work.trades.find(cast(Any, None), "t1")
    with pytest.raises(ConfigError, match="OrderRepository: the key '' is given"):
        work.orders.find("main", "")
    with pytest.raises(ConfigError, match="OrderRepository: 1 keys are given; give account_id, order_id"):
        work.orders.find("main")
    with pytest.raises(ConfigError, match="add: 'x' is no aggregate"):
        work.trades.add(cast(Any, "x"))


class Pay(Command, frozen=True, kw_only=True):
    amount: Decimal
    side: Side | None = None
    symbols: tuple[str, ...] = ()
    share: float = 1.0
    api_key: str = ""
    anything: Any = None


class HowMuch(Query, frozen=True, kw_only=True):
    account_id: str


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"amount": "a"}, "Pay: amount is 'a'; give Decimal"),
        ({"amount": 1.5}, "Pay: amount is 1.5; give Decimal"),
        ({"amount": Decimal(1), "side": "buy"}, "Pay: side is 'buy'; give Side or None"),
        ({"amount": Decimal(1), "symbols": "BTCUSDT"}, "Pay: symbols is 'BTCUSDT'; give tuple"),
        ({"amount": Decimal(1), "share": True}, "Pay: share is True; give float or int"),
        ({"amount": Decimal(1), "command_id": 5}, "Pay: command_id is 5; give str"),
        ({"amount": Decimal(1), "api_key": 12345}, "Pay: api_key is [redacted]; give str"),
    ],
)
def test_a_field_of_a_wrong_type_is_refused_in_one_line(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Pay(**fields)

    assert str(caught.value) == told


def test_fields_of_the_right_types_are_taken() -> None:
    assert Pay(amount=Decimal(1), side=Side.BUY, symbols=("A",), share=2, anything=print).share == 2
    with pytest.raises(ConfigError, match="HowMuch: account_id is 7; give str"):
        HowMuch(account_id=cast(Any, 7))
