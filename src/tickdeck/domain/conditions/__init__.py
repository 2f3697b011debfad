"""The language of conditions, such as ``rsi(14, 1h) < 30 and position == 0``: its syntax, and its value.

Pure functions of a text and of values: nothing here knows where a price or an indicator comes from.
"""

from tickdeck.domain.conditions.checking import check_condition
from tickdeck.domain.conditions.condition import Condition, parse_condition
from tickdeck.domain.conditions.evaluation import Evaluator
from tickdeck.domain.conditions.syntax import Reference, TimeOfDay
from tickdeck.domain.conditions.thresholds import thresholds
from tickdeck.domain.conditions.vocabulary import FUNCTIONS, Kind, Source, signal_name

__all__ = [
    "FUNCTIONS",
    "Condition",
    "Evaluator",
    "Kind",
    "Reference",
    "Source",
    "TimeOfDay",
    "check_condition",
    "parse_condition",
    "signal_name",
    "thresholds",
]
