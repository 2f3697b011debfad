"""Tests of your own code: a strategy over a few closes, and what every event store and every event bus promises.

The contracts need pytest. Subclass one in a test module, say how to open your implementation, and pytest runs its
tests.
"""

from tickdeck.testing.candles import CandleRun, run_candles
from tickdeck.testing.event_bus import EventBusContract
from tickdeck.testing.event_store import EventStoreContract

__all__ = ["CandleRun", "EventBusContract", "EventStoreContract", "run_candles"]
