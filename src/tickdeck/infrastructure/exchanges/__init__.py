"""Venues: the paper venue behind the exchange port, and a simulated market to trade on."""

from tickdeck.infrastructure.exchanges.paper import PaperVenue
from tickdeck.infrastructure.exchanges.paper_config import PaperConfig
from tickdeck.infrastructure.exchanges.simulated_market import simulated_market

__all__ = ["PaperConfig", "PaperVenue", "simulated_market"]
