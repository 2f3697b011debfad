"""A remainder that is too small for an order is dust: it is kept exactly, and it does not count as a position."""

from __future__ import annotations

import pytest
from application_kit import BTC, START, Core, D, trade

from tickdeck.application.strategies import EmaCross, PositionView
from tickdeck.domain.events import CommandReceived, VenueBalanceReported, VenueInstrumentReported
from tickdeck.domain.market import Instrument

STEPS = {"tick_size": D("0.01"), "lot_size": D("0.001"), "min_quantity": D("0.002"), "min_notional": D(5)}
LISTED = Instrument(symbol=BTC, base="BTC", quote="USDT", **STEPS)


def holding(quantity: str, price: str = "100") -> Core:
    """An account that holds ``quantity`` bitcoin, at a venue with the minimums of ``LISTED``."""
    core = Core().start()
    core.feed(VenueInstrumentReported(symbol=BTC, base="BTC", quote="USDT", status="trading", **STEPS))
    core.feed(VenueBalanceReported(currency="BTC", total=D(quantity), source="scripted"))
    return core.feed(trade(price, ts=START))


@pytest.mark.parametrize(
    ("quantity", "price", "is_dust"),
    [
        ("0", "100", False),
        ("0.0009", "100000", True),  # less than a lot
        ("0.001", "100000", True),  # less than the minimum quantity
        ("0.049", "100", True),  # worth less than the minimum notional
        ("0.0509", "100", False),
        ("0.05", "100", False),
        ("-0.049", "100", True),
        ("0.049", None, False),
    ],
)
def test_dust_is_less_than_one_order_can_trade(quantity: str, price: str | None, is_dust: bool) -> None:
    at = None if price is None else D(price)

    assert LISTED.is_dust(D(quantity), at) is is_dust
    view = PositionView(BTC, D(quantity), D(0), D(0), D(0), at, LISTED)
    assert (view.is_dust, view.is_flat) == (is_dust, is_dust or not D(quantity))


def test_a_position_of_dust_is_exact_and_flat() -> None:
    view = holding("0.0123").portfolio.view(BTC)

    assert view.quantity == D("0.0123")
    assert view.is_flat


def test_a_position_that_is_worth_more_later_is_no_dust_any_more() -> None:
    core = holding("0.0123")
    core.feed(trade("1000", ts=START + 1))

    assert not core.portfolio.view(BTC).is_flat


def test_dust_is_listed_by_itself() -> None:
    assert holding("0.0123").portfolio.dust((BTC,)) == {BTC: D("0.0123")}
    assert holding("0.1").portfolio.dust((BTC,)) == {}


@pytest.mark.parametrize(("quantity", "sold"), [("0.0123", []), ("0.1239", [D("0.123")])])
def test_flatten_leaves_dust(quantity: str, sold: list[object]) -> None:
    core = holding(quantity).feed(CommandReceived(command="flatten"))

    assert [order.quantity for order in core.orders] == sold


def test_a_strategy_whose_position_is_dust_can_enter_again() -> None:
    core = Core({"ema": EmaCross(fast=1, slow=2, quantity=D("0.1"))}, candles=1_000).start()
    core.feed(VenueInstrumentReported(symbol=BTC, base="BTC", quote="USDT", status="trading", **STEPS))
    core.feed(VenueBalanceReported(currency="BTC", total=D("0.0123"), source="scripted"))
    for number, price in enumerate(("100", "100", "101", "102", "103", "104")):
        core.feed(trade(price, ts=START + number * 2_000))

    assert [order.side.value for order in core.orders] == ["buy"]
