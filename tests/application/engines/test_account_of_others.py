"""What others do with the account, and differences between our books and the venue's balances."""

from __future__ import annotations

from typing import Any

import pytest
from application_kit import BTC, SECOND, START, Core, D, trade
from folding import assert_folds

from tickdeck.domain.events import (
    ActionIntent,
    CommandReceived,
    StrategyDecisionEvent,
    TransferKind,
    VenueBalanceReported,
    VenueExternalFillReported,
    VenueTransferReported,
)
from tickdeck.domain.values import Side


def reading(core: Core, total: str, seconds: int = 60, currency: str = "USDT") -> None:
    at = core.now + seconds * SECOND
    core.feed(VenueBalanceReported(currency=currency, total=D(total), source="scripted", ts=at, ts_ingress=at))


def paid(amount: str, number: str = "1", currency: str = "USDT") -> VenueTransferReported:
    kind = TransferKind.WITHDRAWAL if amount.startswith("-") else TransferKind.DEPOSIT
    return VenueTransferReported(currency=currency, amount=D(amount), transfer_kind=kind, transfer_id=number)


def external(side: Side, quantity: str, number: str = "1", **fields: Any) -> VenueExternalFillReported:
    return VenueExternalFillReported(
        symbol=BTC, base="BTC", quote="USDT", order_id="web", venue_trade_id=number, side=side, price=D(100),
        quantity=D(quantity), **fields,
    )  # fmt: skip


def check_fold(core: Core) -> None:
    assert_folds(
        core.tape.events,
        execution=core.execution,
        portfolio=core.portfolio,
        risk=core.risk,
        strategies=core.strategies,
    )


def adopt(core: Core, currency: str = "") -> None:
    arguments = {"currency": currency} if currency else {}
    core.feed(CommandReceived(command="adopt", arguments=arguments, ts=core.now))


def test_one_reading_that_differs_proves_nothing() -> None:
    core = Core().start("1000")
    reading(core, "900")
    reading(core, "1000")
    reading(core, "900")

    assert core.of("account.difference_found") == []
    assert core.portfolio.cash() == 1_000


def test_two_readings_with_different_differences_prove_nothing() -> None:
    core = Core().start("1000")
    for total in ("900", "800", "900"):
        reading(core, total)

    assert core.of("account.difference_found") == []


def test_two_readings_in_the_same_moment_are_one() -> None:
    core = Core().start("1000")
    reading(core, "900")
    reading(core, "900", seconds=0)

    assert core.of("account.difference_found") == []


def test_a_balance_of_nothing_that_was_reported_is_known() -> None:
    core = Core().start("1000")
    assert core.portfolio.known == ("USDT",)
    reading(core, "0", currency="BTC")

    assert core.portfolio.known == ("USDT", "BTC")
    check_fold(core)


def test_a_difference_that_two_readings_show_is_found_with_both_figures_and_halts_trading() -> None:
    core = Core().start("1000")
    for _ in range(4):
        reading(core, "900")

    (found,) = core.of("account.difference_found")
    assert (found.payload["ours"], found.payload["venue"], found.payload["policy"]) == ("1000", "900", "halt")
    (halted,) = core.of("trading.halted")
    assert halted.payload["reason"] == "the venue has 900 USDT, but our books have 1000"
    assert core.portfolio.cash() == 1_000
    assert "tickdeck adopt RUN USDT" in core.of("notification.alert")[0].payload["text"]


def test_a_difference_is_found_again_only_if_it_changes() -> None:
    core = Core().start("1000")
    for total in ("900", "900", "900", "850", "850", "1000", "850", "850"):
        reading(core, total)

    assert [found.payload["venue"] for found in core.of("account.difference_found")] == ["900", "850", "850"]


def test_a_difference_can_be_adopted_at_once_as_money_that_was_paid_out() -> None:
    core = Core(on_difference="adopt").start("1000")
    reading(core, "900")
    reading(core, "900")

    assert core.portfolio.cash() == 900
    assert core.portfolio.pnl() == 0
    assert core.of("trading.halted") == []
    reading(core, "900")
    assert core.portfolio.differences.pending == {}


