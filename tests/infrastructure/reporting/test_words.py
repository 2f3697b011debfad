"""Figures of a report as text."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tickdeck.infrastructure.reporting.words import amount


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1234567.5", "1,234,567.50"),
        ("0.125", "0.1250"),
        ("-0.00001", "0.0000"),
        ("-0", "0.00"),
        ("1E+30", "1,000,000,000,000,000,000,000,000,000,000.00"),
        ("123456789012345678901234567890.12345", "123,456,789,012,345,678,901,234,567,890.1234"),
        ("1E-30", "0.0000"),
    ],
)
def test_an_amount_of_any_size_has_two_decimals_or_four(value: str, text: str) -> None:
    assert amount(Decimal(value)) == text


def test_an_amount_may_show_its_sign() -> None:
    assert [amount(Decimal(value), sign=True) for value in ("1", "-1", "0")] == ["+1.00", "-1.00", "+0.00"]
