"""Venues: the paper venue behind the exchange port, and a simulated market to trade on."""

from tickdeck.infrastructure.exchanges.paper import PaperConfig, PaperVenue
from tickdeck.infrastructure.exchanges.simulated import simulated_market

__all__ = ["PaperConfig", "PaperVenue", "simulated_market"]
