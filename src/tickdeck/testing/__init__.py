"""Tests for back ends of your own: what every event store and every event bus promises. Needs pytest.

Subclass a contract in a test module, say how to open your implementation, and pytest runs its tests.
"""

from tickdeck.testing.event_bus import EventBusContract
from tickdeck.testing.event_store import EventStoreContract

__all__ = ["EventBusContract", "EventStoreContract"]
