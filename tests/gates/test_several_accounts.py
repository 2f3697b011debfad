"""Gate: several paper accounts trade in one run, each by itself; the run is proven, and survives kills."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from gate_processes import check_killed, left_alone
from gate_runs import config, looking_up_often, play, prove, rows

from tickdeck.bootstrap import answer_from_tape, open_record, start_run, trade_journal
from tickdeck.domain.events import (
    CommandReceived,
    DomainEvent,
    OrderSubmittedEvent,
    RiskLimitBreachedEvent,
    SystemWarning,
    TradingHalted,
    TradingResumed,
    TriggerFired,
)
from tickdeck.domain.risk import RiskLimits
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.accounts import AccountConfig
from tickdeck.infrastructure.config import RunConfig, config_from_dict
from tickdeck.infrastructure.config_copy import CopyConfig
from tickdeck.infrastructure.reporting import run_session
from tickdeck.infrastructure.triggers import TriggerConfig

ACCOUNTS = {
    "alice": AccountConfig(exchange="paper", owner="Alice", balances={"USDT": Decimal(3_000)}),
    "bob": AccountConfig(exchange="paper", owner="Bob"),
    "carol": AccountConfig(exchange="paper", risk=RiskLimits(max_order_notional=Decimal(1))),
}


def several(*traders: str, **settings: Any) -> RunConfig:
    wanted = config(*["Busy"] * len(traders), seconds=8, accounts=ACCOUNTS, **settings)
    strategies = tuple(
        msgspec.structs.replace(strategy, account=account)
        for strategy, account in zip(wanted.strategies, traders, strict=True)
    )
    return msgspec.structs.replace(wanted, strategies=strategies)


def commanded(wanted: RunConfig, data: Path, *commands: tuple[str, dict[str, str]]) -> list[DomainEvent]:
    """The record of a run that receives ``commands`` halfway."""
    run = start_run(wanted, data)
    waiting = list(commands)

    def stop() -> bool:
        while waiting and run.kernel.inputs > 300:
            name, arguments = waiting.pop(0)
            run.kernel.publish(CommandReceived(command=name, arguments=arguments))
        return False

    with looking_up_often():
        asyncio.run(run.simulation.run(stop=stop))
    run.close()
    assert not waiting
    prove(run.folder)
    return list(open_record(run.folder))


def test_the_health_of_one_account_after_the_run_is_that_of_its_strategies(tmp_path: Path) -> None:
    run = play(several("alice", "bob", "carol"), tmp_path)
    everything = answer_from_tape(run.folder, "health", {})["parameters"]
    of_bob = answer_from_tape(run.folder, "health", {"account": "bob"})["parameters"]

    names = [record.strategy_id for record in run.manifest.strategies]
    assert list(everything) == names
    assert of_bob == {names[1]: everything[names[1]]}


def test_each_account_trades_with_its_own_money_limits_and_orders(tmp_path: Path) -> None:
    run = play(several("alice", "bob", "carol"), tmp_path)

    prove(run.folder)
    record = list(open_record(run.folder))
    orders = [event for event in record if isinstance(event, OrderSubmittedEvent)]
    assert {order.account_id for order in orders} == {"alice", "bob"}
    assert {order.user_id for order in orders} == {"Alice", "Bob"}
    assert {(order.strategy_id, order.account_id) for order in orders} == {("Busy", "alice"), ("Busy-2", "bob")}
    refused = [event for event in record if isinstance(event, RiskLimitBreachedEvent)]
    assert {(event.account_id, event.limit) for event in refused} == {("carol", "max_order_notional")}
    summary = run.summary(1.0)
    assert [(one.account, one.user) for one in summary.accounts] == [("alice", "Alice"), ("bob", "Bob"), ("carol", "")]
    assert summary.equity == sum(one.equity for one in summary.accounts)
    assert summary.pnl == sum(one.pnl for one in summary.accounts) == summary.equity - 203_000
    assert summary.orders == sum(one.orders for one in summary.accounts)
    assert {trip.account_id for trip in trade_journal(run.folder).closed} <= {"alice", "bob"}
    session = run_session(run.manifest, record)
    assert (session.equity, session.pnl, session.fees) == (summary.equity, summary.pnl, summary.fees)
    assert session.deposits == 203_000


def test_an_account_alone_makes_the_same_orders_as_beside_idle_ones(tmp_path: Path) -> None:
    """What the others are does not matter to it, except for the names of the orders."""
    beside = play(several("bob"), tmp_path / "beside")
    alone_config = msgspec.structs.replace(several("bob"), accounts={"bob": ACCOUNTS["bob"]})
    alone = play(alone_config, tmp_path / "alone")

    bob = beside.core.account("bob")
    assert bob.portfolio.account.balances == alone.core.portfolio.account.balances
    assert bob.execution.submitted == alone.core.execution.submitted > 5


def test_a_halt_of_one_account_leaves_the_others_trading(tmp_path: Path) -> None:
    record = commanded(several("alice", "bob"), tmp_path, ("halt", {"account": "alice"}))

    (halted,) = [event for event in record if isinstance(event, TradingHalted)]
    assert halted.account_id == "alice"
    after = [event for event in record if isinstance(event, OrderSubmittedEvent) and event.seq > halted.seq]
    assert {order.account_id for order in after} == {"bob"}
    refused = [event for event in record if isinstance(event, RiskLimitBreachedEvent)]
    assert {(event.account_id, event.limit) for event in refused} == {("alice", "trading_halted")}


def test_a_command_without_an_account_is_for_all_that_it_concerns(tmp_path: Path) -> None:
    commands: list[tuple[str, dict[str, str]]] = [
        ("halt", {}),
        ("resume", {"account": "bob"}),
        ("resume", {}),
        ("resume", {}),
        ("halt", {"account": "zoe"}),
        ("submit", {"side": "buy", "symbol": "BTCUSDT", "quantity": "0.01"}),
    ]
    record = commanded(several("alice", "bob"), tmp_path, *commands)

    assert [e.account_id for e in record if isinstance(e, TradingHalted)] == ["alice", "bob", "carol"]
    assert [e.account_id for e in record if isinstance(e, TradingResumed)] == ["bob", "alice", "carol"]
    assert [e.message for e in record if isinstance(e, SystemWarning)] == [
        "account alice: trading is not resumed, it is not halted",
        "halt: this run has no account 'zoe'; it has: alice, bob, carol",
        "submit: the run has several accounts; give --account NAME, one of alice, bob, carol",
    ]


@pytest.mark.long
@pytest.mark.parametrize("state_every", [0, 500], ids=["executed again", "from snapshots"])
def test_it_is_killed_and_ends_as_if_uninterrupted(state_every: int, tmp_path: Path) -> None:
    copies = (
        CopyConfig(leader="account:alice", follower="bob", size={"multiple": 2}, trailing="0.1%"),
        CopyConfig(leader="strategy:Busy-2", follower="carol", size={"fixed": 100}),
    )
    alone = left_alone(several("alice", "bob", "carol", copy=copies, state_every=state_every), tmp_path)

    check_killed(alone, tmp_path, 0.3, 0.7)


def test_two_runs_of_one_configuration_are_equal_and_other_balances_give_other_ids(tmp_path: Path) -> None:
    wanted = several("alice", "bob")
    first, second = (play(wanted, tmp_path / name) for name in ("first", "second"))
    richer = ACCOUNTS | {"alice": msgspec.structs.replace(ACCOUNTS["alice"], balances={"USDT": Decimal(4_000)})}
    other = play(msgspec.structs.replace(wanted, accounts=richer), tmp_path / "other")

    assert rows(first.folder) == rows(second.folder)
    assert first.manifest.nonce == second.manifest.nonce != other.manifest.nonce


@pytest.mark.parametrize(
    ("tables", "wanted"),
    [
        ({"strategies": [{"spec": "ema-cross"}]}, "strategy ema-cross: the run has several accounts; give account ="),
        ({"strategies": [{"spec": "ema-cross", "account": "zoe"}]}, r"describe it under \[accounts.zoe\]"),
        ({"strategies": [{"spec": "ema-cross", "account": "real"}]}, "account real is not on paper"),
        ({"accounts": {"alice": {"exchange": "paper", "credentials": "env:A"}}}, "a paper account has no credentials"),
        ({"accounts": {"real": {"exchange": "binance"}}}, "credentials must be"),
        ({"accounts": {"alice": {"exchange": "paper", "balances": {"USDT": -1}}}}, "give a decimal"),
        ({"accounts": {"alice": {"exchange": "paper", "risk": {"max_order": 1}}}}, "there is no key 'max_order'"),
        ({"accounts": {"alice": {"exchange": "paper", "risk": {"price_band": "x"}}}}, "risk.price_band is 'x'"),
    ],
)
def test_a_wrong_account_is_refused_with_one_clear_line(tables: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    paper = {"exchange": "paper"}
    real = {"exchange": "binance", "credentials": "env:A"}
    data = {"accounts": {"alice": paper, "bob": paper, "real": real}} | tables

    with pytest.raises(ConfigError, match=wanted):
        start_run(config_from_dict(data), tmp_path)

    assert not list(tmp_path.iterdir())


def test_limits_of_an_account_complete_those_of_the_run() -> None:
    wanted = config_from_dict(
        {
            "risk": {"max_order_notional": 500, "price_band": "2%"},
            "accounts": {"alice": {"exchange": "paper", "risk": {"max_order_notional": 50, "max_daily_loss": "none"}}},
        }
    )

    limits = wanted.accounts["alice"].risk
    assert limits is not None
    assert limits.max_order_notional == 50
    assert limits.max_daily_loss is None
    assert limits.price_band == wanted.risk.price_band == Decimal("0.02")


def test_a_trigger_is_about_one_account_or_about_all(tmp_path: Path) -> None:
    triggers = (
        TriggerConfig(name="buy", when="equity > 99000", then="buy BTCUSDT 0.001", account="bob"),
        TriggerConfig(name="poor", when="equity < 4000", then="halt", account="alice"),
        TriggerConfig(name="all", when="equity > 200000", then="notify"),
        TriggerConfig(name="none", when="equity > 300000", then="notify"),
    )
    run = play(several("carol", triggers=triggers), tmp_path)

    prove(run.folder)
    record = list(open_record(run.folder))
    fired = [event for event in record if isinstance(event, TriggerFired)]
    assert [(event.trigger_id, event.account) for event in fired] == [("buy", "bob"), ("poor", "alice"), ("all", "")]
    [order] = [event for event in record if isinstance(event, OrderSubmittedEvent)]
    assert (order.strategy_id, order.account_id, order.user_id) == ("operator", "bob", "Bob")
    assert [event.account_id for event in record if isinstance(event, TradingHalted)] == ["alice"]


def test_an_order_of_a_trigger_needs_an_account(tmp_path: Path) -> None:
    triggers = (TriggerConfig(name="buy", when="price > 1", then="buy BTCUSDT 1"),)

    with pytest.raises(ConfigError, match="trigger buy: then: the run has several accounts; give account, one of ali"):
        start_run(several("carol", triggers=triggers), tmp_path)
