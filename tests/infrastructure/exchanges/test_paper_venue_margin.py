"""The margin account of the paper venue: what orders need, margin calls, liquidations."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from paper_kit import BUY, FEED, SELL, T0, Desk, order, tick

from tickdeck.domain.events import CandleEvent, VenueLiquidationReported, VenueMarginCallReported, VenueOrderReported
from tickdeck.errors import ConfigError

D = Decimal
SECOND = 1_000_000_000


def desk(cash: str = "1000", **config: Any) -> Desk:
    return Desk(
        balances={"USDT": D(cash)},
        leverage=D(5),
        maintenance=D("0.01"),
        margin_call=D(2),
        maker_fee=D(0),
        taker_fee=D(0),
        **config,
    )


def at(made: Desk, price: str) -> None:
    """The market is at one price, with a spread of nothing to speak of."""
    made.market(tick(made.now + SECOND, price, str(D(price) + D("0.01")), "1000"))


def opened(side: Any = BUY, quantity: str = "40", **config: Any) -> Desk:
    """A position of 40 at 100.01 (long) or 100 (short), with a margin of a fifth of its cost."""
    made = desk(**config)
    at(made, "100")
    made.venue.submit(order("a", side, quantity, ts=made.now))
    made.settle()
    made.reports.clear()
    return made


def of(made: Desk, kind: type) -> list[Any]:
    return [report for report in made.settle() if isinstance(report, kind)]


def refusals(made: Desk) -> list[str]:
    return [report.reason for report in of(made, VenueOrderReported) if report.reason]


def test_an_order_needs_its_margin_and_no_more() -> None:
    made = desk()
    at(made, "100")
    made.venue.submit(order("a", BUY, "50", "100", ts=made.now))  # 5000 at 5x
    made.venue.submit(order("b", BUY, "0.1", "100", ts=made.now))
    assert [reason.split(":")[0] for reason in refusals(made)] == ["insufficient balance"]


def test_what_a_position_is_worth_beyond_its_margin_is_not_free() -> None:
    made = opened()
    assert made.venue.account.free("USDT") == 1000 - 40 * D("100.01") / 5
    at(made, "120")  # its profit backs nothing else
    made.venue.submit(order("b", BUY, "20", ts=made.now))
    assert len(refusals(made)) == 1


@pytest.mark.parametrize(("side", "other"), [(BUY, SELL), (SELL, BUY)])
def test_closing_needs_no_margin_and_gives_it_back(side: Any, other: Any) -> None:
    made = opened(side, "49")
    made.venue.submit(order("b", other, "49", ts=made.now))
    made.venue.submit(order("c", other, "49", ts=made.now))  # it opens the other side
    made.venue.submit(order("d", other, "10", ts=made.now))
    assert len(refusals(made)) == 1
    assert made.venue.account.total("BTC") == -49 * side.sign


@pytest.mark.parametrize(("side", "before", "beyond"), [(BUY, "80.83", "80.81"), (SELL, "118.80", "118.81")])
def test_a_position_is_liquidated_once_at_its_price(side: Any, before: str, beyond: str) -> None:
    # long: 100.01 (1 - 1/5) / 0.99 = 80.816..., closed at 80.81; short: 100 (1 + 1/5) / 1.01 = 118.811..., at 118.82
    made = opened(side)
    at(made, before)
    assert of(made, VenueLiquidationReported) == []

    for _ in range(3):
        at(made, beyond)

    [liquidation] = of(made, VenueLiquidationReported)
    price = "80.81" if side is BUY else "118.82"
    assert (liquidation.side, liquidation.quantity, liquidation.price) == (side.opposite, 40, D(price))
    assert made.venue.account.total("BTC") == 0
    cost = D("100.01") if side is BUY else D(100)
    assert (
        made.venue.account.free("USDT") == made.venue.account.total("USDT") == 1000 + 40 * side.sign * (D(price) - cost)
    )


def test_a_margin_call_comes_once_before_and_again_only_for_another_position() -> None:
    made = opened()
    for price in ("81.70", "81.50", "90", "81.50"):  # called below 100.01 * 0.8 / 0.98 = 81.64...
        at(made, price)

    [call] = of(made, VenueMarginCallReported)
    assert (call.price, call.quantity, call.liquidation_price) == (D("81.50"), 40, D("80.81"))
    assert call.equity == 40 * (D("81.50") - D("100.01") * D("0.8"))
    assert call.requirement == 40 * D("81.50") / 100

    made.venue.submit(order("b", SELL, "40", ts=made.now))
    made.settle()
    at(made, "100")
    made.venue.submit(order("c", BUY, "10", ts=made.now))
    made.settle()
    at(made, "81.50")
    assert len(of(made, VenueMarginCallReported)) == 2


@pytest.mark.parametrize(("price", "closed_at"), [("80.50", "80.50"), ("50", "80.00")])
def test_after_a_jump_it_closes_at_the_market_but_loses_no_more_than_its_margin(price: str, closed_at: str) -> None:
    made = opened()
    at(made, price)

    [liquidation] = of(made, VenueLiquidationReported)
    assert liquidation.price == D(closed_at)
    lost = 1000 - made.venue.account.total("USDT")
    assert lost <= 40 * D("100.01") / 5 + D("0.01") * 40


def test_the_orders_of_the_symbol_are_cancelled_with_it() -> None:
    made = opened(quantity="20")
    made.venue.submit(order("b", SELL, "20", "150", ts=made.now))
    made.venue.submit(order("c", BUY, "1", "50", ts=made.now))
    made.venue.submit(order("d", BUY, "1", "50", ts=made.now, symbol="ETHUSDT"))
    made.settle()
    at(made, "70")

    ended = [(r.order_id, r.reason) for r in of(made, VenueOrderReported) if r.status.is_final]
    assert ended == [("b", "the position is liquidated"), ("c", "the position is liquidated")]
    assert made.venue.account.locked("USDT") == 10  # of the other symbol


def test_the_fee_of_a_liquidation_is_taken_from_what_is_left_of_the_margin() -> None:
    made = Desk(balances={"USDT": D(1000)}, leverage=D(5), maintenance=D("0.01"), taker_fee=D("0.002"))
    at(made, "100")
    made.venue.submit(order("a", BUY, "40", ts=made.now))
    made.settle()
    at(made, "80.81")
    at(made, "80.81")

    [liquidation] = of(made, VenueLiquidationReported)
    assert liquidation.fee == 40 * D("80.81") * D("0.002")

    worse = Desk(balances={"USDT": D(1000)}, leverage=D(5), maintenance=D("0.01"), taker_fee=D("0.002"))
    at(worse, "100")
    worse.venue.submit(order("a", BUY, "40", ts=worse.now))
    worse.settle()
    at(worse, "60")
    [liquidation] = of(worse, VenueLiquidationReported)
    assert liquidation.fee == 0


def candle(made: Desk, open_: str, low: str, close: str) -> None:
    end = made.now + 60 * SECOND
    made.market(
        CandleEvent(
            symbol="BTCUSDT",
            interval=60 * SECOND,
            open=D(open_),
            high=max(D(open_), D(close)),
            low=D(low),
            close=D(close),
            volume=D(100_000),
            open_ts=end - 60 * SECOND - FEED,
            close_ts=end - FEED,
            ts=end - FEED,
            ts_ingress=end,
        )
    )


def test_on_candles_a_range_through_the_price_liquidates_at_it_and_a_lower_open_at_the_open() -> None:
    for open_, closed_at in (("100", "80.80"), ("80.50", "80.50")):
        made = desk(participation=D(1))
        candle(made, "100", "99", "100")
        made.venue.submit(order("a", BUY, "40", "100", ts=made.now))
        made.settle()
        candle(made, "100", "95", "100")
        assert made.venue.account.total("BTC") == 40
        candle(made, open_, "79", "90")
        [liquidation] = of(made, VenueLiquidationReported)
        assert liquidation.price == D(closed_at)


def test_on_candles_a_stop_on_the_way_is_reached_before_the_liquidation() -> None:
    made = desk(participation=D(1))
    candle(made, "100", "99", "100")
    made.venue.submit(order("a", BUY, "40", "100", ts=made.now))
    made.settle()
    candle(made, "100", "95", "100")
    stop = msgspec.structs.replace(order("b", SELL, "40", ts=made.now), stop=D(90), reduce_only=True)
    made.venue.submit(stop)
    made.settle()
    candle(made, "100", "79", "90")

    assert of(made, VenueLiquidationReported) == []
    assert made.venue.account.total("BTC") == 0
    assert made.venue.account.total("USDT") == 600


def test_terms_that_make_no_sense_are_refused() -> None:
    for config, says in (
        ({"leverage": D("0.5")}, "leverage is 0.5"),
        ({"leverage": D(5), "margin_call": D(1)}, "above 1"),
        ({"leverage": D(100), "maintenance": D("0.01")}, "margin call at once"),
        ({"leverage": D(2), "balances": {"BTC": D(1)}}, "begins with USDT alone"),
    ):
        with pytest.raises(ConfigError, match=says):
            Desk(**config)
    assert T0
