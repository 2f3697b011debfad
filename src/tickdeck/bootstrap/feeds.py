"""The venues that provide live market data, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from tickdeck.application.clock import LiveClock
from tickdeck.application.ports import MarketDataFeed
from tickdeck.errors import ConfigError
from tickdeck.infrastructure.clock import SystemClock
from tickdeck.infrastructure.config import RunConfig
from tickdeck.infrastructure.exchanges.binance.market_feed import BinanceFeed
from tickdeck.infrastructure.exchanges.binance.wire import MAINNET, TESTNET, endpoints_at

__all__ = ["FEEDS", "live_feed"]

MakeFeed: TypeAlias = Callable[[RunConfig, tuple[str, ...], LiveClock], MarketDataFeed]


def _binance(config: RunConfig, symbols: tuple[str, ...], clock: LiveClock) -> MarketDataFeed:
    if config.exchange_url is not None:
        return BinanceFeed(symbols, endpoints_at(config.exchange_url), clock=clock)
    return BinanceFeed(symbols, TESTNET if config.testnet else MAINNET, clock=clock)


FEEDS: dict[str, MakeFeed] = {"binance": _binance}
"""Creates the feed of a venue, by name. A program may add its own."""


def live_feed(config: RunConfig, symbols: tuple[str, ...], clock: LiveClock | None = None) -> MarketDataFeed:
    """The feed of ``config.exchange``, not yet connected. ``clock`` stamps its frames. Raises ``ConfigError`` if
    there is none of that name."""
    make = FEEDS.get(config.exchange)
    if make is None:
        known = ", ".join(("paper", *FEEDS))
        raise ConfigError(f"exchange is {config.exchange!r}; give one of {known}")
    return make(config, symbols, clock or SystemClock())
