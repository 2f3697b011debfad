"""Binance spot: REST, market streams, the WebSocket API and its private streams.

Everything is built from documentation samples and recorded traffic, by code of its own. Only ``server`` does I/O.
"""

from tickdeck.infrastructure.venue.dialects.binance.connection import Connection
from tickdeck.infrastructure.venue.dialects.binance.limits import Limits, RateLimits
from tickdeck.infrastructure.venue.dialects.binance.rest import Request, Response, RestApi
from tickdeck.infrastructure.venue.dialects.binance.streams import MarketStreams, StreamSession
from tickdeck.infrastructure.venue.dialects.binance.user_stream import Subscription, UserStreams
from tickdeck.infrastructure.venue.dialects.binance.venue import BinanceVenue
from tickdeck.infrastructure.venue.dialects.binance.ws_api import WsApiSession

__all__ = [
    "BinanceVenue",
    "Connection",
    "Limits",
    "MarketStreams",
    "RateLimits",
    "Request",
    "Response",
    "RestApi",
    "StreamSession",
    "Subscription",
    "UserStreams",
    "WsApiSession",
]
