"""Shorts stay within the equity: orders beyond it are refused, and what it no longer covers is bought back."""

from __future__ import annotations

import pytest
from application_kit import BTC, SECOND, START, Core, D, trade

from tickdeck.application.strategies import Strategy
from tickdeck.domain.events import RiskLimitBreachedEvent, TradeEvent
from tickdeck.domain.values import Side


class Asks(Strategy):
    """Requests one of ``orders`` per trade: side, symbol, quantity, and optionally a limit."""

    def __init__(self, *orders: tuple[str, ...]) -> None:
        super().__init__()
        self.orders = list(orders)

    def on_trade(self, trade: TradeEvent) -> None:
        if self.orders and trade.symbol == BTC:
            side, symbol, quantity, *limit = self.orders.pop(0)
            (self.buy if side == "buy" else self.sell)(symbol, D(quantity), limit=D(limit[0]) if limit else None)


def core_of(*orders: tuple[str, ...], cash: str = "1000") -> Core:
    core = Core({"asks": Asks(*orders)}, short_selling=True).start(cash)
    core.feed(trade("10", symbol="ETHUSDT", trade_id=0))
    for _ in orders:
        core.trades("100")
        last = core.orders[-1]
        if last.limit is None and core.execution.orders[last.order_id].is_open:
            core.fill(last, "100" if last.symbol == BTC else "10")
    return core


def refused(core: Core) -> list[str]:
    return [event.limit for event in core.tape.events if isinstance(event, RiskLimitBreachedEvent)]


def test_a_short_that_the_equity_covers_passes_and_a_larger_one_is_refused() -> None:
    core = core_of(("sell", BTC, "10"), ("sell", BTC, "0.1"))
    assert core.portfolio.account.position(BTC).quantity == -10
    assert refused(core) == ["short_cover"]


def test_pending_orders_count_as_filled() -> None:
    core = Core({"asks": Asks(("sell", BTC, "6"), ("sell", BTC, "6"))}, short_selling=True).start("1000")
    core.trades("100", "100")
    assert len(core.orders) == 1
    assert refused(core) == ["short_cover"]


def test_shorts_of_several_symbols_share_the_equity() -> None:
    core = core_of(("sell", "ETHUSDT", "60"), ("sell", BTC, "5"), ("sell", BTC, "4"))
    assert [order.symbol for order in core.orders] == ["ETHUSDT", BTC]
    assert refused(core) == ["short_cover"]


def test_the_proceeds_of_a_short_cannot_buy_anything_else() -> None:
    core = core_of(("sell", BTC, "8"), ("buy", "ETHUSDT", "101"), ("buy", "ETHUSDT", "100"), ("buy", BTC, "8"))
    assert [(order.symbol, order.quantity) for order in core.orders] == [(BTC, 8), ("ETHUSDT", 100), (BTC, 8)]
    assert refused(core) == ["short_cover"]


def test_a_short_without_a_known_value_is_refused() -> None:
    core = Core({"asks": Asks(("sell", "XRPEUR", "1"))}, short_selling=True).start("1000")
    core.feed(trade("1", symbol="XRPEUR", trade_id=0))
    core.trades("100")
    assert core.orders == []
    assert refused(core) == ["short_cover"]


def test_selling_held_coins_is_not_a_short() -> None:
    core = core_of(("buy", BTC, "10"), ("sell", BTC, "10"), cash="1000")
    assert refused(core) == []


def test_uncovered_shorts_are_bought_back_at_most_once_a_second() -> None:
    core = core_of(("sell", BTC, "8"))
    core.feed(trade("105", ts=START + SECOND))
    assert len(core.orders) == 1, "840 are owed, and the equity is 960"

    core.feed(trade("120", ts=START + 2 * SECOND))

    bought = core.orders[-1]
    assert (bought.side, bought.strategy_id, bought.reduce_only) == (Side.BUY, "risk", True)
    # 960 are owed, and the equity is 840: what exceeds 99 % of it is bought back.
    assert bought.quantity == pytest.approx(D("960") / 120 - D("840") * D("0.99") / 120, abs=D("0.001"))
    (warning,) = core.of("system.warning")
    assert "short_cover" in warning.payload["message"]
    core.fill(bought, "120")
    core.feed(trade("130", ts=START + 2 * SECOND + 1))
    assert core.orders[-1] is bought
    core.feed(trade("131", ts=START + 3 * SECOND))
    assert core.orders[-1] is not bought


def test_an_order_that_is_still_open_is_cancelled_before_coins_are_bought_back() -> None:
    core = core_of(("sell", BTC, "8"), ("buy", BTC, "8", "50"))
    resting = core.orders[-1]

    core.feed(trade("120", ts=START + 3 * SECOND))

    assert [request.order_id for request in core.venue.cancelled] == [resting.order_id]
    assert core.orders[-1].strategy_id == "risk"


def test_equity_below_0_halts_trading_and_buys_everything_back() -> None:
    core = core_of(("sell", BTC, "8"))

    core.feed(trade("300", ts=START + SECOND))

    assert core.orders[-1].quantity == 8
    (halted,) = core.of("trading.halted")
    assert "short_cover: the equity is -600.00 USDT" in halted.payload["reason"]
    core.fill(core.orders[-1], "300")
    assert core.portfolio.account.position(BTC).is_flat


def test_an_account_without_shorts_receives_no_prices() -> None:
    core = core_of(("buy", BTC, "1"))
    heard = [s.name for s in core.kernel.statistics().handlers if s.component == "risk"]
    assert not any("on_price" in name for name in heard)
