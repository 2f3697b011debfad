"""The order in which engines handle the same event."""

from __future__ import annotations

__all__ = ["PRIORITY"]

PRIORITY = {
    "instruments": 110,
    "market_data": 100,
    "feed_monitor": 95,
    "signals": 90,
    "risk": 80,
    "execution": 70,
    "portfolio": 60,
    "operator": 55,
    "bracket": 54,
    "profits": 53,
    "trigger": 52,
    "heartbeat": 50,
    "copy": 40,
    "strategy": 0,
}
"""Engines that hold state run before those that read it. When a strategy receives a trade, the market, signals and
positions are up to date."""
