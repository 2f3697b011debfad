"""The paper venue: a simulated exchange in this process, on recorded or simulated market data."""

from tickdeck.infrastructure.exchanges.paper.account import start_balances
from tickdeck.infrastructure.exchanges.paper.config import PaperConfig, assumptions_of
from tickdeck.infrastructure.exchanges.paper.past import VenuePast
from tickdeck.infrastructure.exchanges.paper.venue import PaperVenue

__all__ = [
    "PaperConfig",
    "PaperVenue",
    "VenuePast",
    "assumptions_of",
    "start_balances",
]
