"""The portfolio engine: fills become positions and balances, exact to the last digit."""

from __future__ import annotations

from application_kit import BTC, START, Core, D

from tickdeck.domain.events import ActionIntent, BalanceEvent, PositionEvent, RiskApprovedEvent, VenueBalanceReported
from tickdeck.domain.values import Side


def order(core: Core, side: Side, quantity: str) -> Core:
    intent = ActionIntent(action="order", symbol=BTC, side=side, quantity=D(quantity), order_id=f"o{len(core.orders)}")
    return core.feed(RiskApprovedEvent(strategy_id="s", intent=intent, ts_ingress=START))


def test_a_round_trip_is_accounted_for_exactly() -> None:
    core = Core().start("1000")
    order(core, Side.BUY, "2").fill(core.orders[-1], "100", "1", fee="0.1").fill(
        core.orders[-1], "110", "1", fee="0.11"
    )
    core.trades("120")

    assert core.portfolio.cash() == D("789.79")
    assert core.portfolio.equity() == D("1029.79")
    assert core.portfolio.unrealized_pnl() == 30
    assert core.portfolio.pnl() == D("29.79")

    order(core, Side.SELL, "2").fill(core.orders[-1], "115", fee="0.23")
    assert core.portfolio.cash() == D("1019.56")
    assert core.portfolio.pnl() == D("19.56")
    assert core.portfolio.account.realized_pnl() == 20
    assert core.portfolio.account.fees() == D("0.44")
    changes = [(e.event_type, e.quantity) for e in core.tape.events if isinstance(e, PositionEvent)]
    assert changes == [("position.opened", 1), ("position.updated", 2), ("position.closed", 0)]


def test_a_fill_leads_to_position_and_balances_in_its_own_cascade() -> None:
    core = Core().start("1000")
    before = core.kernel.seq
    order(core, Side.BUY, "1").fill(core.orders[-1], "100")

    types = core.types(before)
    assert types[-5:] == ["order.filled", "position.opened", "balance.updated", "balance.updated", "state.updated"]
    balances = [(e.currency, e.total, e.change) for e in core.tape.events if isinstance(e, BalanceEvent)]
    assert balances == [("USDT", 1000, 1000), ("BTC", 1, 1), ("USDT", 900, -100)]


def test_the_initial_balance_is_adopted_and_its_repetition_changes_nothing() -> None:
    core = Core().start("1000")
    core.feed(VenueBalanceReported(currency="EUR", total=D(1500)), VenueBalanceReported(currency="EUR", total=D(1500)))

    assert [e.total for e in core.tape.events if isinstance(e, BalanceEvent)] == [1000, 1500]
    assert core.portfolio.account.deposits("EUR") == 1500
    assert core.portfolio.pnl() == 0


def test_a_position_view_uses_the_markets_price_if_there_is_one() -> None:
    core = Core().start("1000")
    order(core, Side.SELL, "1").fill(core.orders[-1], "100")
    assert core.portfolio.view(BTC).unrealized_pnl == 0  # no price was seen yet

    core.trades("90")

    view = core.portfolio.view(BTC)
    assert (view.quantity, view.average_price, view.realized_pnl, view.unrealized_pnl) == (-1, 100, 0, 10)
    flat = core.portfolio.view("ETHUSDT")
    assert (flat.quantity, flat.average_price, flat.unrealized_pnl) == (0, 0, 0)
