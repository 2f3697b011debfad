"""Tests for your own code: run a strategy over a few closing prices, or check an event store, event bus or exchange.

The contracts need pytest; ``run_candles`` does not. To use a contract, subclass it in a test module and define how to
open your implementation. pytest then runs its tests.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from tickdeck.testing.candles import CandleRun, run_candles

if TYPE_CHECKING:
    from tickdeck.testing.event_bus import EventBusContract
    from tickdeck.testing.event_store import EventStoreContract
    from tickdeck.testing.exchange import ExchangeContract, TradingPlace
    from tickdeck.testing.repositories import RepositoryContract

__all__ = [
    "CandleRun",
    "EventBusContract",
    "EventStoreContract",
    "ExchangeContract",
    "RepositoryContract",
    "TradingPlace",
    "run_candles",
]

_CONTRACTS = {
    "EventBusContract": "tickdeck.testing.event_bus",
    "EventStoreContract": "tickdeck.testing.event_store",
    "ExchangeContract": "tickdeck.testing.exchange",
    "RepositoryContract": "tickdeck.testing.repositories",
    "TradingPlace": "tickdeck.testing.exchange",
}


def __getattr__(name: str) -> object:
    """Import a contract on first use, so that strategies can be tested without pytest."""
    module = _CONTRACTS.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)
