"""What a run answers about its orders, positions, balances, results and health."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from application_kit import BTC, Core, D, instrument
from copy_kit import Rig
from risk_kit import Puppet, buy, core_of, do, sell

from tickdeck.application.results import QUERIES, RunQueries, TradeJournal, trade_statistics
from tickdeck.domain.events import CommandReceived, VenueBalanceReported
from tickdeck.domain.risk import RiskLimits
from tickdeck.domain.values import OrderStatus
from tickdeck.errors import ConfigError


class Desk:
    """A core with its queries."""

    def __init__(self) -> None:
        self.core, self.puppet = core_of(RiskLimits())
        self.journal = TradeJournal(instrument)
        self.journal.follow(self.core.kernel)
        self._queries = RunQueries(
            self.core,
            journal=lambda: self.journal,
            figures=lambda account: {"equity": self.core.portfolio.equity()},
            health=lambda account: {"status": "running"},
        )

    def do(self, *todo: Any, price: str = "100") -> Core:
        do(self.core, self.puppet, *todo, price=price)
        return self.core

    def ask(self, query: str, **arguments: str) -> dict[str, Any]:
        events = len(self.core.tape.events)
        answer = self._queries.answer(query, arguments)
        assert len(self.core.tape.events) == events  # a query is not recorded
        return msgspec.json.decode(msgspec.json.encode(answer))


def unknowing(core: Any) -> RunQueries:
    """The queries of a run that knows no more than its engines."""
    return RunQueries(core, journal=lambda: TradeJournal(instrument), figures=lambda _: {}, health=lambda _: {})


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_open_orders_are_listed_oldest_first(desk: Desk) -> None:
    core = desk.do(buy("1", "90"), buy("2", "91.50"))
    core.report(core.orders[0], OrderStatus.ACCEPTED)
    core.fill(core.orders[1], "91", "0.5")
    first, second = desk.ask("orders")["orders"]

    assert first == {
        "order_id": core.orders[0].order_id,
        "strategy_id": "puppet",
        "symbol": BTC,
        "side": "buy",
        "quantity": "1",
        "limit": "90",
        "stop": None,
        "time_in_force": "gtc",
        "reduce_only": False,
        "status": "accepted",
        "filled": "0",
        "average_price": None,
        "reserved": "90",
        "reserved_currency": "USDT",
        "reason": "",
        "venue_order_id": "",
        "account_id": "main",
        "user_id": "",
    }
    assert (second["status"], second["filled"], second["average_price"]) == ("partially_filled", "0.5", "91")
    assert second["reserved"] == "137.25"


def test_orders_are_restricted_to_a_symbol_and_a_strategy(desk: Desk) -> None:
    desk.do(buy("1", "90"))
    desk.core.feed(
        CommandReceived(command="submit", arguments={"side": "buy", "symbol": BTC, "quantity": "3", "limit": "80"})
    )

    assert [order["quantity"] for order in desk.ask("orders", strategy="operator")["orders"]] == ["3"]
    assert len(desk.ask("orders", symbol=BTC)["orders"]) == 2
    assert desk.ask("orders", symbol="ETHUSDT")["orders"] == []


def test_the_history_has_ended_orders_newest_first(desk: Desk) -> None:
    core = desk.do(buy("1"), buy("2"), buy("3", "90"), buy("4", "90"))
    core.fill(core.orders[0], "100")
    core.report(core.orders[1], OrderStatus.REJECTED, "no funds")
    core.report(core.orders[2], OrderStatus.CANCELLED)
    history = desk.ask("history")["orders"]

    assert [(order["quantity"], order["status"]) for order in history] == [
        ("3", "cancelled"),
        ("2", "rejected"),
        ("1", "filled"),
    ]
    assert history[1]["reason"] == "no funds"
    assert [order["quantity"] for order in desk.ask("history", limit="1")["orders"]] == ["3"]


def test_positions_and_balances_are_those_of_the_account(desk: Desk) -> None:
    core = desk.do(buy("3"))
    core.fill(core.orders[0], "100", fee="0.5")
    desk.do(sell("1"), price="110")
    core.fill(core.orders[1], "110")
    desk.do(sell("1", "120"), buy("2", "50"), price="110")

    (position,) = desk.ask("positions")["positions"]
    view = core.portfolio.view(BTC)
    assert (position["symbol"], position["quantity"], position["average_price"]) == (BTC, "2", "100")
    assert (D(position["unrealized_pnl"]), D(position["realized_pnl"])) == (view.unrealized_pnl, view.realized_pnl)
    balances = {balance["currency"]: balance for balance in desk.ask("balances")["balances"]}
    assert (balances["BTC"]["total"], balances["BTC"]["reserved"], balances["BTC"]["free"]) == ("2", "1", "1")
    assert balances["USDT"]["reserved"] == "100"
    assert D(balances["USDT"]["total"]) == D(100_000) - 300 - D("0.5") + 110


def test_a_position_says_how_it_is_protected(desk: Desk) -> None:
    core = desk.do(buy("3"))
    core.fill(core.orders[0], "100")
    core.feed(CommandReceived(command="protect", arguments={"symbol": BTC, "stop_loss": "95", "take_profit": "10%"}))
    (position,) = desk.ask("positions")["positions"]
    (order,) = desk.ask("orders")["orders"]

    (part,) = position["protections"]
    assert (part["strategy_id"], part["quantity"], part["stop"], part["target"]) == ("operator", "3", "95", "110")
    assert (part["trails"], part["status"]) == (False, "resting")
    assert (order["stop"], order["limit"], order["reduce_only"]) == ("95", "110", True)
    assert part["in_doubt"] is None

    core.report(core.orders[1], OrderStatus.UNKNOWN)
    (position,) = desk.ask("positions")["positions"]
    assert position["protections"][0]["in_doubt"] == core.orders[1].order_id


def test_what_others_lock_is_not_free(desk: Desk) -> None:
    desk.core.feed(VenueBalanceReported(currency="EUR", total=D(50), locked=D(20), source="scripted"))
    (euro,) = (b for b in desk.ask("balances")["balances"] if b["currency"] == "EUR")

    assert (euro["total"], euro["locked"], euro["free"]) == ("50", "20", "30")


def test_the_pnl_has_the_figures_of_the_journal(desk: Desk) -> None:
    core = desk.do(buy("1"))
    core.fill(core.orders[0], "100", fee="1")
    desk.do(sell("1"))
    core.fill(core.orders[1], "110", fee="1")
    desk.do(buy("2"))
    core.fill(core.orders[2], "100")
    desk.do(price="103")

    for by in ("strategy", "symbol", "day", "user", "account"):
        answer = desk.ask("pnl", by=by)
        (line,), (expected,) = answer["closed"], trade_statistics(desk.journal.closed, by)
        assert (line[by], line["trades"], D(line["pnl"])) == (expected.key, 1, D(8))
        assert D(line["fees"]) == expected.fees
    (trip,) = desk.ask("pnl")["open"]
    assert (trip["strategy_id"], trip["side"], trip["pnl"]) == ("puppet", "long", "6")
    assert desk.ask("pnl")["equity"] == "100014"


def test_an_open_trade_says_what_of_it_is_still_held(desk: Desk) -> None:
    core = desk.do(buy("2"))
    core.fill(core.orders[0], "100")
    desk.do(sell("1"))
    core.fill(core.orders[1], "110")

    (trip,) = desk.ask("pnl")["open"]
    (position,) = desk.ask("positions")["positions"]
    assert (trip["quantity"], trip["held"], position["quantity"]) == ("2", "1", "1")


def test_health_says_what_is_in_the_way_of_trading(desk: Desk) -> None:
    core = desk.do(buy("1", "90"), buy("1", "91"))
    core.report(core.orders[0], OrderStatus.UNKNOWN)
    before = desk.ask("health")
    core.feed(CommandReceived(command="halt", reason="lunch"))
    core.feed(CommandReceived(command="strategy-pause", arguments={"strategy_id": "puppet"}))
    after = desk.ask("health")

    assert (before["status"], before["halted"], before["halted_by"], before["paused"]) == ("running", None, None, [])
    assert (before["open_orders"], before["unknown_orders"]) == (2, [core.orders[0].order_id])
    assert (after["halted"], after["halted_by"], after["paused"]) == ("lunch", "operator", ["puppet"])


def test_health_tells_the_end_of_a_run_from_a_fault() -> None:
    ended, halted = Desk(), Desk()
    halted.core.feed(CommandReceived(command="halt", reason="lunch"))
    for desk in (ended, halted):
        desk.core.stop()

    assert ended.ask("health")["halted_by"] == halted.ask("health")["halted_by"] == "end"
    assert ended.ask("health")["halted"] == "the run has come to its end"
    assert halted.ask("health")["halted"] == "the run has come to its end; before, it was halted: lunch"


def test_a_fault_stays_one_at_the_end_of_the_run(desk: Desk) -> None:
    core = desk.do(buy("1"))
    core.fill(core.orders[0], "100", "2")  # more than was ordered: execution raises
    core.stop()

    assert desk.ask("health")["halted_by"] == "fault"


class Secretive(Puppet):
    """Has a secret."""

    api_key: str = "s3cret"
    size: int = 3


def test_health_has_the_current_parameters_without_secrets() -> None:
    core = Core({"puppet": Secretive()}).start()
    core.feed(CommandReceived(command="strategy-update", arguments={"strategy_id": "puppet", "size": "5"}))
    queries = unknowing(core)
    answer = queries.answer("health", {})

    assert answer["parameters"]["puppet"]["size"] == 5
    assert "s3cret" not in str(answer)


@pytest.mark.parametrize(
    ("query", "arguments", "why"),
    [
        ("secrets", {}, "there is no query 'secrets'; give one of orders, history"),
        ("", {}, "there is no query ''"),
        ("orders", {"user": "x"}, "orders: there is no argument 'user'; give symbol, strategy, account"),
        ("balances", {"symbol": "x"}, "balances: there is no argument 'symbol'; give account"),
        ("balances", {"account": "zoe"}, "this run has no account 'zoe'; it has: main"),
        ("history", {"limit": "0"}, "limit is '0'; give a whole number of at least 1"),
        ("history", {"limit": "-1"}, "limit is '-1'"),
        ("history", {"limit": "1e9"}, "limit is '1e9'"),
        ("history", {"limit": "9" * 5_000}, "limit is"),
        ("pnl", {"by": "hour"}, "pnl: by is 'hour'; give one of user, account, strategy, symbol, day"),
    ],
)
def test_a_wrong_query_is_refused(desk: Desk, query: str, arguments: Mapping[str, str], why: str) -> None:
    with pytest.raises(ConfigError) as raised:
        desk.ask(query, **arguments)
    assert why in str(raised.value)
    assert len(str(raised.value)) < 300


def test_every_query_has_an_answer_before_anything_happened() -> None:
    core = Core({})
    queries = unknowing(core)

    for query in QUERIES:
        assert queries.answer(query, {})


def test_only_the_account_that_is_asked_for_answers() -> None:
    rig = Rig({"follower": "alice"}, {"follower": "bob"})
    rig.tip("buy", "1")
    queries = unknowing(rig.core)

    for query, key in (("orders", "orders"), ("balances", "balances")):
        rows = queries.answer(query, {"account": "bob"})[key]
        assert {row["account_id"] for row in rows} == {"bob"}
        assert {row["account_id"] for row in queries.answer(query, {})[key]} >= {"alice", "bob"}


def test_pnl_and_health_of_one_account_have_only_its_trades_orders_and_strategies() -> None:
    rig = Rig({"follower": "alice"}, {"follower": "bob"})
    journal = TradeJournal(instrument)
    journal.follow(rig.core.kernel)
    asked: list[str] = []
    queries = RunQueries(
        rig.core,
        journal=lambda: journal,
        figures=lambda account: {"equity": asked.append(account)},
        health=lambda account: {"status": asked.append(account)},
    )
    rig.tip("buy", "1")
    rig.feed(CommandReceived(command="halt", arguments={"account": "bob"}, reason="lunch"))
    for order in rig.open_orders():
        rig.fill(order)

    everyone, bob = queries.answer("pnl", {}), queries.answer("pnl", {"account": "bob"})
    assert {trip["account_id"] for trip in everyone["open"]} == {"alice", "bob"}
    assert {trip["account_id"] for trip in bob["open"]} == {"bob"}
    assert queries.answer("health", {"account": "bob"})["halted"] == "lunch"
    assert queries.answer("health", {"account": "alice"})["halted"] is None
    assert asked == ["", "bob", "bob", "alice"]
    assert list(queries.answer("health", {"account": "idle"})["parameters"]) == ["ema-cross"]
    assert queries.answer("health", {"account": "bob"})["parameters"] == {}
