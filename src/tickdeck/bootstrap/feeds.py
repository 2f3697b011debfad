"""The venues whose market data a live run can hear, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tickdeck.application.drivers import LiveFeed
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.config import RunConfig

__all__ = ["FEEDS", "live_feed"]

MakeFeed: TypeAlias = Callable[[RunConfig, tuple[str, ...]], LiveFeed]

FEEDS: dict[str, MakeFeed] = {}
"""By the name of a venue: makes its feed of the symbols. A program may add one of its own."""


def live_feed(config: RunConfig, symbols: tuple[str, ...]) -> LiveFeed:
    """The feed of ``config.exchange``, not yet connected. Raises ``ConfigError`` if there is none of that name."""
    make = FEEDS.get(config.exchange)
    if make is None:
        known = ", ".join(("paper", *FEEDS))
        raise ConfigError(f"exchange is {config.exchange!r}; give one of {known}")
    return make(config, symbols)
