"""The order in which the engines hear the same event."""

from __future__ import annotations

__all__ = ["PRIORITY"]

PRIORITY = {
    "market_data": 100,
    "feed_monitor": 95,
    "signals": 90,
    "risk": 80,
    "execution": 70,
    "portfolio": 60,
    "heartbeat": 50,
    "strategy": 0,
}
"""Engines that know something run before those that ask for it. When a strategy hears a trade, the market, signals
and positions are up to date."""
