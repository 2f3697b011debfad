"""Limits of a whole run, which count all of its accounts together."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from application_kit import BTC, D, trade
from copy_kit import Rig
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tickdeck.domain.events import (
    CommandReceived,
    NotificationAlert,
    OrderCancelRequestedEvent,
    RiskLimitBreachedEvent,
    SystemWarning,
    TradingHalted,
)
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import config_from_dict


def rig_of(**limits: Any) -> Rig:
    """Two accounts, alice and bob, with 10,000 USDT each."""
    return Rig({"follower": "alice"}, {"follower": "bob"}, limits=limits)


def submit(rig: Rig, account: str, quantity: str, limit: str = "", *, fill: bool = True) -> list[tuple[str, str]]:
    """Order ``quantity`` (negative: sell), and fill it. The limits that refused it, with their scopes."""
    before = len(rig.tape.events)
    side, amount = ("buy", quantity) if not quantity.startswith("-") else ("sell", quantity[1:])
    arguments = {"account": account, "side": side, "symbol": BTC, "quantity": amount}
    rig.feed(CommandReceived(command="submit", arguments=arguments | ({"limit": limit} if limit else {})))
    new = rig.tape.events[before:]
    for order in rig.open_orders(account) if fill else ():
        rig.fill(order, price=rig.core.market_data.price(BTC))
    return [(e.limit, e.scope) for e in new if isinstance(e, RiskLimitBreachedEvent)]


def priced(rig: Rig, price: str) -> None:
    rig.feed(trade(price, ts=rig.kernel.clock.now() + 1))


def order(rig: Rig, name: str, **arguments: str) -> None:
    rig.feed(CommandReceived(command=name, arguments=arguments))


def events(rig: Rig, kind: type) -> list[Any]:
    return [event for event in rig.tape.events if isinstance(event, kind)]


def test_the_position_in_a_symbol_counts_over_all_accounts_and_the_refusal_says_so() -> None:
    rig = rig_of(max_position_notional=250)

    assert submit(rig, "alice", "2") == []
    assert submit(rig, "bob", "1") == [("max_position_notional", "run")]
    (refused,) = events(rig, RiskLimitBreachedEvent)
    assert (refused.account_id, refused.strategy_id) == ("bob", "operator")
    assert refused.detail == (
        "position 0 could become 1 with the open orders, 100 USDT, and those of the other accounts in BTCUSDT are "
        "worth up to 200; at most 250 together"
    )


def test_a_long_and_a_short_position_of_two_accounts_are_added() -> None:
    rig = rig_of(max_total_notional=250)

    assert submit(rig, "alice", "2") == []
    assert submit(rig, "bob", "-1") == [("max_total_notional", "run")]
    assert submit(rig, "alice", "-2") == []
    assert submit(rig, "bob", "-1") == []


def test_open_orders_count_over_all_accounts() -> None:
    rig = rig_of(max_open_orders=2)

    assert submit(rig, "alice", "1", "90", fill=False) == []
    assert submit(rig, "bob", "1", "90", fill=False) == []
    assert submit(rig, "bob", "1", "90", fill=False) == [("max_open_orders", "run")]
    order(rig, "amend", order_id=rig.open_orders("bob")[0].order_id, limit="80", account="bob")
    assert len(events(rig, RiskLimitBreachedEvent)) == 1  # an amend adds no order


def test_the_order_rate_counts_over_all_accounts_and_a_refused_order_does_not_count() -> None:
    rig = rig_of(max_orders_per_second=2)

    assert submit(rig, "alice", "1") == []
    assert submit(rig, "bob", "1") == []
    assert submit(rig, "alice", "1") == submit(rig, "bob", "1") == [("max_orders_per_second", "run")]
    assert submit(rig, "bob", "-1") == []  # it reduces
    rig.wait(1)
    assert submit(rig, "alice", "1") == submit(rig, "bob", "1") == []


@pytest.mark.parametrize("limits", [{"max_daily_loss": 100}, {"max_drawdown": "0.5%"}])
def test_a_loss_of_all_accounts_together_halts_all_at_the_price_that_reaches_it(limits: dict[str, Any]) -> None:
    rig = rig_of(**limits)
    submit(rig, "alice", "6")
    submit(rig, "bob", "4")
    submit(rig, "bob", "1", "80", fill=False)
    submit(rig, "alice", "-1", "120", fill=False)
    before = len(rig.tape.events)

    priced(rig, "90.01")
    assert events(rig, TradingHalted) == []
    priced(rig, "90")

    (halted,) = events(rig, TradingHalted)
    name = next(iter(limits))
    assert (halted.account_id, halted.scope, halted.resumable) == ("", "run", True)
    assert halted.reason.startswith(f"{name} of the run: equity")
    assert "reached at market.trade" in halted.reason
    cancelled = [e for e in rig.tape.events[before:] if isinstance(e, OrderCancelRequestedEvent)]
    assert [e.account_id for e in cancelled] == ["bob"]  # alice's order only reduces her position
    alerts = [alert.text.replace(halted.reason, "...") for alert in events(rig, NotificationAlert)]
    assert alerts == [
        "trading is halted: ...",
        "account alice: trading is halted: ... (open orders: 0 being cancelled, 1 left)",
        "account bob: trading is halted: ... (open orders: 1 being cancelled, 0 left)",
    ]
    assert submit(rig, "alice", "1") == [("trading_halted", "run")]
    assert submit(rig, "bob", "-1") == []


def test_only_resume_without_an_account_ends_a_halt_of_the_run() -> None:
    rig = rig_of(max_daily_loss=100)
    submit(rig, "alice", "10")
    priced(rig, "90")

    order(rig, "resume", account="bob")
    assert submit(rig, "bob", "1") == [("trading_halted", "run")]
    assert "resume without an account" in events(rig, SystemWarning)[-1].message
    order(rig, "resume")
    assert submit(rig, "bob", "1") == submit(rig, "alice", "1") == []
    priced(rig, "82")
    assert len(events(rig, TradingHalted)) == 1  # the loss is counted from zero again
    priced(rig, "80")
    assert len(events(rig, TradingHalted)) == 2


def test_an_account_halts_alone_at_a_limit_of_its_own() -> None:
    rig = rig_of(max_daily_loss=100_000)
    submit(rig, "alice", "60")
    submit(rig, "bob", "1")

    priced(rig, "10")  # 5,400 of the default 5,000

    (halted,) = events(rig, TradingHalted)
    assert (halted.account_id, halted.scope) == ("alice", "")
    assert submit(rig, "alice", "1") == [("trading_halted", "account")]
    assert submit(rig, "bob", "1") == []


def test_a_halt_of_the_run_replaces_one_by_the_surroundings() -> None:
    rig = rig_of(max_daily_loss=100)
    submit(rig, "alice", "10")
    order(rig, "halt", by="surroundings")
    priced(rig, "90")

    order(rig, "resume", by="surroundings")

    assert submit(rig, "alice", "1") == [("trading_halted", "run")]


def test_at_the_price_that_carries_all_positions_over_a_limit_orders_that_enlarge_them_are_cancelled() -> None:
    rig = rig_of(max_position_notional=500)
    submit(rig, "alice", "2")
    submit(rig, "bob", "1")
    submit(rig, "bob", "1", "90", fill=False)
    submit(rig, "alice", "0.5", "90", fill=False)

    priced(rig, "166")
    assert events(rig, OrderCancelRequestedEvent) == []
    priced(rig, "167")

    assert sorted(e.account_id for e in events(rig, OrderCancelRequestedEvent)) == ["alice", "bob"]
    warning = events(rig, SystemWarning)[-1].message
    assert "max_position_notional of the run: the position in BTCUSDT is worth 501 USDT, at most 500" in warning


prices = st.integers(60, 140).map(str)
orders = st.tuples(st.sampled_from(["alice", "bob"]), st.integers(-5, 5).filter(bool).map(str))


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.one_of(prices, orders), max_size=15))
def test_the_run_halts_at_the_first_event_at_which_all_accounts_together_have_lost_too_much(moves: list) -> None:
    rig = rig_of(max_daily_loss=50)
    figures = rig.core.figures
    for move in moves:
        if isinstance(move, str):
            priced(rig, move)
        else:
            submit(rig, *move)
        lost = -figures.pnl() >= 50
        assert bool(rig.core.run_risk.halted_because) == lost
        if lost:
            break


def test_limits_of_single_orders_are_no_limits_of_a_run() -> None:
    with pytest.raises(ConfigError, match=r"limits.price_band is about a single order; give it under \[risk\]"):
        config_from_dict({"limits": {"price_band": "1%"}})


def test_limits_of_a_run_have_no_defaults() -> None:
    limits = config_from_dict({"limits": {"max_drawdown": "10%", "max_daily_loss": "none"}}).limits

    assert (limits.max_drawdown, limits.max_daily_loss, limits.max_orders_per_second) == (Decimal("0.1"), None, None)
    assert config_from_dict({}).limits is None


def test_one_account_has_both_kinds_of_limits() -> None:
    rig = Rig({"follower": "idle"}, limits={"max_open_orders": 1})

    assert submit(rig, "idle", "1", "90", fill=False) == []
    assert submit(rig, "idle", "1", "90", fill=False) == [("max_open_orders", "run")]
    assert rig.core.figures.pnl() == D(0)
