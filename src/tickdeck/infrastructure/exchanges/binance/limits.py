"""The limits of an address and of an account at Binance, and where the venue reports how much is used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from tickdeck.application.clock import LiveClock
from tickdeck.infrastructure.exchanges.binance.mappers.instruments import RateLimit
from tickdeck.infrastructure.exchanges.binance.profile import BINANCE_SPOT, Profile
from tickdeck.infrastructure.resilience import RateLimiter, WeightLimit

__all__ = ["account_limits", "announced_limits", "connect_limits", "observe", "wallet_limits"]

_USED = re.compile(r"x-mbx-(used-weight|order-count)-(\d+)([smhd])")
_COUNT = re.compile(r"[0-9]{1,12}")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_BY_HEADER = {"used-weight": "weight", "order-count": "orders"}
_BY_TYPE = {"REQUEST_WEIGHT": "weight", "ORDERS": "orders", "RAW_REQUESTS": "requests"}


def account_limits(profile: Profile = BINANCE_SPOT, clock: LiveClock | None = None) -> RateLimiter:
    """The limits of ``profile``, until the venue announces its own.

    ``weight`` and ``requests`` are counted per address, ``orders`` per account over all of its keys. Orders that were
    filled no longer count; the venue's headers correct our count.
    """
    return RateLimiter(
        profile.name,
        [
            WeightLimit(name="weight", limit=profile.weight_a_minute, seconds=60),
            WeightLimit(name="requests", limit=profile.requests_5m, seconds=300),
            WeightLimit(name="orders", limit=profile.orders_10s, seconds=10),
            WeightLimit(name="orders", limit=profile.orders_a_day, seconds=86400),
        ],
        clock=clock,
    )


def connect_limits(profile: Profile = BINANCE_SPOT, clock: LiveClock | None = None) -> RateLimiter:
    """The limit ``connects`` on the WebSocket connections that an address opens."""
    seconds = profile.connects_window // 1_000_000_000
    limit = WeightLimit(name="connects", limit=profile.connects, seconds=seconds, reserve=0)
    return RateLimiter(profile.name, [limit], clock=clock)


def wallet_limits(profile: Profile = BINANCE_SPOT, clock: LiveClock | None = None) -> RateLimiter:
    """The limit ``conversions`` on an account's requests for its history of conversions, which weigh 3,000 each."""
    limit = WeightLimit(name="conversions", limit=profile.wallet_a_minute, seconds=60, reserve=0)
    return RateLimiter(profile.name, [limit], clock=clock)


def announced_limits(found: Iterable[RateLimit]) -> list[WeightLimit]:
    """The ``rateLimits`` of ``exchangeInfo``. Unknown kinds are left out."""
    return [
        WeightLimit(name=_BY_TYPE[limit.rate_limit_type], limit=limit.limit, seconds=limit.seconds)
        for limit in found
        if limit.rate_limit_type in _BY_TYPE and limit.limit > 0 and limit.seconds > 0
    ]


def observe(limits: RateLimiter, headers: Mapping[str, str]) -> None:
    """Adopt the counts in the headers of a response. ``headers``: names in lower case."""
    for name, value in headers.items():
        found = _USED.fullmatch(name)
        if found is not None and _COUNT.fullmatch(value):
            limits.observe(_BY_HEADER[found[1]], int(found[2]) * _SECONDS[found[3]], int(value))
