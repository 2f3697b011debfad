"""The dated properties of Binance spot: limits, time windows, the lifetime of ids. If the venue changes, add a
profile.
"""

from __future__ import annotations

import msgspec

from tickdeck.application.ports import Amendment, ExchangeCapabilities

__all__ = ["BINANCE_SPOT", "Profile"]

_S = 1_000_000_000  # ns in a second


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in ns. Sources: the venue's documentation of September 2026 (rest-api.md, web-socket-api.md,
    web-socket-streams.md, user-data-stream.md).

    - ``connection_life``: the venue ends a connection after this time. ``messages_per_second``: how many it accepts on
      a connection, including pings and pongs. ``streams``: the most on one connection. ``connects``: how many
      connections an address may open per ``connects_window``.
    - ``receive_window``: how old a signed request may be on arrival.
    - ``wallet_a_minute``: the weight that an account may spend at each endpoint of its wallet that counts by account
      ("UID" in the documentation).
    - ``weight_a_minute``, ``requests_5m``, ``orders_10s``, ``orders_a_day``: the limits until ``exchangeInfo``
      announces others.
    """

    name: str
    capabilities: ExchangeCapabilities
    connection_life: int = 24 * 3600 * _S
    messages_per_second: int = 5
    streams: int = 1024
    connects: int = 300
    connects_window: int = 300 * _S
    receive_window: int = 5 * _S
    wallet_a_minute: int = 180_000
    weight_a_minute: int = 6_000
    requests_5m: int = 61_000
    orders_10s: int = 100
    orders_a_day: int = 200_000


BINANCE_SPOT = Profile(
    name="binance-spot@2026-09",
    capabilities=ExchangeCapabilities(
        amendment=Amendment.REDUCE,
        client_order_id="[A-Za-z0-9_-]{1,36}",
        private_stream=True,
        stop_orders=True,
        order_pairs=True,
        in_flight=15 * _S,  # the receive window of 5 s, and 10 s after which the engine answers "status unknown"
        query_lag=60 * _S,  # seen by its users
        evidence=("order", "open_orders", "fills", "stream"),
        fee_currency="BNB",
        transfer_history=True,
        conversion_history=True,
        lookup_window=90 * 24 * 3600 * _S,  # then orders without a fill are archived (rest-api.md, -2026)
    ),
)
