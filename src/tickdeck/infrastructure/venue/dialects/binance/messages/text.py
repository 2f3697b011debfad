"""Numbers as the dialect writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

__all__ = ["ZERO_TEXT", "Json", "decimal_text"]

Json = dict[str, Any]
ZERO_TEXT = "0.00000000"


def decimal_text(value: Decimal | None) -> str:
    """Eight decimals, never an exponent."""
    return f"{value:.8f}" if value is not None else ZERO_TEXT
