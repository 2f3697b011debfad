"""The engine that runs strategies, and what a strategy of a run has: its desk, its subscriptions, its profits.

Events, commands and strategies of the room ``application.strategies`` come in; decisions go out.
"""

from tickdeck.application.engines.strategies.engine import StrategyEngine
from tickdeck.application.engines.strategies.ids import check_id, strategy_ids, why_no_owner
from tickdeck.application.engines.strategies.opposed import opposed
from tickdeck.application.engines.strategies.profits import StrategyProfits
from tickdeck.application.engines.strategies.snapshots import StrategySnapshot, restore_snapshot, take_snapshot
from tickdeck.application.engines.strategies.surroundings import StrategySurroundings

__all__ = [
    "StrategyEngine",
    "StrategyProfits",
    "StrategySnapshot",
    "StrategySurroundings",
    "check_id",
    "opposed",
    "restore_snapshot",
    "strategy_ids",
    "take_snapshot",
    "why_no_owner",
]