def test_asking_goes_on_trading_until_a_person_adopts_the_difference() -> None:
    core = Core(on_difference="ask").start("1000")
    reading(core, "900")
    reading(core, "900")
    assert core.of("trading.halted") == []
    assert core.portfolio.cash() == 1_000

    adopt(core, "USDT")
    assert core.portfolio.cash() == 900
    assert core.portfolio.pnl() == 0
    adopt(core)
    assert core.of("system.warning")[-1].payload["message"] == "adopt: there is no difference in any currency"


def test_money_that_is_paid_in_or_out_moves_the_account_and_is_no_result() -> None:
    core = Core().start("1000").feed(paid("500", "a"), paid("-200", "b"))

    assert core.portfolio.cash() == 1_300
    assert core.portfolio.pnl() == 0
    reading(core, "1300")
    reading(core, "1300")
    assert core.of("account.difference_found") == []


def test_coins_that_are_paid_in_are_a_position_at_the_next_price() -> None:
    core = Core().start("1000").feed(trade("100"), paid("2", currency="BTC"))
    core.feed(trade("110", ts=START + SECOND), trade("120", ts=START + 2 * SECOND))

    assert core.portfolio.view(BTC).quantity == 2
    assert core.portfolio.pnl() == 20
    assert core.risk.exposure.position(BTC) == 2


def test_a_repeated_report_moves_the_account_once() -> None:
    core = Core().start("1000").feed(paid("500", "a"), paid("500", "a"))
    core.feed(external(Side.BUY, "1"), external(Side.BUY, "1"))

    assert core.portfolio.account.balances == {"USDT": 1_400, "BTC": 1}


def test_a_fill_of_others_moves_both_balances_and_its_fee_and_is_no_result() -> None:
    core = Core().start("1000").feed(trade("100"), paid("3", currency="BTC"), trade("100", ts=START + SECOND))
    core.feed(external(Side.SELL, "1", fee=D("0.5"), fee_currency="USDT"), trade("100", ts=START + 2 * SECOND))

    assert core.portfolio.account.balances == {"USDT": D("1099.5"), "BTC": 2}
    assert core.portfolio.view(BTC).quantity == 2
    assert core.portfolio.pnl() == 0
    assert core.of("order.filled") == []


@pytest.mark.parametrize("fee_currency", ["", "BTC", "BNB"])
def test_the_fee_of_a_fill_of_others_leaves_its_currency(fee_currency: str) -> None:
    core = Core().start("1000").feed(external(Side.BUY, "1", fee=D("0.1"), fee_currency=fee_currency))

    expected = {"USDT": D(900), "BTC": D(1)}
    expected[fee_currency or "USDT"] = expected.get(fee_currency or "USDT", D(0)) - D("0.1")
    assert core.portfolio.account.balances == expected


def test_the_account_of_others_can_be_rebuilt_from_its_events() -> None:
    core = Core(on_difference="adopt").start("1000").feed(trade("100"), paid("2", currency="BTC"))
    core.feed(external(Side.SELL, "1"), trade("101", ts=START + SECOND), paid("-50", "b"))
    reading(core, "700")
    reading(core, "700")

    check_fold(core)


def test_a_run_with_other_code_takes_up_what_others_did_and_the_differences() -> None:
    core = Core(on_difference="ask").start("1000").feed(paid("500", "a"), external(Side.BUY, "1"))
    reading(core, "1300")
    reading(core, "1300")
    reading(core, "5", currency="BTC")
    again = Core(on_difference="ask")
    for event in core.tape.events:
        again.portfolio.recall(event)

    mine, theirs = again.portfolio, core.portfolio
    assert mine.account.balances == theirs.account.balances
    assert mine.differences.found == theirs.differences.found == {"USDT": D(-100)}
    assert mine.differences.pending == theirs.differences.pending == {"BTC": D(4)}
    again.feed(paid("500", "a"), external(Side.BUY, "1"))
    assert mine.account.balances == theirs.account.balances


def test_a_difference_that_was_adopted_is_taken_up_as_settled() -> None:
    core = Core(on_difference="ask").start("1000")
    reading(core, "900")
    reading(core, "900")
    adopt(core)
    again = Core()
    for event in core.tape.events:
        again.portfolio.recall(event)

    assert again.portfolio.differences.found == {}
    assert again.portfolio.cash() == 900


