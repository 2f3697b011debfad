"""The constants with which a condition compares its values."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.domain.conditions import parse_condition, thresholds

D = Decimal


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("price > 10", {"price": (D(10),)}),
        ("10 > price", {"price": (D(10),)}),
        ("price > 10 and not price < -2 * 3%", {"price": (D(10), D("-0.06"))}),
        ("price crosses_above 10 or bid < 9", {"price": (D(10),), "bid": (D(9),)}),
        ("time >= 16:00 UTC", {"time": (D(57_600_000_000_000),)}),
        ("price > ask", {"price": None, "ask": None}),
        ("price > 10 and price > ask", {"price": None, "ask": None}),
        ("price > ask and price > 10", {"price": None, "ask": None}),
        ("-price > 10", {"price": None}),
        ("price + 1 > 10", {"price": None}),
        ("price > 1 / 0", {"price": None}),
        ("price(BTCUSDT) > 10 and price(ETHUSDT) > 20", {"price(BTCUSDT)": (D(10),), "price(ETHUSDT)": (D(20),)}),
    ],
)
def test_constants(text: str, found: dict[str, tuple[D, ...] | None]) -> None:
    assert {str(name): limits for name, limits in thresholds(parse_condition(text)).items()} == found
