"""The limits that each intent of a strategy must pass."""

from tickdeck.domain.risk.exposure import CountedOrder, Exposure
from tickdeck.domain.risk.history import DailyLoss, Drawdown, OrderRate, TypicalOrder
from tickdeck.domain.risk.limits import DEFAULT_LIMITS, RiskLimits
from tickdeck.domain.risk.order_checks import Breach, check_order, check_run, only_reduces

__all__ = [
    "DEFAULT_LIMITS",
    "Breach",
    "CountedOrder",
    "DailyLoss",
    "Drawdown",
    "Exposure",
    "OrderRate",
    "RiskLimits",
    "TypicalOrder",
    "check_order",
    "check_run",
    "only_reduces",
]
