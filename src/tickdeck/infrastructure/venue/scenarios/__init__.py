"""Scenarios: what the venue does when, and what its ledger must contain at the end. Anyone can write them in TOML.

A step is a request to the admin address with a trigger; a check compares a figure of the ledger with a limit.
"""

from tickdeck.infrastructure.venue.scenarios.player import CheckResult, ScenarioPlayer
from tickdeck.infrastructure.venue.scenarios.scenario import CARDS, Check, Scenario, Step, load_scenarios

__all__ = ["CARDS", "Check", "CheckResult", "Scenario", "ScenarioPlayer", "Step", "load_scenarios"]
