"""In which order the engines hear one and the same event."""

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
"""Those who know go before those who ask: a strategy that hears a trade finds market, signals and positions up to
date.
"""