# -- what others lock -------------------------------------------------------------------------------------------------


def balance(core: Core, currency: str, total: str, locked: str) -> None:
    core.feed(VenueBalanceReported(currency=currency, total=D(total), locked=D(locked), source="scripted", ts=core.now))


def decide(core: Core, side: Side, quantity: str, limit: str | None = None) -> list[str]:
    """The limits that a decision breaches now."""
    before = len(core.of("risk.limit_breached"))
    price = D(limit) if limit else None
    intent = ActionIntent(action="order", symbol=BTC, side=side, quantity=D(quantity), limit=price)
    core.feed(StrategyDecisionEvent(strategy_id="s", intents=(intent,), ts=core.now))
    return [event.limit for event in core.of("risk.limit_breached")[before:]]  # type: ignore[attr-defined]


def test_what_others_lock_is_not_free_and_is_shown() -> None:
    core = Core().start("1000").trades("100")
    balance(core, "USDT", "1000", "400")
    account = core.portfolio.account
    assert (account.locks, account.free("USDT")) == ({"USDT": D(400)}, D(600))
    shown = core.of("balance.updated")[-1]
    assert (shown.total, shown.locked, shown.free, shown.change) == (1_000, 400, 600, 0)  # type: ignore[attr-defined]

    assert decide(core, Side.BUY, "6", "100") == []  # ours, which the venue locks too
    assert account.free("USDT") == 0
    balance(core, "USDT", "1000", "1000")
    assert account.locks == {"USDT": D(400)}

    balance(core, "USDT", "1000", "600")
    assert account.locks == {"USDT": D(0)}
    check_fold(core)


def test_an_order_on_its_way_locks_nothing_of_others() -> None:
    core = Core().start("1000").trades("100")
    decide(core, Side.BUY, "6", "100")
    balance(core, "USDT", "1000", "0")

    assert core.portfolio.account.locks == {}


def test_an_order_that_needs_what_others_lock_is_refused() -> None:
    core = Core().start("1000").trades("100")
    balance(core, "USDT", "1000", "400")

    assert decide(core, Side.BUY, "6.1", "100") == ["free_balance"]
    assert core.of("risk.limit_breached")[-1].detail == (  # type: ignore[attr-defined]
        "it needs 610 USDT, and 600 are free: orders of others lock 400"
    )
    assert decide(core, Side.BUY, "6.1") == ["free_balance"]  # at the last price
    assert decide(core, Side.BUY, "6") == []


def test_flatten_sells_what_others_do_not_lock() -> None:
    core = Core().start("1000").trades("100")
    balance(core, "BTC", "2", "0")
    core.trades("100")
    balance(core, "BTC", "2", "0.5")
    core.feed(CommandReceived(command="flatten", ts=core.now))

    (order,) = core.orders
    assert (order.side, order.quantity) == (Side.SELL, D("1.5"))
    warnings = [event.message for event in core.of("system.warning")]  # type: ignore[attr-defined]
    assert warnings == ["flatten: 0.5 BTCUSDT stay, because orders of others lock them"]


@pytest.mark.parametrize("parts", [["2"], ["0.5", "1.5"]])
def test_coins_that_are_sold_before_any_price_are_a_position_at_the_price_of_the_fill(parts: list[str]) -> None:
    """Such as by ``flatten`` right after the start: the account must not seem to be short of what it sold."""
    core = Core().start("1000")
    reading(core, "2", 0, "BTC")
    core.feed(CommandReceived(command="flatten", ts=core.now))
    (order,) = core.orders
    assert (order.side, order.quantity) == (Side.SELL, D(2))
    for part in parts:
        core.fill(order, "100", part)
    position = core.portfolio.account.position(BTC)
    assert (position.quantity, position.realized_pnl, core.portfolio.valuation.deposits) == (0, 0, D(1200))
    assert [event.event_type for event in core.tape.events if event.event_type.startswith("position.")] == [
        "position.opened",
        *["position.updated"] * (len(parts) - 1),
        "position.closed",
    ]
    core.trades("110")
    assert (core.portfolio.equity(), core.portfolio.pnl()) == (D(1200), 0)
    assert (core.portfolio.owned.unowned(BTC), core.risk.exposure.position(BTC)) == (0, 0)
    check_fold(core)
