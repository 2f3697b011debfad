"""Tests of your own code: a strategy over a few closes, and what every event store and every event bus promises.

The contracts need pytest, ``run_candles`` does not. Subclass a contract in a test module, say how to open your
implementation, and pytest runs its tests.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tickdeck.testing.candles import CandleRun, run_candles

if TYPE_CHECKING:
    from tickdeck.testing.event_bus import EventBusContract
    from tickdeck.testing.event_store import EventStoreContract
    from tickdeck.testing.exchange import ExchangeContract, TradingPlace

__all__ = ["CandleRun", "EventBusContract", "EventStoreContract", "ExchangeContract", "TradingPlace", "run_candles"]

_CONTRACTS = {
    "EventBusContract": "tickdeck.testing.event_bus",
    "EventStoreContract": "tickdeck.testing.event_store",
    "ExchangeContract": "tickdeck.testing.exchange",
    "TradingPlace": "tickdeck.testing.exchange",
}


def __getattr__(name: str) -> object:
    """A contract is imported when it is first asked for, so that strategies can be tested without pytest."""
    module = _CONTRACTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
