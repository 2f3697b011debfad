"""The venues that provide live market data, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tickdeck.application.ports import MarketDataFeed
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig

__all__ = ["FEEDS", "live_feed"]

MakeFeed: TypeAlias = Callable[[RunConfig, tuple[str, ...]], MarketDataFeed]

FEEDS: dict[str, MakeFeed] = {}
"""Creates the feed of a venue, by name. A program may add its own."""


def live_feed(config: RunConfig, symbols: tuple[str, ...]) -> MarketDataFeed:
    """The feed of ``config.exchange``, not yet connected. Raises ``ConfigError`` if there is none of that name."""
    make = FEEDS.get(config.exchange)
    if make is None:
        known = ", ".join(("paper", *FEEDS))
        raise ConfigError(f"exchange is {config.exchange!r}; give one of {known}")
    return make(config, symbols)
