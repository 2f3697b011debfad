"""The limits that each intent of a strategy must pass."""

from tickdeck.domain.risk.exposure import CountedOrder, Exposure
from tickdeck.domain.risk.limits import (
    DEFAULT_LIMITS,
    Breach,
    DailyLoss,
    OrderRate,
    RiskLimits,
    check_order,
    only_reduces,
)

__all__ = [
    "DEFAULT_LIMITS",
    "Breach",
    "CountedOrder",
    "DailyLoss",
    "Exposure",
    "OrderRate",
    "RiskLimits",
    "check_order",
    "only_reduces",
]
